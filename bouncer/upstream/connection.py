"""Owns one TCP or TLS connection to a network: pydle's Connection with deadlines, shared contexts and pinning."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import socket
import ssl
from typing import TYPE_CHECKING, Any

from pydle.connection import Connection

from bouncer.errors import ConnectError
from bouncer.upstream.params import READ_BYTES, WRITE_LIMIT, ConnectParams, TlsFacts
from bouncer.upstream.reasons import in_words
from bouncer.upstream.tls import context_for, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAX_TRIES = 4
_SHUTDOWN_S = 2.0


class Dialled(Connection):  # type: ignore[misc]  # pydle has no types
    """`connect` ends within `connect_s` in every case; `allow` is asked about each address a name resolved to."""

    def __init__(self, params: ConnectParams, allow: Callable[[str], bool] | None = None) -> None:
        super().__init__(params.address, params.port, tls=params.tls, tls_verify=params.tls_verify)
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.facts: TlsFacts | None = None
        self._params = params
        self._allow = allow
        self._limit: asyncio.Timeout | None = None

    async def connect(self) -> asyncio.StreamReader:
        """Resolve, connect, shake hands; what to read from. Raises ConnectError in words."""
        params = self._params
        try:
            async with asyncio.timeout(params.connect_s) as self._limit:
                context = await context_for(params) if params.tls else None
                return await self._try_each(await self._addresses(), context)
        except TimeoutError:
            raise ConnectError(f"no answer within {params.connect_s:g} s") from None
        except UnicodeError:  # a label that is empty or too long
            raise ConnectError(f"not a host name: {params.address}") from None
        except OSError as error:
            raise ConnectError(in_words(error)) from error
        finally:
            self._limit = None

    def hurry(self) -> None:
        """Give up connecting, if that is what is going on."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def _addresses(self) -> list[str]:
        """What to try: IPv6 and IPv4 in turns, in the resolver's order, as far as they are allowed."""
        params = self._params
        found = await asyncio.get_running_loop().getaddrinfo(params.address, params.port, type=socket.SOCK_STREAM)
        families: dict[int, list[str]] = {}
        for family, _, _, _, sockaddr in found:
            families.setdefault(family, []).append(str(sockaddr[0]))
        turns = itertools.zip_longest(*families.values())
        addresses = [one for turn in turns for one in turn if one is not None]
        allowed = [one for one in dict.fromkeys(addresses) if self._allow is None or self._allow(plain_address(one))]
        if addresses and not allowed:
            raise ConnectError(f"connections to {addresses[0]} are not allowed here")
        return allowed[:_MAX_TRIES]

    async def _try_each(self, addresses: Iterable[str], context: ssl.SSLContext | None) -> asyncio.StreamReader:
        """One after the other, each with its share of the time, until one connects; the first failure is the reason."""
        waiting = list(addresses)
        share = self._params.connect_s / max(len(waiting), 1)
        first: OSError | None = None
        for number, address in enumerate(waiting, 1):
            last = number == len(waiting)
            try:
                async with asyncio.timeout(None if last else share):
                    return await self._open(address, context)
            except ssl.SSLError:
                raise
            except OSError as error:  # a TimeoutError of the share is one as well
                first = first or error
        raise first or OSError("the host name has no address")

    async def _open(self, address: str, context: ssl.SSLContext | None) -> asyncio.StreamReader:
        options: dict[str, Any] = {}
        if context is not None:
            options = {
                "ssl": context,
                "server_hostname": self._params.address,
                "ssl_handshake_timeout": self._params.connect_s,
                "ssl_shutdown_timeout": _SHUTDOWN_S,
            }
        self.reader, self.writer = reader, writer = await asyncio.open_connection(
            address, self._params.port, limit=READ_BYTES, **options
        )
        transport = writer.transport
        link = transport.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if context is not None:
            try:
                self.facts = facts_of(transport, self._params)
            except ConnectError:
                transport.abort()
                raise
        return reader

    @property
    def open(self) -> bool:
        """Whether something can be written."""
        return self.writer is not None and not self.writer.transport.is_closing()

    def write(self, data: bytes) -> bool:
        """Write now; False when more than `WRITE_LIMIT` bytes are waiting, so nobody reads."""
        if self.writer is None:
            return True
        self.writer.write(data)
        return self.writer.transport.get_write_buffer_size() <= WRITE_LIMIT

    def acknowledge(self) -> None:
        """Tell the server's kernel at once that its bytes have come.

        Most servers write small lines without TCP_NODELAY, and a delayed acknowledgement would hold each second one
        back for 40 ms. The option lasts for what has been read only.
        """
        link = self.writer.get_extra_info("socket") if self.writer is not None else None
        if link is not None and hasattr(socket, "TCP_QUICKACK"):
            with contextlib.suppress(OSError):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def abort(self) -> None:
        """Close without waiting for anybody."""
        if self.writer is not None:
            self.writer.transport.abort()


def plain_address(address: str) -> str:
    """An address without its zone, and an IPv4 one mapped into IPv6 as what it is."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
