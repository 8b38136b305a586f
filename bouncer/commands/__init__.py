"""What a registered client may say: one table per family, and the one function that looks a command up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bouncer.commands import (
    bouncer,
    certificates,
    channels,
    history,
    markers,
    messages,
    metadata,
    multiline,
    playback,
    queries,
    registration,
    search,
)
from bouncer.commands.table import Answer, forward
from bouncer.downstream import SERVER
from bouncer.errors import UnsafeLineError
from bouncer.irc.message import as_text

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message

log = logging.getLogger(__name__)

TABLE = (
    registration.table
    | certificates.table
    | messages.table
    | multiline.table
    | channels.table
    | queries.table
    | history.table
    | markers.table
    | metadata.table
    | playback.table
    | search.table
    | bouncer.table
)


async def dispatch(session: Session, msg: Message) -> None:
    """Carry out one line; what we do not know ourselves goes to the network, unknown or not."""
    client, network = session.client, session.network
    if b"\r" in msg.raw or b"\0" in msg.raw:
        return
    label = msg.tags.get("label", "") if msg.has_tags and "labeled-response" in client.caps else ""
    answer = session.answer = Answer(client, label, network.source if network is not None else SERVER)
    command = TABLE.get(msg.command)
    try:
        if command is None:
            await forward(session, msg)
        elif len(msg.params) < command.min_params:
            answer.reply("461", msg.command, "Not enough parameters")
        else:
            await command.run(session, msg)
    except ConnectionError:
        raise  # the client has gone
    except UnsafeLineError as error:
        answer.notice(f"{msg.command} was not sent: {error}")
    except Exception:  # a file that fails costs an answer, not the connection
        log.exception("%s of a client failed", as_text(msg.command))
        answer.notice("That could not be carried out; it is in the bouncer's log")
    await answer.finish()
