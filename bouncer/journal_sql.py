"""Owns the statements of the write path and their one transaction; runs on a tenant's worker thread only."""

from __future__ import annotations

import json
import logging
import sqlite3
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bouncer.journal import Batch, Change, MessageRow
    from bouncer.tenant import Lease

log = logging.getLogger(__name__)

Buffers = dict[tuple[int, str, str], int]
"""(server id, 'channel' | 'conversation', folded name) -> row id; used on the tenant's own worker thread only."""

MAX_BUFFERS_REMEMBERED = 10_000

# Changes that `bouncer.network` hands over with a batch. A channel is named by (server_id, folded name).
_CHANNEL = "(SELECT id FROM channels WHERE server_id = ? AND folded = ?)"
CHANNEL_JOINED = (
    "INSERT INTO channels (server_id, name, folded, auto_join, joined, detached) VALUES (?, ?, ?, 1, 1, 0) "
    "ON CONFLICT (server_id, folded) DO UPDATE SET joined = 1, auto_join = 1, name = excluded.name, join_error = NULL"
)
CHANNEL_KEY = "UPDATE channels SET key = ? WHERE server_id = ? AND folded = ?"
CHANNEL_LEFT = "UPDATE channels SET joined = 0 WHERE server_id = ? AND folded = ?"
CHANNEL_PARTED = "UPDATE channels SET joined = 0, auto_join = 0 WHERE server_id = ? AND folded = ?"
CHANNEL_ERROR = "UPDATE channels SET joined = 0, join_error = ? WHERE server_id = ? AND folded = ?"
CHANNEL_DETACHED = "UPDATE channels SET detached = ? WHERE server_id = ? AND folded = ?"
CHANNEL_TAKEN_OVER = (
    f"UPDATE messages SET channel_id = {_CHANNEL} "  # noqa: S608 - constants only
    f"WHERE channel_id = {_CHANNEL} AND {_CHANNEL} IS NOT NULL"
)
"""(server, old, server, new, server, old): a channel of long ago had the name that one has now; it is one history."""
CHANNEL_MADE_ROOM = f"DELETE FROM channels WHERE server_id = ? AND folded = ? AND {_CHANNEL} IS NOT NULL"  # noqa: S608 - constants only
CHANNEL_RENAMED = "UPDATE OR IGNORE channels SET name = ?, folded = ? WHERE server_id = ? AND folded = ?"
CHANNEL_TOPIC = "UPDATE channels SET topic = ? WHERE server_id = ? AND folded = ?"
CHANNEL_TOPIC_BY = "UPDATE channels SET topic_by = ?, topic_at = ? WHERE server_id = ? AND folded = ?"
ROSTER_CLEAR = f"DELETE FROM channel_users WHERE channel_id = {_CHANNEL}"  # noqa: S608 - constants only
ROSTER_PUT = (
    "INSERT OR REPLACE INTO channel_users (channel_id, folded, nickname, modes) "
    "SELECT id, ?, ?, ? FROM channels WHERE server_id = ? AND folded = ?"
)
"""(folded, nick, letters, server, folded channel); a list of these goes in as `_ROSTER_ALL`, a channel at a time."""
_ROSTER_ALL = (
    "INSERT OR REPLACE INTO channel_users (channel_id, folded, nickname, modes) "
    "SELECT channels.id, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') "
    "FROM json_each(?), channels "
    "WHERE server_id = ? AND channels.folded = ?"
)
ROSTER_REMOVE = f"DELETE FROM channel_users WHERE channel_id = {_CHANNEL} AND folded = ?"  # noqa: S608 - constants
ALL_LEFT = "UPDATE channels SET joined = 0 WHERE server_id = ? AND joined = 1"
ALL_ROSTERS_CLEAR = "DELETE FROM channel_users WHERE channel_id IN (SELECT id FROM channels WHERE server_id = ?)"
SERVER_KNOWN = "UPDATE servers SET known_nick = ?, known_isupport = ?, known_caps = ?, known_server = ? WHERE id = ?"
SERVER_ACCOUNT = (
    "UPDATE servers SET auth_method = 'sasl-plain', auth_account = ?, auth_password = ? "
    "WHERE id = ? AND auth_method = 'none'"
)
SERVER_EVENT = "INSERT INTO server_events (server_id, time, kind, detail) SELECT id, ?, ?, ? FROM servers WHERE id = ?"
SERVER_EVENTS_TRIM = (
    "DELETE FROM server_events WHERE server_id = ? AND id <= "
    "(SELECT id FROM server_events WHERE server_id = ? ORDER BY id DESC LIMIT 1 OFFSET 1000)"
)
RECEIPT = (
    "INSERT INTO delivery_receipts (server_id, client, message_id, updated_at) SELECT id, ?, ?, ? FROM servers "
    "WHERE id = ? ON CONFLICT (server_id, client) DO UPDATE SET "
    "message_id = max(message_id, excluded.message_id), updated_at = excluded.updated_at"
)
RECEIPT_REMOVE = "DELETE FROM delivery_receipts WHERE server_id = ? AND client = ?"

