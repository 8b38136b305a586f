"""Search: words, a nick, a buffer and days narrow down all that was ever said; each finding leads to its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from bouncer import browse
from bouncer.browse import Wanted
from bouncer.history import MAX_ID, Buffer
from web.context import render
from web.lines import Line, line
from web.places import number, place_by_key
from web.zone import begin, local, zone_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from aiohttp import web

    from bouncer.browse import Entry, Found
    from bouncer.history import StoredMessage

PAGE = 50
MAX_TEXT = 500
FIELDS = ("q", "nick", "in", "from", "to")


@dataclass(frozen=True, slots=True)
class Finding:
    """A message with where it was said."""

    line: Line
    place: str
    server: str
    href: str
    day: str


async def show(request: web.Request) -> web.Response:
    """The form, and what was found."""
    zone, values = zone_of(request), {name: request.query.get(name, "").strip() for name in FIELDS}
    errors: dict[str, str] = {}
    buffers = await browse.overview()
    wanted = await _wanted(request, values, errors, zone)
    found = None
    if wanted and not errors:
        found = await browse.search(wanted, PAGE, number(request.query.get("below")))
    names = {entry.buffer: entry for entry in buffers}
    context = {
        "values": values,
        "errors": errors,
        "buffers": buffers,
        "servers": list(dict.fromkeys((entry.buffer.server_id, entry.server) for entry in buffers)),
        "found": [_finding(message, names, zone) for message in found.messages] if found is not None else None,
        "reached": _reached(found, zone),
        "more": _more(values, found),
    }
    return render(request, "search/show.html", context, status=422 if errors else 200)


async def _wanted(request: web.Request, values: Mapping[str, str], errors: dict[str, str], zone: tzinfo) -> Wanted:
    if len(values["q"]) > MAX_TEXT:
        errors["q"] = f"at most {MAX_TEXT} characters"
    if len(values["nick"]) > MAX_TEXT:
        errors["nick"] = f"at most {MAX_TEXT} characters"
    buffer: Buffer | None = None
    server_id = None
    if values["in"]:
        place = await place_by_key(request, values["in"])
        if values["in"][0] == "s":
            server_id = place.server.id
        else:
            buffer = place.buffer
    return Wanted(
        text=values["q"],
        nick=values["nick"],
        server_id=server_id,
        buffer=buffer,
        after_ms=_edge(values, "from", errors, zone, 0),
        before_ms=_edge(values, "to", errors, zone, 1),
    )


def _edge(values: Mapping[str, str], name: str, errors: dict[str, str], zone: tzinfo, later: int) -> int | None:
    if not values[name]:
        return None
    try:
        return begin(date.fromisoformat(values[name]), zone, later)
    except (ValueError, OverflowError):
        errors[name] = "a day, such as 2026-11-23"
        return None


def _finding(message: StoredMessage, names: Mapping[Buffer, Entry], zone: tzinfo) -> Finding:
    buffer = Buffer(message.server_id, message.channel_id, message.conversation_id)
    entry = names.get(buffer)
    return Finding(
        line=line(message),
        place=entry.name if entry is not None else message.target or "Server messages",
        server=entry.server if entry is not None else "",
        href=href(message),
        day=local(message.time, zone).strftime("%-d %b %Y"),
    )


def href(message: StoredMessage) -> str:
    """The address of a message among its neighbours."""
    base = browse.path_of(Buffer(message.server_id, message.channel_id, message.conversation_id))
    return f"{base}/messages?around={message.time}-{message.id}#m{message.id}"


def _reached(found: Found | None, zone: tzinfo) -> str:
    """How far a search came that took too long to look at all."""
    if found is None or found.below is None or len(found.messages) >= PAGE or not found.messages:
        return ""
    return local(found.messages[-1].time, zone).strftime("%-d %B %Y")


def _more(values: Mapping[str, str], found: Found | None) -> str:
    if found is None or found.below is None or found.below >= MAX_ID:
        return ""
    return "/search?" + urlencode({**{name: value for name, value in values.items() if value}, "below": found.below})
