"""Owns what a person in front of the panel reads besides pages: what waits where, days, sizes, search; never writes.

Call inside `tenant.switch`. Everything here is bounded in time, whatever the file holds.
"""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bouncer import tenant
from bouncer.history import CONVERSATION_TYPES, Buffer, Filter, Position, StoredMessage, read_page, search_query

if TYPE_CHECKING:
    import sqlite3

LINES = Filter(tagmsg=False)
MAX_UNREAD = 100
LOOKED_AT = 1_000
"""Lines behind a marker that are looked at to count what waits in one buffer."""
MAX_ARRIVED = 200
MAX_NOTICES = 1_000
SEARCH_S = 0.1
"""What one search may take; then it says how far it came."""
FIRST_WINDOW, LARGEST_WINDOW = 20_000, 160_000
LATE_MS = 2 * 86_400_000
"""How much later than it was said a message may have come for a search between days to find it."""

_COLUMNS = ", ".join(f"m.{name}" for name in StoredMessage._fields)
_MARKER = "SELECT time FROM read_markers WHERE server_id = ? AND folded = ?"
_TYPES = "({})".format(", ".join(f"'{name}'" for name in CONVERSATION_TYPES))


class ServerEntry(NamedTuple):
    """A server in the list of all; `nick` is the one it knows us by."""

    id: int
    name: str
    nick: str


class Entry(NamedTuple):
    """A buffer in the list of all: what it is called, how it stands, and what waits in it.

    `last` is when a conversation had its newest line (ms), 0 for never, and 0 for channels.
    """

    buffer: Buffer
    name: str
    server: str
    joined: bool
    level: str
    unread: int
    calls: int
    last: int = 0

    @property
    def key(self) -> str:
        """Unique among all buffers of the user: `c5`, `p7` or, for a server's own lines, `s1`."""
        return key_of(self.buffer)

    @property
    def path(self) -> str:
        """Where it is in the panel."""
        return path_of(self.buffer)


def key_of(buffer: Buffer) -> str:
    """See `Entry.key`."""
    if buffer.channel_id is not None:
        return f"c{buffer.channel_id}"
    return f"s{buffer.server_id}" if buffer.conversation_id is None else f"p{buffer.conversation_id}"


def path_of(buffer: Buffer) -> str:
    """The address of a buffer, without its messages."""
    if buffer.channel_id is not None:
        return f"/channels/{buffer.channel_id}"
    if buffer.conversation_id is not None:
        return f"/conversations/{buffer.conversation_id}"
    return f"/servers/{buffer.server_id}"


def condition_of(buffer: Buffer) -> tuple[str, int]:
    """What the rows `m` of a buffer have in common, with its one value; a plus in front keeps SQLite off its index."""
    if buffer.channel_id is not None:
        return "m.channel_id = ?", buffer.channel_id
    if buffer.conversation_id is not None:
        return "m.conversation_id = ?", buffer.conversation_id
    return "m.channel_id IS NULL AND m.conversation_id IS NULL AND m.server_id = ?", buffer.server_id


# -- what waits --------------------------------------------------------------------------------------------------------

_CHANNELS = (
    "SELECT b.server_id, b.id, NULL, b.name, s.name, b.joined, b.notify, coalesce(r.time, -1), 0 FROM channels b "
    "JOIN servers s ON s.id = b.server_id "
    "LEFT JOIN read_markers r ON r.server_id = b.server_id AND r.folded = b.folded ORDER BY s.name, b.folded"
)
_CONVERSATIONS = (
    "SELECT b.server_id, NULL, b.id, b.nick, s.name, 1, 'all', coalesce(r.time, -1), "
    "(SELECT coalesce(max(time), 0) FROM messages WHERE conversation_id = b.id) FROM conversations b "
    "JOIN servers s ON s.id = b.server_id "
    "LEFT JOIN read_markers r ON r.server_id = b.server_id AND r.folded = b.folded ORDER BY s.name, b.folded"
)
_CALLS = (  # constants only
    "SELECT m.channel_id, m.conversation_id, count(*) FROM (SELECT message_id FROM notifications "  # noqa: S608
    f"WHERE read_at IS NULL ORDER BY created_at DESC LIMIT {MAX_NOTICES}) n "
    "JOIN messages m ON m.id = n.message_id GROUP BY 1, 2"
)