_BUFFER_OF = (
    "(channel_id = (SELECT id FROM channels WHERE server_id = ? AND folded = ?) "
    "OR conversation_id = (SELECT id FROM conversations WHERE server_id = ? AND folded = ?))"
)
REDACT = (
    "UPDATE messages SET content = '', tags = NULL, redacted = ? WHERE server_id = ? AND msgid = ? "  # noqa: S608
    f"AND redacted IS NULL AND message_type IN ('privmsg', 'action', 'notice') AND {_BUFFER_OF}"
)
"""("nick!user@host reason", server, msgid, server, folded, server, folded): the words are gone, from the index too."""
REDACT_TAGMSG = f"DELETE FROM messages WHERE server_id = ? AND msgid = ? AND message_type = 'tagmsg' AND {_BUFFER_OF}"  # noqa: S608
"""(server, msgid, server, folded, server, folded): a reaction is nothing without its tags."""
REDACT_INDEX = "INSERT INTO messages_fts (messages_fts, rank) VALUES ('merge', -100)"
"""Lets go of the words of deleted messages that the index keeps until it merges; so many pages at a time."""
MARKER = (
    "INSERT INTO read_markers (server_id, folded, name, time, updated_at) SELECT id, ?, ?, ?, ? FROM servers "
    "WHERE id = ? ON CONFLICT (server_id, folded) DO UPDATE SET "
    "name = excluded.name, time = max(time, excluded.time), updated_at = excluded.updated_at"
)
MARKER_RENAMED = "UPDATE OR REPLACE read_markers SET name = ?, folded = ? WHERE server_id = ? AND folded = ?"
MARKER_READ = (
    "UPDATE notifications SET read_at = ? WHERE read_at IS NULL AND message_id IN "  # noqa: S608 - constants only
    f"(SELECT id FROM messages WHERE server_id = ? AND time <= ? AND {_BUFFER_OF})"
)
"""(now, server, time, server, folded, server, folded): what was read wants no attention any more."""
METADATA_SET = (
    "INSERT INTO metadata (server_id, folded, key, value, updated_at) SELECT id, ?, ?, ?, ? FROM servers "
    "WHERE id = ? ON CONFLICT (server_id, folded, key) DO UPDATE SET "
    "value = excluded.value, updated_at = excluded.updated_at"
)
METADATA_REMOVE = "DELETE FROM metadata WHERE server_id = ? AND folded = ? AND key = ?"
METADATA_RENAMED = "UPDATE OR REPLACE metadata SET folded = ? WHERE server_id = ? AND folded = ?"
CLIENT_SEEN = (
    "INSERT INTO clients (name, text_timestamps, created_at, last_seen_at, address) VALUES (?, 0, ?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET last_seen_at = excluded.last_seen_at, address = excluded.address"
)
CLIENTS_TRIM = (
    "DELETE FROM clients WHERE text_timestamps = 0 AND name IN "
    "(SELECT name FROM clients ORDER BY last_seen_at DESC, created_at DESC LIMIT -1 OFFSET ?)"
)
_LATE = frozenset({REDACT, REDACT_TAGMSG, REDACT_INDEX, MARKER_READ})
"""Changes to messages: carried out when the rows that came with them, or before them, are in."""

_COLUMNS = "id, server_id, channel_id, conversation_id, target, sender, message_type, content, tags, msgid, time, own"
_ONE_MESSAGE = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_MESSAGE = f"INSERT INTO messages ({_COLUMNS}) VALUES {_ONE_MESSAGE}"  # noqa: S608 - constants only
_IMPOSSIBLE = (sqlite3.IntegrityError, sqlite3.InterfaceError, ValueError, OverflowError)
"""What a row raises that can never be stored."""
_MOST = 64
"""Rows of one statement: they stay below the 999 parameters that every SQLite takes."""


def _statements(table: str) -> tuple[tuple[int, str], ...]:
    """(rows, statement) to fill a table, the longest first.

    Each statement gives the interpreter away and waits to have it back: one for many rows is quicker by far.
    """
    head = f"INSERT INTO {table} ({_COLUMNS}) VALUES "  # noqa: S608 - constants only
    return tuple((count, head + ", ".join([_ONE_MESSAGE] * count)) for count in (_MOST, 8, 1))


