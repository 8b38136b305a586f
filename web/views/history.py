"""History: which days of a buffer have how much, and how much there is in all."""

from __future__ import annotations

from calendar import monthcalendar
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from bouncer import browse
from bouncer.clock import now_ms
from web.context import me, render, service
from web.places import base_of, place_of, title_of
from web.zone import begin, local, zone_of

if TYPE_CHECKING:
    from datetime import tzinfo

    from bouncer.history import Buffer

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
STEPS = 4


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
    """How much each server and each buffer holds."""
    found = await service(request).histories.sizes(me(request).id)
    total = sum(size.messages for size in found.buffers) or 1
    servers: dict[str, int] = {}
    for size in found.buffers:
        servers[size.server] = servers.get(size.server, 0) + size.messages
    context = {
        "sizes": found.buffers[:200],
        "left_out": max(0, len(found.buffers) - 200),
        "servers": sorted(servers.items(), key=lambda item: -item[1]),
        "total": sum(servers.values()),
        "file_bytes": found.file_bytes,
        "each": found.file_bytes / total,
        "in_words": in_words,
    }
    return render(request, "history/sizes.html", context)


def in_words(count: float) -> str:
    """Bytes: `12 kB`, `3.4 MB`."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} bytes"
