"""Owns what is counted for the panel's pictures: messages by hour, what happened to a connection, sizes; reads only."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from bouncer import tasks, tenant
from bouncer.clock import now_ms
from bouncer.errors import BouncerError, NotFoundError
from bouncer.models.tenant import Server, ServerEvent

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DAYS = 30
"""How far back messages are counted."""
MAX_USERS = 64
"""Users whose counts are remembered; the one whose were not asked for longest goes first."""
FORGET_MS = HOUR_MS
"""Counts are made anew after this time: messages may have been deleted since."""
CHUNK = 20_000
"""Ids looked at in one go: other readers have a turn between."""
LATE = 20_000
"""Messages before the first of a day that are looked at too: a network may play back old ones among the new."""
PATIENCE_S = 0.04
"""How long the first page waits for counts that are being made; it, and others meanwhile, are shown without them."""
UP = frozenset({"registered"})
DOWN = frozenset({"disconnected", "failed"})

COUNT = (
    "SELECT server_id, coalesce(channel_id, 0), time / 3600000, count(*) FROM messages "
    "WHERE id > ? AND id <= ? AND time >= ? GROUP BY 1, 2, 3"
)


class Span(NamedTuple):
    """A stretch of time of one server, ms UTC; `state` is up, down or unknown."""

    begin: int
    end: int
    state: str


@dataclass(slots=True)
class _Counts:
    """Messages of a user since a time, up to a message's id: by (server, channel or 0, day) and (server, hour)."""

    made_at: int
    since: int
    last_id: int | None = None
    days: dict[tuple[int, int, int], int] = field(default_factory=dict)
    hours: dict[tuple[int, int], int] = field(default_factory=dict)
    whole: bool = False
    task: asyncio.Task[None] | None = None
    began: float = 0.0
    before: _Counts | None = None

    def add(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        """More of (server, channel or 0, hour, messages)."""
        for server, channel, hour, number in rows:
            day = (server, channel, hour // 24)
            self.days[day] = self.days.get(day, 0) + number
            self.hours[server, hour] = self.hours.get((server, hour), 0) + number


class Figures:
    """All functions take the user's id and go into that tenant themselves.

    Counting much takes seconds, so it goes on beside: what is not known within `patience_s` is None for now.
    """

    def __init__(self) -> None:
        self.patience_s = PATIENCE_S
        self._counts: OrderedDict[tuple[int, bool], _Counts] = OrderedDict()
        self._tasks = tasks.Group()

    async def today(self, user_id: int) -> Mapping[int, int] | None:
        """Messages since midnight UTC, by server id."""
        counts = await self._counted(user_id, today=True)
        if counts is None:
            return None
        found: dict[int, int] = {}
        for (server_id, _, day), number in counts.days.items():
            if day == now_ms() // DAY_MS:
                found[server_id] = found.get(server_id, 0) + number
        return found

    async def by_day(
        self, user_id: int, server_id: int | None = None, channel_id: int | None = None
    ) -> list[tuple[int, int]] | None:
        """(midnight UTC in ms, messages) of the last 30 days, oldest first; of all, one server or one channel."""
        counts = await self._counted(user_id, today=False)
        if counts is None:
            return None
        days: dict[int, int] = {}
        for (server, channel, day), number in counts.days.items():
            if server_id in (None, server) and channel_id in (None, channel):
                days[day] = days.get(day, 0) + number
        today = now_ms() // DAY_MS
        return [(day * DAY_MS, days.get(day, 0)) for day in range(today - DAYS + 1, today + 1)]

    async def by_hour(self, user_id: int, server_id: int | None = None) -> list[tuple[int, int]] | None:
        """(begin of the hour in ms, messages) of the last 24 hours, oldest first."""
        counts = await self._counted(user_id, today=False)
        if counts is None:
            return None
        hours: dict[int, int] = {}
        for (server, hour), number in counts.hours.items():
            if server_id in (None, server):
                hours[hour] = hours.get(hour, 0) + number
        this = now_ms() // HOUR_MS
        return [(hour * HOUR_MS, hours.get(hour, 0)) for hour in range(this - 23, this + 1)]

    async def _counted(self, user_id: int, *, today: bool) -> _Counts | None:
        """The counts with what came up to now, or those of a moment ago, or None when there are none yet."""
        since = (now_ms() // DAY_MS - (0 if today else DAYS - 1)) * DAY_MS
        counts = self._counts.pop((user_id, today), None)
        if counts is None or counts.since != since or (counts.whole and now_ms() - counts.made_at > FORGET_MS):
            counts = _Counts(now_ms(), since, before=counts if counts is not None and counts.since == since else None)
        self._counts[user_id, today] = counts
        while len(self._counts) > MAX_USERS:
            self._counts.popitem(last=False)
        now = asyncio.get_running_loop().time()
        if counts.task is None or counts.task.done():
            counts.task = self._tasks.spawn(self._count(user_id, counts), name=f"figures-{user_id}")
            counts.began = now
        await asyncio.wait({counts.task}, timeout=max(0.0, counts.began + self.patience_s - now))
        return counts if counts.whole else counts.before

    async def _count(self, user_id: int, counts: _Counts) -> None:
        """Count what is there after the last time, a chunk at a time; the tenant is let go between."""
        try:
            if counts.last_id is None:
                async with tenant.switch(user_id):
                    counts.last_id = await tenant.read(lambda base: max(0, _first(base, counts.since) - LATE))
            while True:
                last = counts.last_id
                async with tenant.switch(user_id):
                    newest, rows = await tenant.read(partial(_chunk, last=last, since=counts.since))
                counts.add(rows)
                counts.last_id = max(last, min(last + CHUNK, newest))
                if counts.last_id >= newest:
                    break
        except BouncerError as error:  # deleted, or its file cannot be read: there is nothing to count
            log.info("messages were not counted: %s", error)
            return
        counts.whole, counts.before = True, None

    async def close(self) -> None:
        """Stop counting."""
        await self._tasks.cancel()

    def forget(self, user_id: int) -> None:
        """Count this user's messages anew: some were deleted."""
        for today in (True, False):
            self._counts.pop((user_id, today), None)

    async def events(
        self, user_id: int, server_id: int, *, before: int | None = None, limit: int = 100
    ) -> Sequence[ServerEvent]:
        """The newest entries of a server's lifecycle log, those older than the entry `before`; newest first."""
        query = select(ServerEvent).where(ServerEvent.server_id == server_id)
        if before is not None:
            query = query.where(ServerEvent.id < before)
        async with tenant.switch(user_id), tenant.session() as session:
            if await session.get(Server, server_id) is None:
                raise NotFoundError("there is no such server")
            return list(await session.scalars(query.order_by(ServerEvent.id.desc()).limit(limit)))

    async def trouble(self, user_id: int) -> Mapping[int, ServerEvent]:
        """The newest end of a connection, or refusal, by server id."""
        sql = (
            "SELECT max(id) FROM server_events WHERE kind IN ('disconnected', 'failed') AND detail <> 'quit' "
            "GROUP BY server_id"
        )
        async with tenant.switch(user_id):
            ids = [row[0] for row in await tenant.read(lambda connection: connection.execute(sql).fetchall())]
            async with tenant.session() as session:
                rows = await session.scalars(select(ServerEvent).where(ServerEvent.id.in_(ids)))
                return {row.server_id: row for row in rows}

    async def spans(self, user_id: int, server_id: int, since: int, until: int) -> list[Span]:
        """Whether the server was connected, from `since` to `until`, in stretches without gaps."""
        kinds = (*UP, *DOWN)
        query = select(ServerEvent.time, ServerEvent.kind).where(
            ServerEvent.server_id == server_id, ServerEvent.kind.in_(kinds)
        )
        async with tenant.switch(user_id), tenant.session() as session:
            rows = (await session.execute(query.order_by(ServerEvent.id))).all()
        return stretches([(time, kind) for time, kind in rows], since, until)


def stretches(events: Sequence[tuple[int, str]], since: int, until: int) -> list[Span]:
    """Stretches of one state each from (time, kind) in order; before the first event nothing is known."""
    spans: list[Span] = []
    state, begin = "unknown", since
    for time, kind in events:
        following = "up" if kind in UP else "down"
        if time <= since:
            state = following
        elif following != state and time < until:
            if time > begin:
                spans.append(Span(begin, time, state))
            state, begin = following, time
    spans.append(Span(begin, until, state))
    return spans


def latest(spans: Sequence[Span], since: int) -> list[Span]:
    """What of them lies after `since`."""
    return [span._replace(begin=max(span.begin, since)) for span in spans if span.end > since]


def _chunk(connection: sqlite3.Connection, last: int, since: int) -> tuple[int, list[tuple[int, int, int, int]]]:
    newest = connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]
    return newest, connection.execute(COUNT, (last, last + CHUNK, since)).fetchall()


def _first(connection: sqlite3.Connection, since: int) -> int:
    """About the first id of that time: ids follow time but for what came late, which is little."""
    low = connection.execute("SELECT coalesce(min(id), 0) FROM messages").fetchone()[0]
    high = connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]
    while low < high:
        middle = (low + high) // 2
        row = connection.execute("SELECT time FROM messages WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()
        if row is not None and row[0] < since:
            low = middle + 1
        else:
            high = middle
    return int(low)
