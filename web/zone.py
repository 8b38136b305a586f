"""Owns the reader's time zone, which their browser told in a cookie; without one days are those of UTC."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from aiohttp import web

COOKIE = "zone"
_NAME = re.compile(r"[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,2}")


def zone_of(request: web.Request) -> tzinfo:
    """The zone the browser names, UTC for one that is not known here."""
    return _zone(request.cookies.get(COOKIE, "")[:100].replace("%2F", "/"))


@lru_cache(maxsize=512)
def _zone(name: str) -> tzinfo:
    if not _NAME.fullmatch(name):
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return UTC


def local(ms: int, zone: tzinfo) -> datetime:
    """A moment as the reader's clock shows it."""
    return datetime.fromtimestamp(ms // 1000, zone)


def begin(day: date, zone: tzinfo, later: int = 0) -> int:
    """The moment (ms) at which a day of the reader's begins, or one some days later."""
    then = day + timedelta(days=later)
    return int(datetime(then.year, then.month, then.day, tzinfo=zone).timestamp() * 1000)