def _waiting(connection: sqlite3.Connection, buffer: Buffer, time_ms: int) -> int:
    column = "channel_id" if buffer.channel_id is not None else "conversation_id"
    sql = (
        f"SELECT count(*) FROM (SELECT 1 FROM (SELECT own, message_type FROM messages WHERE {column} = ? "  # noqa: S608
        f"AND time > ? ORDER BY time LIMIT {LOOKED_AT}) WHERE own = 0 AND message_type IN {_TYPES} LIMIT {MAX_UNREAD})"
    )
    number = buffer.channel_id if buffer.channel_id is not None else buffer.conversation_id
    return int(connection.execute(sql, (number, time_ms)).fetchone()[0])


def read_overview(connection: sqlite3.Connection) -> list[Entry]:
    """Every channel and conversation, by server, channels first, with what waits in it."""
    calls = {(channel, talk): count for channel, talk, count in connection.execute(_CALLS)}
    rows = [*connection.execute(_CHANNELS), *connection.execute(_CONVERSATIONS)]
    found = []
    for server_id, channel, talk, name, server, joined, level, read, last in rows:
        buffer = Buffer(server_id, channel, talk)
        waits = _waiting(connection, buffer, read)
        found.append(Entry(buffer, name, server, bool(joined), level, waits, calls.get((channel, talk), 0), last))
    return sorted(found, key=lambda entry: (entry.server.lower(), entry.buffer.channel_id is None))


async def overview() -> list[Entry]:
    """`read_overview` in the current tenant."""
    return await tenant.read(read_overview)


def read_servers(connection: sqlite3.Connection) -> list[ServerEntry]:
    """Every server, by name."""
    sql = "SELECT id, name, coalesce(nullif(known_nick, ''), nickname) FROM servers ORDER BY lower(name)"
    return [ServerEntry._make(row) for row in connection.execute(sql)]


async def notices() -> int:
    """How many notifications are unread, counted up to MAX_NOTICES."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM notifications WHERE read_at IS NULL LIMIT {MAX_NOTICES})"  # noqa: S608
    return await tenant.read(lambda connection: int(connection.execute(sql).fetchone()[0]))


class Arrived(NamedTuple):
    """What came to a buffer, in order of arrival, and the id up to which all has been looked at."""

    messages: list[StoredMessage]
    upto: int
    more: bool
    calls: frozenset[int]


async def arrived(buffer: Buffer, after_id: int) -> Arrived:
    """What a buffer got after that id, at most MAX_ARRIVED lines."""
    condition, number = condition_of(buffer)
    # The plus keeps SQLite on the ids: what is new is a handful, the buffer may be a million.
    sql = (
        f"SELECT {_COLUMNS} FROM messages m WHERE m.id > ? AND +{condition} "  # noqa: S608 - constants
        "AND m.message_type <> 'tagmsg' ORDER BY m.id LIMIT ?"
    )

    def find(connection: sqlite3.Connection) -> Arrived:
        newest = int(connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0])
        rows = connection.execute(sql, (after_id, number, MAX_ARRIVED + 1)).fetchall()
        found = [StoredMessage._make(row) for row in rows[:MAX_ARRIVED]]
        if len(rows) > MAX_ARRIVED:
            return Arrived(found, found[-1].id, True, read_calls(connection, found))
        return Arrived(found, max(newest, after_id), False, read_calls(connection, found))

    return await tenant.read(find)


async def nicks(channel_id: int) -> list[str]:
    """Who is in a channel, by folded nick."""
    sql = "SELECT nickname FROM channel_users WHERE channel_id = ? ORDER BY folded"
    return await tenant.read(lambda db: [row[0] for row in db.execute(sql, (channel_id,))])


# -- days and sizes ----------------------------------------------------------------------------------------------------


async def days(buffer: Buffer, edges: list[int]) -> list[int]:
    """How many lines a buffer has between each two of these moments (ms, ascending)."""
    condition, number = condition_of(buffer)
    sql = f"SELECT count(*) FROM messages m WHERE {condition} AND m.time >= ? AND m.time < ?"  # noqa: S608

    def count(connection: sqlite3.Connection) -> list[int]:
        spans = itertools.pairwise(edges)
        return [int(connection.execute(sql, (number, *span)).fetchone()[0]) for span in spans]

    return await tenant.read(count)


async def ends(buffer: Buffer) -> tuple[int, int] | None:
    """The moments (ms) of the first and of the last line of a buffer, None for an empty one."""
    condition, number = condition_of(buffer)
    sql = "SELECT m.time FROM messages m WHERE {} ORDER BY m.time {}, m.id {} LIMIT 1"

    def find(connection: sqlite3.Connection) -> tuple[int, int] | None:
        found = [
            connection.execute(sql.format(condition, order, order), (number,)).fetchone() for order in ("ASC", "DESC")
        ]
        return None if found[0] is None else (int(found[0][0]), int(found[1][0]))

    return await tenant.read(find)


# -- search ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for: words (all of them; "…" is a phrase), a nick, where, and between which moments (ms)."""

    text: str = ""
    nick: str = ""
    server_id: int | None = None
    buffer: Buffer | None = None
    after_ms: int | None = None
    before_ms: int | None = None

    def __bool__(self) -> bool:
        return bool(search_query(self.text) or self.nick)


