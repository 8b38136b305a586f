"""Owns the open files: one writing connection per tenant, who holds it, and which are closed when there are too many.

Everything here runs on the event loop; only what is named `…_sync` runs on a worker thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from bouncer.errors import TenantBusyError, TenantDoesNotExistError
from bouncer.tenant.threads import SharedConnection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from bouncer.tenant.files import Files
    from bouncer.tenant.threads import Worker

log = logging.getLogger(__name__)

IDLE_S = 60.0
"""A file nobody has used for so long is closed: some 250 kB each. Opening one, a write
and closing it take 2.2 ms of a processor, so 1,000 users who each come back just after that cost 4 % of one."""
KEPT = 256
"""Where more files are open, a quiet one is closed sooner: after IDLE_S in the ratio of this to how many are open."""
DESCRIPTORS = 4  # of an open file: itself twice once it was read, its log and the log's index
MOST_OPEN = 4_096
"""Files open at once, however many descriptors there are. Who writes again and again keeps the file open: a write to
one that is closed costs ten times as much, and closing the one used longest ago helps none of those who take turns."""
MOST_LEASES = 64  # of one worker at once: a trip that has to open so many files takes 0.1 s
CLOSE_AT_ONCE = 8
"""Files closed in one look at them: closing puts a log into its file, and others' commits wait for that thread."""


