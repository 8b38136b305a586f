"""A process that means harm: a network for whoever connects, and clients that log in to a bouncer.

python -m soak.mallory --listen PORT --bouncer PORT --login NAME:PASSWORD --seed N

It goes on until its stdin ends, then prints a line of JSON with what it has done.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
from collections import Counter

from bouncer import tasks
from soak import nonsense

NETWORK_RATE, CLIENT_RATE = 250_000, 40_000
"""Bytes a second that each of them says in the mean; in bursts it is as fast as the other side reads."""
CLIENTS = 6
OFFERED = (
    "multi-prefix batch server-time message-tags echo-message labeled-response account-tag sasl "
    "draft/multiline=max-bytes=9"
)
GREETING = """:irc.test 001 {0} :Welcome {0}!u@h
:irc.test 005 {0} CASEMAPPING=rfc1459 CHANTYPES=# PREFIX=(ov)@+ CHANMODES=b,k,l,imnpst STATUSMSG=@+ :are supported
:irc.test 422 {0} :No MOTD
"""
LONGEST_STAY = 200
"""Bursts until a connection is ended, at most."""


class Mallory:
    """`done` counts what was done."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.done: Counter[str] = Counter()
        self._options = options
        self._dice = random.Random(options.seed)  # noqa: S311 - chance that can be had again
        self._group = tasks.Group()

    async def run(self) -> None:
        """Until stdin ends."""
        await self.start()
        await asyncio.to_thread(sys.stdin.read)
        await self.stop()

    async def start(self) -> None:
        """Listen, and send the clients."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._options.listen)
        for number in range(CLIENTS):
            self._group.spawn(self._client(number), name=f"client-{number}")

    async def stop(self) -> None:
        """Go."""
        self._server.close()
        await self._group.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._group.spawn(self._quietly(self._network(reader, writer), writer), name="network")

    async def _quietly(self, work: object, writer: asyncio.StreamWriter) -> None:
        try:
            await work  # type: ignore[misc]  # a coroutine
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            self.done["broken off"] += 1
        finally:
            writer.transport.abort()

    # -- a network

    async def _network(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.done["network connections"] += 1
        caps = self._dice.random() < 0.7
        nick = "me"
        async with asyncio.timeout(20):
            while not (line := await reader.readline()).startswith(b"USER"):
                if line.startswith(b"NICK"):
                    nick = line.split()[1].decode()
                elif line.startswith(b"CAP LS"):
                    writer.write(f":irc.test CAP * LS :{OFFERED if caps else ''}\r\n".encode())
                if not line:
                    return
            writer.write(GREETING.format(nick).replace("\n", "\r\n").encode())
        speaker = nonsense.Network(self._dice.randrange(1 << 30), nick)
        listening = self._group.spawn(self._listen(reader, writer), name="listen")
        try:
            await self._say(speaker, writer, NETWORK_RATE)
        finally:
            listening.cancel()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read, now and then answer a PING or a CAP REQ, in one way or another."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                self.done["bytes read"] += len(data)
                for line in data.split(b"\r\n"):
                    if line.startswith(b"PING ") and self._dice.random() < 0.8:
                        writer.write(b":irc.test PONG irc.test " + line[5:] + b"\r\n")
                    elif line.startswith(b"CAP REQ") and self._dice.random() < 0.9:
                        answer = self._dice.choice((b"ACK", b"ACK", b"ACK", b"NAK"))
                        writer.write(b":irc.test CAP me " + answer + line[7:] + b"\r\n")

    async def _say(self, speaker: nonsense.Network | nonsense.Client, writer: asyncio.StreamWriter, rate: int) -> None:
        for _ in range(self._dice.randrange(1, LONGEST_STAY)):
            data = speaker.burst()
            kind = "network bytes" if isinstance(speaker, nonsense.Network) else "client bytes"
            self.done[kind] += len(data)
            self.done[kind.replace("bytes", "lines")] += data.count(b"\n")
            writer.write(data)
            async with asyncio.timeout(60):
                await writer.drain()
            await asyncio.sleep(len(data) / rate / self._options.speed)  # the rate

    # -- a client

    async def _client(self, number: int) -> None:
        """Attach, talk, go, again; one attaches and goes only, one never reads."""
        while True:
            try:
                async with asyncio.timeout(5):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._options.bouncer)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.5)
                continue
            self.done["client connections"] += 1
            await self._quietly(self._attached(number, reader, writer), writer)
            await asyncio.sleep(0.05)

    async def _attached(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name, _, password = self._options.login.partition(":")
        caps = " ".join(self._dice.sample(nonsense.CAPS[:9], self._dice.randrange(6)))
        writer.write(f"CAP LS 302\r\nCAP REQ :{caps}\r\n".encode())
        login = f"{name}/net@c{self._dice.randrange(20)}:{password}"
        writer.write(f"PASS :{login}\r\nNICK me\r\nUSER me 0 * :me\r\nCAP END\r\n".encode())
        if number == 0:  # it goes at once, in the middle of it or not
            async with asyncio.timeout(10):
                await reader.read(self._dice.choice((1, 500, 20_000)))
            return
        async with asyncio.timeout(20):
            await reader.readuntil(b" 001 ")
        self.done["clients attached"] += 1
        reading = self._group.spawn(_discard(reader), name="discard") if number != 1 else None
        try:
            await self._say(nonsense.Client(self._dice.randrange(1 << 30)), writer, CLIENT_RATE)
        finally:
            if reading is not None:
                reading.cancel()


async def _discard(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m soak.mallory")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--bouncer", type=int, required=True)
    parser.add_argument("--login", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0, help="times the usual rates")
    mallory = Mallory(parser.parse_args())
    asyncio.run(mallory.run())
    print(json.dumps(dict(mallory.done)))


if __name__ == "__main__":
    main()
