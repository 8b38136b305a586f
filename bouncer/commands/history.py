"""Owns CHATHISTORY: https://ircv3.net/specs/extensions/chathistory ."""

from __future__ import annotations

import calendar
import re
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from bouncer import history, replay, tenant
from bouncer.commands.table import Command
from bouncer.errors import TenantError
from bouncer.history import Filter, Position
from bouncer.irc.format import server_time
from bouncer.irc.message import as_text, wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.commands.table import Session
    from bouncer.downstream import Client
    from bouncer.history import Buffer, NamedBuffer, StoredMessage
    from bouncer.irc.message import Message
    from bouncer.network.network import Network

_PARAMS = {"LATEST": 4, "BEFORE": 4, "AFTER": 4, "AROUND": 4, "BETWEEN": 5, "TARGETS": 4}
"""How many parameters each subcommand has, itself included."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_LATEST_TIME = 2**62
_MAX_CUTS = 1_000


class _Bad(Exception):  # noqa: N818 - an answer, not a fault
    """FAIL CHATHISTORY with code, context and words."""


class Reference(NamedTuple):
    """What a client names a place by: a time (ms), a msgid, or neither (`*`)."""

    time: int | None = None
    msgid: str = ""


class Cuts:
    """Where pages of one client ended between two messages of one millisecond.

    A client that goes on by time names that millisecond, which a bound leaves out as a whole: the rest of it would
    never be shown. So the next page begins where the last one ended. One that goes on by msgid needs none of this.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, bool, int], Position] = {}

    def before(self, buffer: str, time_ms: int) -> Position:
        """The exclusive upper bound that a time stands for."""
        return self._places.get((buffer, True, time_ms), Position.before_time(time_ms))

    def after(self, buffer: str, time_ms: int) -> Position:
        """The exclusive lower bound that a time stands for."""
        return self._places.get((buffer, False, time_ms), Position.after_time(time_ms))

    def note(self, buffer: str, edge: StoredMessage, beyond: list[StoredMessage], *, older: bool) -> None:
        """A page ended at `edge` (its `older` or its newer end) with `beyond` (nothing or one message) behind it."""
        key = (buffer, older, edge.time)
        if beyond and beyond[0].time == edge.time:
            if len(self._places) >= _MAX_CUTS:
                self._places.clear()
            self._places[key] = edge.position
        else:
            self._places.pop(key, None)


_cuts: WeakKeyDictionary[Client, Cuts] = WeakKeyDictionary()


async def chathistory(session: Session, msg: Message) -> None:
    """A page in a batch, or FAIL."""
    try:
        await _answer(session, msg)
    except _Bad as bad:
        code, *rest = bad.args
        session.answer.fail("CHATHISTORY", code, middle(msg.param(0)), *rest)


async def _answer(session: Session, msg: Message) -> None:
    subcommand = msg.param(0).upper()
    needed = _PARAMS.get(subcommand)
    if len(msg.params) < (needed or 1):
        raise _Bad("INVALID_PARAMS", "Insufficient parameters")
    if needed is None:
        raise _Bad("INVALID_PARAMS", "Unknown command")
    if len(msg.params) > needed:
        raise _Bad("INVALID_PARAMS", "Too many parameters")
    if session.network is None:
        raise _Bad("INVALID_TARGET", middle(msg.params[1]), "This connection is not bound to a network")
    if subcommand == "TARGETS":
        await _targets(session, session.network, msg)
    else:
        await _page(session, session.network, subcommand, msg)


async def _page(session: Session, network: Network, subcommand: str, msg: Message) -> None:
    target = msg.params[1]
    references = [_reference(text, target) for text in msg.params[2:-1]]
    if subcommand != "LATEST" and Reference() in references:
        raise _Bad("INVALID_PARAMS", "*", "Only LATEST takes *")
    limit = _limit(msg.params[-1])
    caps = session.client.caps
    counts = Filter("draft/event-playback" in caps, "message-tags" in caps)
    isupport = network.state.isupport
    folded = as_text(isupport.casemap.fold(target))
    cuts = _cuts.setdefault(session.client, Cuts())
    server_id = network.server_id

    def read(db: sqlite3.Connection) -> tuple[NamedBuffer | None, list[StoredMessage] | None]:
        found = history.read_buffer(db, server_id, folded)
        if found is None:
            return None, []
        return found, read_subcommand(db, found, subcommand, references, limit, counts, cuts)

    try:
        found, messages = await tenant.read(read)
    except (TenantError, sqlite3.Error):
        messages = found = None
    if messages is None:
        raise _Bad("MESSAGE_ERROR", middle(target), "Messages could not be retrieved")
    if found is None and isupport.is_channel(target) and target not in network.state.channels:
        raise _Bad("INVALID_TARGET", middle(target), "Messages could not be retrieved")
    # A channel has one spelling, the network's; a nick's is its owner's to change, so the asker's own is good.
    name = found.name if found is not None and found.buffer.channel_id is not None else target
    session.answer.write(replay.batch("chathistory", [name], messages, caps, network.nick, source=network.source))


