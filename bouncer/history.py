"""Owns the read path: pages by time and msgid, targets, search, receipts; never writes, never waits for a writer.

Call inside `tenant.switch`. The order within a tenant is total: time (ms UTC), then id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from bouncer import tenant

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

MAX_PAGE = 1_000
"""Messages in one page, whoever asks."""

MAX_ID = 2**63 - 1

CONVERSATION_TYPES = ("privmsg", "action", "notice")
"""What a client without `draft/event-playback` is given."""


class Buffer(NamedTuple):
    """A channel, one nick's conversation, or (neither id) the server's own lines."""

    server_id: int
    channel_id: int | None = None
    conversation_id: int | None = None


class NamedBuffer(NamedTuple):
    """A buffer and the name its messages carry as target."""

    buffer: Buffer
    name: str
    folded: str


class Position(NamedTuple):
    """A place between messages in the total order; exclusive as a bound."""

    time: int
    id: int = 0

    @classmethod
    def before_time(cls, time_ms: int) -> Position:
        """The place before everything of that millisecond."""
        return cls(time_ms, 0)

    @classmethod
    def after_time(cls, time_ms: int) -> Position:
        """The place after everything of that millisecond."""
        return cls(time_ms, MAX_ID)


class StoredMessage(NamedTuple):
    """One row of `messages`."""

    id: int
    server_id: int
    channel_id: int | None
    conversation_id: int | None
    target: str
    sender: str
    message_type: str
    content: str
    tags: str | None
    msgid: str
    time: int
    own: bool
    redacted: str | None = None

    @property
    def position(self) -> Position:
        """Where it stands in the total order."""
        return Position(self.time, self.id)


class Target(NamedTuple):
    """A buffer with its newest message's time (ms), for CHATHISTORY TARGETS."""

    name: str
    time: int


class Filter(NamedTuple):
    """What counts for a page. Without `events` that is privmsg, action and notice; `tagmsg` is one of the events."""

    events: bool = True
    tagmsg: bool = True


EVERYTHING = Filter()
CONVERSATION = Filter(events=False, tagmsg=False)

_COLUMNS = ", ".join(f"m.{name}" for name in StoredMessage._fields)
_TYPES = "({})".format(", ".join(f"'{name}'" for name in CONVERSATION_TYPES))


def _where(buffer: Buffer) -> tuple[str, list[int]]:
    """The condition for one buffer; each is served by an index of its own."""
    if buffer.channel_id is not None:
        return "m.channel_id = ?", [buffer.channel_id]
    if buffer.conversation_id is not None:
        return "m.conversation_id = ?", [buffer.conversation_id]
    return "m.server_id = ? AND m.channel_id IS NULL AND m.conversation_id IS NULL", [buffer.server_id]


def _rows(connection: sqlite3.Connection, sql: str, params: Sequence[object]) -> list[StoredMessage]:
    return [StoredMessage._make(row) for row in connection.execute(sql, params)]


def read_page(
    connection: sqlite3.Connection,
    buffer: Buffer,
    limit: int,
    *,
    after: Position | None = None,
    before: Position | None = None,
    newest: bool = True,
    counts: Filter = EVERYTHING,
) -> list[StoredMessage]:
    """`page` on a connection that is at hand."""
    condition, params = _where(buffer)
    values: list[object] = list(params)
    if after is not None:
        condition += " AND (m.time, m.id) > (?, ?)"
        values += after
    if before is not None:
        condition += " AND (m.time, m.id) < (?, ?)"
        values += before
    if not counts.events:
        condition += f" AND m.message_type IN {_TYPES}"
    elif not counts.tagmsg:
        condition += " AND m.message_type <> 'tagmsg'"
    order = "DESC" if newest else "ASC"
    sql = (
        f"SELECT {_COLUMNS} FROM messages m WHERE {condition} "  # noqa: S608 - constants and placeholders only
        f"ORDER BY m.time {order}, m.id {order} LIMIT ?"
    )
    # One more than a page tells whether there is another.
    values.append(max(0, min(limit, MAX_PAGE + 1)))
    found = _rows(connection, sql, values)
    return found[::-1] if newest else found


async def page(
    buffer: Buffer,
    limit: int,
    *,
    after: Position | None = None,
    before: Position | None = None,
    newest: bool = True,
    events: bool = True,
    counts: Filter | None = None,
) -> list[StoredMessage]:
    """At most `limit` messages between two exclusive places, oldest first.

    `newest` takes those next to `before`, otherwise those next to `after`. The page is filled to the limit with what
    counts.
    """
    chosen = counts or (EVERYTHING if events else CONVERSATION)
    return await tenant.read(
        lambda db: read_page(db, buffer, limit, after=after, before=before, newest=newest, counts=chosen)
    )


async def latest(buffer: Buffer, limit: int, *, events: bool = True) -> list[StoredMessage]:
    """The newest `limit` messages, oldest first."""
    return await page(buffer, limit, events=events)


async def before(buffer: Buffer, place: Position, limit: int, *, events: bool = True) -> list[StoredMessage]:
    """The `limit` messages just before a place, oldest first."""
    return await page(buffer, limit, before=place, events=events)


