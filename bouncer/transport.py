"""Owns the bytes between us and one client, whatever carries them; what a line means is not looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from bouncer.irc.lines import LineBuffer

if TYPE_CHECKING:
    import ssl

DRAIN_S = 60.0
CLOSE_S = 2.0
_READ_BYTES = 65_536


class Transport(Protocol):
    """What a client needs of its connection: lines in, bytes out, and an end."""

    address: str
    """The peer's IP address, "" where there is none."""
    tls: bool
    """Whether nobody can listen in."""
    external: bool
    """Whether the client was asked for a certificate; `certificate` is the one it gave, in DER form."""
    certificate: bytes | None

    @property
    def waiting(self) -> int:
        """Bytes that are queued."""

    async def read(self) -> list[bytes]:
        """Complete lines without their ends. Raises LineTooLongError, ConnectionError when there are no more."""

    def write(self, data: bytes) -> None:
        """Queue whole lines with CR LF; never waits."""

    async def drain(self) -> None:
        """Wait until most of it has been taken; raises TimeoutError, ConnectionError."""

    def close(self) -> None:
        """End it when what is queued has been taken."""

    def abort(self) -> None:
        """End it now."""

    async def closed(self) -> None:
        """Wait for the end, which comes within CLOSE_S of `close`."""


class Stream:
    """A TCP, TLS or unix socket. `limit` is what a line may have, in bytes: more ends the connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int, *, tls: bool, address: str
    ) -> None:
        self.address = address
        self.tls = tls
        session: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        self.external = session is not None and session.context.verify_mode != 0
        self.certificate = session.getpeercert(binary_form=True) if session is not None else None
        self._reader = reader
        self._writer = writer
        self._lines = LineBuffer(limit)

    @property
    def waiting(self) -> int:
        """Bytes in the socket's own queue."""
        return self._writer.transport.get_write_buffer_size()

    async def read(self) -> list[bytes]:
        """What one read brings; perhaps no line yet."""
        data = await self._reader.read(_READ_BYTES)
        if not data:
            raise ConnectionResetError
        return self._lines.feed(data)

    def write(self, data: bytes) -> None:
        """Hand it to the socket; one that is closing takes nothing any more (uvloop raises there)."""
        transport = self._writer.transport
        if not transport.is_closing():
            transport.write(data)

    async def drain(self) -> None:
        """As asyncio's own, with a deadline."""
        async with asyncio.timeout(DRAIN_S):
            await self._writer.drain()

    def close(self) -> None:
        """No more is written."""
        self._writer.close()

    def abort(self) -> None:
        """What is queued is lost."""
        self._writer.transport.abort()

    async def closed(self) -> None:
        """Wait for it; a peer that does not take the rest is cut off."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self.abort()
