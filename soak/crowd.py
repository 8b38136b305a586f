"""Two hundred users on four hundred networks with four hundred clients that come and go, one user in ten unhealthy.

Memory, tasks and descriptors stay flat, and the messages of the healthy are as quick as when everybody is.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bouncer import tasks
from soak.figures import Latencies, faults, looked, middle, part, slope, tokens
from soak.running import SETUP_S, bouncer, told
from tests.cli.clikit import Cli
from tests.support.ircd import free_port

if TYPE_CHECKING:
    import argparse
CONFIG = """
[[listen]]
uri = "irc+insecure://127.0.0.1:{irc}"
[web]
listen = ""
[flood]
burst = 0
[timeouts]
backoff_min_s = 0.5
backoff_max_s = 3
[limits]
client_sendq_bytes = 1048576
registering_per_address = 500
"""
PASSWORD = "correct horse"
UNHEALTHY = 10
"""One user in so many."""
QUIET_SHARE, SETTLED_SHARE = 0.25, 0.4
"""Of the time: while everybody is healthy, and until what fills up by itself is full."""
TALK_S, STAY_S = 2.0, 12.0
"""Between two messages of one network, and of a client's stay, in the mean."""
LOCK_S, FLAP_S = 8.0, 2.0
P99_FACTOR, P99_MS = 3.0, 100.0
"""What the p99 of the healthy may grow by, and what it may be in any case."""
GREETING = """:irc.test 001 {0} :Welcome {0}!u@h
:irc.test 005 {0} CASEMAPPING=rfc1459 CHANTYPES=# PREFIX=(ov)@+ CHANMODES=b,k,l,imnpst :are supported
:irc.test 422 {0} :No MOTD
"""


