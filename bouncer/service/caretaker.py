"""Owns looking after everybody's files from time to time: what rules keep no longer, what is over a limit, counts."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bouncer import counts, tasks, tenant
from bouncer.clock import now_ms
from bouncer.counts import DAY_MS
from bouncer.history import Buffer
from bouncer.service.files import FAILURES
from bouncer.service.house import size as size_of
from bouncer.service.retention import count_all
from bouncer.service.show import when
from bouncer.service.show_personal import size as in_words

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from bouncer.config import Config
    from bouncer.models.main import User
    from bouncer.service.live import Live
    from bouncer.service.retention import Retention
    from bouncer.service.upkeep import Upkeep
    from bouncer.service.users import Users

log = logging.getLogger(__name__)

CHECK_S = 600.0
"""From one look at everybody's files to the next; what comes meanwhile may be over a limit."""
MEGABYTE = 1_000_000
NEAR = 0.9
"""Of a limit: from here on the user is told."""
AFTER = 0.95
"""Of a limit: what is left when the oldest has gone, so that it is not full again at once."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a user's file is, in bytes; `limit` 0 for no limit. `full`: the oldest history goes."""

    used: int
    limit: int
    full: bool = False

    @property
    def near(self) -> bool:
        """Whether the user has to be told."""
        return bool(self.limit) and self.used >= self.limit * NEAR

    @property
    def words(self) -> str:
        """What they are told, "" for nothing."""
        if not self.near:
            return ""
        part = f"your history takes {in_words(self.used)} of the {in_words(self.limit)} that you may use"
        return (
            f"{part}; the oldest of it is being deleted" if self.full else f"{part}; when that is full, the oldest goes"
        )