def most_open(descriptors: int) -> int:
    """How many files may be open where so many descriptors are allowed: half of these are for clients and networks."""
    return min(MOST_OPEN, max(1, descriptors // (2 * DESCRIPTORS)))


class WriteLock:
    """Who may use a tenant's writing connection. Waiting is first come, first served; `try_acquire` never waits.

    A callback of `when_free` gets a turn of the loop to take the lock before those who wait for it, so neither a
    stream of sessions nor the journal can starve the other.
    """

    __slots__ = ("_callbacks", "_owner", "_waiters", "held")

    def __init__(self) -> None:
        self.held = False
        self._owner: asyncio.Task[object] | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._callbacks: list[Callable[[], None]] = []

    def try_acquire(self) -> bool:
        """Take it if it is free."""
        if self.held:
            return False
        self.held = True
        return True

    async def acquire(self, timeout_s: float) -> None:
        """Wait for it; raises TenantBusyError at the deadline, and at once where this very task holds it."""
        task = asyncio.current_task()
        if self.held and self._owner is task:
            raise TenantBusyError("this task has a session of this tenant open already: use that one")
        if self._waiters or not self.try_acquire():
            await self._wait(timeout_s)
        self._owner = task

    async def _wait(self, timeout_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it was handed over in the very moment we gave up
                self.release()
            else:
                with contextlib.suppress(ValueError):
                    self._waiters.remove(turn)
            if isinstance(error, TimeoutError):
                raise TenantBusyError(f"the tenant's file was in use for {timeout_s:g} s") from error
            raise

    def release(self) -> None:
        """Give it up: to the callbacks' owners first, else to whoever has waited longest."""
        self.held, self._owner = False, None
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            _run(callback)
        if callbacks:
            asyncio.get_running_loop().call_soon(self._hand_over)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        while self._waiters and not self.held:
            turn = self._waiters.popleft()
            if not turn.done():
                self.held = True
                turn.set_result(None)

    def when_free(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, at the next release."""
        self._callbacks.append(callback)


def _run(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # one listener's fault must not keep the lock from the others
        log.exception("a callback of a tenant's lock failed")


class Handle:
    """One tenant's writing connection (opened on first use) with its lock; `pins` counts those who use it.

    `idle_since` is when the last of them left.
    """

    __slots__ = ("connection", "engine", "idle_since", "lock", "pins", "tenant_id")

    def __init__(self, tenant: str, connection: SharedConnection) -> None:
        self.tenant_id = tenant
        self.connection = connection
        self.engine: AsyncEngine | None = None
        self.lock = WriteLock()
        self.pins = 0
        self.idle_since = 0.0


class Handles:
    """All handles, at most `max_open` of them unless more are in use at once: one in use is never closed.

    `clock` gives seconds that never go back.
    """

    def __init__(self, max_open: int, files: Files, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_open = max_open
        self.opened = 0
        self.reaped = 0
        self._clock = clock
        self._files = files
        self._all: dict[str, Handle] = {}
        self._idle: OrderedDict[str, Handle] = OrderedDict()  # not pinned, least recently used first
        self._users: dict[str, int] = {}
        self._drained: dict[str, asyncio.Future[None]] = {}
        self._closing: set[str] = set()

    def __len__(self) -> int:
        return len(self._all)

    def is_closing(self, tenant: str) -> bool:
        """Whether the tenant is being destroyed or replaced."""
        return tenant in self._closing

    def get(self, tenant: str) -> Handle | None:
        """The handle if there is one; it is not pinned."""
        return self._all.get(tenant)

    def tenants(self) -> list[str]:
        """The tenants that have a handle or are used now."""
        return [*self._all, *self._users]

    def hold(self, tenant: str) -> None:
        """Count one user of the tenant, whom destroying it waits for; raises TenantDoesNotExistError once it began."""
        if tenant in self._closing:
            raise TenantDoesNotExistError(f"tenant {tenant} is being removed or replaced")
        self._users[tenant] = self._users.get(tenant, 0) + 1

    def drop(self, tenant: str) -> None:
        """Take back one `hold`."""
        self._users[tenant] -= 1
        if not self._users[tenant]:
            del self._users[tenant]
            if (waiter := self._drained.pop(tenant, None)) is not None and not waiter.done():
                waiter.set_result(None)

    def pin(self, tenant: str, worker: Worker) -> Handle:
        """The tenant's handle, kept open until `unpin`; raises as `hold` does."""
        self.hold(tenant)
        handle = self._all.get(tenant)
        if handle is None:
            connection = SharedConnection(lambda: self._open(tenant), worker, lambda: self._files.admit(tenant))
            handle = self._all[tenant] = Handle(tenant, connection)
        self._idle.pop(tenant, None)
        handle.pins += 1
        self._reap()
        return handle

    def unpin(self, handle: Handle) -> None:
        """Take back one `pin`."""
        handle.pins -= 1
        if not handle.pins:
            handle.idle_since = self._clock()
            self._idle[handle.tenant_id] = handle
            self._reap()
        self.drop(handle.tenant_id)

    def abandon(self) -> None:
        """Close every connection there is, in use or not; the program is ending."""
        for handle in self._all.values():
            handle.connection.stop()

    def _open(self, tenant: str) -> sqlite3.Connection:
        connection = self._files.open_writer(tenant)
        self.opened += 1
        return connection

    def _reap(self) -> None:
        while len(self._all) > self.max_open and self._idle:
            self._close_oldest()
            self.reaped += 1

    def close_quiet(self) -> int:
        """Close those that nobody has used for `kept_s`, the quietest first, CLOSE_AT_ONCE at most; how many it was."""
        now, closed = self._clock(), 0
        while self._idle and closed < CLOSE_AT_ONCE:
            if next(iter(self._idle.values())).idle_since > now - self.kept_s:
                break
            self._close_oldest()
            closed += 1
        return closed

    @property
    def kept_s(self) -> float:
        """How long a file stays open that nobody uses, with as many as there are now."""
        return IDLE_S * min(1.0, KEPT / max(1, len(self._all)))

    def _close_oldest(self) -> None:
        tenant, handle = self._idle.popitem(last=False)
        del self._all[tenant]
        handle.connection.stop()  # in the worker's queue before any job that opens the file again

    @contextlib.asynccontextmanager
    async def closed(
        self, tenant: str, timeout_s: float, first: Callable[[str], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """A block during which nobody uses the tenant and its connection is closed, after what `first` closes.

        The one that can write is the last: it empties the log and takes it away.
        Raises TenantBusyError when its users have not left after `timeout_s`, TenantDoesNotExistError in two at once.
        """
        if tenant in self._closing:
            raise TenantDoesNotExistError(f"tenant {tenant} is being removed or replaced")
        self._closing.add(tenant)
        try:
            await self._wait_for_users(tenant, timeout_s)
            self._idle.pop(tenant, None)
            await first(tenant)
            if (handle := self._all.pop(tenant, None)) is not None:
                await handle.connection.close()
            self._files.release(tenant)
            yield
        finally:
            self._closing.discard(tenant)

    async def _wait_for_users(self, tenant: str, timeout_s: float) -> None:
        if tenant not in self._users:
            return
        waiter = self._drained[tenant] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError as error:
            users = self._users.get(tenant, 0)
            raise TenantBusyError(f"tenant {tenant} is still in use {users} times after {timeout_s:g} s") from error
        finally:
            self._drained.pop(tenant, None)


class Lease:
    """The writing connection of one tenant, held without a session; for jobs that run on the tenant's worker thread.

    `release` it on the loop when the job is done. Made by `Tenants.try_lease` only.
    """

    __slots__ = ("_done", "_handle", "tenant_id")

    def __init__(self, handle: Handle, done: Callable[[Handle], None]) -> None:
        self.tenant_id = handle.tenant_id
        self._handle = handle
        self._done: Callable[[Handle], None] | None = done

    def connection_sync(self) -> sqlite3.Connection:
        """The bare connection, without an open transaction; on the worker thread only.

        Raises TenantDoesNotExistError, TenantSchemaError or sqlite3.Error when the file cannot be opened.
        """
        connection = self._handle.connection.open_sync()
        if connection.in_transaction:  # someone before us was cancelled half-way
            connection.rollback()
        return connection

    def discard_sync(self) -> None:
        """Close the connection, so that the next use opens the file anew; on the worker thread only."""
        self._handle.connection.close_sync()

    def release(self) -> None:
        """Let others have the connection; a second call does nothing."""
        done, self._done = self._done, None
        if done is not None:
            done(self._handle)
