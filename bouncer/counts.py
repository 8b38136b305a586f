"""Owns how much history there is: counted by buffer and day, a portion at a time, so that no page counts a million.

Synchronous, on a connection that is at hand. What is not counted yet is counted by whoever reads, up to MOST_AT_ONCE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bouncer.history import Buffer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

DAY_MS = 86_400_000
PORTION = 2_000
"""Messages counted in one transaction: some 10 ms."""
MOST_AT_ONCE = 10_000
"""Messages beyond those counted that a reader counts for itself."""
DATED = 200
"""Buffers, the largest, of which a reader is told the oldest and the newest message."""

BYTES = (
    "length(CAST(content AS BLOB)) + length(CAST(sender AS BLOB)) + length(CAST(target AS BLOB)) "
    "+ coalesce(length(CAST(tags AS BLOB)), 0) + length(CAST(msgid AS BLOB))"
)
"""Of one message: what is in its texts. The migration that made the triggers says the same of `old` and `new`."""
TEXT_SHARE, ROW_BYTES = 1.6, 72
"""What a byte of text takes on disk with the search index, and what a message takes besides: numbers, two indexes.

Measured for messages of 0 to 100 words in files of 20,000: off by 2 %, by 18 % where there are no words at all.
"""
EMPTY_BYTES = 180_000
"""A file without any history."""

_UPTO = "SELECT upto FROM message_counting"
_NEWEST = "SELECT coalesce(max(id), 0) FROM messages"
_COUNT = (
    "INSERT INTO message_days (server_id, channel_id, conversation_id, day, messages, bytes) "  # noqa: S608 - constants
    f"SELECT server_id, coalesce(channel_id, 0), coalesce(conversation_id, 0), time / {DAY_MS}, count(*), sum({BYTES}) "
    "FROM messages WHERE id > ? AND id <= ? GROUP BY 1, 2, 3, 4 "
    "ON CONFLICT (server_id, channel_id, conversation_id, day) "
    "DO UPDATE SET messages = messages + excluded.messages, bytes = bytes + excluded.bytes"
)
_COUNTED = (
    "SELECT server_id, channel_id, conversation_id, sum(messages), sum(bytes) FROM message_days "
    "GROUP BY server_id, channel_id, conversation_id"
)
_REST = (
    "SELECT server_id, coalesce(channel_id, 0), coalesce(conversation_id, 0), count(*), "  # noqa: S608 - constants
    f"sum({BYTES}) FROM messages WHERE id > ? AND id <= ? GROUP BY 1, 2, 3"
)
_NAMES = (
    "SELECT s.id, NULL, NULL, s.name, '' FROM servers s UNION ALL "
    "SELECT s.id, b.id, NULL, s.name, b.name FROM channels b JOIN servers s ON s.id = b.server_id UNION ALL "
    "SELECT s.id, NULL, b.id, s.name, b.nick FROM conversations b JOIN servers s ON s.id = b.server_id"
)


class Size(NamedTuple):
    """How much a buffer holds; `name` is "" for what came from the server itself.

    `bytes` are those of its texts. `oldest` and `newest` (ms) are 0 for a buffer that is not among the DATED largest.
    """

    buffer: Buffer
    server: str
    name: str
    messages: int
    bytes: int
    oldest: int = 0
    newest: int = 0

    @property
    def weight(self) -> int:
        """About the bytes it takes in a file that was written in one go."""
        return weigh(self.messages, self.bytes)


class Disk(NamedTuple):
    """Bytes of the file, and of those in it that are free to be used again; `gives_back`: bit by bit."""

    file: int
    free: int
    gives_back: bool

    @property
    def used(self) -> int:
        """What history, its index and all else take."""
        return self.file - self.free


def weigh(messages: int, size: int) -> int:
    """About the bytes that messages with so many bytes of text take."""
    return round(size * TEXT_SHARE) + messages * ROW_BYTES


def density(disk: Disk, sizes: Iterable[Size]) -> float:
    """What a file takes for each byte that its messages weigh: about 1, more where it has not been put in order."""
    weight = sum(size.weight for size in sizes)
    return min(3.0, max(0.5, (disk.used - EMPTY_BYTES) / weight)) if weight else 1.0


def count_more(connection: sqlite3.Connection) -> bool:
    """Count a portion of what is not counted, in a transaction of its own; whether there is more."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        upto, newest = _ends(connection)
        end = min(newest, upto + PORTION)
        if end > upto:
            connection.execute(_COUNT, (upto, end))
            connection.execute("UPDATE message_counting SET upto = ?", (end,))
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return end < newest


def _ends(connection: sqlite3.Connection) -> tuple[int, int]:
    """Up to which id all is counted, and the newest id there is."""
    upto, newest = (int(connection.execute(sql).fetchone()[0]) for sql in (_UPTO, _NEWEST))
    return upto, newest


