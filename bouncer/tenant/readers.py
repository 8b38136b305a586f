"""Owns the connections that only read: a few threads for all tenants, one read of a tenant at a time."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from bouncer.errors import TenantBusyError, TenantError
from bouncer.tenant.threads import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.tenant.files import Files

T = TypeVar("T")

READ_LIMIT_S = 10.0  # one search must not go on for longer
SLOW_S = 0.25  # who took longer the last time leaves half of the threads to the others
_INSTRUCTIONS = 20_000  # of SQLite's machine between two looks at the clock: well under a ms


class _Read(NamedTuple):
    """What waits for a thread."""

    tenant: str
    function: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]


class Readers:
    """Threads that read, first come, first served, but for two rules that keep one user from being all others' wait.

    A tenant has one thread at most, and those whose last read was slow have half of the threads together. `keep` is
    how many connections stay open, the least recently used are closed first. `start` before use.
    """

    def __init__(self, files: Files, *, threads: int, keep: int) -> None:
        self._files = files
        self._count = threads
        self._keep = keep
        self._threads: list[Worker] = []
        self._free: list[Worker] = []
        self._waiting: deque[_Read] = deque()
        self._jobs: dict[str, asyncio.Future[Any]] = {}
        self._slow: set[str] = set()
        self._open: OrderedDict[str, sqlite3.Connection] = OrderedDict()  # of those that are not busy

    def start(self) -> None:
        """Start the threads."""
        self._threads = [Worker(f"tenant-reader-{number}") for number in range(self._count)]
        self._free = list(self._threads)

    async def run(self, tenant: str, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` on a thread with a connection that sees one snapshot of the tenant's file."""
        read = _Read(tenant, function, asyncio.get_running_loop().create_future())
        self._waiting.append(read)
        self._hand_out()
        found: T = await read.done
        return found

    @property
    def waiting(self) -> int:
        """Reads that wait for a thread."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether every thread is there."""
        return all(thread.alive for thread in self._threads)

    async def close(self, tenant: str) -> None:
        """Close the tenant's connection, after what has begun with it."""
        if (job := self._jobs.get(tenant)) is not None:
            await asyncio.wait({job})  # whoever wanted to know may have gone, the thread has not
        self._slow.discard(tenant)
        known = self._open.pop(tenant, None)
        if known is not None:
            await self._threads[0].call(known.close)

    async def stop(self) -> None:
        """Close every connection and end the threads."""
        for thread in self._threads:
            await thread.stop()
        for known in self._open.values():
            known.close()
        self._open.clear()

    # -- whose turn it is --------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Give free threads to those who wait and may have one."""
        for read in list(self._waiting):
            if not self._free:
                return
            if read.done.done():  # given up
                self._waiting.remove(read)
            elif self._may(read.tenant):
                self._waiting.remove(read)
                self._begin(read, self._free.pop())

    def _may(self, tenant: str) -> bool:
        if tenant in self._jobs:
            return False
        return tenant not in self._slow or len(self._slow & self._jobs.keys()) < max(1, self._count // 2)

    def _begin(self, read: _Read, thread: Worker) -> None:
        tenant = read.tenant
        known = self._open.pop(tenant, None)
        began = time.monotonic()
        job = self._jobs[tenant] = thread.call(lambda: self._run(tenant, read.function, known))

        def ended(job: asyncio.Future[tuple[sqlite3.Connection | None, Any, BaseException | None]]) -> None:
            del self._jobs[tenant]
            self._free.append(thread)
            (self._slow.add if time.monotonic() - began > SLOW_S else self._slow.discard)(tenant)
            kept, result, error = job.result()
            if kept is not None:
                self._put_back(tenant, kept)
            if not read.done.done():
                if error is None:
                    read.done.set_result(result)
                else:
                    read.done.set_exception(error)
            self._hand_out()

        job.add_done_callback(ended)

    def _put_back(self, tenant: str, kept: sqlite3.Connection) -> None:
        self._open[tenant] = kept
        if len(self._open) > self._keep:
            _, oldest = self._open.popitem(last=False)
            self._threads[0].post(oldest.close)

    # -- on the thread -----------------------------------------------------------------------------------------------

    def _run(
        self, tenant: str, function: Callable[[sqlite3.Connection], Any], known: sqlite3.Connection | None
    ) -> tuple[sqlite3.Connection | None, Any, BaseException | None]:
        """The connection to keep, what `function` returned, and what it raised."""
        opened = known
        try:
            self._files.admit(tenant)
            opened = known or self._files.open_reader(tenant)
            return opened, _read(opened, function), None
        except (sqlite3.Error, TenantError) as error:
            if opened is not None:
                opened.close()  # damaged, replaced, or with a setting of `function`'s: the next one gets a new one
            return None, None, error
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            return opened, None, error


def _read(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    deadline = time.monotonic() + READ_LIMIT_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
    try:
        connection.execute("BEGIN")
        return function(connection)
    except sqlite3.Error as error:
        if time.monotonic() > deadline:
            raise TenantBusyError(f"reading took longer than {READ_LIMIT_S:g} s and was stopped") from error
        raise
    finally:
        with contextlib.suppress(sqlite3.ProgrammingError):  # `function` has closed it
            connection.rollback()
            connection.row_factory = None
