"""Owns the event stream: what changed for this user, by Server-Sent Events; it holds no database session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from web.context import SESSIONS, me, service
from web.streams import STREAMS

if TYPE_CHECKING:
    from bouncer.events import Event

HEARTBEAT_S = 15.0
"""A stream that says nothing for this long sends a comment: proxies keep it open, and vanished browsers are noticed."""
WRITE_S = 10.0
"""A browser that does not take an event within this time is let go; it comes back by itself."""
TOLD = frozenset({"server", "servers", "roster", "overflow"})


async def stream(request: web.Request) -> web.StreamResponse:
    """`server`, `servers`, `roster` and `overflow` events with the server's id, until the browser or session ends."""
    user = me(request)
    with request.app[STREAMS].admit(user.id, request), service(request).live.hub(user.id).subscribe() as events:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        try:
            await response.prepare(request)
            await _write(response, b"retry: 3000\n: hello\n\n")
            while True:
                event = await events.get(HEARTBEAT_S)
                if event is None:
                    if not await request.app[SESSIONS].alive(user.session_id):
                        return response
                    await _write(response, b": still here\n\n")
                elif event.kind in TOLD:
                    await _write(response, encode(event))
        except (ConnectionError, TimeoutError):
            return response


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(data)


def encode(event: Event) -> bytes:
    """One event on the wire, as https://html.spec.whatwg.org/multipage/server-sent-events.html says."""
    return f"event: {event.kind}\ndata: {json.dumps({'server': event.server_id})}\n\n".encode()
