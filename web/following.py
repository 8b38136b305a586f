"""Owns what an open page is told while it is open: new lines of its buffer, what waits elsewhere."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp_jinja2

from bouncer import browse, tenant
from web.lines import items
from web.places import number, place_by_key
from web.zone import zone_of

if TYPE_CHECKING:
    from aiohttp import web

    from bouncer.events import Event
    from bouncer.service.talk import Place

WAITING_S = 1.0
"""What waits is counted at most once in this time for each page."""


class Following:
    """One page's share of the events; it is in the tenant only while it reads."""

    def __init__(self, request: web.Request, user_id: int, place: Place | None) -> None:
        self._request = request
        self._user_id = user_id
        self._place = place
        resumed = request.headers.get("Last-Event-ID") or request.query.get("after")
        self._upto = number(resumed)
        self._counts = "unread" in request.query
        self._buffers = place is not None or "buffers" in request.query
        self._known: object = None if self._buffers else number(request.query.get("unread"))
        self._due: float | None = 0.0 if self._counts else None
        self._counted_at = 0.0

    @classmethod
    async def of(cls, request: web.Request, user_id: int) -> Following:
        """For the buffer in `buffer=KEY`, from the message id in `after` (or Last-Event-ID) on; a 404 for none."""
        key = request.query.get("buffer")
        if key is None:
            return cls(request, user_id, None)
        async with tenant.switch(user_id):
            return cls(request, user_id, await place_by_key(request, key))

    def wait_s(self, most: float) -> float:
        """How long to wait for an event at most."""
        if self._due is None:
            return most
        return max(0.0, min(most, self._due - asyncio.get_running_loop().time()))

    def note(self, event: Event) -> bool:
        """Take an event; whether `lines` has to be looked at."""
        if event.kind not in ("message", "overflow", "servers"):
            return False
        if self._counts and self._due is None:
            self._due = max(asyncio.get_running_loop().time(), self._counted_at + WAITING_S)
        place = self._place
        return place is not None and (event.kind == "overflow" or event.server_id == place.server.id)

    async def lines(self) -> list[bytes]:
        """What came to the buffer since the last time, as events."""
        if self._place is None or self._upto is None:
            return []
        async with tenant.switch(self._user_id):
            found = await browse.arrived(self._place.buffer, self._upto)
        if found.more:
            self._upto = found.upto
            return [event("gap", {}, found.upto)]
        self._upto = found.upto
        if not found.messages:
            return []
        shown = items(found.messages, zone_of(self._request), calls=found.calls, fold=False)
        html = aiohttp_jinja2.render_string("chat/_items.html", self._request, {"items": shown})
        return [event("lines", {"html": html}, found.upto)]

    async def waiting(self) -> list[bytes]:
        """What waits to be read, when it is time to tell and it is not what was told last."""
        now = asyncio.get_running_loop().time()
        if self._due is None or now < self._due:
            return []
        self._due, self._counted_at = None, now
        told: dict[str, object] = {}
        async with tenant.switch(self._user_id):
            told["notices"] = notices = await browse.notices()
            if self._buffers:
                counts = {entry.key: [entry.unread, entry.calls] for entry in await browse.overview() if entry.unread}
                told["buffers"] = counts
        known: object = told if self._buffers else notices
        if known == self._known:
            return []
        self._known = known
        return [event("waiting", told)]


def event(kind: str, data: dict[str, object], number: int | None = None) -> bytes:
    """One event on the wire, as https://html.spec.whatwg.org/multipage/server-sent-events.html says."""
    head = "" if number is None else f"id: {number}\n"
    return f"event: {kind}\n{head}data: {json.dumps(data)}\n\n".encode()
