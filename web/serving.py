"""Owns HTTP listeners: connections are counted where they are accepted, and none waits, or is waited for, without end.

At a bound a connection that waits for a request gives way to the new one, the one that has waited longest first; only
where all are at work the new one is refused. So holding connections open keeps nobody out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bouncer.errors import ConfigError
from bouncer.gate import Gate, Ticket, neighbours
from bouncer.listeners import Acceptor
from bouncer.tasks import Group
from web.visitors import is_proxy

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from aiohttp.typedefs import Handler

    from bouncer.config import Network
    from bouncer.endpoints import Endpoint

SHUTDOWN_S = 3.0
"""Requests that are being answered get this long when a listener closes."""
STALL_S = 30.0
"""Who takes nothing of an answer for so long is cut off."""
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Connections from one address (but for `proxies`, whose people are counted by request) and in all.

    `idle_s`: how long a connection may have no whole head of a request, and how long it may rest between two.
    """

    each: int
    total: int
    idle_s: float
    proxies: tuple[Network, ...] = ()


class _NoFaultOfOurs(logging.Filter):
    """Lets nothing through that aiohttp says of requests that it cannot read, or that do not come to their end.

    Strangers would fill the log with it, and it quotes headers, cookies too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is logged."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | ConnectionResetError)


_log = logging.getLogger("web.requests")
_log.addFilter(_NoFaultOfOurs())


class _Connection(asyncio.Protocol):
    """Stands before aiohttp's own protocol, and watches what that does not."""

    def __init__(self, inner: asyncio.Protocol, house: Connections, address: str, ticket: Ticket) -> None:
        self.address = address
        self.at_work = 0
        self.since = asyncio.get_running_loop().time()
        """Since when no request is at work."""
        self._inner = inner
        self._house = house
        self._ticket = ticket
        self._stalled: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    @property
    def resting(self) -> bool:
        """Whether it waits for a request, and all of the last answer has been taken."""
        return not self.at_work and not self.transport.get_write_buffer_size()

    def end(self) -> None:
        """Cut it off."""
        self._ticket.leave()
        self._house.open.pop(self.transport, None)
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._house.open[transport] = self
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._stalled = asyncio.get_running_loop().call_later(STALL_S, self.end)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._taken()
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._taken()
        self._ticket.leave()
        self._house.open.pop(self.transport, None)
        self._inner.connection_lost(exc)

    def _taken(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class Connections:
    """The connections of one listener, and what was done with them since it began."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.open: dict[asyncio.BaseTransport, _Connection] = {}
        self.answers: Counter[str] = Counter()
        """By class of status: 2xx, 3xx, …"""
        self.refused = 0
        self.displaced = 0
        self._gate = Gate()
        self._requests = Gate()

    @contextlib.contextmanager
    def request(self, address: str) -> Iterator[bool]:
        """One request of somebody at that address; whether there is room for it."""
        ticket = self._requests.enter(address, each=self.bounds.each, total=self.bounds.total)
        try:
            yield ticket is not None
        finally:
            if ticket is not None:
                ticket.leave()

    def enter(self, address: str) -> Ticket | None:
        """Let a connection in, perhaps in the place of one that rests."""
        known = None if self.proxied(address) else address
        ticket = self._enter(known)
        if ticket is None and self._make_room(known):
            self.displaced += 1
            ticket = self._enter(known)
        self.refused += ticket is None
        return ticket

    def proxied(self, address: str) -> bool:
        """Whether many people can be behind that address: a proxy's, or a unix socket."""
        return is_proxy(address, self.bounds.proxies)

    def _enter(self, address: str | None) -> Ticket | None:
        return self._gate.enter(address, each=self.bounds.each, total=self.bounds.total)

    def _make_room(self, address: str | None) -> bool:
        """End a connection that rests: of this address if that has too many, else of the one that has most."""
        resting = [one for one in self.open.values() if one.resting]
        if address is not None and self._gate.here(address) >= self.bounds.each:
            resting = [one for one in resting if neighbours(one.address) == neighbours(address)]
        if not resting:
            return False
        min(resting, key=lambda one: (-self._gate.here(one.address), one.since)).end()
        return True


CONNECTIONS = web.AppKey("connections", Connections)


@web.middleware
async def at_work(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost: a connection with a request at work is not one that rests; answers are counted."""
    house = request.app[CONNECTIONS]
    connection = house.open.get(request.transport) if request.transport is not None else None
    if connection is not None:
        connection.at_work += 1
    status = 500
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        raise
    else:
        return response
    finally:
        house.answers[f"{status // 100}xx"] += 1
        if connection is not None:
            connection.at_work -= 1
            connection.since = asyncio.get_running_loop().time()


class HttpListener:
    """An application that listens; `address` is its URL, or the path of its socket. `close` ends it, once."""

    def __init__(self, runner: web.AppRunner, connections: Connections) -> None:
        self.address = ""
        self.connections = connections
        self._runner = runner
        self._acceptor: Acceptor | None = None
        self._tasks = Group()

    @classmethod
    async def open(cls, key: str, endpoint: Endpoint, app: web.Application, bounds: Bounds) -> HttpListener:
        """Listen at `endpoint`, which the configuration calls `key`; raises ConfigError naming an address in use."""
        connections = app[CONNECTIONS] = Connections(bounds)
        idle_s, stop_s = bounds.idle_s, SHUTDOWN_S
        runner = web.AppRunner(app, access_log=None, logger=_log, keepalive_timeout=idle_s, shutdown_timeout=stop_s)
        await runner.setup()
        made = cls(runner, connections)
        try:
            made._acceptor = await Acceptor.open(key, endpoint, made._came)
        except ConfigError:
            await runner.cleanup()
            raise
        made.address = str(endpoint.path) if endpoint.path is not None else made._acceptor.uri
        return made

    @property
    def alive(self) -> bool:
        """Whether it still takes connections."""
        return self._acceptor is not None and self._acceptor.alive

    async def close(self) -> None:
        """Stop listening, end streams, let other requests finish for a moment. May be called again."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            await acceptor.close()
            await self._tasks.cancel()
            await self._runner.cleanup()

    def _came(self, connection: socket.socket, peer: str) -> None:
        ticket = self.connections.enter(peer)
        if ticket is None:
            with contextlib.suppress(OSError):
                connection.send(FULL)
            connection.close()
            return
        self._tasks.spawn(self._carry(connection, peer, ticket), name="http-connection")

    async def _carry(self, connection: socket.socket, peer: str, ticket: Ticket) -> None:
        server = self._runner.server
        try:
            assert server is not None  # noqa: S101 - it is there from setup to cleanup
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Connection(server(), self.connections, peer, ticket), connection
            )
        except OSError:  # it has gone already
            ticket.leave()
            connection.close()
        except BaseException:
            ticket.leave()
            connection.close()
            raise
