"""Owns what an open page is told while it is open: new lines of its buffer, what waits elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp_jinja2
from aiohttp import web

from bouncer import browse, tasks, tenant
from bouncer.reactions import Marks, read_changed, read_marks
from web.context import service
from web.lines import items
from web.places import number, place_by_key
from web.standing import standing
from web.zone import COOKIE, zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Hashable

    from bouncer.browse import Arrived
    from bouncer.events import Event
    from bouncer.history import StoredMessage
    from bouncer.service.talk import Place

T = TypeVar("T")

MAX_SHARED = 1_000
WAITING_S = 1.0
"""What waits is counted at most once in this time for each page."""
MAX_TAKEN_BACK = 50
HEAD = frozenset({"topic", "kick"})
"""What changes the head of a conversation; joining and leaving do when they are ours."""


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
        self._event: Event | None = None
        self._looked_at = self._upto or 0
        self._taken_back: list[str] = []
        self._since = number(request.query.get("since"))

    @classmethod
    async def of(cls, request: web.Request, user_id: int) -> Following:
        """For the buffer in `buffer=KEY`, from the message id in `after` (or Last-Event-ID) on; a 404 for none."""
        key = request.query.get("buffer")
        if key is None:
            return cls(request, user_id, None)
        async with tenant.switch(user_id):
            return cls(request, user_id, await place_by_key(request, key))

    @property
    def reads(self) -> bool:
        """Whether somebody sits in front of it: pages let go of their stream when they are out of sight."""
        return self._buffers

    def wait_s(self, most: float) -> float:
        """How long to wait for an event at most."""
        if self._due is None:
            return most
        return max(0.0, min(most, self._due - asyncio.get_running_loop().time()))

    def note(self, event: Event) -> bool:
        """Take an event; whether `lines` has to be looked at."""
        if event.kind not in ("message", "overflow", "servers", "server", "redacted"):
            return False
        self._event = event
        if event.kind == "redacted" and len(self._taken_back) < MAX_TAKEN_BACK:
            self._taken_back.append(event.msgid)
        if self._counts and self._due is None:
            self._due = max(asyncio.get_running_loop().time(), self._counted_at + WAITING_S)
        place = self._place
        return place is not None and (event.kind == "overflow" or event.server_id == place.server.id)

    async def lines(self, *, unasked: bool = False) -> list[bytes]:
        """What came to the buffer since the last time, as events; `unasked`: no event told that there is any."""
        if self._place is None or self._upto is None:
            return []
        key = ("lines", self._user_id, self._place.buffer, self._upto, self._request.cookies.get(COOKIE))
        self._upto, told = await self._request.app[SHARED].made(
            key, None if unasked else self._event, partial(self._lines, self._upto)
        )
        return [told] if told else []

    async def _lines(self, after: int) -> tuple[int, bytes]:
        assert self._place is not None  # noqa: S101 - only `lines` calls it
        async with tenant.switch(self._user_id):
            found = await browse.arrived(self._place.buffer, after)
            if found.more:
                return found.upto, event("gap", {}, found.upto)
            if not found.messages:
                return found.upto, b""
            marks = await self._marks(found.messages)
        html = self._markup(found.messages, marks, found.calls)
        return found.upto, event("lines", {"html": html, "frame": _changes_head(found)}, found.upto)

    async def _marks(self, messages: list[StoredMessage]) -> Marks:
        assert self._place is not None  # noqa: S101 - only called with one
        buffer = self._place.buffer
        return await tenant.read(lambda db: read_marks(db, buffer, messages))

    def _markup(self, messages: list[StoredMessage], marks: Marks, calls: Collection[int]) -> str:
        shown = items(messages, zone_of(self._request), calls=calls, marks=marks, fold=False)
        return aiohttp_jinja2.render_string("chat/_items.html", self._request, {"items": shown})

    async def changed(self) -> list[bytes]:
        """Lines that are on the page already and have to look otherwise now: reactions, words taken back."""
        place, after, taken_back, since = self._place, self._looked_at, self._taken_back, self._since
        if place is None or self._upto is None or (after == self._upto and not taken_back and since is None):
            return []
        self._looked_at, self._taken_back, self._since = self._upto, [], None
        async with tenant.switch(self._user_id):
            found = await tenant.read(lambda db: read_changed(db, place.buffer, after, taken_back, since))
            told = []
            for message in found:  # one by one: reactions are looked for behind each
                calls = await tenant.read(partial(browse.read_calls, messages=[message]))
                told.append(self._markup([message], await self._marks([message]), calls))
        return [event("changed", {"html": "".join(told)})] if told else []

    async def waiting(self) -> list[bytes]:
        """What waits to be read, when it is time to tell and it is not what was told last."""
        now = asyncio.get_running_loop().time()
        if self._due is None or now < self._due:
            return []
        self._due, self._counted_at = None, now
        key = ("waiting", self._user_id, self._buffers)
        told = await self._request.app[SHARED].made(key, self._event, self._waiting)
        known: object = told if self._buffers else told["notices"]
        if known == self._known:
            return []
        self._known = known
        return [event("waiting", told)]

    async def _waiting(self) -> dict[str, object]:
        async with tenant.switch(self._user_id):
            told: dict[str, object] = {"notices": await browse.notices()}
            if self._buffers:
                around = await standing(service(self._request).live.server_states(self._user_id))
                told["frame"] = around.mark
                told["buffers"] = {entry.key: [entry.unread, entry.calls] for entry in around.entries if entry.unread}
        return told


class Shared:
    """What the pages of one user are told of the same event is read once for all of them."""

    def __init__(self) -> None:
        self._made: OrderedDict[Hashable, tuple[Event, asyncio.Task[Any]]] = OrderedDict()

    async def made(self, key: Hashable, event: Event | None, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The outcome of `make` for this very event; without one it is made for the asker alone."""
        if event is None:
            return await make()
        known = self._made.pop(key, None)
        if known is None or known[0] is not event:
            known = event, tasks.spawn(make(), name="page")
        self._made[key] = known
        while len(self._made) > MAX_SHARED:
            self._made.popitem(last=False)
        outcome: T = await asyncio.shield(known[1])
        return outcome


SHARED = web.AppKey("shared", Shared)


def _changes_head(found: Arrived) -> bool:
    return any(
        message.message_type in HEAD or (message.own and message.message_type in ("join", "part"))
        for message in found.messages
    )


def event(kind: str, data: dict[str, object], number: int | None = None) -> bytes:
    """One event on the wire, as https://html.spec.whatwg.org/multipage/server-sent-events.html says."""
    head = "" if number is None else f"id: {number}\n"
    return f"event: {kind}\n{head}data: {json.dumps(data)}\n\n".encode()
