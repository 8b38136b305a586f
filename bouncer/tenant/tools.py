"""Owns what is done to a whole tenant file: backup, checking one before it is restored, health; synchronous."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bouncer.database import migrate_tenant_file, open_tenant, tenant_head, tenant_template, tenant_version
from bouncer.errors import TenantDoesNotExistError, TenantSchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
MISSING_IN_INDEX = (
    "SELECT count(*) FROM (SELECT id FROM searchable_messages EXCEPT SELECT id FROM messages_fts_docsize)"
)
STRAY_IN_INDEX = "SELECT count(*) FROM (SELECT id FROM messages_fts_docsize EXCEPT SELECT id FROM searchable_messages)"


@contextlib.contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A new file (0600) beside `target` that takes its name when the block ends well, and goes when it does not."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def copy(source: Path, target: Path, *, journal_mode: str = "DELETE") -> None:
    """Copy a tenant file into the existing file `target` as it is at one moment; writers are not held up.

    Raises TenantDoesNotExistError, sqlite3.Error.
    """
    if not source.exists():
        raise TenantDoesNotExistError(f"there is no file {source}")
    with (
        contextlib.closing(open_tenant(source, "ro")) as reading,
        contextlib.closing(open_tenant(target, "rw")) as writing,
    ):
        reading.backup(writing)
        writing.execute(f"PRAGMA journal_mode={journal_mode}")


def backup(source: Path, target: Path) -> None:
    """Write one consistent SQLite file, without companions, to `target` (replaced if it is there)."""
    with written_whole(target) as temporary:
        copy(source, temporary)


def take_in(source: Path, target: Path) -> None:
    """Copy a backup into the existing file `target`, bring it to the current schema and check it.

    Raises TenantSchemaError when it is damaged, newer, no tenant file, or carries triggers or views that are not ours
    (they would run when the tenant writes); OSError or sqlite3.Error when it cannot be read.
    """
    try:
        copy(source, target)
        migrate_tenant_file(target)
    except sqlite3.DatabaseError as error:
        raise TenantSchemaError(f"{source}: {error}") from error
    if problems := check(target) + foreign_schema(target):
        raise TenantSchemaError(f"{source}: {'; '.join(problems)}")
    _stop_work(target)
    with contextlib.closing(open_tenant(target, "rw")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _stop_work(path: Path) -> None:
    """What was being deleted when the backup was made is wanted back now: it is not gone on with."""
    with contextlib.closing(open_tenant(path, "rw")) as connection, connection:
        connection.execute("UPDATE upkeep_jobs SET state = 'stopped' WHERE state = 'running' AND kind = 'range'")


def foreign_schema(path: Path) -> list[str]:
    """In words, what the file's schema lacks, and which of its triggers and views are not this program's."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(_without_wal(tenant_template()))
        ours = set(connection.execute(SCHEMA))
    with contextlib.closing(open_tenant(path, "ro")) as connection:
        theirs = set(connection.execute(SCHEMA))
    problems = [f"{kind} {name} is missing or different" for kind, name, _ in sorted(ours - theirs, key=str)]
    known = {(kind, name) for kind, name, _ in ours}
    problems += [
        f"{kind} {name} is not known here"
        for kind, name, _ in sorted(theirs - ours, key=str)
        if kind in {"trigger", "view"} and (kind, name) not in known
    ]
    return problems


def _without_wal(image: bytes) -> bytes:
    """A database image that says it uses no write-ahead log (bytes 18 and 19): SQLite cannot have one in memory."""
    return image[:18] + b"\x01\x01" + image[20:]


def check(path: Path) -> list[str]:
    """In words, what is wrong with a tenant file; empty when nothing is. Writes nothing.

    Raises TenantDoesNotExistError, sqlite3.OperationalError when it is locked.
    """
    if not path.exists():
        raise TenantDoesNotExistError(f"there is no file {path}")
    try:
        with contextlib.closing(open_tenant(path, "ro")) as connection:
            return list(_problems(connection))
    except TenantSchemaError as error:
        return [str(error)]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return [str(error)]


def _problems(connection: sqlite3.Connection) -> Iterator[str]:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    if found != ["ok"]:
        yield from found
        return
    if (version := tenant_version(connection)) != tenant_head():
        yield f"schema {version} is older than {tenant_head()}: migrate it"
        return
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table} row {row} refers to a row of {parent} that is not there"
    for sql, words in ((MISSING_IN_INDEX, "missing in the search index"), (STRAY_IN_INDEX, "only in the search index")):
        if count := connection.execute(sql).fetchone()[0]:
            yield f"{count} messages are {words}"
