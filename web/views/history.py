"""History: which days of a buffer have how much, how much there is in all, and what is being deleted."""

from __future__ import annotations

from calendar import monthcalendar
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from bouncer import browse, counts
from bouncer.clock import now_ms
from bouncer.service import show_history
from bouncer.service.retention import Scope
from web.auth import take_flash
from web.context import me, render, service
from web.places import base_of, place_of, title_of
from web.zone import begin, local, zone_of

if TYPE_CHECKING:
    from datetime import tzinfo

    from bouncer.counts import Size
    from bouncer.history import Buffer

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
STEPS = 4
SHOWN = 200
"""Buffers on the page of sizes."""
JOBS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of the calendar: how many lines, and how full that is, from 0 to STEPS."""

    day: date
    lines: int
    level: int


async def days(request: web.Request) -> web.Response:
    """A month of a buffer, each day with its number of lines."""
    place, zone = await place_of(request), zone_of(request)
    ends = await browse.ends(place.buffer)
    month = _month(request.query.get("month", ""), ends, zone)
    cells = await _cells(place.buffer, month, zone)
    first, last = (local(moment, zone).date() for moment in ends) if ends else (month, month)
    before, after = month - timedelta(days=1), month + timedelta(days=31)
    context = {
        "place": place,
        "title": title_of(place),
        "base": base_of(place),
        "month": f"{MONTHS[month.month - 1]} {month.year}",
        "weeks": [[cells.get(number) for number in week] for week in monthcalendar(month.year, month.month)],
        "total": sum(cell.lines for cell in cells.values()),
        "older": f"{before:%Y-%m}" if ends and before >= first else "",
        "newer": f"{after:%Y-%m}" if ends and after.replace(day=1) <= last else "",
        "first": first,
        "last": last,
        "empty": ends is None,
    }
    return render(request, "history/days.html", context)


def _month(text: str, ends: tuple[int, int] | None, zone: tzinfo) -> date:
    """The first of the month that is asked for, else of the last that has anything."""
    if not text:
        return local(ends[1] if ends else now_ms(), zone).date().replace(day=1)
    try:
        found = date.fromisoformat(f"{text[:7]}-01")
    except ValueError as error:
        raise web.HTTPBadRequest from error
    if not 1980 <= found.year <= 2200:
        raise web.HTTPBadRequest
    return found


async def _cells(buffer: Buffer, month: date, zone: tzinfo) -> dict[int, Cell]:
    following = (month + timedelta(days=31)).replace(day=1)
    length = (following - month).days
    counts = await browse.days(buffer, [begin(month, zone, number) for number in range(length + 1)])
    most = max(*counts, 1)
    return {
        number + 1: Cell(month + timedelta(days=number), count, -(-count * STEPS // most))
        for number, count in enumerate(counts)
    }


async def sizes(request: web.Request) -> web.Response:
    """How much each server and each buffer holds, how long it is kept, and what is being deleted."""
    call, user = service(request), me(request)
    found, rules = await call.histories.sizes(user.id), await call.retention.rules(user.id)
    servers: dict[str, list[Size]] = {}
    for size in found.buffers:
        servers.setdefault(size.server, []).append(size)
    held = [(name, sum(one.messages for one in each), found.takes(*each)) for name, each in servers.items()]
    days = {rule.scope.key: rule.days for rule in rules.special}
    context = {
        "found": found,
        "sizes": [
            (size, found.takes(size), Scope(*size.buffer), days.get(Scope(*size.buffer).key))
            for size in found.buffers[:SHOWN]
        ],
        "left_out": max(0, len(found.buffers) - SHOWN),
        "servers": sorted(held, key=lambda item: -item[2]),
        "networks": [(view.row, days.get(Scope(view.row.id).key)) for view in await call.servers.list(user.id)],
        "counting": found.behind > counts.MOST_AT_ONCE,
        "rules": rules,
        "kept": show_history.kept,
        "flash": await take_flash(request),
        **await work(request),
    }
    return render(request, "history/sizes.html", context)


async def work(request: web.Request) -> dict[str, object]:
    """What the part of a page with the work on the history shows."""
    call, user = service(request), me(request)
    jobs = await call.upkeep.jobs(user.id)
    names = await call.retention.names(user.id, [job.scope for job in jobs])
    shown = [
        (job, show_history.KINDS[job.kind] or name, "; ".join(show_history.ended(job)))
        for job, name in zip(jobs, names, strict=True)
    ]
    return {"jobs": shown[:JOBS], "going": any(job.running for job in jobs), "phases": show_history.PHASES}


async def state(request: web.Request) -> web.Response:
    """How far the work is, as a fragment."""
    return render(request, "history/_work.html", await work(request))
