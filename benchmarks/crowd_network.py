"""Owns a network for very many connections, in a process of its own: everybody is on channels that are full of people.

Each connection is one user's, known by its nick. What is said goes to everybody, or to each one something else.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import ssl
import subprocess
import time
import zlib
from typing import TYPE_CHECKING, cast

import uvloop

from benchmarks.process import DEADLINE_S

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

KNOWN = "CHANTYPES=# PREFIX=(ov)@+ CHANLIMIT=#:500 NETWORK=Crowd :are supported by this server"
DIFFERENT = 200
"""Channels that there are: two users are on the same one now and then, as people are."""


class CrowdNetwork:
    """A network whose users are each on `channels` of its channels, with `people` on each; TLS with `certificate`."""

    def __init__(self, people: int, certificate: Path | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, people, certificate), daemon=True)
        self._process.start()
        theirs.close()
        self.port = int(self._answer(DEADLINE_S))

    def joined(self, connections: int, channels: int, timeout_s: float = DEADLINE_S) -> float:
        """Wait until so many connections are each on so many channels; the moment (`perf_counter`) the last one was."""
        self._pipe.send(("joined", connections, channels))
        return self._answer(timeout_s)

    def say(self, text: str, *, every: int = 1, of: int = 0) -> None:
        """Somebody says `text` on each connection's first channel; `{nick}` in it is whose connection it is.

        With `every`, only on each so-manieth connection, beginning with number `of`.
        """
        self._pipe.send(("say", text, every, of))
        self._answer(DEADLINE_S)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()

    def _answer(self, timeout_s: float) -> float:
        assert self._pipe.poll(timeout_s), "the network does not answer"
        return float(self._pipe.recv())


def make_certificate(place: Path) -> Path:
    """A key and its certificate, one after the other in a file."""
    path = place / "network.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"]
    subprocess.run(
        [*command, "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
        check=True,
        capture_output=True,
    )
    with path.open("ab") as file:
        file.write(path.with_suffix(".crt").read_bytes())
    return path


class _House:
    def __init__(self, people: int) -> None:
        self.served: list[_Served] = []
        self.rosters = [_names(number, people) for number in range(DIFFERENT)]
        self.changed = asyncio.Event()


def _names(channel: int, people: int) -> list[str]:
    """Who is on a channel, 40 to a line; the same people may be on others."""
    chance = random.Random(channel)  # noqa: S311 - nothing secret, and the same in each run
    nicks = [f"person{number}" for number in chance.sample(range(5_000), people)]
    return [" ".join(nicks[at : at + 40]) for at in range(0, people, 40)]


class _Served(asyncio.Protocol):
    def __init__(self, house: _House) -> None:
        self.house = house
        self.nick = "*"
        self.rest = b""
        self.channels: list[str] = []
        self.joined_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self.house.served.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.house.served.remove(self)

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\r\n")
        for line in lines:
            self.line(line.decode())

    def send(self, *lines: str) -> None:
        self.transport.write("".join(f"{line}\r\n" for line in lines).encode())

    def line(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        if command == "CAP":
            if rest.startswith("LS"):
                self.send(":s CAP * LS :multi-prefix")
            elif rest.startswith("REQ"):
                self.send(f":s CAP {self.nick} ACK {rest[4:]}")
        elif command == "NICK":
            self.nick = rest.removeprefix(":")
        elif command == "PING":
            self.send(f":s PONG s {rest}")
        elif command == "JOIN":
            self.join(rest.split(" ")[0].split(","))
        elif command == "WHO":
            self.send(f":s 315 {self.nick} {rest} :end")
        elif command == "QUIT":
            self.transport.close()
        if command == "USER":
            nick = self.nick
            self.send(f":s 001 {nick} :hi", f":s 005 {nick} {KNOWN}", f":s 376 {nick} :end")

    def join(self, names: list[str]) -> None:
        lines = []
        for name in names:
            # The name says nothing of who is there: two users on `#c0` are on two channels of 200.
            number = zlib.crc32(f"{self.nick} {name}".encode()) % DIFFERENT
            lines.append(f":{self.nick}!u@h JOIN {name}")
            lines += [f":s 353 {self.nick} = {name} :{some}" for some in (self.nick, *self.house.rosters[number])]
            lines.append(f":s 366 {self.nick} {name} :end")
        self.send(*lines)
        self.channels += names
        self.joined_at = time.perf_counter()
        self.house.changed.set()


def _run(pipe: Connection, people: int, certificate: Path | None) -> None:
    uvloop.run(_serve(pipe, people, certificate))


async def _serve(pipe: Connection, people: int, certificate: Path | None) -> None:
    house = _House(people)
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Served(house), "127.0.0.1", 0, ssl=context, backlog=2048)
    pipe.send(server.sockets[0].getsockname()[1])
    while True:
        what, *given = await loop.run_in_executor(None, pipe.recv)
        if what == "joined":
            connections, channels = given
            while sum(len(one.channels) >= channels for one in house.served) < connections:
                house.changed.clear()
                await house.changed.wait()
            pipe.send(max(one.joined_at for one in house.served))
        else:
            text, every, first = given
            for one in house.served[first::every]:
                words = text.replace("{nick}", one.nick)
                one.send(f":person1!p@example.org PRIVMSG {one.channels[0]} :{words}")
            pipe.send(0)