_INSERT_MESSAGES, _INSERT_INCOMING = _statements("messages"), _statements("temp.incoming")
_MAKE_INCOMING = f"CREATE TEMP TABLE IF NOT EXISTS incoming ({_COLUMNS})"
_TAKE_INCOMING = f"INSERT INTO messages ({_COLUMNS}) SELECT * FROM temp.incoming"  # noqa: S608 - constants only
_CLEAR_INCOMING = "DELETE FROM temp.incoming"
_INSERT_NOTIFICATION = "INSERT INTO notifications (message_id, reason, created_at) VALUES (?, ?, ?)"
_LAST_ID = "SELECT seq FROM sqlite_sequence WHERE name = 'messages'"
_FIND = {
    "channel": "SELECT id FROM channels WHERE server_id = ? AND folded = ?",
    "conversation": "SELECT id FROM conversations WHERE server_id = ? AND folded = ?",
}
_MAKE = {
    "channel": "INSERT INTO channels (server_id, folded, name, auto_join, joined, detached) VALUES (?, ?, ?, 0, 0, 0)",
    "conversation": "INSERT INTO conversations (server_id, folded, nick) VALUES (?, ?, ?)",
}


@dataclass(slots=True)
class Known:
    """Ids of a file's buffers, as read on the connection that was open then: the next one may be to another file."""

    connection: sqlite3.Connection | None = None
    buffers: Buffers = field(default_factory=dict)


def write(lease: Lease, batches: list[Batch], known: Known) -> int | Exception:
    """Worker thread: one transaction for one tenant. Returns rows that could not be kept, or why nothing was."""
    try:
        connection = lease.connection_sync()
    except Exception as error:  # noqa: BLE001 - handed back to the loop, which keeps the batches and tries again
        return error
    try:
        if known.connection is not connection:
            known.connection = connection
            known.buffers.clear()
        return write_batches(connection, batches, known.buffers)
    except Exception as error:  # noqa: BLE001 - as above
        if not _passes(error):
            lease.discard_sync()  # opened without the right to write, it would have none later
        return error


def _passes(error: Exception) -> bool:
    """Whether the connection is good for another try."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)


def write_batches(connection: sqlite3.Connection, batches: Sequence[Batch], buffers: Buffers) -> int:
    """Store the batches in one transaction and set their `ids`; returns how many rows could not be kept.

    Raises sqlite3.OperationalError or DatabaseError when storage fails: then nothing was stored and all may be tried
    again. A row that can never be stored (its server is gone, a value is impossible) costs itself only.
    """
    if (row := _lone(batches, buffers)) is not None:
        try:
            batches[0].ids = (_write_lone(connection, _values(connection, buffers, None, row)),)
        except _IMPOSSIBLE:
            buffers.clear()  # below it costs itself only
        else:
            return 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        try:
            _write_fast(connection, batches, buffers)
            lost = 0
        except _IMPOSSIBLE as error:
            log.warning("a batch did not go in as a whole, storing row by row: %s", error)
            connection.execute("ROLLBACK")
            buffers.clear()
            connection.execute("BEGIN IMMEDIATE")
            lost = _write_careful(connection, batches, buffers)
        connection.execute("COMMIT")
    except BaseException:
        buffers.clear()
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return lost


def _lone(batches: Sequence[Batch], buffers: Buffers) -> MessageRow | None:
    """The row, where one with a buffer that is known is all there is: one statement is a transaction by itself.

    Between statements a thread gives the interpreter away and waits for it again; most messages come alone.
    """
    if len(batches) != 1 or len(batches[0].rows) != 1 or batches[0].changes:
        return None
    row = batches[0].rows[0]
    if row.notify or (row.buffer and (row.server_id, row.buffer, row.folded) not in buffers):
        return None
    return row


def _write_lone(connection: sqlite3.Connection, values: tuple[object, ...]) -> int:
    level, connection.isolation_level = connection.isolation_level, None  # sqlite3 would begin a transaction by itself
    try:
        return int(connection.execute(_INSERT_MESSAGE, values).lastrowid or 0)
    finally:
        connection.isolation_level = level


def _write_fast(connection: sqlite3.Connection, batches: Sequence[Batch], buffers: Buffers) -> None:
    first = _next_id(connection)
    messages: list[tuple[object, ...]] = []
    notifications: list[tuple[object, ...]] = []
    late: list[Change] = []
    for batch in batches:
        late += _apply_changes(connection, batch, buffers)
        start = first + len(messages)
        for number, row in enumerate(batch.rows, start):
            messages.append(_values(connection, buffers, number, row))
            if row.notify:
                notifications.append((number, row.notify, row.time))
        batch.ids = range(start, first + len(messages))
    _insert(connection, messages)
    if notifications:
        connection.executemany(_INSERT_NOTIFICATION, notifications)
    _execute_late(connection, late)


def _insert(connection: sqlite3.Connection, messages: list[tuple[object, ...]]) -> None:
    # The full-text index writes out what it has gathered at the start of each statement: many rows are put into a table
    # in memory, and from there in one go.
    if len(messages) <= _MOST:
        _fill(connection, _INSERT_MESSAGES, messages)
        return
    connection.execute(_MAKE_INCOMING)
    _fill(connection, _INSERT_INCOMING, messages)
    connection.execute(_TAKE_INCOMING)
    connection.execute(_CLEAR_INCOMING)


def _fill(
    connection: sqlite3.Connection, statements: tuple[tuple[int, str], ...], messages: list[tuple[object, ...]]
) -> None:
    done = 0
    for count, statement in statements:
        while len(messages) - done >= count:
            connection.execute(statement, list(chain.from_iterable(messages[done : done + count])))
            done += count


def _write_careful(connection: sqlite3.Connection, batches: Iterable[Batch], buffers: Buffers) -> int:
    lost = 0
    for batch in batches:
        late: list[Change] = []
        try:
            connection.execute("SAVEPOINT changes")
            late = _apply_changes(connection, batch, buffers)
        except _IMPOSSIBLE:
            connection.execute("ROLLBACK TO changes")
            log.exception("changes of a batch could not be applied")
        ids: list[int] = []
        for row in batch.rows:
            number = _next_id(connection)
            try:
                connection.execute("SAVEPOINT one")
                connection.execute(_INSERT_MESSAGE, _values(connection, buffers, number, row))
                if row.notify:
                    connection.execute(_INSERT_NOTIFICATION, (number, row.notify, row.time))
            except _IMPOSSIBLE as error:
                connection.execute("ROLLBACK TO one")
                buffers.clear()
                number = 0
                if _server_exists(connection, row.server_id):
                    lost += 1
                    log.error("a %s of server %d could not be kept: %s", row.message_type, row.server_id, error)
            ids.append(number)
        batch.ids = ids
        _execute_late(connection, late)
    return lost


def _server_exists(connection: sqlite3.Connection, server_id: int) -> bool:
    return connection.execute("SELECT 1 FROM servers WHERE id = ?", (server_id,)).fetchone() is not None


def _next_id(connection: sqlite3.Connection) -> int:
    row = connection.execute(_LAST_ID).fetchone()
    return int(row[0]) + 1 if row else 1


def _apply_changes(connection: sqlite3.Connection, batch: Batch, buffers: Buffers) -> list[Change]:
    """Carry out a batch's changes; returns those that are due behind the rows."""
    late: list[Change] = []
    for change in batch.changes:
        if change.sql in _LATE:
            late.append(change)
            continue
        _execute(connection, change)
        if change.sql is CHANNEL_RENAMED:
            buffers.clear()
    return late


