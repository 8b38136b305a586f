"""Owns the work on much history: rules applied, ranges deleted, space given back; in the background, a user at a time.

What is asked for is a row in the user's file before it is begun, so it goes on after a restart from where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Literal, NamedTuple

from bouncer import counts, tasks, tenant
from bouncer.clock import now_ms
from bouncer.errors import NotFoundError, RefusedError, TenantDoesNotExistError
from bouncer.service import removal, retention
from bouncer.service.files import FAILURES
from bouncer.service.retention import EVERYTHING, MAX_ID, Scope, count_all

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from bouncer.pruning import Span
    from bouncer.service.live import Live
    from bouncer.service.retention import Retention

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Users whose files are worked on side by side."""
KEPT = 20
"""Jobs of a user that are remembered."""
RETRY_S = 60.0
"""After which a job that failed (a full disk, a locked file) is tried again, as long as the bouncer runs."""

Kind = Literal["rules", "range", "quota", "space"]


class Job(NamedTuple):
    """A row of `upkeep_jobs`; `done` and `total` are messages, `freed` bytes, times in ms UTC."""

    id: int
    kind: str
    state: str
    phase: str
    server_id: int | None
    channel_id: int | None
    conversation_id: int | None
    after: int | None
    before: int | None
    upto: int
    done: int
    total: int
    freed: int
    begun_at: int
    ended_at: int | None
    note: str

    @property
    def scope(self) -> Scope:
        """What it is about."""
        return Scope(self.server_id, self.channel_id, self.conversation_id)

    @property
    def running(self) -> bool:
        """Whether it goes on, or will."""
        return self.state == "running"


_COLUMNS = ", ".join(Job._fields)
_LIST = f"SELECT {_COLUMNS} FROM upkeep_jobs ORDER BY id DESC LIMIT {KEPT}"  # noqa: S608 - constants only
_NEXT = f"SELECT {_COLUMNS} FROM upkeep_jobs WHERE state = 'running' ORDER BY id LIMIT 1"  # noqa: S608
_ONE = f"SELECT {_COLUMNS} FROM upkeep_jobs WHERE id = ?"  # noqa: S608
_ADD = (
    "INSERT INTO upkeep_jobs (kind, state, phase, server_id, channel_id, conversation_id, after, before, upto, "
    "begun_at) VALUES (?, 'running', 'messages', ?, ?, ?, ?, ?, (SELECT coalesce(max(id), 0) FROM messages), ?)"
)
_TRIM = f"DELETE FROM upkeep_jobs WHERE id <= (SELECT max(id) - {KEPT} FROM upkeep_jobs) AND state <> 'running'"  # noqa: S608
_DONE = "UPDATE upkeep_jobs SET done = done + ? WHERE id = ? AND state = 'running'"
_CHANGE = "UPDATE upkeep_jobs SET {} WHERE id = ? AND state = ?"


def _jobs(connection: sqlite3.Connection, sql: str, *values: int) -> list[Job]:
    return [Job._make(row) for row in connection.execute(sql, values)]


