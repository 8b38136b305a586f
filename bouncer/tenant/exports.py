"""Owns the forms in which people take their history with them: JSON lines, text, SQLite; synchronous, reads only."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bouncer.database import open_tenant
from bouncer.models.tenant import TenantBase
from bouncer.models.types import Encrypted
from bouncer.tenant import tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORMATS = ("jsonl", "text", "sqlite")
PROGRESS_ROWS = 1000

MESSAGES = """
    SELECT messages.id, servers.name AS server, coalesce(channels.name, conversations.nick, '') AS buffer,
           messages.time, sender, message_type AS type, content AS text, msgid, own, tags
    FROM messages JOIN servers ON servers.id = messages.server_id
    LEFT JOIN channels ON channels.id = messages.channel_id
    LEFT JOIN conversations ON conversations.id = messages.conversation_id
    ORDER BY {order}
"""
_LINE_END = re.compile("[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
LINES = {
    "privmsg": "<{nick}> {text}",
    "notice": "-{nick}- {text}",
    "action": "* {nick} {text}",
    "topic": "*** {nick} set the topic: {text}",
}


def export(source: Path, target: Path, form: str, progress: Callable[[int, int], None] | None = None) -> None:
    """Write the tenant's data to `target` (replaced if it is there) in one of FORMATS; no secret is in any of them.

    `progress(done, all)` is called on this thread with rows of history. Raises TenantDoesNotExistError, ValueError for
    another format, OSError, sqlite3.Error.
    """
    if form not in FORMATS:
        raise ValueError(f"{form!r} is not one of {', '.join(FORMATS)}")
    with tools.written_whole(target) as temporary:
        if form == "sqlite":
            _sqlite(source, temporary)
            return
        with (
            contextlib.closing(open_tenant(source, "ro")) as connection,
            temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as file,
        ):
            connection.isolation_level = None
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            write = _json_lines if form == "jsonl" else _text
            file.writelines(write(_rows(connection, form, progress)))


def _rows(
    connection: sqlite3.Connection, form: str, progress: Callable[[int, int], None] | None
) -> Iterator[dict[str, Any]]:
    total = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
    order = "messages.time, messages.id" if form == "jsonl" else "server, buffer, messages.time, messages.id"
    done = 0
    for done, row in enumerate(connection.execute(MESSAGES.format(order=order)), 1):
        yield dict(row)
        if progress is not None and done % PROGRESS_ROWS == 0:
            progress(done, total)
    if progress is not None:
        progress(done, total)


def _json_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        row["own"] = bool(row["own"])
        row["tags"] = json.loads(row["tags"]) if row["tags"] else {}
        row["at"] = _clock(row["time"]).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _text(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    buffer: tuple[str, str] | None = None
    for row in rows:
        if buffer != (row["server"], row["buffer"]):
            blank = "\n" if buffer else ""
            buffer = (row["server"], row["buffer"])
            yield f"{blank}=== {row['server']} {row['buffer']}".rstrip() + " (times in UTC)\n"
        line = LINES.get(row["type"], "*** {nick} {type} {text}").format(
            nick=row["sender"].partition("!")[0], type=row["type"], text=row["text"]
        )
        line = _LINE_END.sub("\n    ", line.rstrip())  # nobody's words begin a line
        yield f"[{_clock(row['time']):%Y-%m-%d %H:%M:%S}] {line}\n"


def _clock(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _sqlite(source: Path, target: Path) -> None:
    """A copy without the secrets: they are of no use without the key, and the key stays here."""
    tools.copy(source, target)
    with contextlib.closing(open_tenant(target, "rw")) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        for table in TenantBase.metadata.sorted_tables:
            secrets = [column for column in table.columns if isinstance(column.type, Encrypted)]
            if secrets:
                cleared = ", ".join(f'"{one.name}" = ' + ("NULL" if one.nullable else "''") for one in secrets)
                connection.execute(f"UPDATE {table.name} SET {cleared}")  # noqa: S608 - names from our own metadata
        connection.commit()
        connection.execute("VACUUM")