class Caretaker:
    """`watch` goes on until it is cancelled; the rest is what it does, and what others ask about it."""

    def __init__(self, config: Config, users: Users, rules: Retention, upkeep: Upkeep, live: Live) -> None:
        self.config = config
        self._users = users
        self._rules = rules
        self._upkeep = upkeep
        self._live = live
        self._tasks = tasks.Group()
        self._checked: dict[int, tuple[int, int | None]] = {}
        self._changed_at: dict[int, int] = {}
        self._fill: dict[int, Fill] = {}
        self._untold: dict[int, str] = {}

    def start(self) -> None:
        """Look after the files from now on."""
        self._tasks.spawn(self._watch(), name="caretaker")

    async def close(self) -> None:
        """Stop."""
        await self._tasks.cancel()
        await self._upkeep.close()

    async def _watch(self) -> None:
        while True:
            for user in await self._everybody():
                try:
                    await self.look_after(user)
                except FAILURES as error:
                    log.warning("the file of user %d was not looked after: %s", user.id, error)
            await asyncio.sleep(CHECK_S)

    async def _everybody(self) -> list[User]:
        try:
            return list(await self._users.list())
        except FAILURES as error:
            log.warning("nobody's file was looked after: %s", error)
            return []

    async def look_after(self, user: User) -> None:
        """One user's file: counted, within the rules once a day, within its limit; what was interrupted goes on."""
        if not await tenant.exists(user.id):
            return
        path = tenant.path(user.id)
        changed_at = await asyncio.to_thread(_changed_at, path.with_name(f"{path.name}-wal"), path)
        first = user.id not in self._checked
        if first and any(job.running for job in await self._upkeep.jobs(user.id)):
            self._upkeep.resume_all(user.id)
        if self._changed_at.get(user.id) != changed_at:
            async with tenant.switch(user.id):
                await count_all()
        today = (now_ms() // DAY_MS, self._rules.most)
        if self._checked.get(user.id) != today:
            await self._upkeep.apply_rules(user.id)
        await self._within_limit(user)
        self._checked[user.id] = today
        self._changed_at[user.id] = await asyncio.to_thread(_changed_at, path.with_name(f"{path.name}-wal"), path)

    def forget_rules(self, user_id: int) -> None:
        """Look at this user's rules again the next time: one was changed."""
        self._checked.pop(user_id, None)

    # -- limits ----------------------------------------------------------------------------------------------------

    def limit_of(self, user: User) -> int:
        """Bytes that the user's file may have, 0 for no limit."""
        most = self.config.limits.disk_mb_per_user if user.max_disk_mb is None else user.max_disk_mb
        return most * MEGABYTE

    async def fill(self, user: User) -> Fill:
        """How full the user's file is now."""
        async with tenant.switch(user.id):
            disk = await tenant.read(counts.read_disk)
        return Fill(disk.used, self.limit_of(user))

    def warning(self, user_id: int) -> str:
        """What the user has to know about their limit, "" for nothing; as of the last look."""
        known = self._fill.get(user_id)
        return "" if known is None else known.words

    def untold(self, user_id: int) -> str:
        """What no client of the user's was there to hear, once; "" for nothing."""
        return self._untold.pop(user_id, "")

    async def _within_limit(self, user: User) -> None:
        limit = self.limit_of(user)
        path = tenant.path(user.id)
        if not limit or await asyncio.to_thread(size_of, path) < limit * NEAR:
            self._know(user.id, Fill(0, limit))
            return
        fill = await self.fill(user)
        if fill.used <= limit or any(job.running for job in await self._upkeep.jobs(user.id)):
            self._know(user.id, fill)
            return
        async with tenant.switch(user.id):
            before, number = await tenant.read(lambda base: read_oldest(base, fill.used - round(limit * AFTER)))
        if not number:
            log.warning("user %d is over the limit, with no history that could go", user.id)
            self._know(user.id, fill)
            return
        await self._upkeep.make_room(user.id, before)
        log.warning("user %d is over the limit of %d bytes: %d messages go", user.id, limit, number)
        self._know(user.id, Fill(fill.used, limit, full=True))
        self._tell(user.id, f"what was said before {when(before)} goes, {number} messages")

    def _know(self, user_id: int, fill: Fill) -> None:
        """Remember, and tell the user what is new; the same is not said twice."""
        before = self._fill.get(user_id, Fill(0, 0))
        self._fill[user_id] = fill
        if fill.near and (not before.near or (fill.full and not before.full)):
            self._tell(user_id, fill.words)

    def _tell(self, user_id: int, words: str) -> None:
        text = f"Storage: {words}"
        if not self._live.tell(user_id, text):
            self._untold[user_id] = text

    async def forget(self, user_id: int) -> None:
        """Know nothing of this user, who is deleted."""
        self._checked.pop(user_id, None)
        self._changed_at.pop(user_id, None)
        self._fill.pop(user_id, None)
        self._untold.pop(user_id, None)


def _changed_at(*paths: Path) -> int:
    """When the file was changed last, ns. Blocking."""
    return max((path.stat().st_mtime_ns for path in paths if path.exists()), default=0)


def read_oldest(connection: sqlite3.Connection, size: int) -> tuple[int, int]:
    """The moment (ms) before which about so many bytes of history were said, and the number of messages.

    All has to be counted. Whole days as far as they go, then a part of the next one.
    """
    density = counts.density(counts.read_disk(connection), counts.read_sizes(connection))
    before, number, taken = 0, 0, 0.0
    days = "SELECT day, sum(messages), sum(bytes) FROM message_days GROUP BY day HAVING sum(messages) > 0 ORDER BY day"
    for day, messages, texts in connection.execute(days).fetchall():
        weight = counts.weigh(messages, texts) * density
        begin, end = day * DAY_MS, (day + 1) * DAY_MS
        if taken + weight >= size:
            wanted = max(1, round(messages * (size - taken) / weight))
            low, high = begin, end
            while low < high:
                middle = (low + high) // 2
                if _said(connection, begin, middle) >= wanted:
                    high = middle
                else:
                    low = middle + 1
            return low, number + _said(connection, begin, low)
        before, number, taken = end, number + messages, taken + weight
    return before, number


def _said(connection: sqlite3.Connection, after: int, before: int) -> int:
    """Messages between two moments of one day."""
    buffers = connection.execute(
        "SELECT DISTINCT server_id, channel_id, conversation_id FROM message_days WHERE day = ?", (after // DAY_MS,)
    ).fetchall()
    total = 0
    for server, channel, talk in buffers:
        condition, value = counts.where(Buffer(server, channel or None, talk or None))
        sql = f"SELECT count(*) FROM messages WHERE {condition} AND time >= ? AND time < ?"  # noqa: S608
        total += connection.execute(sql, (value, after, before)).fetchone()[0]
    return int(total)