class Upkeep:
    """Whoever asks gets a job at once; `finished` waits for it. `close` leaves what goes on for the next start."""

    def __init__(self, rules: Retention, live: Live, changed: Callable[[int], None]) -> None:
        """`changed(user id)` is called when messages have gone."""
        self._rules = rules
        self._live = live
        self._changed = changed
        self._tasks = tasks.Group()
        self._working: dict[int, asyncio.Task[None]] = {}
        self._again: set[int] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Stop; what is not done goes on with the next start."""
        await self._tasks.cancel()
        self._working.clear()

    async def forget(self, user_id: int) -> None:
        """End what goes on for this user, who is deleted."""
        task = self._working.pop(user_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    # -- asking ----------------------------------------------------------------------------------------------------

    async def delete(self, user_id: int, scope: Scope, after: int | None, before: int | None) -> Job:
        """Begin to delete what is in a scope between two moments (ms, None: no bound); raises NotFoundError."""
        await self._rules.name(user_id, scope)
        return await self._ask(user_id, "range", scope, after, before)

    async def apply_rules(self, user_id: int) -> Job | None:
        """Begin to delete what the rules keep no longer; None when there is nothing."""
        most, now = self._rules.most, now_ms()
        async with tenant.switch(user_id):
            due = await tenant.read(lambda connection: retention.read_due(connection, most, now))
            known = await tenant.read(lambda connection: _jobs(connection, _LIST))
        if not due:
            return None
        waiting = next((job for job in known if job.kind == "rules" and job.running), None)
        return waiting or await self._ask(user_id, "rules", EVERYTHING, None, None)

    async def make_room(self, user_id: int, before: int) -> Job:
        """Begin to delete what was said before that moment (ms), to stay within a limit."""
        return await self._ask(user_id, "quota", EVERYTHING, None, before)

    async def give_space_back(self, user_id: int) -> Job:
        """Begin to make the file as small as what is in it; RefusedError while there is other work."""
        if any(job.running for job in await self.jobs(user_id)):
            raise RefusedError("wait until what goes on is done: it gives space back at its end")
        return await self._ask(user_id, "space", EVERYTHING, None, None)

    async def _ask(self, user_id: int, kind: Kind, scope: Scope, after: int | None, before: int | None) -> Job:
        values = (kind, scope.server_id, scope.channel_id, scope.conversation_id, after, before, now_ms())

        def add(connection: sqlite3.Connection) -> Job:
            with connection:
                number = connection.execute(_ADD, values).lastrowid
                connection.execute(_TRIM)
            return _jobs(connection, _ONE, int(number or 0))[0]

        await self._live.flush(user_id)
        async with tenant.switch(user_id):
            job = await tenant.write(add)
        self.resume_all(user_id)
        return job

    async def jobs(self, user_id: int) -> Sequence[Job]:
        """What goes on, and what was done last; newest first."""
        async with tenant.switch(user_id):
            return await tenant.read(lambda connection: _jobs(connection, _LIST))

    async def job(self, user_id: int, number: int) -> Job:
        """One of them; raises NotFoundError."""
        async with tenant.switch(user_id):
            found = await tenant.read(lambda connection: _jobs(connection, _ONE, number))
        if not found:
            raise NotFoundError("there is no such work")
        return found[0]

    async def stop(self, user_id: int, number: int) -> None:
        """Leave what is not deleted yet; raises NotFoundError, RefusedError for what has ended or is a rule's."""
        job = await self.job(user_id, number)
        if not job.running or job.kind in ("rules", "quota"):
            ended = "it has ended already"
            raise RefusedError(ended if not job.running else "it follows a rule: change the rule, or the limit")
        await self._change(user_id, number, "running", state="stopped", ended_at=now_ms())

    async def resume(self, user_id: int, number: int) -> None:
        """Go on with what was stopped; raises NotFoundError, RefusedError."""
        job = await self.job(user_id, number)
        if job.state != "stopped":
            raise RefusedError("it was not stopped")
        await self._change(user_id, number, "stopped", state="running", ended_at=None)
        self.resume_all(user_id)

    @staticmethod
    async def _change(user_id: int, number: int, was: str, *, counted: bool = False, **values: object) -> None:
        """Set columns of a job that is in that state; of one in another it changes nothing. `counted`: no more go."""
        sets = [f"{name} = ?" for name in values] + (["total = done"] if counted else [])
        sql = _CHANGE.format(", ".join(sets))

        def change(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute(sql, (*values.values(), number, was))

        async with tenant.switch(user_id):
            await tenant.write(change)

    def resume_all(self, user_id: int) -> None:
        """See to it that somebody works on what is to be done for this user."""
        working = self._working.get(user_id)
        if working is None or working.done():
            self._working[user_id] = self._tasks.spawn(self._work(user_id), name=f"upkeep-{user_id}")
        else:
            self._again.add(user_id)

    async def finished(self, user_id: int, timeout_s: float | None = None) -> bool:
        """Wait until all is done for this user, or tried in vain, or the time has passed; whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (task := self._working.get(user_id)) is not None and not task.done():
                    await asyncio.wait({task})
                return True
        return False

    # -- working ---------------------------------------------------------------------------------------------------

    async def _work(self, user_id: int) -> None:
        try:
            while await self._next(user_id) or user_id in self._again:
                self._again.discard(user_id)
        except TenantDoesNotExistError:
            log.info("user %d is gone: so is what was to be done", user_id)

    async def _next(self, user_id: int) -> bool:
        """Do the oldest job; whether there was one. One that fails is noted, and tried again while we run."""
        async with self._gate:
            async with tenant.switch(user_id):
                waiting = await tenant.read(lambda connection: _jobs(connection, _NEXT))
            if not waiting:
                return False
            job = waiting[0]
            try:
                await self._do(user_id, job)
            except TenantDoesNotExistError:
                raise
            except FAILURES as error:
                words = " ".join(str(error).split()) or type(error).__name__
                log.warning("work on the history of user %d does not go on: %s", user_id, words)
            else:
                self._changed(user_id)
                return True
        with contextlib.suppress(*FAILURES):
            await self._change(user_id, job.id, "running", note=words)
        if not self._live.running:
            return False
        await asyncio.sleep(RETRY_S)
        return True

    async def _do(self, user_id: int, job: Job) -> None:
        before = await self._disk(user_id)
        if job.kind != "space" and job.phase == "messages":
            if not await self._remove(user_id, job):
                return
            await self._change(user_id, job.id, "running", counted=True, phase="index", note="")
        async with tenant.switch(user_id):
            if job.kind != "space":
                await removal.merge_index()
        await self._change(user_id, job.id, "running", phase="space", note="")
        async with tenant.switch(user_id):
            note = await removal.give_space_back()
        freed = max(0, before - await self._disk(user_id))
        await self._change(user_id, job.id, "running", state="done", ended_at=now_ms(), freed=freed, note=note)

    @staticmethod
    async def _disk(user_id: int) -> int:
        async with tenant.switch(user_id):
            return (await tenant.read(counts.read_disk)).file

    async def _remove(self, user_id: int, job: Job) -> bool:
        """Delete the job's messages; False when it was stopped."""
        async with tenant.switch(user_id):
            await count_all()
            spans = await tenant.read(lambda connection: self._spans(connection, job))
            total = await tenant.read(lambda connection: _total(connection, spans))
        await self._change(user_id, job.id, "running", total=job.done + total)

        def count(connection: sqlite3.Connection, number: int) -> bool:
            return connection.execute(_DONE, (number, job.id)).rowcount == 1

        async with tenant.switch(user_id):
            for span in spans:
                if await removal.remove(span, count) is None:
                    await removal.merge_index()
                    await removal.give_space_back()
                    return False
            await removal.forget_empty([span.buffer for span in spans])
        return True

    def _spans(self, connection: sqlite3.Connection, job: Job) -> list[Span]:
        if job.kind == "rules":
            return retention.read_due(connection, self._rules.most, now_ms())
        upto = job.upto if job.kind == "range" else MAX_ID
        return retention.read_range(connection, job.scope, job.after, job.before, upto)


def _total(connection: sqlite3.Connection, spans: Sequence[Span]) -> int:
    return sum(counts.read_span(connection, span.buffer, span.after, span.before)[0] for span in spans)
