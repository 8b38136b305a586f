"""A person with a plain socket: on a network, or at the bouncer to ask it for history."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEADLINE_S = 20.0


class Person:
    """One connection; `read` holds every line that came, PINGs are answered while waiting."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.read: list[str] = []
        self._barriers = 0

    def send(self, *lines: str) -> None:
        for line in lines:
            self._writer.write(f"{line}\r\n".encode())

    async def until(self, text: str) -> str:
        """The next line with `text` in it."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                line = (await self._reader.readline()).decode().rstrip("\r\n")
                assert line, f"closed instead of {text!r}: {self.read}"
                self.read.append(line)
                if line.startswith("PING"):
                    self.send(f"PONG {line[5:]}")
                elif text in line:
                    return line

    async def join(self, channel: str) -> None:
        """Be in the channel."""
        self.send(f"JOIN {channel}")
        await self.until(" 366 ")

    async def barrier(self) -> None:
        """Wait until the server has done all that was sent."""
        self._barriers += 1
        self.send(f"PING barrier-{self._barriers}")
        await self.until(f"barrier-{self._barriers}")


@contextlib.asynccontextmanager
async def person(port: int, *greeting: str, ready: str = " 376 ") -> AsyncIterator[Person]:
    """Connected to `port` on loopback, `greeting` said and `ready` seen."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        made = Person(reader, writer)
        made.send(*greeting)
        await made.until(ready)
        yield made
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