async def after(buffer: Buffer, place: Position, limit: int, *, events: bool = True) -> list[StoredMessage]:
    """The `limit` messages just after a place, oldest first."""
    return await page(buffer, limit, after=place, newest=False, events=events)


def read_around(
    connection: sqlite3.Connection, buffer: Buffer, place: Position, limit: int, counts: Filter = EVERYTHING
) -> list[StoredMessage]:
    """At most `limit` messages around a place, the one at the place among them, oldest first.

    As many on either side as possible; where one side has fewer, the other gives more.
    """
    at_or_after = Position(place.time, place.id - 1) if place.id else place
    older = read_page(connection, buffer, limit, before=place, counts=counts)
    newer = read_page(connection, buffer, limit, after=at_or_after, newest=False, counts=counts)
    take = max(min(limit // 2, len(older)), limit - len(newer))
    older = older[max(0, len(older) - take) :] if take > 0 else []
    return older + newer[: limit - len(older)]


async def around(buffer: Buffer, place: Position, limit: int, *, events: bool = True) -> list[StoredMessage]:
    """`read_around` in the current tenant."""
    chosen = EVERYTHING if events else CONVERSATION
    return await tenant.read(lambda db: read_around(db, buffer, place, min(limit, MAX_PAGE), chosen))


def read_position(connection: sqlite3.Connection, buffer: Buffer, msgid: str) -> Position | None:
    """Where the message with that msgid stands in the buffer, None when it is not there."""
    condition, params = _where(buffer)
    sql = f"SELECT m.time, m.id FROM messages m WHERE m.msgid = ? AND +{condition} ORDER BY m.id LIMIT 1"  # noqa: S608
    row = connection.execute(sql, [msgid, *params]).fetchone()
    return Position._make(row) if row else None


async def position_of(buffer: Buffer, msgid: str) -> Position | None:
    """`read_position` in the current tenant."""
    return await tenant.read(lambda db: read_position(db, buffer, msgid))


def read_buffer(connection: sqlite3.Connection, server_id: int, folded: str) -> NamedBuffer | None:
    """The channel or conversation of that folded name, None when there is none."""
    row = connection.execute(
        "SELECT id, name FROM channels WHERE server_id = ? AND folded = ?", (server_id, folded)
    ).fetchone()
    if row:
        return NamedBuffer(Buffer(server_id, channel_id=row[0]), row[1], folded)
    row = connection.execute(
        "SELECT id, nick FROM conversations WHERE server_id = ? AND folded = ?", (server_id, folded)
    ).fetchone()
    return NamedBuffer(Buffer(server_id, conversation_id=row[0]), row[1], folded) if row else None


async def find_buffer(server_id: int, folded: str) -> NamedBuffer | None:
    """`read_buffer` in the current tenant."""
    return await tenant.read(lambda db: read_buffer(db, server_id, folded))


async def buffers(server_id: int) -> list[NamedBuffer]:
    """All channels and conversations of a server, channels first, by name."""

    def find(connection: sqlite3.Connection) -> list[NamedBuffer]:
        channels = connection.execute(
            "SELECT id, name, folded FROM channels WHERE server_id = ? ORDER BY folded", (server_id,)
        )
        found = [NamedBuffer(Buffer(server_id, channel_id=i), name, folded) for i, name, folded in channels]
        nicks = connection.execute(
            "SELECT id, nick, folded FROM conversations WHERE server_id = ? ORDER BY folded", (server_id,)
        )
        return found + [NamedBuffer(Buffer(server_id, conversation_id=i), nick, folded) for i, nick, folded in nicks]

    return await tenant.read(find)


async def targets(server_id: int, after_ms: int, before_ms: int, limit: int, *, newest: bool = False) -> list[Target]:
    """Buffers whose newest message lies strictly between two times (ms), oldest first, at most `limit`.

    `newest` takes those next to `before_ms`, otherwise those next to `after_ms`. A nick is spelled as last seen.
    """
    last = (
        f"(SELECT m.id FROM messages m WHERE m.{{0}}_id = b.id AND m.message_type IN {_TYPES} "  # noqa: S608 - constants
        "ORDER BY m.time DESC, m.id DESC LIMIT 1)"
    )
    order = "DESC" if newest else "ASC"
    sql = (
        "SELECT coalesce(t.name, m.target), m.time FROM ("  # noqa: S608 - constants and placeholders only
        f"SELECT b.name AS name, {last.format('channel')} AS last FROM channels b WHERE b.server_id = ? UNION ALL "
        f"SELECT NULL, {last.format('conversation')} FROM conversations b WHERE b.server_id = ?) t "
        "JOIN messages m ON m.id = t.last "
        f"WHERE m.time > ? AND m.time < ? ORDER BY m.time {order}, m.id {order} LIMIT ?"
    )
    params = (server_id, server_id, after_ms, before_ms, max(0, min(limit, MAX_PAGE)))
    found = await tenant.read(lambda db: [Target._make(row) for row in db.execute(sql, params)])
    return found[::-1] if newest else found


async def since(server_id: int, message_id: int, limit: int, *, events: bool = False) -> list[StoredMessage]:
    """What a server brought after the message with that id, in order of arrival, at most `limit`."""
    types = "" if events else f" AND m.message_type IN {_TYPES}"
    sql = (
        f"SELECT {_COLUMNS} FROM messages m WHERE m.id > ? AND m.server_id = ?{types} "  # noqa: S608 - constants only
        "ORDER BY m.id LIMIT ?"
    )
    params = (message_id, server_id, max(0, min(limit, MAX_PAGE)))
    return await tenant.read(lambda connection: _rows(connection, sql, params))


async def wants_times(client: str) -> bool:
    """Whether clients of that name want times in the text of what is played to them."""
    sql = "SELECT text_timestamps FROM clients WHERE name = ?"
    return await tenant.read(lambda db: bool((db.execute(sql, (client,)).fetchone() or (0,))[0]))


class Unread(NamedTuple):
    """What waits in a buffer behind its read marker; `messages` counts up to MAX_UNREAD."""

    messages: int
    highlights: int


MAX_UNREAD = 100


async def unread(server_id: int) -> dict[Buffer, Unread]:
    """Buffers of a server with words of others behind their read marker (all of them where there is none)."""

    def find(connection: sqlite3.Connection) -> dict[Buffer, Unread]:
        found: dict[Buffer, Unread] = {}
        for kind, table in (("channel", "channels"), ("conversation", "conversations")):
            rows = connection.execute(
                f"SELECT b.id, coalesce(r.time, -1) FROM {table} b "  # noqa: S608 - literals above
                "LEFT JOIN read_markers r ON r.server_id = b.server_id AND r.folded = b.folded WHERE b.server_id = ?",
                (server_id,),
            ).fetchall()
            waiting = (
                f"SELECT count(*) FROM (SELECT 1 FROM messages m WHERE m.{kind}_id = ? AND m.time > ? "  # noqa: S608
                f"AND m.own = 0 AND m.message_type IN {_TYPES} LIMIT {MAX_UNREAD})"
            )
            loud = (
                "SELECT count(*) FROM notifications n JOIN messages m ON m.id = n.message_id "  # noqa: S608
                f"WHERE n.read_at IS NULL AND m.{kind}_id = ? AND m.time > ?"
            )
            for number, time_ms in rows:
                count = connection.execute(waiting, (number, time_ms)).fetchone()[0]
                if count:
                    buffer = Buffer(server_id, **{f"{kind}_id": number})
                    found[buffer] = Unread(count, connection.execute(loud, (number, time_ms)).fetchone()[0])
        return found

    return await tenant.read(find)


def search_query(text: str) -> str:
    """What a person typed as an FTS5 query: whole words, `begin*`, "a phrase"; every operator is taken as text.

    Beginnings only where they are asked for: all that begins with a common word would be put together first.
    """
    parts = []
    for phrase, word in re.findall(r'"([^"]*)"|(\S+)', text):
        star = "*" if not phrase and word.endswith("*") else ""
        bare = (phrase or word.rstrip("*")).replace('"', " ")
        if any(char.isalnum() for char in bare):
            parts.append(f'"{bare}"{star}')
    return " ".join(parts)


async def search(
    text: str,
    *,
    limit: int = 50,
    server_id: int | None = None,
    buffer: Buffer | None = None,
    sender: str = "",
    after_ms: int | None = None,
    before_ms: int | None = None,
    oldest: bool = False,
    said: bool = False,
) -> list[StoredMessage]:
    """Messages that hold all words of `text`, newest first (`oldest`: oldest first), at most `limit`.

    `sender` is a nick; times (ms) are exclusive; `said` leaves topics out and takes an empty text for any words.
    Newest means last to arrive: the index is walked backwards and the walk ends at the limit, which no sorting by time
    or rank could do among half a million hits.
    """
    query = search_query(text)
    if not query and (text or not said):
        return []
    values: list[object] = [query] if query else []
    conditions = ["f.messages_fts MATCH ?"] if query else ["m.redacted IS NULL"]
    if buffer is not None:
        where, params = _where(buffer)
        conditions.append(where)
        values += params
    elif server_id is not None:
        conditions.append("m.server_id = ?")
        values.append(server_id)
    if said:
        conditions.append(f"m.message_type IN {_TYPES}")
    for condition, value in (
        ("m.sender LIKE ? ESCAPE '\\'", re.sub(r"([\\%_])", r"\\\1", sender) + "!%" if sender else None),
        ("m.time > ?", after_ms),
        ("m.time < ?", before_ms),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    table = "messages_fts f CROSS JOIN messages m ON m.id = f.rowid" if query else "messages m"
    place = "f.rowid" if query else "m.time" if buffer is not None else "m.id"
    sql = (
        f"SELECT {_COLUMNS} FROM {table} "  # noqa: S608 - constants only
        f"WHERE {' AND '.join(conditions)} ORDER BY {place} {'ASC' if oldest else 'DESC'} LIMIT ?"
    )
    values.append(max(0, min(limit, MAX_PAGE)))
    return await tenant.read(lambda connection: _rows(connection, sql, values))