def read_behind(connection: sqlite3.Connection) -> int:
    """Ids that are not counted yet."""
    upto, newest = _ends(connection)
    return max(0, newest - upto)


def read_sizes(connection: sqlite3.Connection) -> list[Size]:
    """Every buffer that has messages, the one that takes most first."""
    upto, newest = _ends(connection)
    found: dict[Buffer, tuple[int, int]] = {}
    _add(found, connection.execute(_COUNTED))
    if newest > upto:
        _add(found, connection.execute(_REST, (upto, min(newest, upto + MOST_AT_ONCE))))
    sizes = [
        Size(buffer, server, name, *found[buffer])
        for *ids, server, name in connection.execute(_NAMES)
        if found.get(buffer := Buffer(*ids), (0, 0))[0] > 0
    ]
    sizes.sort(key=lambda size: (-size.weight, size.server, size.name))
    dated = [
        size._replace(oldest=ends[0], newest=ends[1])
        for size in sizes[:DATED]
        if (ends := read_ends(connection, size.buffer)) is not None
    ]
    return dated + sizes[DATED:]


def _add(found: dict[Buffer, tuple[int, int]], rows: Iterable[tuple[int, int, int, int, int]]) -> None:
    for server, channel, talk, messages, size in rows:
        buffer = Buffer(server, channel or None, talk or None)
        before = found.get(buffer, (0, 0))
        found[buffer] = before[0] + messages, before[1] + size


def where(buffer: Buffer) -> tuple[str, int]:
    """The condition for the messages of one buffer, with its value; each is served by an index of its own."""
    if buffer.channel_id is not None:
        return "channel_id = ?", buffer.channel_id
    if buffer.conversation_id is not None:
        return "conversation_id = ?", buffer.conversation_id
    return "channel_id IS NULL AND conversation_id IS NULL AND server_id = ?", buffer.server_id


def read_ends(
    connection: sqlite3.Connection, buffer: Buffer, after: int | None = None, before: int | None = None
) -> tuple[int, int] | None:
    """The times (ms) of a buffer's first and last message from `after` to before `before`, None where is none."""
    condition, value = where(buffer)
    values = [value, -(2**63) if after is None else after, 2**63 - 1 if before is None else before]
    sql = f"SELECT time FROM messages WHERE {condition} AND time >= ? AND time < ? ORDER BY time {{}} LIMIT 1"  # noqa: S608
    first, last = (connection.execute(sql.format(order), values).fetchone() for order in ("ASC", "DESC"))
    return None if first is None else (int(first[0]), int(last[0]))


def read_span(connection: sqlite3.Connection, buffer: Buffer, after: int | None, before: int | None) -> tuple[int, int]:
    """Messages of a buffer from `after` to before `before` (ms), and bytes in their texts, of those that are counted.

    Days that are whole are added up; of the two at the edges the messages are looked at.
    """
    begin, end = _days(after, before)
    days = (
        "SELECT coalesce(sum(messages), 0), coalesce(sum(bytes), 0) FROM message_days "
        "WHERE server_id = ? AND channel_id = ? AND conversation_id = ? AND day >= ? AND day < ?"
    )
    ids = (buffer.server_id, buffer.channel_id or 0, buffer.conversation_id or 0)
    if end < begin:  # within one day
        return _look(connection, buffer, after, before)
    messages, size = connection.execute(days, (*ids, begin, end)).fetchone()
    edges = []
    if after is not None and after < begin * DAY_MS:
        edges.append((after, begin * DAY_MS))
    if before is not None and before > end * DAY_MS:
        edges.append((end * DAY_MS, before))
    for edge in edges:
        more, larger = _look(connection, buffer, *edge)
        messages, size = messages + more, size + larger
    return int(messages), int(size)


_FIRST, _LAST = -(10**9), 10**9
"""Days before and after all that a time in ms can say here."""


def _days(after: int | None, before: int | None) -> tuple[int, int]:
    """The whole days of a span: the first, and the one after the last. Before the first: less than a day."""
    begin = _FIRST if after is None else -(-after // DAY_MS)
    end = _LAST if before is None else before // DAY_MS
    return begin, end


def _look(connection: sqlite3.Connection, buffer: Buffer, after: int | None, before: int | None) -> tuple[int, int]:
    condition, value = where(buffer)
    sql = (
        f"SELECT count(*), coalesce(sum({BYTES}), 0) FROM messages "  # noqa: S608 - constants and placeholders
        f"WHERE {condition} AND time >= ? AND time < ? AND id <= ({_UPTO})"
    )
    messages, size = connection.execute(sql, (value, after, before)).fetchone()
    return int(messages), int(size)


def read_disk(connection: sqlite3.Connection) -> Disk:
    """How large the file is."""
    names = ("page_size", "page_count", "freelist_count", "auto_vacuum")
    page, count, free, vacuum = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
    return Disk(page * count, page * free, vacuum == 2)
