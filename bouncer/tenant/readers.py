"""Owns the connections that only read: separate threads, a few kept open each, never waiting for a writer."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar

from bouncer.errors import TenantBusyError
from bouncer.tenant.threads import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

READ_LIMIT_S = 10.0  # one search must not hold up every other tenant's reading for longer
_INSTRUCTIONS = 20_000  # of SQLite's machine between two looks at the clock: well under a ms


class Reader:
    """One reading thread and the connections it keeps, the least recently used closed first."""

    def __init__(self, name: str, open_reader: Callable[[str], sqlite3.Connection], keep: int) -> None:
        self._worker = Worker(name)
        self._open_reader = open_reader
        self._keep = keep
        self._open: OrderedDict[str, sqlite3.Connection] = OrderedDict()  # touched by the thread only

    async def run(self, tenant: str, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` on the thread with a connection that sees one snapshot of the tenant's file."""
        return await self._worker.call(lambda: self._run(tenant, function))

    async def close(self, tenant: str) -> None:
        """Close the tenant's connection after what was asked of it before."""
        await self._worker.call(lambda: self._close(tenant))

    async def stop(self) -> None:
        """Close every connection and end the thread."""
        await self._worker.call(self._close_all)
        await self._worker.stop()

    def _run(self, tenant: str, function: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection(tenant)
        deadline = time.monotonic() + READ_LIMIT_S
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
        try:
            connection.execute("BEGIN")
            return function(connection)
        except sqlite3.Error as error:
            self._close(tenant)  # damaged, or with a setting of `function`'s: the next one gets a new one
            if time.monotonic() > deadline:
                raise TenantBusyError(f"reading took longer than {READ_LIMIT_S:g} s and was stopped") from error
            raise
        finally:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed above
                connection.rollback()
                connection.row_factory = None

    def _connection(self, tenant: str) -> sqlite3.Connection:
        connection = self._open.get(tenant)
        if connection is None:
            connection = self._open[tenant] = self._open_reader(tenant)
            if len(self._open) > self._keep:
                self._open.popitem(last=False)[1].close()
        else:
            self._open.move_to_end(tenant)
        return connection

    def _close_all(self) -> None:
        for tenant in list(self._open):
            self._close(tenant)

    def _close(self, tenant: str) -> None:
        if (connection := self._open.pop(tenant, None)) is not None:
            connection.close()