@dataclass(frozen=True, slots=True)
class Found:
    """Messages, the last to arrive first; `below` is where to go on, None when all has been looked at."""

    messages: list[StoredMessage]
    below: int | None = None


def _conditions(wanted: Wanted) -> tuple[str, list[object]]:
    conditions = [f"m.message_type IN {_TYPES[:-1]}, 'topic')", "m.redacted IS NULL"]
    values: list[object] = []
    if wanted.buffer is not None:
        condition, number = condition_of(wanted.buffer)
        conditions.append(f"+{condition}")
        values.append(number)
    elif wanted.server_id is not None:
        conditions.append("m.server_id = ?")
        values.append(wanted.server_id)
    if wanted.nick:
        conditions.append("m.sender LIKE ? ESCAPE '\\'")
        values.append(re.sub(r"([\\%_])", r"\\\1", wanted.nick) + "!%")
    for condition, value in (("m.time >= ?", wanted.after_ms), ("m.time < ?", wanted.before_ms)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return " AND ".join(conditions), values


def read_search(connection: sqlite3.Connection, wanted: Wanted, limit: int, below: int | None = None) -> Found:
    """At most `limit` messages with ids below a bound, the highest first; gives up after SEARCH_S.

    The ids are walked downwards a window at a time, so that a word said half a million times by others than the one
    who is looked for holds nobody up: the page says how far it came.
    """
    query = search_query(wanted.text)
    condition, values = _conditions(wanted)
    head = "FROM messages m WHERE m.id < ? AND m.id >= ? AND "
    if query:
        head = (
            "FROM messages_fts f CROSS JOIN messages m ON m.id = f.rowid "
            "WHERE f.messages_fts MATCH ? AND f.rowid < ? AND f.rowid >= ? AND "
        )
    order = "f.rowid" if query else "m.id"
    sql = f"SELECT {_COLUMNS} {head}{condition} ORDER BY {order} DESC LIMIT ?"
    oldest, high = _span(connection, wanted)
    high = high if below is None else min(below, high)
    window, until, found = FIRST_WINDOW, time.monotonic() + SEARCH_S, list[StoredMessage]()
    while high > oldest:
        began, low = time.monotonic(), max(oldest, high - window)
        values_here = [*([query] if query else []), high, low, *values, limit + 1 - len(found)]
        found += [StoredMessage._make(row) for row in connection.execute(sql, values_here)]
        if len(found) > limit:
            return Found(found[:limit], found[limit - 1].id)
        high = low
        took = time.monotonic() - began
        wider = min(window * 2, LARGEST_WINDOW) if took < SEARCH_S / 8 else window
        if time.monotonic() + took * wider / window > until and high > oldest:
            return Found(found, high)
        window = wider
    return Found(found)


def _span(connection: sqlite3.Connection, wanted: Wanted) -> tuple[int, int]:
    """The ids among which to look, the second exclusive: ids follow the time at which messages came."""
    # Each by itself: together they would be looked for in the whole table.
    low = int(connection.execute("SELECT coalesce(min(id), 1) FROM messages").fetchone()[0])
    high = int(connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]) + 1
    if wanted.after_ms is not None:
        low = _first_at(connection, wanted.after_ms - LATE_MS, low, high)
    if wanted.before_ms is not None:
        high = _first_at(connection, wanted.before_ms + LATE_MS, low, high)
    return low, high


