"""Owns what is counted for the panel's pictures: messages by hour, what happened to a connection, sizes; reads only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.errors import NotFoundError
from bouncer.models.tenant import Server, ServerEvent

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DAYS = 30
"""How far back messages are counted."""
MAX_USERS = 64
"""Users whose counts are remembered; the one whose were not asked for longest goes first."""
FORGET_MS = HOUR_MS
"""Counts are made anew after this time: messages may have been deleted since."""
LATE = 20_000
"""Messages before the first of a day that are looked at too: a network may play back old ones among the new."""
UP = frozenset({"registered"})
DOWN = frozenset({"disconnected", "failed"})

COUNT = (
    "SELECT server_id, time / 3600000, count(*), max(id) FROM messages WHERE id > ? AND time >= ? GROUP BY server_id, 2"
)


class Span(NamedTuple):
    """A stretch of time of one server, ms UTC; `state` is up, down or unknown."""

    begin: int
    end: int
    state: str


@dataclass(slots=True)
class _Counts:
    """Messages of a user by (server id, hour since the epoch), up to a message's id."""

    made_at: int
    since: int
    last_id: int = 0
    hours: dict[tuple[int, int], int] = field(default_factory=dict)


class Figures:
    """All functions take the user's id and go into that tenant themselves."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[int, bool], _Counts] = OrderedDict()

    async def today(self, user_id: int) -> Mapping[int, int]:
        """Messages since midnight UTC, by server id."""
        begin = now_ms() // DAY_MS * DAY_MS
        counts = await self._counted(user_id, begin, today=True)
        found: dict[int, int] = {}
        for (server_id, hour), number in counts.hours.items():
            if hour * HOUR_MS >= begin:
                found[server_id] = found.get(server_id, 0) + number
        return found

    async def by_day(self, user_id: int, server_id: int | None = None) -> list[tuple[int, int]]:
        """(midnight UTC in ms, messages) of the last 30 days, oldest first; of all servers or of one."""
        today = now_ms() // DAY_MS
        days = await self._grouped(user_id, server_id, 24, today - DAYS + 1)
        return [(day * DAY_MS, days.get(day, 0)) for day in range(today - DAYS + 1, today + 1)]

    async def by_hour(self, user_id: int, server_id: int | None = None) -> list[tuple[int, int]]:
        """(begin of the hour in ms, messages) of the last 24 hours, oldest first."""
        this = now_ms() // HOUR_MS
        hours = await self._grouped(user_id, server_id, 1, this - 23)
        return [(hour * HOUR_MS, hours.get(hour, 0)) for hour in range(this - 23, this + 1)]

    async def of_channel(self, user_id: int, channel_id: int) -> list[tuple[int, int]]:
        """(midnight UTC in ms, messages) of the last 30 days in one channel, oldest first."""
        today = now_ms() // DAY_MS
        first = today - DAYS + 1
        sql = "SELECT time / 86400000, count(*) FROM messages WHERE channel_id = ? AND time >= ? GROUP BY 1"
        async with tenant.switch(user_id):
            rows = await tenant.read(lambda base: base.execute(sql, (channel_id, first * DAY_MS)).fetchall())
        days = dict(rows)
        return [(day * DAY_MS, days.get(day, 0)) for day in range(first, today + 1)]

    async def _grouped(self, user_id: int, server_id: int | None, size: int, first: int) -> dict[int, int]:
        begin = (now_ms() // DAY_MS - DAYS + 1) * DAY_MS
        counts = await self._counted(user_id, begin, today=False)
        found: dict[int, int] = {}
        for (server, hour), number in counts.hours.items():
            if hour // size >= first and server_id in (None, server):
                found[hour // size] = found.get(hour // size, 0) + number
        return found

    async def _counted(self, user_id: int, since: int, *, today: bool) -> _Counts:
        """Only what came since the last time is counted again."""
        known = self._counts.pop((user_id, today), None)
        if known is None or known.since != since or now_ms() - known.made_at > FORGET_MS:
            known = _Counts(now_ms(), since)
        after, last = known, known.last_id
        async with tenant.switch(user_id):
            fresh = await tenant.read(lambda connection: _count(connection, last, since))
        if after.last_id == last:  # two requests at once count the same; only one of them adds it
            for server_id, hour, number, newest in fresh:
                after.hours[server_id, hour] = after.hours.get((server_id, hour), 0) + number
                after.last_id = max(after.last_id, newest)
        self._counts[user_id, today] = after
        while len(self._counts) > MAX_USERS:
            self._counts.popitem(last=False)
        return after

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


def _count(connection: sqlite3.Connection, last: int, since: int) -> list[tuple[int, int, int, int]]:
    first = max(last, _first(connection, since) - LATE)
    return connection.execute(COUNT, (first, since)).fetchall()


def _first(connection: sqlite3.Connection, since: int) -> int:
    """About the first id of that time: ids follow time but for what came late, which is little."""
    low, high = connection.execute("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM messages").fetchone()
    while low < high:
        middle = (low + high) // 2
        row = connection.execute("SELECT time FROM messages WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()
        if row is not None and row[0] < since:
            low = middle + 1
        else:
            high = middle
    return int(low)
