"""Owns CHATHISTORY: https://ircv3.net/specs/extensions/chathistory ."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING

from bouncer import history, replay
from bouncer.commands.table import Command
from bouncer.history import Buffer, Position
from bouncer.irc.format import server_time
from bouncer.irc.message import as_text, wire

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message
    from bouncer.network.network import Network


class _Bad(Exception):  # noqa: N818 - an answer, not a fault
    """FAIL CHATHISTORY with code and words."""


async def chathistory(session: Session, msg: Message) -> None:
    """A page in a batch, or FAIL."""
    subcommand = msg.params[0].upper()
    network = session.network
    if network is None:
        session.answer.fail("CHATHISTORY", "INVALID_TARGET", subcommand, "This connection is not bound to a network")
        return
    try:
        if subcommand == "TARGETS":
            await _targets(session, network, msg)
        else:
            await _page(session, network, subcommand, msg)
    except _Bad as bad:
        code, words = bad.args
        session.answer.fail("CHATHISTORY", code, subcommand, words)


async def _page(session: Session, network: Network, subcommand: str, msg: Message) -> None:
    needed = {"LATEST": 4, "BEFORE": 4, "AFTER": 4, "AROUND": 4, "BETWEEN": 5}.get(subcommand)
    if needed is None:
        raise _Bad("INVALID_PARAMS", "Unknown subcommand")
    if len(msg.params) < needed:
        raise _Bad("INVALID_PARAMS", "Missing parameters")
    limit = _limit(msg.params[needed - 1])
    found = await history.find_buffer(network.server_id, as_text(network.state.isupport.casemap.fold(msg.params[1])))
    messages: list[history.StoredMessage] = []
    events = "draft/event-playback" in session.client.caps
    if found is not None:
        bounds = [await _bound(found.buffer, text) for text in msg.params[2 : needed - 1]]
        messages = await _read(found.buffer, subcommand, bounds, limit, events=events)
    session.answer.write(
        replay.batch("chathistory", [msg.params[1]], messages, session.client.caps, network.nick, source=network.source)
    )


async def _read(
    buffer: Buffer, subcommand: str, bounds: list[Position | None], limit: int, *, events: bool
) -> list[history.StoredMessage]:
    first = bounds[0]
    if subcommand == "LATEST":
        return await history.page(buffer, limit, after=_after(first), events=events)
    if first is None:
        raise _Bad("INVALID_MSGREFTYPE", "That message is not in this history")
    if subcommand == "BEFORE":
        return await history.before(buffer, first, limit, events=events)
    if subcommand == "AFTER":
        return await history.after(buffer, _after(first) or first, limit, events=events)
    if subcommand == "AROUND":
        return await history.around(buffer, first, limit, events=events)
    second = bounds[1]
    if second is None:
        raise _Bad("INVALID_MSGREFTYPE", "That message is not in this history")
    if first <= second:
        return await history.page(buffer, limit, after=_after(first), before=second, newest=False, events=events)
    return await history.page(buffer, limit, after=_after(second), before=first, newest=True, events=events)


def _after(place: Position | None) -> Position | None:
    """The exclusive lower bound for a place: a time stands for all of its millisecond."""
    return Position.after_time(place.time) if place is not None and place.id == 0 else place


async def _bound(buffer: Buffer, text: str) -> Position | None:
    """A place for `timestamp=…` or `msgid=…`; None for `*`. Raises _Bad."""
    if text == "*":
        return None
    kind, _, value = text.partition("=")
    if kind == "timestamp":
        return Position.before_time(_time(value))
    if kind == "msgid":
        place = await history.position_of(buffer, as_text(value))
        if place is None:
            raise _Bad("INVALID_MSGREFTYPE", "That message is not in this history")
        return place
    raise _Bad("INVALID_MSGREFTYPE", "Use timestamp= or msgid=")


def _time(text: str) -> int:
    try:
        seconds = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
        fraction = text[19:].rstrip("Z").lstrip(".")
        return seconds * 1000 + int((fraction + "000")[:3])
    except ValueError:
        raise _Bad("INVALID_PARAMS", "A timestamp looks like 2026-01-31T12:00:00.000Z") from None


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise _Bad("INVALID_PARAMS", "The limit is a number")
    return min(int(text), history.MAX_PAGE)


async def _targets(session: Session, network: Network, msg: Message) -> None:
    if len(msg.params) < 4:
        raise _Bad("INVALID_PARAMS", "Missing parameters")
    times = sorted(_time(text.partition("=")[2]) for text in msg.params[1:3])
    found = await history.targets(network.server_id, times[0], times[1], _limit(msg.params[3]))
    client = session.client
    lines = [
        wire("CHATHISTORY", ["TARGETS", target.name, server_time(target.time)], network.source) for target in found
    ]
    session.answer.write(replay.wrap("draft/chathistory-targets", [], lines, client.caps, source=network.source))


table = {"CHATHISTORY": Command(chathistory, 1)}