def read_subcommand(
    db: sqlite3.Connection,
    found: NamedBuffer,
    subcommand: str,
    references: Sequence[Reference],
    limit: int,
    counts: Filter,
    cuts: Cuts,
) -> list[StoredMessage] | None:
    """The messages asked for; None when a msgid is not in this history."""
    buffer, name = found.buffer, f"{found.buffer.server_id} {found.folded}"
    places = [place for each in references if (place := _places(db, buffer, name, each, cuts)) is not None]
    if len(places) < len(references):
        return None
    (first_after, first_before), (second_after, second_before) = places[0], places[-1]
    after: Position | None = None
    before: Position | None = None
    newest = subcommand in ("LATEST", "BEFORE")
    if subcommand == "AROUND":
        return _around(db, found, first_before, limit, counts, cuts)
    if subcommand == "BEFORE":
        before = first_before
    elif subcommand == "BETWEEN":
        newest = first_before > second_before
        after, before = (second_after, first_before) if newest else (first_after, second_before)
    elif references[0] != Reference():
        after = first_after
    messages = history.read_page(db, buffer, limit + 1, after=after, before=before, newest=newest, counts=counts)
    extra = len(messages) - limit
    if extra <= 0:
        shown, beyond = messages, []
    elif newest:
        shown, beyond = messages[extra:], messages[:extra]
    else:
        shown, beyond = messages[:limit], messages[limit:]
    if shown:
        cuts.note(name, shown[0] if newest else shown[-1], beyond, older=newest)
    return shown


def _around(
    db: sqlite3.Connection, found: NamedBuffer, place: Position, limit: int, counts: Filter, cuts: Cuts
) -> list[StoredMessage]:
    buffer, name = found.buffer, f"{found.buffer.server_id} {found.folded}"
    shown = history.read_around(db, buffer, place, limit, counts)
    if shown:
        older = history.read_page(db, buffer, 1, before=shown[0].position, counts=counts)
        newer = history.read_page(db, buffer, 1, after=shown[-1].position, newest=False, counts=counts)
        cuts.note(name, shown[0], older, older=True)
        cuts.note(name, shown[-1], newer, older=False)
    return shown


def _places(
    db: sqlite3.Connection, buffer: Buffer, name: str, reference: Reference, cuts: Cuts
) -> tuple[Position, Position] | None:
    """A reference as an exclusive lower and as an exclusive upper bound; None for a msgid that is not there."""
    if reference.time is not None:
        return cuts.after(name, reference.time), cuts.before(name, reference.time)
    if not reference.msgid:
        return Position(0), Position(_LATEST_TIME)
    place = history.read_position(db, buffer, reference.msgid)
    return None if place is None else (place, place)


async def _targets(session: Session, network: Network, msg: Message) -> None:
    start, end = (_reference(text, "*") for text in msg.params[1:3])
    if start.time is None or end.time is None:
        raise _Bad("INVALID_PARAMS", "TARGETS takes two timestamps")
    limit = _limit(msg.params[3])
    low, high = sorted((start.time, end.time))
    found = await history.targets(network.server_id, low, high, limit, newest=start.time > end.time)
    lines = [
        wire("CHATHISTORY", ["TARGETS", target.name, server_time(target.time)], network.source) for target in found
    ]
    session.answer.write(
        replay.wrap("draft/chathistory-targets", [], lines, session.client.caps, source=network.source)
    )


# -- parameters ----------------------------------------------------------------------------------------------------


def middle(text: str) -> str:
    """A parameter of a client as context of an answer: `*` for what could only stand last in a line."""
    return text if text and text[0] != ":" and " " not in text else "*"


def parse_time(text: str) -> int | None:
    """Ms UTC of `2026-01-31T12:00:00.000Z`; None for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
    return seconds * 1000 + int(((match[2] or "") + "000")[:3])


def _reference(text: str, target: str) -> Reference:
    """`timestamp=…`, `msgid=…` or `*`. Raises _Bad."""
    if text == "*":
        return Reference()
    kind, equals, value = text.partition("=")
    if kind == "timestamp":
        found = parse_time(value)
        if found is None:
            raise _Bad("INVALID_PARAMS", middle(text), "A timestamp looks like 2026-01-31T12:00:00.000Z")
        return Reference(time=found)
    if kind == "msgid" and value:
        return Reference(msgid=as_text(value))
    if equals and kind and kind != "msgid":
        raise _Bad("INVALID_MSGREFTYPE", middle(target), "Use timestamp= or msgid=")
    raise _Bad("INVALID_PARAMS", middle(text), "Use timestamp= or msgid=")


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise _Bad("INVALID_PARAMS", middle(text), "The limit is a number")
    return min(int(text), history.MAX_PAGE)


table = {"CHATHISTORY": Command(chathistory)}