@dataclass
class Crowd:
    """Who there is, and what was seen of them; times are those of the monotonic clock."""

    users: int
    seed: int
    sick: bool = False
    done: Counter[str] = field(default_factory=Counter)
    quiet: Latencies = field(default_factory=Latencies)
    among_sick: Latencies = field(default_factory=Latencies)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - chance that can be had again
        self.group = tasks.Group()
        self.sent: dict[int, float] = {}
        self.tokens: dict[int, str] = {}
        self._number = 0
        self.connected = asyncio.Event()
        """All networks are, for the first time."""

    def healthy(self, user: int) -> bool:
        """Whether nothing is ever wrong with that user."""
        return user % UNHEALTHY != 0

    def ailment(self, user: int) -> str:
        """What is wrong with one who is not."""
        return ("locked file", "deaf client", "flapping network")[user // UNHEALTHY % 3]

    # -- networks

    async def network(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the bouncer's; the nick says whose."""
        try:
            nick = await self._let_in(reader, writer)
            user = int(nick[1:].partition("x")[0])
            talking = self.group.spawn(self._talk(user, writer), name=f"talk-{nick}")
            try:
                while line := await reader.readline():
                    if line.startswith(b"PING "):
                        writer.write(b":irc.test PONG irc.test " + line[5:])
                    elif line.startswith(b"JOIN "):
                        writer.write(
                            f":{nick}!u@h JOIN #room\r\n:irc.test 353 {nick} = #room :@{nick} bob\r\n".encode()
                        )
                        writer.write(f":irc.test 366 {nick} #room :End\r\n".encode())
            finally:
                talking.cancel()
        except (OSError, ValueError):
            self.done["network connections broken off"] += 1
        finally:
            writer.transport.abort()

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        nick = ""
        while not (line := await reader.readline()).startswith(b"USER"):
            if line.startswith(b"NICK"):
                nick = line.split()[1].decode()
            elif line.startswith(b"CAP LS"):
                writer.write(b":irc.test CAP * LS :\r\n")
            elif not line:
                raise ConnectionResetError
        writer.write(GREETING.format(nick).replace("\n", "\r\n").encode())
        self.done["network connections"] += 1
        if self.done["network connections"] >= 2 * self.users:
            self.connected.set()
        return nick

    async def _talk(self, user: int, writer: asyncio.StreamWriter) -> None:
        flaps = not self.healthy(user) and self.ailment(user) == "flapping network"
        began = time.monotonic()
        while True:
            await asyncio.sleep(self.dice.expovariate(1 / TALK_S))  # the beat
            if flaps and self.sick and time.monotonic() - began > FLAP_S:
                self.done["flaps"] += 1
                writer.transport.abort()
                return
            self._number += 1
            self.sent[self._number] = time.monotonic()
            self.sent.pop(self._number - 100_000, None)
            writer.write(f":bob!b@h PRIVMSG #room :t {self._number} {'words ' * 10}\r\n".encode())
            self.done["messages"] += 1

    # -- clients

    async def client(self, port: int, user: int, net: str) -> None:
        """Attach, stay for a while, go; for ever. One who is deaf stays and reads nothing."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            except OSError:
                await asyncio.sleep(0.5)
                continue
            try:
                stay_s = self.dice.expovariate(1 / STAY_S)
                writer.write(f"PASS u{user}/{net}@c:{self.tokens[user]}\r\nNICK me\r\nUSER me 0 * :me\r\n".encode())
                async with asyncio.timeout(stay_s + 1):
                    await self._read(user, reader, writer)
            except (OSError, TimeoutError, ValueError):
                pass
            finally:
                self.done["client stays"] += 1
                writer.transport.abort()

    async def _read(self, user: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attached = 0.0
        deaf = not self.healthy(user) and self.ailment(user) == "deaf client"
        while line := await reader.readline():
            if line.startswith(b"PING "):
                writer.write(b"PONG " + line[5:])
            elif b" 366 " in line and not attached:
                attached = time.monotonic()
                self.done["clients attached"] += 1
                if deaf and self.sick:
                    await asyncio.sleep(3600)  # until its stay is over
            elif b" PRIVMSG #room :t " in line:
                now = time.monotonic()
                sent = self.sent.get(int(line.split(b":t ", 1)[1].split()[0]), 0.0)
                if attached and sent > attached and self.healthy(user):
                    (self.among_sick if self.sick else self.quiet).values.append(now - sent)

    # -- files

    async def lock(self, storage: Path, user: int) -> None:
        """Another process, in effect, that holds the user's file, again and again."""
        while True:
            if self.sick:
                await asyncio.to_thread(_hold, storage / "tenants" / f"{user}.sqlite3")
                self.done["locks"] += 1
            await asyncio.sleep(LOCK_S / 2)


def _hold(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=5)) as file, contextlib.suppress(sqlite3.OperationalError):
        file.execute("BEGIN IMMEDIATE")
        time.sleep(LOCK_S)
        file.rollback()


@dataclass
class Report:
    """What came of a run; `figures` are those of the bouncer from when it had settled."""

    seconds: float
    crowd: Crowd
    figures: list[dict[str, Any]]
    faults: list[str]

    def growth(self, name: str) -> tuple[float, float, float]:
        """At the beginning, at the end, and by an hour."""
        return (
            middle(self.figures, name, 0.0, 0.2),
            middle(self.figures, name, 0.8, 1.0),
            slope(self.figures, name) * 3600,
        )

    @property
    def slower(self) -> bool:
        """Whether the unhealthy show in the others' latency."""
        before, after = part(self.crowd.quiet.values, 0.99), part(self.crowd.among_sick.values, 0.99)
        return after * 1000 > P99_MS and after > before * P99_FACTOR

    @property
    def growing(self) -> list[str]:
        """What does not stay flat: a twentieth more, and more than what comes and goes anyway."""
        rooms = {"kib": 8 * 1024, "tasks": 40, "fds": 60}
        found = []
        for name, room in rooms.items():
            begin, end, _ = self.growth(name)
            if end - begin > begin * 0.05 + room:
                found.append(name)
        return found

    def __str__(self) -> str:
        did = ", ".join(f"{value:,} {name}" for name, value in sorted(self.crowd.done.items()))
        kib, held, fds = self.growth("kib"), self.growth("tasks"), self.growth("fds")
        return "\n".join(
            (
                f"{self.crowd.users} users, {self.seconds:.0f} s: {did}",
                self.crowd.quiet.line("messages of the healthy while everybody is"),
                self.crowd.among_sick.line("messages of the healthy beside the others"),
                f"memory {kib[0] / 1024:.0f} to {kib[1] / 1024:.0f} MiB ({kib[2] / 1024:+.0f} MiB an hour)",
                f"tasks {held[0]:.0f} to {held[1]:.0f} ({held[2]:+.0f} an hour)",
                f"descriptors {fds[0]:.0f} to {fds[1]:.0f} ({fds[2]:+.0f} an hour)",
                f"the loop computed {max(one['busy_ms'] for one in self.figures):.0f} ms in one go at most",
                f"{len(self.faults)} errors in the log{''.join(chr(10) + one for one in self.faults[:20])}",
                f"not flat: {', '.join(self.growing) or 'nothing'}",
                f"the unhealthy {'show' if self.slower else 'do not show'} in the latency of the healthy",
            )
        )


def options(parser: argparse.ArgumentParser) -> None:
    """What may be said on the command line."""
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """Print the figures; 1 where something grows, shows or is logged."""
    report = asyncio.run(trial(args.users, args.seconds, args.seed))
    print(report)
    return 1 if report.growing or report.slower or report.faults else 0


async def trial(users: int, seconds: float, seed: int) -> Report:
    """A run of that length, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bouncer-soak-") as name:
        folder, crowd = Path(name), Crowd(users, seed)
        server = await asyncio.start_server(crowd.network, "127.0.0.1", 0, backlog=500)
        irc, networks = free_port(), server.sockets[0].getsockname()[1]
        cli = Cli.make(folder, CONFIG.format(irc=irc))
        await asyncio.to_thread(_add, cli, crowd, networks)
        with bouncer(cli) as process:
            for user in range(1, users + 1):
                for net in ("a", "b"):
                    crowd.group.spawn(crowd.client(irc, user, net), name=f"client-{user}{net}")
                if not crowd.healthy(user) and crowd.ailment(user) == "locked file":
                    crowd.group.spawn(crowd.lock(cli.storage, user), name=f"lock-{user}")
            async with asyncio.timeout(SETUP_S):
                await crowd.connected.wait()
            await asyncio.sleep(seconds * QUIET_SHARE)
            crowd.sick = True
            await asyncio.sleep(seconds * (1 - QUIET_SHARE))
            assert process.poll() is None, "the bouncer has ended"
            figures = looked(folder / "figures")[:-2]
            log = (folder / "log").read_text(encoding="utf-8", errors="replace")  # a file still held delays the stop
            await crowd.group.cancel()
            process.terminate()
            await asyncio.to_thread(process.wait, 60)
        server.close()
        settled = [one for one in figures if one["at"] > figures[-1]["at"] - seconds * (1 - SETTLED_SHARE)]
        return Report(seconds, crowd, settled, faults(log))


def _add(cli: Cli, crowd: Crowd, networks: int) -> None:
    """The users, each with two networks and an app password."""
    words: list[str] = []
    for user in range(1, crowd.users + 1):
        words += [f"user add u{user} --password-stdin", PASSWORD]
        for net in ("a", "b"):
            place = f"127.0.0.1 --port {networks} --no-tls --nick n{user}x{net} --join '#room'"
            words.append(f"server add u{user} {net} {place}")
        words.append(f"token create u{user}")
    crowd.tokens.update(zip(range(1, crowd.users + 1), tokens(told(cli, words)), strict=True))
