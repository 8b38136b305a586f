"""Owns MARKREAD and READ: how far the user has read, told to all of the user's clients.

https://ircv3.net/specs/extensions/read-marker ; READ is the older name for the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer.clock import now_ms
from bouncer.commands.history import middle, parse_time
from bouncer.commands.table import Command
from bouncer.events import Event
from bouncer.irc.message import as_text
from bouncer.journal import Batch, Change
from bouncer.network.markers import COMMANDS

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message
    from bouncer.network.attachment import Attachment
    from bouncer.network.network import Network

_MAX_NAME = 200


async def mark_read(session: Session, msg: Message) -> None:
    """Get, or move forward and tell the others."""
    network, answer, command = session.network, session.answer, msg.command
    if not msg.params:
        answer.fail(command, "NEED_MORE_PARAMS", "Missing parameters")
        return
    target = msg.params[0]
    if network is None:
        answer.fail(command, "INVALID_PARAMS", middle(target), "This connection is not bound to a network")
        return
    if middle(target) != target or len(target) > _MAX_NAME:
        answer.fail(command, "INVALID_PARAMS", "*", "Invalid target")
        return
    if len(msg.params) > 1:
        kind, _, value = msg.params[1].partition("=")
        time_ms = parse_time(value) if kind == "timestamp" else None
        if time_ms is None:
            answer.fail(command, "INVALID_PARAMS", middle(msg.params[1]), "Use timestamp=YYYY-MM-DDThh:mm:ss.sssZ")
            return
        if not network.markers.room(network.fold(target)):
            answer.fail(command, "INTERNAL_ERROR", target, "Too many read markers are kept")
            return
        # Nobody has read what is yet to come.
        move(network, target, min(time_ms, now_ms()), session.attachment)
    await written(network)
    for cap, line in network.marker_lines(target):
        if dict(COMMANDS)[cap] == command:
            answer.write(line)


def move(network: Network, target: str, time_ms: int, mover: Attachment | None = None) -> bool:
    """Move the marker of a channel or nick forward; False when it is there already.

    On disk first: what a client, or a page, was told of never goes back. Then it counts, and the clients that know one
    of the commands are told, but the one that moved it.
    """
    folded, server = network.fold(target), network.server_id
    if time_ms <= (network.markers.get(folded) or -1) or not network.markers.room(folded):
        return False
    now = now_ms()

    def release(_batch: Batch, _stored: bool) -> None:
        if network.markers.move(folded, time_ms):
            _tell(network, target, mover)
            network.owner.hub.publish(Event("message", server))

    changes = [
        Change(sql.MARKER, (folded, as_text(target), time_ms, now, server)),
        Change(sql.MARKER_READ, (now, server, time_ms, server, folded, server, folded)),
    ]
    network.owner.journal.submit(network.tenant_id, Batch(release, changes=changes))
    return True


async def written(network: Network) -> None:
    """Return when what was submitted before is on disk, or has waited for that for `commit_live_ms`."""
    done = asyncio.get_running_loop().create_future()

    def release(_batch: Batch, _stored: bool) -> None:
        if not done.done():  # the client is gone
            done.set_result(None)

    network.owner.journal.submit(network.tenant_id, Batch(release))
    await done


def _tell(network: Network, target: str, mover: Attachment | None) -> None:
    lines = network.marker_lines(target)
    for attachment in network.attachments:
        if attachment is not mover:
            shown = [line for cap, line in lines if cap in attachment.caps]
            attachment.client.write(b"".join(shown[:1]))


table = {"MARKREAD": Command(mark_read), "READ": Command(mark_read)}
