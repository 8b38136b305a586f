"""Owns the tenants of one storage folder: the threads, files, sessions and life of each; everything else asks it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sqlite3
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from bouncer import database, tasks
from bouncer.errors import TenantBusyError, TenantDoesNotExistError
from bouncer.tenant import exports, tools
from bouncer.tenant.files import Files
from bouncer.tenant.handles import MOST_LEASES, Handle, Handles, Lease
from bouncer.tenant.heap import give_back_sync
from bouncer.tenant.readers import Readers
from bouncer.tenant.reopening import Reopening
from bouncer.tenant.scope import Scope, UserOrId, current, tenant_id
from bouncer.tenant.sessions import Engines, TenantAsyncSession
from bouncer.tenant.threads import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

T = TypeVar("T")

log = logging.getLogger(__name__)

SESSION_WAIT_S = 10.0  # for the tenant's other sessions to end
LOOK_S, LOOKS = 0.25, 4  # between two looks for quiet files, and how many until the memory of the closed is given back
READERS_KEEP = 16  # reading connections kept open, over all reading threads


class Counts(NamedTuple):
    """Writing connections opened, and closed again because there were too many; blocks inside a tenant begun."""

    opened: int
    evicted: int
    switches: int


class Tenants:
    """All tenants under `root` (one `<id>.sqlite3` each). `start` before use, `close` after it.

    `max_open`: writing connections kept open (3 descriptors, some 250 kB each); `workers`, `readers`: threads;
    `synchronous`: `full` waits with each commit until it would survive a power cut, `normal` does not.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_open: int = 128,
        workers: int = 2,
        readers: int = 4,
        synchronous: str = "normal",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files = Files(root, synchronous)
        self.workers = workers
        self._handles = Handles(max_open, self.files, clock)
        self._engines = Engines()
        self._running = False
        self._closings = tasks.Group()
        self._threads: list[Worker] = []
        self._readers = Readers(self.files, threads=readers, keep=READERS_KEEP)
        self._known: set[str] = set()  # ids whose file was there when last looked; what is not here is looked for
        self._reopening = Reopening(self._let_go)
        self._switches = 0
        self._leases = [0] * workers
        self._most_leases = max(1, min(MOST_LEASES, max_open // workers))
        self._no_room: list[list[Callable[[], None]]] = [[] for _ in range(workers)]

    async def start(self) -> None:
        """Make or read the folder and start the threads."""
        self._known = await asyncio.to_thread(self.files.prepare)
        self._running = True
        await self._engines.start()
        self._files_thread = Worker("tenant-files")
        self._threads = [Worker(f"tenant-{number}") for number in range(self.workers)]
        self._readers.start()
        loop = asyncio.get_running_loop()

        def replaced(tenant: str) -> None:
            loop.call_soon_threadsafe(self._replaced, tenant)

        self.files.on_replaced = replaced
        self._closings.spawn(self._close_quiet(), name="tenant-quiet")

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for sessions and jobs to end, at most `timeout_s` seconds, then close every file and thread.

        A second call does nothing.
        """
        if not self._running:
            return
        self._running = False
        await self._closings.cancel()
        await self._reopening.cancel()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        for tenant in set(self._handles.tenants()):
            try:
                async with self._closed(tenant, max(0.0, deadline - loop.time())):
                    pass
            except TenantBusyError as error:
                log.error("closing all the same: %s", error)
        self._handles.abandon()
        await self._readers.stop()
        for thread in (*self._threads, self._files_thread):
            await thread.stop()

    # -- being in a tenant -------------------------------------------------------------------------------------------

    def switch(self, user: UserOrId) -> Scope:
        """`async with tenants.switch(user):` runs the block in the user's tenant; see Scope for what it raises."""
        self._switches += 1
        return Scope(tenant_id(user), self._admit)

    async def _admit(self, tenant: str) -> None:
        if not await self.exists(tenant):
            raise TenantDoesNotExistError(f"tenant {tenant} does not exist")

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[TenantAsyncSession]:
        """A unit of work on the current tenant's file; what is not committed when the block ends is rolled back.

        One at a time per tenant: raises TenantBusyError after SESSION_WAIT_S, or at once inside another of this task.
        """
        tenant = current()
        await self._reopening.settled(tenant)
        handle = self._handles.pin(tenant, self._worker(tenant))
        try:
            await handle.lock.acquire(SESSION_WAIT_S)
        except BaseException:
            self._handles.unpin(handle)
            raise
        session = TenantAsyncSession(self._engines.engine(handle), expire_on_commit=False, info={"tenant": tenant})
        try:
            await self._open(handle)
            yield session
        except Exception as error:
            self.noticed(tenant, error)
            raise
        finally:
            await self._end(session, handle)

    async def _open(self, handle: Handle) -> None:
        try:
            await handle.connection
        except TenantDoesNotExistError:
            self._known.discard(handle.tenant_id)
            raise

    async def _end(self, session: TenantAsyncSession, handle: Handle) -> None:
        """Roll back what is open; the lock goes on when that is done, even if our caller is cancelled meanwhile."""
        if not session.in_transaction():
            session.sync_session.close()
            self._unlock(handle)
            return
        closing = tasks.spawn(session.close(), name=f"tenant-{handle.tenant_id}-rollback")
        closing.add_done_callback(lambda _: self._unlock(handle))
        await asyncio.shield(closing)

    def _unlock(self, handle: Handle) -> None:
        handle.lock.release()
        self._handles.unpin(handle)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` on a reading thread with a connection to the current tenant's file that cannot write.

        It sees one snapshot and waits for no writer. Raises TenantBusyError when it takes too long, else what
        `function` raises. The connection must not be kept.
        """
        tenant = current()
        await self._reopening.settled(tenant)
        self._handles.hold(tenant)
        try:
            return await self._readers.run(tenant, function)
        finally:
            self._handles.drop(tenant)

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` on the tenant's worker thread with the writing connection, in turn with sessions and journal.

        It has to be short, and to end outside any transaction. Raises as `session` does, else what it raises.
        """
        tenant = current()
        await self._reopening.settled(tenant)
        worker = self._worker(tenant)
        handle = self._handles.pin(tenant, worker)
        try:
            await handle.lock.acquire(SESSION_WAIT_S)
        except BaseException:
            self._handles.unpin(handle)
            raise
        lease = Lease(handle, self._unlock)
        job = worker.call(lambda: function(lease.connection_sync()))
        job.add_done_callback(lambda _: lease.release())  # on the thread it goes on, whoever is cancelled here
        try:
            return await asyncio.shield(job)
        except Exception as error:
            self.noticed(tenant, error)
            raise

    # -- the write path ----------------------------------------------------------------------------------------------

    def worker_index(self, tenant: str) -> int:
        """Which worker thread the tenant's writing connection lives on; the same for the life of the process."""
        return zlib.crc32(tenant.encode("ascii")) % self.workers

    def _worker(self, tenant: str) -> Worker:
        return self._threads[self.worker_index(tenant)]

    def try_lease(self, tenant: str) -> Lease | None:
        """The tenant's writing connection if nobody has it now, without waiting and without opening the file yet.

        None when a session holds it, or when the worker's leases are all out (so that no hop opens more files than
        `max_open` allows): ask `when_free`. Raises TenantDoesNotExistError while the tenant is being destroyed.
        """
        worker = self.worker_index(tenant)
        if self._reopening.going(tenant) or self._leases[worker] >= self._most_leases:
            return None
        handle = self._handles.pin(tenant, self._threads[worker])
        if not handle.lock.try_acquire():
            self._handles.unpin(handle)
            return None
        self._leases[worker] += 1
        return Lease(handle, self._released)

    def _released(self, handle: Handle) -> None:
        worker = self.worker_index(handle.tenant_id)
        self._leases[worker] -= 1
        self._unlock(handle)
        waiting, self._no_room[worker] = self._no_room[worker], []
        for callback in waiting:
            asyncio.get_running_loop().call_soon(callback)

    def when_free(self, tenant: str, callback: Callable[[], None]) -> None:
        """Call `callback` once on the loop when `try_lease` is worth another try.

        Who then tries within the same turn of the loop comes before the sessions that wait.
        """
        handle = self._handles.get(tenant)
        worker = self.worker_index(tenant)
        if self._reopening.going(tenant):
            self._reopening.when_settled(tenant, callback)
        elif handle is not None and handle.lock.held:
            handle.lock.when_free(callback)
        elif self._leases[worker] >= self._most_leases:
            self._no_room[worker].append(callback)
        else:
            asyncio.get_running_loop().call_soon(callback)

    def call(self, worker: int, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run `function` on a worker thread (by `worker_index`), after what that thread was given before."""
        return self._threads[worker].call(function)

    # -- life --------------------------------------------------------------------------------------------------------

    def path(self, user: UserOrId) -> Path:
        """Where the user's file is or would be."""
        return self.files.path(tenant_id(user))

    async def exists(self, user: UserOrId) -> bool:
        """Whether the user has a (complete) file that is not being removed."""
        tenant = tenant_id(user)
        await self._reopening.settled(tenant)
        if self._handles.is_closing(tenant):
            return False
        if tenant not in self._known and await self._on_files(self.files.path(tenant).exists):
            self._known.add(tenant)
        return tenant in self._known

    async def ids(self) -> list[str]:
        """The ids of all tenants, in order (numbers as numbers)."""
        found = await self._on_files(self.files.ids)
        return sorted((t for t in found if not self._handles.is_closing(t)), key=lambda t: (len(t), t))

    async def create(self, user: UserOrId) -> str:
        """Make the user's file and return its id; it is there, complete, or it is not. Raises TenantExistsError."""
        tenant = tenant_id(user)
        await self._on_files(functools.partial(self.files.create, tenant))
        self._known.add(tenant)
        return tenant

    async def destroy(self, user: UserOrId, timeout_s: float = 5.0) -> None:
        """Refuse new use, wait for those who use it, and remove the file with all that belongs to it.

        Raises TenantDoesNotExistError, and TenantBusyError (nothing removed) after `timeout_s` seconds.
        """
        tenant = tenant_id(user)
        await self._admit(tenant)
        async with self._closed(tenant, timeout_s):
            self._known.discard(tenant)
            await self._on_files(functools.partial(self.files.remove, tenant))

    @contextlib.asynccontextmanager
    async def _closed(self, tenant: str, timeout_s: float) -> AsyncIterator[None]:
        """A block during which nobody has the tenant's file open."""
        async with self._handles.closed(tenant, timeout_s, self._readers.close):
            yield

    def noticed(self, tenant: str, error: Exception) -> None:
        """Writing has failed so. A read-only file is opened anew: SQLite knows it of all its connections together."""
        if database.storage_code(error) == sqlite3.SQLITE_READONLY:
            self._reopen(tenant, "the file may not be written")

    def _replaced(self, tenant: str) -> None:
        self._reopen(tenant, "another file was put in the place of the one in use", logging.WARNING)

    def _reopen(self, tenant: str, why: str, level: int = logging.DEBUG) -> None:
        if self._running and not self._handles.is_closing(tenant):
            self._reopening.begin(tenant, why, level)

    @contextlib.asynccontextmanager
    async def _let_go(self, tenant: str, timeout_s: float) -> AsyncIterator[None]:
        async with self._closed(tenant, timeout_s):
            await self._on_files(functools.partial(self.files.mend_modes, tenant))
            yield

    async def _close_quiet(self) -> None:
        """Close files that nobody uses any more, and give back their memory somewhat later: then they are closed."""
        before = closed = 0
        while True:
            for _ in range(LOOKS):
                await asyncio.sleep(LOOK_S)
                closed += self._handles.close_quiet()
            if before:
                self._files_thread.post(give_back_sync)
            before, closed = closed, 0

    def _on_files(self, function: Callable[[], T]) -> asyncio.Future[T]:
        return self._files_thread.call(function)

    # -- whole files -------------------------------------------------------------------------------------------------

    async def backup(self, user: UserOrId, dest: Path) -> None:
        """Write one consistent SQLite file to `dest` (replaced if it is there) while the tenant is being written.

        Raises TenantDoesNotExistError, OSError, sqlite3.Error.
        """
        await self._with_file(user, lambda path: tools.backup(path, dest))

    async def restore(self, user: UserOrId, src: Path, timeout_s: float = 5.0) -> None:
        """Put the backup `src` in the place of the user's file, or make it so; on any error the old file stays.

        Raises TenantSchemaError for a file that will not do, TenantBusyError, OSError, sqlite3.Error.
        """
        tenant = tenant_id(user)
        await self._reopening.settled(tenant)
        temporary = await asyncio.to_thread(self.files.temporary)
        try:
            await asyncio.to_thread(tools.take_in, src, temporary)
            async with self._closed(tenant, timeout_s):
                await self._on_files(functools.partial(self.files.replace, tenant, temporary))
                self._known.add(tenant)
        finally:
            await asyncio.to_thread(temporary.unlink, missing_ok=True)

    async def check(self, user: UserOrId) -> list[str]:
        """In words, what is wrong with the user's file; empty when nothing is. Raises TenantDoesNotExistError."""
        return await self._with_file(user, tools.check)

    async def export(
        self, user: UserOrId, dest: Path, form: str, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write the user's data to `dest` as `jsonl`, `text` or `sqlite`, without secrets.

        `progress(done, all)` is called on another thread. Raises ValueError, TenantDoesNotExistError, OSError.
        """
        await self._with_file(user, lambda path: exports.export(path, dest, form, progress))

    async def rebuild(self, user: UserOrId, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function`, which may take long, with a connection of its own to the user's file, on its own thread.

        While it has the file locked the journal keeps what comes, as it does when a disk is slow.
        """

        def run(path: Path) -> T:
            with contextlib.closing(database.open_tenant(path, "rw", isolation_level=None)) as connection:
                connection.execute("PRAGMA secure_delete=ON")
                return function(connection)

        return await self._with_file(user, run)

    async def migrate(self, user: UserOrId) -> bool:
        """Bring the user's file to the current schema; False when it was there already.

        Raises TenantDoesNotExistError, TenantSchemaError, sqlite3.Error.
        """
        return await self._with_file(user, database.migrate_tenant_file)

    async def migrate_all(
        self, progress: Callable[[int, int, str, Exception | None], None] | None = None
    ) -> dict[str, Exception]:
        """Migrate every tenant; one that cannot be does not stop the others. Returns the failures by id.

        `progress(done, all, id, error or None)` is called on the loop after each.
        """
        failures: dict[str, Exception] = {}
        ids = await self.ids()
        for done, tenant in enumerate(ids, 1):
            error: Exception | None = None
            try:
                await self.migrate(tenant)
            except Exception as caught:  # noqa: BLE001 - reported by id; the other tenants come first
                error = failures[tenant] = caught
            if progress is not None:
                progress(done, len(ids), tenant, error)
        return failures

    async def _with_file(self, user: UserOrId, function: Callable[[Path], T]) -> T:
        """Run `function` on the user's file in a thread of its own; destroying the tenant waits for it."""
        tenant = tenant_id(user)
        await self._admit(tenant)
        self._handles.hold(tenant)
        job = tasks.spawn(_in_thread(function, self.files.path(tenant)), name=f"tenant-{tenant}-file")
        job.add_done_callback(lambda _: self._handles.drop(tenant))
        return await asyncio.shield(job)

    @property
    def open_files(self) -> int:
        """Tenants with a writing connection (open, or about to be)."""
        return len(self._handles)

    @property
    def counts(self) -> Counts:
        """What has been done since the start."""
        return Counts(self._handles.opened, self._handles.reaped, self._switches)

    @property
    def threads_alive(self) -> bool:
        """Whether every thread that files are worked on with is there."""
        threads = (*self._threads, self._files_thread)
        return self._running and self._readers.alive and all(thread.alive for thread in threads)

    @property
    def reads_waiting(self) -> int:
        """Reads for which no thread is free."""
        return self._readers.waiting


async def _in_thread(function: Callable[[Path], T], path: Path) -> T:
    return await asyncio.to_thread(function, path)