def _first_at(connection: sqlite3.Connection, time_ms: int, low: int, high: int) -> int:
    """The first id between two whose message is not older than that moment."""
    while low < high:
        middle = (low + high) // 2
        row = connection.execute("SELECT time FROM messages WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()
        if row is not None and row[0] < time_ms:
            low = middle + 1
        else:
            high = middle
    return low


async def search(wanted: Wanted, limit: int, below: int | None = None) -> Found:
    """`read_search` in the current tenant."""
    return await tenant.read(lambda connection: read_search(connection, wanted, limit, below))


async def message_at(message_id: int) -> tuple[Buffer, Position] | None:
    """Where a message is."""
    sql = "SELECT server_id, channel_id, conversation_id, time, id FROM messages WHERE id = ?"
    row = await tenant.read(lambda connection: connection.execute(sql, (message_id,)).fetchone())
    return None if row is None else (Buffer(*row[:3]), Position(*row[3:]))


# -- one view ----------------------------------------------------------------------------------------------------------


class View(NamedTuple):
    """A page of a buffer and all that stands around it, of one moment.

    `upto` is the newest id in the file, `marker` how far the buffer has been read (ms), `calls` the ids that want the
    reader's attention. `older` and `newer` tell whether there is more on that side.
    """

    messages: list[StoredMessage]
    older: bool
    newer: bool
    upto: int
    marker: int | None
    calls: frozenset[int]


def read_view(
    connection: sqlite3.Connection,
    buffer: Buffer,
    folded: str,
    limit: int,
    *,
    before: Position | None = None,
    after: Position | None = None,
    around: Position | None = None,
) -> View:
    """The newest lines, or those next to one of three places; reactions and typing are no lines."""
    upto = int(connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0])
    if around is not None:
        half = limit // 2
        older = read_page(connection, buffer, half + 1, before=around, counts=LINES)
        at = Position(around.time, around.id - 1) if around.id else around
        newer = read_page(connection, buffer, half + 1, after=at, newest=False, counts=LINES)
        found, more = [*older[-half:], *newer[:half]], (len(older) > half, len(newer) > half)
    elif after is not None:
        page = read_page(connection, buffer, limit + 1, after=after, newest=False, counts=LINES)
        found, more = page[:limit], (True, len(page) > limit)
    else:
        page = read_page(connection, buffer, limit + 1, before=before, counts=LINES)
        found, more = page[-limit:], (len(page) > limit, before is not None)
    row = connection.execute(_MARKER, (buffer.server_id, folded)).fetchone()
    return View(found, *more, upto, None if row is None else int(row[0]), read_calls(connection, found))


def read_calls(connection: sqlite3.Connection, messages: list[StoredMessage]) -> frozenset[int]:
    """Which of these wanted the reader's attention for what is in them."""
    if not messages:
        return frozenset()
    ids = [message.id for message in messages]
    sql = "SELECT message_id FROM notifications WHERE reason = 'highlight' AND message_id IN ({})"
    rows = connection.execute(sql.format(", ".join("?" * len(ids))), ids)
    return frozenset(int(row[0]) for row in rows)
