"""Owns the tenants' files as files: names, making, opening, removing; synchronous, never called on the event loop."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bouncer.database import migrate_tenant_file, open_tenant, tenant_head, tenant_template, tenant_version
from bouncer.errors import (
    BadTenantIdError,
    TenantBusyError,
    TenantDoesNotExistError,
    TenantExistsError,
    TenantSchemaError,
)
from bouncer.tenant.scope import tenant_id

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

SUFFIX = ".sqlite3"
NEW = ".new-"  # prefix of files that are not complete yet
COMPANIONS = ("-wal", "-shm", "-journal")

BUSY_MS = {"rw": 10, "ro": 100}
"""How long a file that another process has locked is waited for. Writing shares a thread with many tenants, who wait
too, and is tried again anyway."""
WRITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=FAST",
    "PRAGMA journal_size_limit=1048576",
    "PRAGMA wal_autocheckpoint=4000",  # pages; the journal has the log written back long before
    "PRAGMA cache_size=20",  # pages kept between transactions, enough to write a message: many files are open at once
    "PRAGMA shrink_memory",  # those of the schema go, and with them what was set aside for more
    "PRAGMA cache_spill=250",  # pages changed in a transaction before they go into the log; 256 would mean none, ever
    "PRAGMA temp_store=MEMORY",  # the journal of a statement for many rows, and the journal's table of such rows
)
READ_PRAGMAS = ("PRAGMA query_only=ON", "PRAGMA cache_size=-1024")


class Files:
    """The folder `root` with one `<id>.sqlite3` for each tenant; `synchronous` is SQLite's `normal` or `full`."""

    def __init__(self, root: Path, synchronous: str = "normal") -> None:
        self.root = root
        self.on_replaced: Callable[[str], None] = lambda _tenant: None
        """Called, on any thread, with a tenant all of whose connections have to be closed for `admit` to pass."""
        self._admitted: dict[str, tuple[int, int]] = {}
        self._write_pragmas = (*WRITE_PRAGMAS, f"PRAGMA synchronous={synchronous}")

    def path(self, tenant: str) -> Path:
        """Where the tenant's file is or would be; raises BadTenantIdError."""
        return self.root / (tenant_id(tenant) + SUFFIX)

    def prepare(self) -> set[str]:
        """Make the folder (0700), remove what a crash left half made, and return the ids that are there."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self.root.glob(f"{NEW}*"):
            leftover.unlink()
        return self.ids()

    def ids(self) -> set[str]:
        """The ids of all tenants that have a file; other files in the folder are passed over."""
        found = set()
        for path in self.root.glob(f"*{SUFFIX}"):
            with contextlib.suppress(BadTenantIdError):
                found.add(tenant_id(path.name.removesuffix(SUFFIX)))
        return found

    def create(self, tenant: str) -> None:
        """Make the file, complete before it has its name; raises TenantExistsError."""
        path = self.path(tenant)
        temporary = self.temporary(tenant_template())
        try:
            path.hardlink_to(temporary)  # exclusive and atomic: the file is there means it is ready
        except FileExistsError as error:
            raise TenantExistsError(f"tenant {tenant} exists") from error
        finally:
            temporary.unlink()
        self.sync_folder()

    def temporary(self, content: bytes = b"") -> Path:
        """A new file (0600) in the folder under a name that is no tenant's, with `content` on disk."""
        descriptor, name = tempfile.mkstemp(prefix=NEW, dir=self.root)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return Path(name)

    def replace(self, tenant: str, complete: Path) -> None:
        """Put the file `complete` in the tenant's place; nothing may have the old one open."""
        path = self.path(tenant)
        self._remove_companions(path)  # a log of the old file must not be applied to the new one
        complete.replace(path)
        self.sync_folder()

    def remove(self, tenant: str) -> None:
        """Remove the file and its companions from disk; nothing may have it open."""
        path = self.path(tenant)
        path.unlink(missing_ok=True)
        self._remove_companions(path)
        self.sync_folder()

    @staticmethod
    def _remove_companions(path: Path) -> None:
        for companion in COMPANIONS:
            path.with_name(path.name + companion).unlink(missing_ok=True)

    def sync_folder(self) -> None:
        """Make names that were added or removed survive a power cut."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def admit(self, tenant: str) -> None:
        """Pass while the tenant's file is the one that it was when the first connection was opened.

        What is written to a file that somebody has removed or replaced would be lost without a word, and a new one in
        its place would be read with the old one's log. When the same file is back it counts again; another one does
        after `release`. Raises TenantDoesNotExistError, or TenantBusyError for another file.
        """
        try:
            found = self.path(tenant).stat()
        except OSError as error:
            raise TenantDoesNotExistError(f"tenant {tenant} does not exist: {error.strerror}") from error
        now = found.st_dev, found.st_ino
        if self._admitted.setdefault(tenant, now) != now:
            self.on_replaced(tenant)
            raise TenantBusyError(f"tenant {tenant}: another file was put in the place of the one in use")

    def release(self, tenant: str) -> None:
        """No connection is open: whatever file there is now will do."""
        self._admitted.pop(tenant, None)

    def mend_modes(self, tenant: str) -> None:
        """Give the companions of the file its mode, which SQLite made them with: it may have changed since.

        Nothing may have the file open. What cannot be done is left to whoever opens it, who will say so.
        """
        path = self.path(tenant)
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            for companion in COMPANIONS:
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(path.name + companion).chmod(mode)

    def open_writer(self, tenant: str) -> sqlite3.Connection:
        """The connection that writes: current schema (migrated if older), WAL, foreign keys.

        Raises TenantDoesNotExistError, TenantSchemaError or sqlite3.Error (locked, damaged, out of descriptors).
        """
        connection = self._open(tenant, "rw")
        try:
            connection.executescript(";".join(self._write_pragmas))  # it would remember statements given one by one
        except BaseException:
            connection.close()
            raise
        return connection

    def open_reader(self, tenant: str) -> sqlite3.Connection:
        """A connection that cannot write and leaves transactions to its user; raises as `open_writer` does."""
        connection = self._open(tenant, "ro")
        try:
            connection.executescript(";".join(READ_PRAGMAS))
        except BaseException:
            connection.close()
            raise
        connection.isolation_level = None
        return connection

    def _open(self, tenant: str, mode: str) -> sqlite3.Connection:
        connection = self._connect(tenant, mode)
        try:
            if tenant_version(connection) == tenant_head():
                return connection
        except BaseException as error:
            connection.close()
            if isinstance(error, TenantSchemaError):
                raise TenantSchemaError(f"tenant {tenant}: {error}") from error
            raise
        connection.close()
        migrate_tenant_file(self.path(tenant), busy_ms=BUSY_MS[mode])
        return self._connect(tenant, mode)

    def _connect(self, tenant: str, mode: str) -> sqlite3.Connection:
        path = self.path(tenant)
        try:
            return open_tenant(path, mode, busy_ms=BUSY_MS[mode], cached_statements=16)
        except Exception as error:
            if not path.exists():
                raise TenantDoesNotExistError(f"tenant {tenant} does not exist") from error
            raise
