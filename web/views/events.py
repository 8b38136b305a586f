"""Owns the event stream: what changed for this user, by Server-Sent Events; it holds no database session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from web.context import SESSIONS, me, service
from web.following import Following
from web.streams import STREAMS

if TYPE_CHECKING:
    from bouncer.events import Event

HEARTBEAT_S = 15.0
"""A stream that says nothing for this long sends a comment: proxies keep it open, and vanished browsers are noticed."""
WRITE_S = 10.0
"""A browser that does not take an event within this time is let go; it comes back by itself."""
TOLD = frozenset({"server", "servers", "roster", "overflow"})


async def stream(request: web.Request) -> web.StreamResponse:
    """What changed, until the browser or session ends.

    `server`, `servers`, `roster` and `overflow` come with the server's id, `lines` of the page's buffer with their
    markup, `gap` in place of too many of them, `waiting` with what is unread.
    """
    user = me(request)
    page = await Following.of(request, user.id)
    with request.app[STREAMS].admit(user.id, request), service(request).live.hub(user.id).subscribe() as events:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        try:
            await response.prepare(request)
            await _write(response, b"".join([b"retry: 3000\n: hello\n\n", *await page.lines()]))
            checked = asyncio.get_running_loop().time()
            while True:
                beat = checked + HEARTBEAT_S - asyncio.get_running_loop().time()
                event = await events.get(page.wait_s(max(0.0, beat)))
                data = await _news(page, event)
                if asyncio.get_running_loop().time() >= checked + HEARTBEAT_S:
                    if not await request.app[SESSIONS].alive(user.session_id):
                        return response
                    checked = asyncio.get_running_loop().time()
                    data += [*await page.lines(unasked=True), b": still here\n\n"]
                if data:
                    await _write(response, b"".join(data))
        except (ConnectionError, TimeoutError):
            return response


async def _news(page: Following, event: Event | None) -> list[bytes]:
    data = [encode(event)] if event is not None and event.kind in TOLD else []
    if event is not None and page.note(event):
        data += await page.lines()
    return data + await page.waiting()


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(data)


def encode(event: Event) -> bytes:
    """One event on the wire, as https://html.spec.whatwg.org/multipage/server-sent-events.html says."""
    return f"event: {event.kind}\ndata: {json.dumps({'server': event.server_id})}\n\n".encode()
