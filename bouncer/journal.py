"""Owns the write path: what IRC brings is committed a batch at a time in the tenant's worker thread, then released.

Nothing here knows IRC or clients: a `Batch` carries rows, changes and the callbacks of whoever made it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from bouncer import tasks
from bouncer.clock import now_ms
from bouncer.errors import TenantError
from bouncer.events import Trouble
from bouncer.journal_log import Logs
from bouncer.journal_queue import RETRY_MIN_S, Queue
from bouncer.journal_sql import Known, write
from bouncer.journal_stats import Stats, Waiting
from bouncer.journal_turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bouncer.tenant import Lease, Tenants

log = logging.getLogger(__name__)

MAX_ROWS_PER_COMMIT, MAX_STATEMENTS_PER_COMMIT = 2_000, 500
"""Rows go in by the dozen, statements one by one: each gives the interpreter away and waits to have it back."""
ENOUGH_ROWS = 4_000
"""Rows of one tenant that wait before its networks are read no further until a commit has made room."""
TRIP = 500  # rows, or statements, of several tenants in one trip: who has more goes alone, behind the others
RETRY_MAX_S = 5.0
DUE_S = 0.001  # a timer may come so much too early


class MessageRow(NamedTuple):
    """One message to store; see the `messages` table. `buffer` is 'channel', 'conversation' or '' (the server)."""

    server_id: int
    buffer: str
    target: str
    folded: str
    sender: str
    message_type: str
    content: str
    tags: str | None
    msgid: str
    time: int
    own: bool
    notify: str = ""


class Change(NamedTuple):
    """A statement of `journal_sql` with its parameters, carried out before the rows of its batch."""

    sql: str
    params: tuple[object, ...] | list[tuple[object, ...]]
    """A list of tuples makes it an executemany."""


class Batch:
    """What one read of one network made: rows, changes, and who is to be told.

    `release(batch, stored)` is called exactly once, in the order of submission within a tenant: with True after the
    commit, with False when the commit took too long and the lines go out live. In that case `stored(batch)` follows
    once the rows are on disk. `ids[i]` is then the message id of `rows[i]`, 0 for one that could not be kept.
    """

    __slots__ = ("changes", "ids", "release", "released", "rows", "stored", "submitted_at")

    def __init__(
        self,
        release: Callable[[Batch, bool], None],
        stored: Callable[[Batch], None] | None = None,
        rows: list[MessageRow] | None = None,
        changes: list[Change] | None = None,
    ) -> None:
        self.release = release
        self.stored = stored
        self.rows = rows if rows is not None else []
        self.changes = changes if changes is not None else []
        self.ids: Sequence[int] = ()
        self.released = False
        self.submitted_at = 0.0

    @property
    def statements(self) -> int:
        """How many statements its changes are: one may be carried out with many parameters."""
        if not self.changes:
            return 0
        return sum(len(change.params) if isinstance(change.params, list) else 1 for change in self.changes)


def ignore_release(_batch: Batch, _stored: bool) -> None:
    """The `release` of a batch nobody waits for."""


class Journal:
    """Group commit for all tenants: one task per worker thread, one hop for all that have something to write."""

    def __init__(self, tenants: Tenants, *, live_ms: int = 500, max_rows: int = 100_000) -> None:
        """`live_ms`: a commit that takes longer holds no conversation up. `max_rows`: rows that may wait."""
        self._tenants = tenants
        self._live_s = live_ms / 1000
        self._max_rows = max_rows
        self._queues: dict[str, Queue] = {}
        self._rows = 0
        self._dirty: list[dict[str, Queue]] = [{} for _ in range(tenants.workers)]
        self._wake = [asyncio.Event() for _ in range(tenants.workers)]
        self._known: dict[str, Known] = {}
        self._logs = Logs(tenants)
        self._turns = Turns()
        self._group = tasks.Group()
        self._watch: asyncio.TimerHandle | None = None
        self.stats = Stats()
        self.on_trouble: Callable[[str, Trouble | None], None] = lambda _tenant, _trouble: None

    def start(self) -> None:
        """Start one writer per worker thread; call inside the loop."""
        self._logs.start()
        for worker in range(self._tenants.workers):
            self._group.spawn(self._run(worker), name=f"journal-{worker}")

    async def close(self, timeout_s: float = 10.0) -> None:
        """Write what is left, at most `timeout_s` seconds, then stop."""
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(self.flush(tenant) for tenant in list(self._queues)))
        except TimeoutError:
            log.error("%d rows could not be written before the stop", sum(q.rows for q in self._queues.values()))
        await self._group.cancel()
        await self._logs.close()
        for queue in self._queues.values():
            if queue.retry is not None:
                queue.retry.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def trouble(self, tenant: str) -> Trouble | None:
        """What is wrong with this tenant's storage, None when nothing is."""
        queue = self._queues.get(tenant)
        return Trouble(queue.reason, queue.since, queue.rows, queue.lost) if queue and queue.reason else None

    @property
    def waiting(self) -> Waiting:
        """What waits now."""
        queues = self._queues.values()
        return Waiting(len(queues), sum(queue.rows for queue in queues), sum(bool(queue.reason) for queue in queues))

    @property
    def alive(self) -> bool:
        """Whether every writer is at work."""
        return len(self._group) == self._tenants.workers

    def forget(self, tenant: str) -> None:
        """Drop all that waits for a tenant: its file is removed for good."""
        self._known.pop(tenant, None)
        self._logs.forget(tenant)
        queue = self._queues.get(tenant)
        if queue is not None and queue.writing:
            queue.forgotten = True
        elif queue is not None:
            self._drop(queue)

    def _drop(self, queue: Queue) -> None:
        self._release_live(queue)
        queue.batches.clear()
        self._rows -= queue.rows
        self._drained(queue)

    def submit(self, tenant: str, batch: Batch) -> None:
        """Take a batch; returns at once. Over the bound its rows are released live, counted as lost and reported."""
        queue = self._queues.get(tenant)
        if queue is None:
            if not batch.rows and not batch.changes:
                self._release(batch, stored=True)
                return
            queue = self._queues[tenant] = Queue(tenant, self._tenants.worker_index(tenant))
        loop = asyncio.get_running_loop()
        batch.submitted_at = loop.time()
        if not self._room_for(queue, batch):
            self._lose(queue, batch)
        queue.batches.append(batch)
        queue.rows += len(batch.rows)
        self._rows += len(batch.rows)
        queue.changes += batch.statements
        if queue.reason:
            self._release_live(queue)
            return
        if self._watch is None:
            self._watch = loop.call_later(self._live_s, self._look)
        self._mark(queue)

    def _room_for(self, queue: Queue, batch: Batch) -> bool:
        """Whether these rows may wait: all tenants' are bounded together, then each that fails has an equal share."""
        if queue.changes > self._max_rows:
            return False
        if not batch.rows or self._rows + len(batch.rows) <= self._max_rows:
            return True
        failing = sum(bool(one.reason) for one in self._queues.values() if one is not queue) + 1
        return queue.rows + len(batch.rows) <= self._max_rows // failing

    async def flush(self, tenant: str) -> None:
        """Wait until everything submitted so far for `tenant` is on disk. The caller sets the deadline."""
        queue = self._queues.get(tenant)
        if queue is not None:
            waiter = asyncio.get_running_loop().create_future()
            queue.waiters.append(waiter)
            await waiter

    async def room(self, tenant: str) -> None:
        """Wait until few rows and changes wait for `tenant`, or storage is in trouble (then their bound decides)."""
        while (
            (queue := self._queues.get(tenant)) is not None
            and max(queue.rows, queue.changes) > ENOUGH_ROWS
            and not queue.reason
        ):
            await queue.wait_for_room()

    # -- the writers -----------------------------------------------------------------------------------------------

    def _mark(self, queue: Queue) -> None:
        if queue.batches and not queue.writing and queue.retry is None:
            self._dirty[queue.worker][queue.tenant] = queue
            self._wake[queue.worker].set()

    async def _run(self, worker: int) -> None:
        dirty, wake = self._dirty[worker], self._wake[worker]
        while True:
            await wake.wait()
            wake.clear()
            queues = deque(sorted(dirty.values(), key=lambda queue: queue.weight))
            dirty.clear()
            while queues:  # who has little does not wait for who has much
                some, room = [queues.popleft()], TRIP
                while queues and queues[0].weight <= (room := room - some[-1].weight):
                    some.append(queues.popleft())
                waiting = (queue for queue in some if queue.batches and not queue.writing)
                jobs = [job for queue in waiting if (job := self._job(queue)) is not None]
                if jobs:
                    await self._hop(worker, jobs)

    def _job(self, queue: Queue) -> tuple[Queue, Lease, list[Batch]] | None:
        try:
            lease = self._tenants.try_lease(queue.tenant)
        except TenantError as error:
            self._failed(queue, error)
            return None
        if lease is None:
            self._tenants.when_free(queue.tenant, lambda: self._mark(queue))
            return None
        batches: list[Batch] = []
        rows = statements = 0
        for batch in queue.batches:
            rows += len(batch.rows)
            statements += batch.statements
            if batches and (rows > MAX_ROWS_PER_COMMIT or statements > MAX_STATEMENTS_PER_COMMIT):
                break
            batches.append(batch)
        queue.writing = True
        return queue, lease, batches

    async def _hop(self, worker: int, jobs: list[tuple[Queue, Lease, list[Batch]]]) -> None:
        """One trip to the worker thread for all of `jobs`; a failure of one tenant is that tenant's alone."""
        work = [(lease, batches, self._known.setdefault(queue.tenant, Known())) for queue, lease, batches in jobs]
        results: list[int | Exception]
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            results = await self._tenants.call(worker, lambda: [write(*job) for job in work])
        except TenantError as error:
            results = [error] * len(jobs)
        finally:
            for _, lease, _ in jobs:
                lease.release()
        self.stats.trip_s.observe(loop.time() - began)
        for (queue, _, batches), result in zip(jobs, results, strict=True):
            if isinstance(result, Exception) or queue.forgotten:
                queue.writing = False
            if queue.forgotten:
                self._drop(queue)
            elif isinstance(result, Exception):
                self._failed(queue, result)
            else:
                self.stats.commits += 1
                rows = sum(len(batch.rows) for batch in batches)
                self.stats.commit_rows.observe(rows)
                self._logs.wrote(queue.tenant, rows, sum(batch.statements for batch in batches))
                self._turns.add(functools.partial(self._written, queue, deque(batches), result))
        self._turns.go()

    def _written(self, queue: Queue, stored: deque[Batch], lost: int) -> bool:
        """Release the next of the batches that are in the file now, before the queue is written on; if there are more.

        `lost` rows of them could not be kept.
        """
        batch = stored.popleft()
        queue.batches.popleft()
        queue.rows -= len(batch.rows)
        self._rows -= len(batch.rows)
        queue.changes -= batch.statements
        self.stats.rows += len(batch.rows)
        queue.progress_at = asyncio.get_running_loop().time()
        if not batch.released:
            self._release(batch, stored=True)
        elif batch.stored is not None:
            self._call(batch.stored, batch)
        if not stored:
            self._shown(queue, lost)
        return bool(stored)

    def _shown(self, queue: Queue, lost: int) -> None:
        """All that the last commit brought has been released."""
        queue.writing = False
        queue.has_room()
        if lost:
            self.stats.lost += lost
            queue.lost += lost
        if queue.reason or lost:
            self._recovered(queue)
        if queue.forgotten:
            self._drop(queue)
        elif queue.batches:
            self._mark(queue)
        else:
            self._drained(queue)

    def _drained(self, queue: Queue) -> None:
        if queue.retry is not None:
            queue.retry.cancel()
        self._queues.pop(queue.tenant, None)
        queue.has_room()
        for waiter in queue.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _recovered(self, queue: Queue) -> None:
        if queue.lost:
            log.error("tenant %s: %d messages could not be kept", queue.tenant, queue.lost)
            self.on_trouble(queue.tenant, Trouble(queue.reason, queue.since, queue.rows, queue.lost))
        queue.reason, queue.error, queue.lost, queue.retry_s = "", "", 0, RETRY_MIN_S
        self.on_trouble(queue.tenant, None)

    # -- when storage fails ----------------------------------------------------------------------------------------

    def _failed(self, queue: Queue, error: Exception) -> None:
        """Keep the batches and try again; a short lock is left to `_look`, anything else is trouble at once."""
        self.stats.failures += 1
        self._tenants.noticed(queue.tenant, error)
        queue.error = str(error) or type(error).__name__
        queue.retry = asyncio.get_running_loop().call_later(queue.retry_s, self._again, queue)
        queue.retry_s = min(queue.retry_s * 2, RETRY_MAX_S)
        if queue.reason or "locked" not in queue.error:
            self._in_trouble(queue, queue.error)

    def _in_trouble(self, queue: Queue, reason: str, *, tell: bool = False) -> None:
        """Lines go out before they are stored from here on, until a commit succeeds; the user is told.

        Of the same trouble once, but for `tell`.
        """
        if not queue.reason:
            queue.since = now_ms()
            log.warning("tenant %s: storing fails (%s), %d rows wait", queue.tenant, reason, queue.rows)
        changed, queue.reason = queue.reason != reason, reason
        queue.has_room()
        self._release_live(queue)
        if changed or tell:
            self.on_trouble(queue.tenant, Trouble(queue.reason, queue.since, queue.rows, queue.lost))

    def _again(self, queue: Queue) -> None:
        queue.retry = None
        self._mark(queue)

    def _look(self) -> None:
        """One timer looks after all queues: one for each would be set and stopped with every message."""
        loop = asyncio.get_running_loop()
        now, next_s = loop.time(), self._live_s
        for queue in list(self._queues.values()):
            due_s = queue.due_s(now, self._live_s)
            if due_s <= DUE_S:
                self._in_trouble(queue, queue.error or f"a commit takes longer than {self._live_s * 1000:.0f} ms")
            else:
                next_s = min(next_s, due_s)
        self._watch = loop.call_later(next_s, self._look) if self._queues else None

    def _release_live(self, queue: Queue) -> None:
        for batch in list(queue.batches):
            if not batch.released:
                self.stats.sent_before_stored += len(batch.rows)
                self._release(batch, stored=False)

    def _lose(self, queue: Queue, batch: Batch) -> None:
        """Past the bound: the lines still go out, the rows are given up, counted and reported."""
        first = not queue.lost
        queue.lost += len(batch.rows)
        self.stats.lost += len(batch.rows)
        batch.ids = [0] * len(batch.rows)
        self._release_live(queue)
        self._release(batch, stored=False)
        batch.rows, batch.changes = [], []
        reason = queue.error or f"more than {self._max_rows} rows wait to be written"
        self._in_trouble(queue, reason, tell=first and queue.lost > 0)

    def _release(self, batch: Batch, *, stored: bool) -> None:
        batch.released = True
        try:
            batch.release(batch, stored)
        except Exception:  # one network's fault must not stop every tenant's writer
            log.exception("releasing a batch failed")

    @staticmethod
    def _call(callback: Callable[[Batch], None], batch: Batch) -> None:
        try:
            callback(batch)
        except Exception:  # as in `_release`
            log.exception("a stored batch could not be reported")
