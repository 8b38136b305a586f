"""Owns when the write-ahead logs that the journal fills are written back: between commits, on a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from typing import TYPE_CHECKING

from bouncer.errors import TenantError
from bouncer.tenant.threads import Worker

if TYPE_CHECKING:
    from bouncer.tenant import Lease, Tenants

LOG_PAGES = 1_000
"""After about so many pages a log is written back, as SQLite itself would do it: in the commit that fills it, with two
or three waits for the disk, some 6 ms. SQLite still does where it has become much more."""
PAGES_OF_COMMIT, ROWS_OF_PAGE = 10, 4
"""A message alone changes nine to eleven pages; of many, four share one."""
SOON_S = 0.05
"""One message often comes to many users at once: all have theirs before the first log is looked after."""


class Logs:
    """`wrote` after each commit; one file is looked after at a time, while nobody else has its connection."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._pages: dict[str, int] = {}
        self._due: dict[str, None] = {}
        self._worker: Worker | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False

    def start(self) -> None:
        """Start the thread; call inside the loop."""
        self._worker = Worker("journal-log")

    async def close(self) -> None:
        """End the thread after what it is doing; what is left is written back as each file is closed."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await worker.stop()

    def forget(self, tenant: str) -> None:
        """The file is removed."""
        self._pages.pop(tenant, None)
        self._due.pop(tenant, None)

    def wrote(self, tenant: str, rows: int, statements: int) -> None:
        """A commit of the tenant has added so much to its log."""
        pages = self._pages.get(tenant, 0) + PAGES_OF_COMMIT + rows // ROWS_OF_PAGE + statements
        self._pages[tenant] = pages
        if pages >= LOG_PAGES and tenant not in self._due:
            self._due[tenant] = None
            self._later()

    def _later(self) -> None:
        if self._timer is None and not self._busy and self._worker is not None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self._next)

    def _next(self) -> None:
        self._timer = None
        if not self._due or self._worker is None:
            return
        tenant = next(iter(self._due))
        del self._due[tenant]
        try:
            lease = self._tenants.try_lease(tenant)
        except TenantError:
            self.forget(tenant)
            lease = None
        else:
            if lease is None:  # somebody writes just now: after the others
                self._due[tenant] = None
        if lease is not None:
            self._busy = True
            self._pages.pop(tenant, None)
            self._worker.call(lambda: _write_back(lease)).add_done_callback(functools.partial(self._done, lease))
        elif self._due:
            self._later()

    def _done(self, lease: Lease, _job: asyncio.Future[None]) -> None:
        lease.release()
        self._busy = False
        if self._due:
            self._later()


def _write_back(lease: Lease) -> None:
    """Where the file has been closed meanwhile, that has written it back."""
    connection = lease.opened()
    if connection is not None and not connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):  # the commits will tell; the log stays until the next time
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
