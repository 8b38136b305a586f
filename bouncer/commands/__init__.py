"""What a registered client may say: one table per family, and the one function that looks a command up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands import channels, history, messages, registration
from bouncer.errors import UnsafeLineError

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message

TABLE = registration.table | messages.table | channels.table | history.table


async def dispatch(session: Session, msg: Message) -> None:
    """Carry out one line; what we do not know ourselves goes to the network, unknown or not."""
    client = session.client
    if b"\r" in msg.raw or b"\0" in msg.raw:
        return
    command = TABLE.get(msg.command)
    try:
        if command is None:
            await forward(session, msg)
        elif len(msg.params) < command.min_params:
            client.reply("461", msg.command, "Not enough parameters")
        else:
            await command.run(session, msg)
    except UnsafeLineError as error:
        client.notice(f"{msg.command} was not sent: {error}")


async def forward(session: Session, msg: Message) -> None:
    """To the network, its answer to this client."""
    network, attachment = session.network, session.attachment
    if network is None or attachment is None:
        session.client.reply("421", msg.command, "Unknown command; this connection is not bound to a network")
    elif not network.ask(attachment, msg):
        session.client.notice(f"Not connected to {network.settings.name}: {msg.command} was not sent")
