"""Owns the event stream: what changed for this user, by Server-Sent Events; it holds no database session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from web.context import SESSIONS, me, service
from web.following import Following
from web.streams import STREAMS
from web.turns import PAGES

if TYPE_CHECKING:
    from bouncer.events import Event

HEARTBEAT_S = 15.0
"""A stream says something at least this often: proxies keep it open, and whoever vanished is noticed on both sides."""
WRITE_S = 10.0
"""A browser that does not take an event within this time is let go; it comes back by itself."""
BEAT = b"event: beat\ndata: {}\n\n"
TOLD = frozenset({"server", "servers", "roster", "overflow"})


async def stream(request: web.Request) -> web.StreamResponse:
    """What changed, until the browser or session ends.

    `server`, `servers`, `roster` and `overflow` come with the server's id, `lines` of the page's buffer and lines of it
    that are `changed` with their markup, `gap` in place of too many of them, `waiting` with what is unread, `beat` at
    the latest after HEARTBEAT_S: a page that hears nothing for much longer begins a new stream.
    """
    user = me(request)
    async with request.app[PAGES].turn(str(user.id)):
        page = await Following.of(request, user.id)
    hub = service(request).live.hub(user.id)
    with request.app[STREAMS].admit(user.id, request), hub.subscribe(reads=page.reads) as events:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        try:
            await response.prepare(request)
            began = [b"retry: 3000\n: hello\n\n", *await page.lines(), *await page.changed()]
            await _write(response, b"".join(began))
            checked = asyncio.get_running_loop().time()
            while True:
                beat = checked + HEARTBEAT_S - asyncio.get_running_loop().time()
                event = await events.get(page.wait_s(max(0.0, beat)))
                data = await _news(page, event)
                if asyncio.get_running_loop().time() >= checked + HEARTBEAT_S:
                    if not await request.app[SESSIONS].alive(user.session_id):
                        return response
                    checked = asyncio.get_running_loop().time()
                    data += [*await page.lines(unasked=True), BEAT]
                if data:
                    await _write(response, b"".join(data))
        except (ConnectionError, TimeoutError):
            return response


async def _news(page: Following, event: Event | None) -> list[bytes]:
    data = [encode(event)] if event is not None and event.kind in TOLD else []
    if event is not None and page.note(event):
        data += [*await page.lines(), *await page.changed()]
    return data + await page.waiting()


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(data)


def encode(event: Event) -> bytes:
    """One event on the wire, as https://html.spec.whatwg.org/multipage/server-sent-events.html says."""
    return f"event: {event.kind}\ndata: {json.dumps({'server': event.server_id})}\n\n".encode()
