"""A TCP relay on loopback: what stands between a bouncer and a real server, to acknowledge quickly or to fall silent.

async with relay(server.port) as between:
    ... connect to between.port ...

Real servers write a second small piece only when the first was acknowledged, which a busy reader's kernel puts off
by 40 ms; tests of many short exchanges would wait for nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from bouncer import tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Relay:
    """Connections to `port` go on to the server; `silent` drops all they carry from then on, and ends none."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self.silent = False
        self.connections = 0
        self._to = to
        self._tasks = tasks.Group()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()
        await self._tasks.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, there_writer]
        self._tasks.spawn(self._carry(reader, there_writer), name="relay out")
        self._tasks.spawn(self._carry(there_reader, writer), name="relay in")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source: socket.socket = reader._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # no door to it
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                if not self.silent:
                    writer.write(data)
        if not self.silent:
            writer.close()


@contextlib.asynccontextmanager
async def relay(to: int) -> AsyncIterator[Relay]:
    """A running relay to that loopback port."""
    made = Relay(to)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