def _execute_late(connection: sqlite3.Connection, late: Iterable[Change]) -> None:
    """Changes to messages, and the index let go of their words once for all of them."""
    merge = False
    for change in late:
        if change.sql is REDACT_INDEX:
            merge = True
        else:
            _execute(connection, change)
    if merge:
        connection.execute(REDACT_INDEX)


def _execute(connection: sqlite3.Connection, change: Change) -> None:
    if change.sql is ROSTER_PUT and isinstance(change.params, list):
        for channel, members in groupby(change.params, key=itemgetter(3, 4)):
            connection.execute(_ROSTER_ALL, (json.dumps([member[:3] for member in members]), *channel))
    elif isinstance(change.params, list):
        connection.executemany(change.sql, change.params)
    else:
        connection.execute(change.sql, change.params)


def _values(
    connection: sqlite3.Connection, buffers: Buffers, number: int | None, row: MessageRow
) -> tuple[object, ...]:
    channel = conversation = None
    if row.buffer:
        key = (row.server_id, row.buffer, row.folded)
        found = buffers.get(key)
        if found is None:
            found = buffers[key] = _buffer(connection, row)
            if len(buffers) > MAX_BUFFERS_REMEMBERED:
                buffers.clear()
        if row.buffer == "channel":
            channel = found
        else:
            conversation = found
    return (
        number, row.server_id, channel, conversation, row.target, row.sender, row.message_type, row.content, row.tags,
        row.msgid, row.time, row.own,
    )  # fmt: skip


def _buffer(connection: sqlite3.Connection, row: MessageRow) -> int:
    """The id of a message's channel or conversation, made if it is not there."""
    name = row.target.lstrip("~&@%+") if row.buffer == "channel" else row.target
    found = connection.execute(_FIND[row.buffer], (row.server_id, row.folded)).fetchone()
    if found is None:
        made = connection.execute(_MAKE[row.buffer], (row.server_id, row.folded, name)).lastrowid
        return int(made or 0)
    return int(found[0])
