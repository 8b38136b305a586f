"""Owns IRC over WebSocket: the lines of a client in messages, one each; the client itself is the bouncer's.

https://ircv3.net/specs/extensions/websocket
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from bouncer.tasks import Group
from bouncer.transport import CLOSE_S, DRAIN_S
from web.context import CONFIG, service
from web.origin import from_here
from web.sessions import ADDRESS

if TYPE_CHECKING:
    from bouncer.config import Config

TEXT, BINARY = "text.ircv3.net", "binary.ircv3.net"
END = b"\r\n"


class WebSocket:
    """A `bouncer.transport.Transport`; what is written is sent by a task of its own, so that nobody waits."""

    external = False
    certificate: bytes | None = None

    def __init__(self, request: web.Request, config: Config) -> None:
        self.address: str = request[ADDRESS]
        self.tls = config.web.public_url.startswith("https:")
        self._request = request
        self._socket = web.WebSocketResponse(
            protocols=(TEXT, BINARY),
            timeout=CLOSE_S,
            heartbeat=config.timeouts.ping_s,
            compress=False,
            max_msg_size=config.limits.client_line_bytes,
        )
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._more = asyncio.Event()
        self._taken = asyncio.Event()
        self._closing = False
        self._tasks = Group()
        self._sender: asyncio.Task[None] | None = None

    async def open(self) -> web.WebSocketResponse:
        """Shake hands. Raises HTTPBadRequest for a request that is none for a WebSocket."""
        await self._socket.prepare(self._request)
        self._sender = self._tasks.spawn(self._send(), name="websocket")
        return self._socket

    @property
    def waiting(self) -> int:
        """Bytes in our queue and in the socket's."""
        transport = self._request.transport
        return self._queued + (transport.get_write_buffer_size() if transport is not None else 0)

    async def read(self) -> list[bytes]:
        """The line of one message; who sends its end too, or several at once, is understood."""
        msg = await self._socket.receive()
        if msg.type is WSMsgType.TEXT:
            data = msg.data.encode("utf-8", "surrogateescape")
        elif msg.type is WSMsgType.BINARY:
            data = msg.data
        else:
            raise ConnectionResetError
        return [line for piece in data.split(b"\n") if (line := piece.rstrip(b"\r"))]

    def write(self, data: bytes) -> None:
        """Queue whole lines."""
        if not self._closing:
            self._queue.append(data)
            self._queued += len(data)
            self._taken.clear()
            self._more.set()

    async def drain(self) -> None:
        """Wait until the queue is empty."""
        if self._queued:
            async with asyncio.timeout(DRAIN_S):
                await self._taken.wait()

    def close(self) -> None:
        """End it when what is queued is sent."""
        self._closing = True
        self._more.set()

    def abort(self) -> None:
        """End it now."""
        self._closing = True
        if self._request.transport is not None:
            self._request.transport.abort()
        if self._sender is not None:
            self._sender.cancel()

    async def closed(self) -> None:
        """Wait for the end; a peer that does not take the rest, or does not say goodbye, is cut off."""
        self.close()
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=2 * CLOSE_S)
        if self._sender is None or not self._sender.done():
            self.abort()
        await self._tasks.cancel()

    async def _send(self) -> None:
        text = self._socket.ws_protocol != BINARY
        try:
            while True:
                while self._queue:
                    data = self._queue[0]
                    for line in data.split(END):
                        if line:
                            await self._message(line, text=text)
                    self._queued -= len(self._queue.popleft())
                self._taken.set()
                if self._closing:
                    break
                self._more.clear()
                await self._more.wait()
            await self._socket.close()
        except ConnectionError:
            pass  # it has gone; the reader sees that too
        finally:
            self._taken.set()

    async def _message(self, line: bytes, *, text: bool) -> None:
        if text:
            await self._socket.send_str(line.decode("utf-8", "replace"))
        else:
            await self._socket.send_bytes(line)


class Sockets:
    """The open ones, which end with the application."""

    def __init__(self) -> None:
        self.open: set[WebSocket] = set()

    async def close(self, _app: web.Application) -> None:
        """End them all: the panel stops listening."""
        for socket in self.open:
            socket.write(b"ERROR :The panel is closing" + END)
            socket.close()


SOCKETS = web.AppKey("sockets", Sockets)


async def attach(request: web.Request) -> web.StreamResponse:
    """A client of IRC. Browsers say which site sent them: only ours may; other programs say nothing."""
    config = request.app[CONFIG]
    if not from_here(request, config):
        raise web.HTTPForbidden
    socket = WebSocket(request, config)
    response = await socket.open()
    sockets = request.app[SOCKETS].open
    sockets.add(socket)
    try:
        await service(request).live.serve(socket)
    finally:
        sockets.discard(socket)
        await socket.closed()
    return response
