"""Owns what is put on lines after they were said, as the panel reads it: reactions, answers, words taken back.

Call inside `tenant.switch`. Tags: https://ircv3.net/specs/client-tags/react and
https://ircv3.net/specs/client-tags/reply .
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bouncer.browse import condition_of
from bouncer.history import CONVERSATION_TYPES, StoredMessage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from bouncer.history import Buffer

LOOKED_AT = 1_000
"""Lines behind the last of a page among which reactions to the page are looked for."""
MAX_KINDS = 12
"""Different reactions to one line that are shown."""
MAX_REACTION = 32
MAX_CHANGED = 50
"""Lines that are told to a page as changed, at once."""
EXCERPT = 120
_TYPES = "({})".format(", ".join(f"'{name}'" for name in CONVERSATION_TYPES))
_COLUMNS = ", ".join(f"m.{name}" for name in StoredMessage._fields)


class Reaction(NamedTuple):
    """What several people answered with one sign, in the order in which they did."""

    text: str
    nicks: list[str]
    own: bool


class Answered(NamedTuple):
    """The line that another one answers."""

    id: int
    time: int
    sender: str
    content: str
    redacted: str | None


@dataclass(frozen=True, slots=True)
class Marks:
    """For a page: the reactions by msgid, and by message id what it answers."""

    reactions: Mapping[str, list[Reaction]] = field(default_factory=dict)
    answers: Mapping[int, Answered] = field(default_factory=dict)


def tag(tags: str | None, *names: str) -> str:
    """The value of the first of these client tags that is there, "" for none; `tags` is as stored."""
    if not tags:
        return ""
    try:
        known = json.loads(tags)
    except ValueError:
        return ""
    found = next((known[name] for name in names if name in known), "") if isinstance(known, dict) else ""
    return str(found or "")


def _answers_to(tags: str | None) -> str:
    return tag(tags, "+draft/reply", "+reply")


def read_marks(connection: sqlite3.Connection, buffer: Buffer, messages: Sequence[StoredMessage]) -> Marks:
    """What stands on these lines of one buffer, in the order of `read_view`."""
    if not messages:
        return Marks()
    return Marks(_reactions(connection, buffer, messages), _answers(connection, buffer, messages))


def _reactions(
    connection: sqlite3.Connection, buffer: Buffer, messages: Sequence[StoredMessage]
) -> dict[str, list[Reaction]]:
    """The newest word of each person on each line: who took a reaction back is not counted."""
    condition, number = condition_of(buffer)
    wanted = {message.msgid for message in messages if message.msgid}
    sql = (
        "SELECT sender, tags, own FROM (SELECT m.sender, m.tags, m.own, m.message_type, m.time, m.id FROM messages m "  # noqa: S608 - constants
        f"WHERE {condition} AND m.time >= ? ORDER BY m.time, m.id LIMIT ?) WHERE message_type = 'tagmsg' "
        "ORDER BY time, id"
    )
    given: dict[str, dict[str, dict[str, bool]]] = defaultdict(lambda: defaultdict(dict))
    for sender, tags, own in connection.execute(sql, (number, messages[0].time, len(messages) + LOOKED_AT)):
        msgid, nick = _answers_to(tags), sender.partition("!")[0]
        if msgid not in wanted:
            continue
        if text := tag(tags, "+draft/react", "+react")[:MAX_REACTION]:
            given[msgid][text][nick] = bool(own)
        if text := tag(tags, "+draft/unreact", "+unreact")[:MAX_REACTION]:
            given[msgid][text].pop(nick, None)
    return {
        msgid: [Reaction(text, list(nicks), any(nicks.values())) for text, nicks in kinds.items() if nicks][:MAX_KINDS]
        for msgid, kinds in given.items()
    }


def _answers(connection: sqlite3.Connection, buffer: Buffer, messages: Iterable[StoredMessage]) -> dict[int, Answered]:
    wanted = {message.id: _answers_to(message.tags) for message in messages if message.redacted is None}
    found = {one.msgid: one for one in _by_msgid(connection, buffer, set(wanted.values()) - {""})}
    return {
        number: Answered(one.id, one.time, one.sender, one.content[:EXCERPT], one.redacted)
        for number, msgid in wanted.items()
        if (one := found.get(msgid)) is not None
    }


def _by_msgid(connection: sqlite3.Connection, buffer: Buffer, msgids: Collection[str]) -> list[StoredMessage]:
    """The lines of a buffer with these msgids; another buffer's are not found."""
    condition, number = condition_of(buffer)
    sql = f"SELECT {_COLUMNS} FROM messages m WHERE m.msgid = ? AND +{condition} AND m.message_type IN {_TYPES} LIMIT 1"  # noqa: S608 - constants
    rows = (connection.execute(sql, (msgid, number)).fetchone() for msgid in list(msgids)[:MAX_CHANGED])
    return [StoredMessage._make(row) for row in rows if row is not None]


def read_changed(
    connection: sqlite3.Connection, buffer: Buffer, after_id: int, taken_back: Collection[str], since_ms: int | None
) -> list[StoredMessage]:
    """Lines of a buffer that are no longer what a page shows, the oldest first.

    Reactions to them have come since `after_id`, or their msgid is among `taken_back`, or, with `since_ms`, they are
    not older than that and were taken back at any time.
    """
    condition, number = condition_of(buffer)
    sql = f"SELECT m.tags FROM messages m WHERE m.id > ? AND m.message_type = 'tagmsg' AND +{condition} LIMIT ?"  # noqa: S608 - constants
    reacted = {_answers_to(row[0]) for row in connection.execute(sql, (after_id, number, LOOKED_AT))}
    found = {one.id: one for one in _by_msgid(connection, buffer, (reacted | set(taken_back)) - {""})}
    if since_ms is not None:
        condition, number = condition_of(buffer)
        sql = (
            f"SELECT {_COLUMNS} FROM (SELECT * FROM messages m WHERE {condition} AND m.time >= ? "  # noqa: S608 - constants
            "ORDER BY m.time DESC, m.id DESC LIMIT ?) m WHERE m.redacted IS NOT NULL LIMIT ?"
        )
        rows = connection.execute(sql, (number, since_ms, LOOKED_AT, MAX_CHANGED))
        found |= {row[0]: StoredMessage._make(row) for row in rows}
    return sorted(found.values(), key=lambda one: one.position)
