"""Owns the threads that database calls run on: many connections share one, where aiosqlite starts one for each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

from bouncer.errors import TenantError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

log = logging.getLogger(__name__)

_Job = tuple[asyncio.Future[Any] | None, "Callable[[], Any] | None"]


class Worker:
    """A thread that runs jobs one after the other, in the order they were given."""

    def __init__(self, name: str) -> None:
        self.queue: SimpleQueue[_Job] = SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=_serve, args=(self.queue,), name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run `function` on the thread; the future has its result. Cancelling it does not stop what has begun.

        Raises TenantError when the thread has ended.
        """
        if self._stopped:
            raise TenantError(f"{self._thread.name} has ended")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((future, function))
        return future

    def post(self, function: Callable[[], object]) -> None:
        """Run `function` on the thread, after what was given before; nobody waits, a failure is logged."""
        self.queue.put_nowait((None, function))

    async def stop(self) -> None:
        """End the thread after the jobs it was given; it takes none afterwards."""
        self._stopped = True
        self.queue.put_nowait((None, None))
        await asyncio.to_thread(self._thread.join)


def _serve(queue: SimpleQueue[_Job]) -> None:
    while True:
        future, function = queue.get()
        if function is None:
            return
        try:
            result = function()
        except BaseException as error:  # handed to whoever waits
            if future is None:
                log.error("a job on %s failed", threading.current_thread().name, exc_info=error)
            else:
                _deliver(future, future.set_exception, error)
        else:
            if future is not None:
                _deliver(future, future.set_result, result)
        future = function = result = None  # an idle thread keeps nothing alive


def _deliver(future: asyncio.Future[Any], setter: Callable[[Any], None], value: object) -> None:
    def deliver() -> None:
        if not future.done():
            setter(value)

    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
        future.get_loop().call_soon_threadsafe(deliver)


class SharedConnection(aiosqlite.Connection):
    """An aiosqlite connection on a shared Worker; opens on first use and again after it was closed.

    It stands in for `aiosqlite.Connection` under SQLAlchemy, so it fills the private attributes of 0.22.1 that the
    inherited methods use.
    """

    def __init__(
        self,
        connector: Callable[[], sqlite3.Connection],
        worker: Worker,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """`admit` raises when the file that is open, or is to be opened, is not to be used now."""
        # The inherited constructor would make a thread.
        self._running = True
        self._connection: sqlite3.Connection | None = None
        self._connector = connector
        self._admit = admit
        self._iter_chunk_size = 64
        self._tx = worker.queue  # type: ignore[assignment] # its jobs are (future or None, function), as ours are
        self.worker = worker

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._connect().__await__()

    async def _connect(self) -> aiosqlite.Connection:
        await self.worker.call(self.open_sync)
        return self

    def open_sync(self) -> sqlite3.Connection:
        """The bare connection, opened if need be; on the worker thread only. Raises what `admit` and opening raise."""
        self._admit()
        if self._connection is None:
            self._connection = self._connector()
        return self._connection

    def close_sync(self) -> None:
        """Close it; on the worker thread only."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def close(self) -> None:
        """Empty its log and close it, after what was asked of it before."""
        await self.worker.call(self._empty_and_close)

    def _empty_and_close(self) -> None:
        # SQLite does so by itself, but not where the file was moved: its log would be taken for that of the next one.
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # a file that cannot be written is closed all the same
                self._connection.rollback()
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close_sync()

    def stop(self) -> None:
        """Close it without waiting; SQLAlchemy calls this where it cannot wait."""
        self.worker.post(self.close_sync)
