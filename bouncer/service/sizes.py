"""Owns how many messages each buffer has: counted once, then only what came since; nothing of it is stored."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.history import Buffer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

FORGET_MS = 600_000
"""All is counted anew after this time: messages may have been deleted since."""
MAX_USERS = 200

# Each kind from its own index alone: a table of a million lines is not read to count them.
_ALL = (
    "SELECT b.server_id, b.id, NULL, m.n, m.oldest, m.newest FROM (SELECT channel_id AS id, count(*) AS n, "
    "min(time) AS oldest, max(time) AS newest FROM messages WHERE channel_id IS NOT NULL GROUP BY channel_id) m "
    "JOIN channels b ON b.id = m.id UNION ALL "
    "SELECT b.server_id, NULL, b.id, m.n, m.oldest, m.newest FROM (SELECT conversation_id AS id, count(*) AS n, "
    "min(time) AS oldest, max(time) AS newest FROM messages WHERE conversation_id IS NOT NULL "
    "GROUP BY conversation_id) m JOIN conversations b ON b.id = m.id UNION ALL "
    "SELECT server_id, NULL, NULL, count(*), min(time), max(time) FROM messages "
    "WHERE channel_id IS NULL AND conversation_id IS NULL GROUP BY server_id"
)
_SINCE = (
    "SELECT server_id, channel_id, conversation_id, count(*), min(time), max(time) FROM messages WHERE id > ? "
    "GROUP BY server_id, channel_id, conversation_id"
)
_NAMES = (
    "SELECT s.id, NULL, NULL, s.name, '' FROM servers s UNION ALL "
    "SELECT s.id, b.id, NULL, s.name, b.name FROM channels b JOIN servers s ON s.id = b.server_id UNION ALL "
    "SELECT s.id, NULL, b.id, s.name, b.nick FROM conversations b JOIN servers s ON s.id = b.server_id"
)


class Size(NamedTuple):
    """How many messages a buffer has; `name` is "" for what came from the server itself."""

    server: str
    name: str
    messages: int
    oldest: int
    newest: int


@dataclass
class _Counts:
    """Messages, oldest and newest moment (ms) of each buffer, up to an id."""

    made_at: int = field(default_factory=now_ms)
    upto: int = 0
    buffers: dict[Buffer, tuple[int, int, int]] = field(default_factory=dict)


class SizeCounts:
    """The counts of the users who asked last."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, _Counts] = OrderedDict()

    def forget(self, user_id: int) -> None:
        """Messages of this user were deleted."""
        self._known.pop(user_id, None)

    async def of(self, user_id: int) -> list[Size]:
        """The buffers with their counts, largest first. Inside the user's tenant."""
        known = self._known.pop(user_id, None)
        if known is None or now_ms() - known.made_at > FORGET_MS:
            known = _Counts()
        counts, sizes = await tenant.read(lambda connection: _read(connection, known))
        self._known[user_id] = counts
        while len(self._known) > MAX_USERS:
            self._known.popitem(last=False)
        return sizes


def _read(connection: sqlite3.Connection, known: _Counts) -> tuple[_Counts, list[Size]]:
    newest = int(connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0])
    rows = connection.execute(_SINCE, (known.upto,)) if known.upto else connection.execute(_ALL)
    counts = _Counts(known.made_at, newest, _added(known.buffers, rows))
    sizes = [
        Size(server, name, *counts.buffers[buffer])
        for *ids, server, name in connection.execute(_NAMES)
        if (buffer := Buffer(*ids)) in counts.buffers
    ]
    return counts, sorted(sizes, key=lambda size: -size.messages)


def _added(
    buffers: dict[Buffer, tuple[int, int, int]], rows: Iterable[tuple[int, int | None, int | None, int, int, int]]
) -> dict[Buffer, tuple[int, int, int]]:
    found = dict(buffers)
    for server, channel, talk, number, oldest, newest in rows:
        buffer = Buffer(server, channel, talk)
        before = found.get(buffer, (0, oldest, newest))
        found[buffer] = before[0] + number, min(before[1], oldest), max(before[2], newest)
    return found
