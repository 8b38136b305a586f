"""Owns when the write-ahead logs that the journal fills are written back: beside the commits, on another connection."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import zlib
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.errors import TenantError

if TYPE_CHECKING:
    from bouncer.tenant import Tenants

LOG_PAGES = 1_000
"""After about so many pages a log is written back, as SQLite itself would do it: in the commit that fills it, with two
or three waits for the disk, some 6 ms. SQLite still does where it has become much more."""
PAGES_OF_COMMIT, ROWS_OF_PAGE = 10, 4
"""A message alone changes nine to eleven pages; of many, four share one."""
SOON_S = 0.05
"""One message often comes to many users at once: all have theirs before the first log is looked after."""


class Logs:
    """`wrote` after each commit; one file is looked after at a time, and may be written to meanwhile."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._pages: dict[str, int] = {}
        self._due: dict[str, None] = {}
        self._some = asyncio.Event()
        self._group = tasks.Group()

    def start(self) -> None:
        """Begin; call inside the loop."""
        self._group.spawn(self._run(), name="journal-log")

    async def close(self) -> None:
        """No more; what is left is written back as each file is closed."""
        await self._group.cancel()

    def forget(self, tenant: str) -> None:
        """The file is removed."""
        self._pages.pop(tenant, None)
        self._due.pop(tenant, None)

    def wrote(self, tenant: str, rows: int, statements: int) -> None:
        """A commit of the tenant has added so much to its log."""
        pages = self._pages.get(tenant)
        if pages is None:  # those who are told the same things at the same times do not all come to it together
            pages = zlib.crc32(tenant.encode()) % LOG_PAGES
        pages += PAGES_OF_COMMIT + rows // ROWS_OF_PAGE + statements
        if pages >= LOG_PAGES:
            pages = 0
            self._due[tenant] = None
            self._some.set()
        self._pages[tenant] = pages

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(SOON_S)
            while self._due:
                tenant = next(iter(self._due))
                del self._due[tenant]
                with contextlib.suppress(TenantError, sqlite3.Error, OSError):  # the commits will tell
                    await self._tenants.rebuild(tenant, _write_back)
            self._some.clear()


def _write_back(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
