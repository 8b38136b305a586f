"""Owns deleting messages so that nothing of them stays: a portion at a time, then the index, then the file.

Synchronous, on a tenant's writing connection, which is not in a transaction. Each call is one short transaction.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from bouncer.counts import DAY_MS, where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bouncer.history import Buffer

MERGE_PAGES = 16
"""Of the index, worked on in one go."""
AUTOMERGE = 4
"""The index merges by itself from so many segments of a level on: FTS5's default."""
FREE_PAGES = 100
"""Given back to the file system in one go."""
LOG_PAGES, USUAL_LOG_PAGES = 16_000, 4_000
"""Of the write-ahead log, after which the writing connection writes them back itself; see `write_back`."""
LATE_DAYS = 7
"""Reactions said so long after what they are about go with it."""


class Span(NamedTuple):
    """The messages of a buffer from `after` to before `before` (ms; None: no bound), none newer than the id `upto`."""

    buffer: Buffer
    after: int | None
    before: int | None
    upto: int


def _condition(span: Span) -> tuple[str, list[int]]:
    condition, value = where(span.buffer)
    values = [value]
    for words, bound in (("time >= ?", span.after), ("time < ?", span.before)):
        if bound is not None:
            condition += f" AND {words}"
            values.append(bound)
    return f"{condition} AND id <= ?", [*values, span.upto]


def read_left(connection: sqlite3.Connection, span: Span) -> int:
    """How many messages a span has now. Looks at each of them."""
    condition, values = _condition(span)
    return int(connection.execute(f"SELECT count(*) FROM messages WHERE {condition}", values).fetchone()[0])  # noqa: S608


def delete_some(
    connection: sqlite3.Connection,
    span: Span,
    most: int,
    also: Callable[[sqlite3.Connection, int], bool] | None = None,
) -> int | None:
    """Delete at most `most` messages of a span, the oldest first; how many. Notifications and index go along.

    `also` is told the number in the same transaction; when it says no, nothing is deleted and None comes back.
    """
    condition, values = _condition(span)
    sql = (
        "DELETE FROM messages WHERE id IN (SELECT id FROM messages "  # noqa: S608 - constants and placeholders
        f"WHERE {condition} ORDER BY time, id LIMIT ?)"
    )
    connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # By itself the index would merge hundreds of pages at once now and then: here, it does a few each time.
        _tell_index(connection, "automerge", 0)
        count = connection.execute(sql, [*values, most]).rowcount
        if also is not None and not also(connection, count):
            connection.rollback()
            return None
        _tell_index(connection, "merge", MERGE_PAGES)
        _tell_index(connection, "automerge", AUTOMERGE)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return count


_ABOUT = "coalesce(json_extract(tags, '$.\"+draft/reply\"'), json_extract(tags, '$.\"+reply\"'))"


def delete_reactions(connection: sqlite3.Connection, buffer: Buffer, begin: int) -> int:
    """Delete the reactions of one day from `begin` (ms) on to messages that are not there any more."""
    condition, value = where(buffer)
    sql = (
        "DELETE FROM messages WHERE id IN (SELECT id FROM (SELECT id, "  # noqa: S608 - constants and placeholders
        f"CASE WHEN json_valid(tags) THEN {_ABOUT} END AS about FROM messages WHERE {condition} "
        "AND time >= ? AND time < ? AND message_type = 'tagmsg') r WHERE about IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.msgid = r.about))"
    )
    return _one(connection, sql, (value, begin, begin + DAY_MS))


def delete_empty(connection: sqlite3.Connection, conversations: Sequence[int]) -> None:
    """Forget those conversations that have no messages and no rule of their own: their nicks are history too."""
    empty = (
        "id = ? AND keep_days IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = conversations.id)"
    )
    markers = (
        "DELETE FROM read_markers WHERE (server_id, folded) IN "  # noqa: S608 - constants
        f"(SELECT server_id, folded FROM conversations WHERE {empty})"
    )
    for number in conversations:
        _one(connection, markers, (number,))
        _one(connection, f"DELETE FROM conversations WHERE {empty}", (number,))  # noqa: S608 - a constant
    _one(connection, "DELETE FROM message_days WHERE messages <= 0", ())


def _one(connection: sqlite3.Connection, sql: str, values: Sequence[int]) -> int:
    connection.execute("BEGIN IMMEDIATE")
    try:
        count = connection.execute(sql, values).rowcount
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return count


def _tell_index(connection: sqlite3.Connection, what: str, value: int) -> None:
    connection.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES (?, ?)", (what, value))


def merge_begin(connection: sqlite3.Connection) -> bool:
    """Begin to put the index together anew, which is what makes it forget deleted words; see `merge_more`."""
    return _merge(connection, -MERGE_PAGES)


def merge_more(connection: sqlite3.Connection) -> bool:
    """Go on with it; whether there is more to do. https://www.sqlite.org/fts5.html#the_merge_command."""
    return _merge(connection, MERGE_PAGES)


def _merge(connection: sqlite3.Connection, pages: int) -> bool:
    before = connection.total_changes
    _one(connection, "INSERT INTO messages_fts (messages_fts, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before >= 2


def free_some(connection: sqlite3.Connection) -> bool:
    """Give some free pages back to the file system; whether there are more. Only in files that can do it bit by bit."""
    # Not `execute`, which would make one step, that is one page.
    connection.executescript(f"PRAGMA incremental_vacuum({FREE_PAGES})")
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0]) > 0


def usual_log(connection: sqlite3.Connection) -> None:
    """The connection writes the log back itself again: nobody does it any more when a deletion has ended."""
    connection.execute(f"PRAGMA wal_autocheckpoint={USUAL_LOG_PAGES}")


def empty_log(connection: sqlite3.Connection) -> bool:
    """Write what is in the write-ahead log to the file and cut the log off; False while a reader needs it."""
    usual_log(connection)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:  # locked
        return False
    return not busy


def write_back(connection: sqlite3.Connection) -> None:
    """Write the log to the file, on a connection and a thread of its own: nobody's commit waits for the disk then."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def rebuild(connection: sqlite3.Connection) -> None:
    """Write the whole file anew, without free pages; from then on it gives space back bit by bit. Takes its time."""
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("VACUUM")
