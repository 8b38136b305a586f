"""Owns what listens for IRC clients: sockets, who may come in, PROXY header, TLS handshake; not what they say."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections import Counter
from typing import TYPE_CHECKING

from bouncer import proxy, tasks
from bouncer.errors import ConfigError, ProtocolError
from bouncer.gate import Gate, Ticket, plain
from bouncer.tls import ServerTls
from bouncer.transport import Stream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bouncer.config import Config
    from bouncer.endpoints import Endpoint

log = logging.getLogger(__name__)

BACKLOG = 512
HANDSHAKE_S = 10.0
"""What the PROXY header and the TLS handshake may take together."""
AT_ONCE = 8
"""Connections that are taken before others of the loop have a turn."""
PAUSE_S = 1.0
"""After the system would not give us another socket."""
FULL = b"ERROR :Too many connections are registering; try again later\r\n"
FULL_TLS = bytes((21, 3, 3, 0, 2, 2, 49))
"""An alert in the clear, as TLS has it for before the handshake: fatal, access denied (RFC 8446, section 6)."""
HELLO_BYTES = 16_384
_OURS_TO_BLAME = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Acceptor:
    """Listening sockets of one endpoint; `came(socket, peer address)` is called for each connection, "" for unix.

    `open` makes one, which raises ConfigError naming an address in use. `close` ends the listening only.
    """

    def __init__(self, sockets: list[socket.socket], uri: str, came: Callable[[socket.socket, str], None]) -> None:
        self.uri = uri
        self._came = came
        self._sockets = sockets
        self._tasks = [tasks.spawn(self._accept(one), name=f"accept {uri}") for one in sockets]

    @classmethod
    async def open(cls, key: str, endpoint: Endpoint, came: Callable[[socket.socket, str], None]) -> Acceptor:
        """Listen; `key` is the configuration's, for the error."""
        try:
            if endpoint.path is not None:
                sockets = [await asyncio.to_thread(_unix, endpoint.path)]
            else:
                sockets = await _tcp(endpoint)
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            why = "is in use" if used else f"cannot be listened on: {error.strerror or error}"
            raise ConfigError(f"{key}: {endpoint.uri} {why}") from error
        if endpoint.path is not None:
            return cls(sockets, endpoint.uri, came)
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        return cls(sockets, f"{endpoint.scheme}://{host}:{sockets[0].getsockname()[1]}", came)

    @property
    def alive(self) -> bool:
        """Whether it still takes connections."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            await _readable(listening)
            try:
                # At once, and not by the loop's sock_accept: what that has taken is lost when we are cancelled then.
                for _ in range(AT_ONCE):
                    self._take(*listening.accept())
            except BlockingIOError:
                continue
            except OSError as error:  # the connection's own fault, or there are no descriptors left
                if error.errno in _OURS_TO_BLAME:
                    log.error("%s: no connection can be taken: %s", self.uri, error.strerror)
                    await asyncio.sleep(PAUSE_S)

    def _take(self, connection: socket.socket, peer: object) -> None:
        connection.setblocking(False)
        try:
            self._came(connection, plain(str(peer[0])) if isinstance(peer, tuple) else "")
        except Exception:  # one connection must not end the listening
            log.exception("%s: a connection could not be taken", self.uri)
            connection.close()

    async def close(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PAUSE_S)
        self._tasks = []
        for one in self._sockets:
            one.close()


class Listeners:
    """All listeners for clients. `serve(stream, ticket)` is awaited in a task of its own for each who came through."""

    def __init__(self, config: Config, serve: Callable[[Stream, Ticket], Awaitable[None]]) -> None:
        self.gate = Gate()
        """Connections that have not signed in yet."""
        self.refused: Counter[str] = Counter()
        """Connections that were not let in: full, proxy, handshake."""
        self._config = config
        self._serve = serve
        self._open: dict[object, Acceptor] = {}
        self._endpoints: dict[object, Endpoint] = {}
        self._tls: ServerTls | None = None
        self._tasks = tasks.Group()

    @property
    def uris(self) -> list[str]:
        """Where is listened, with real ports."""
        return [acceptor.uri for acceptor in self._open.values()]

    @property
    def dead(self) -> list[str]:
        """Those that should listen and do not."""
        return [acceptor.uri for acceptor in self._open.values() if not acceptor.alive]

    async def follow(self, config: Config) -> None:
        """Listen where the configuration says, with its certificates; who is connected stays. Raises ConfigError."""
        cert, key = config.tls.cert, config.tls.key
        if cert is not None and key is not None:
            if self._tls is None:
                self._tls = await asyncio.to_thread(ServerTls, cert, key)
            else:
                await asyncio.to_thread(self._tls.reload, cert, key)
        wanted = {_place(endpoint, number): endpoint for number, endpoint in enumerate(config.listen)}
        opened: dict[object, Acceptor] = {}
        try:
            for place, endpoint in wanted.items():
                if place not in self._open:
                    opened[place] = await self._listen(place, endpoint)
        except ConfigError:
            for acceptor in opened.values():
                await acceptor.close()
            raise
        for acceptor in opened.values():
            log.info("IRC listens on %s", acceptor.uri)
        self._open |= opened
        self._endpoints = wanted
        self._config = config
        for place in [place for place in self._open if place not in wanted]:
            await self._open.pop(place).close()

    async def _listen(self, place: object, endpoint: Endpoint) -> Acceptor:
        self._endpoints.setdefault(place, endpoint)
        return await Acceptor.open("listen", endpoint, lambda sock, peer: self._came(place, sock, peer))

    async def close(self) -> None:
        """Take no more connections; those that are there go on."""
        for acceptor in self._open.values():
            await acceptor.close()
        self._open.clear()

    async def end(self) -> None:
        """End what is left of every connection."""
        await self._tasks.cancel()

    # -- one connection --------------------------------------------------------------------------------------------

    def enter(self, address: str | None) -> Ticket | None:
        """Count a connection that has not signed in; None when there are too many."""
        limits = self._config.limits
        ticket = self.gate.enter(address, each=limits.registering_per_address, total=limits.registering_total)
        if ticket is None:
            self.refused["full"] += 1
        return ticket

    def _came(self, place: object, connection: socket.socket, peer: str) -> None:
        endpoint = self._endpoints[place]
        ticket = self.enter(None if endpoint.proxy else peer)
        if ticket is not None:
            self._tasks.spawn(self._welcome(connection, endpoint, peer, ticket), name=f"arrival {endpoint.scheme}")
            return
        _turn_away(connection, endpoint)

    async def _welcome(self, connection: socket.socket, endpoint: Endpoint, peer: str, ticket: Ticket) -> None:
        try:
            stream = await self._stream(connection, endpoint, peer, ticket)
            if stream is not None:
                await self._serve(stream, ticket)
        finally:
            ticket.leave()

    async def _stream(self, connection: socket.socket, endpoint: Endpoint, peer: str, ticket: Ticket) -> Stream | None:
        """The connection after header and handshake; None when that failed, and it is closed."""
        address, step = peer, "proxy"
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                if endpoint.proxy:
                    address = await self._proxied(connection, endpoint, peer)
                    if not ticket.move(address, each=self._config.limits.registering_per_address):
                        self.refused["full"] += 1
                        _turn_away(connection, endpoint)
                        return None
                step = "handshake"
                context = self._tls.context if endpoint.tls and self._tls is not None else None
                return await self._carried(connection, context, endpoint, address)
        except (ProtocolError, OSError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            self.refused[step] += 1
            level = logging.WARNING if step == "proxy" else logging.DEBUG
            words = str(error) or f"nothing came for {HANDSHAKE_S:g} s"
            log.log(level, "%s: a connection from %s was dropped: %s", endpoint.uri, peer or "its socket", words)
            connection.close()
            return None
        except BaseException:
            connection.close()
            raise

    async def _proxied(self, connection: socket.socket, endpoint: Endpoint, peer: str) -> str:
        """Read the header, and not a byte more; where the connection comes from."""
        if peer and not any(ipaddress.ip_address(peer) in network for network in endpoint.trusted):
            raise ProtocolError("it is not among trusted_proxies")
        loop, header = asyncio.get_running_loop(), b""
        while more := proxy.wanted(header):
            piece = await loop.sock_recv(connection, more)
            if not piece:
                raise ProtocolError("it ended before its PROXY header did")
            header += piece
        address = proxy.source(header)
        return peer if address is None else address

    async def _carried(
        self, connection: socket.socket, context: ssl.SSLContext | None, endpoint: Endpoint, address: str
    ) -> Stream:
        loop = asyncio.get_running_loop()
        if endpoint.path is None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = asyncio.StreamReader(loop=loop)
        # Kept here: with TLS, uvloop gives back another protocol than the one it was asked for.
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_S if context is not None else None,
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        safe = endpoint.tls or (endpoint.path is not None and not endpoint.proxy)
        return Stream(reader, writer, self._config.limits.client_line_bytes, tls=safe, address=address)


def _turn_away(connection: socket.socket, endpoint: Endpoint) -> None:
    """Close it with what can be said without a handshake."""
    with contextlib.suppress(OSError):
        connection.send(FULL_TLS if endpoint.tls else FULL)
        connection.recv(HELLO_BYTES)  # what is left unread would be answered with a reset, which can overtake our words
    connection.close()


def _place(endpoint: Endpoint, number: int) -> object:
    """What is listened on, whatever is spoken there; each port 0 is another."""
    return endpoint.path or (endpoint.host, endpoint.port, None if endpoint.port else (endpoint.uri, number))


async def _readable(listening: socket.socket) -> None:
    """Wait until somebody comes."""
    loop = asyncio.get_running_loop()
    somebody: asyncio.Future[None] = loop.create_future()

    def came() -> None:
        if not somebody.done():
            somebody.set_result(None)

    loop.add_reader(listening, came)
    try:
        await somebody
    finally:
        loop.remove_reader(listening)


async def _tcp(endpoint: Endpoint) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(BACKLOG)
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


def _unix(path: Path) -> socket.socket:
    """For its owner only before anybody can connect; what a killed bouncer left is removed, the storage is ours."""
    if path.is_socket():
        path.unlink()
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.setblocking(False)
        one.bind(str(path))
        path.chmod(0o600)
        one.listen(BACKLOG)
    except BaseException:
        one.close()
        raise
    return one
