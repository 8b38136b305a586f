"""Owns the surroundings of a fault: several users of one bouncer process, a network that never stops talking, files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from bouncer import tasks
from bouncer.database import open_tenant
from soak.witness import CHANNEL, DEADLINE_S, PASSWORD, Ledger, Witness
from tests.cli.clikit import Cli
from tests.support.ircd import free_port
from tests.support.network import ScriptedNetwork

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.network import Peer

CONFIG = """
[[listen]]
uri = "irc+insecure://127.0.0.1:{irc}"
[web]
listen = "{web}"
[timeouts]
backoff_min_s = 0.1
backoff_max_s = 0.2
commit_live_ms = {live_ms}
[flood]
burst = 0
{more}
"""
PATIENT_MS = 30_000
"""No commit of a sound disk takes longer, so nothing is shown before it is stored."""
BEAT_S = 0.02


@dataclass
class Talk:
    """What the network says to one user: numbered words in the channel and in private, each once only."""

    user: str
    dice: random.Random
    epoch: int = 0
    sent: int = 0
    most: int = 20
    """Lines in a beat."""
    going: asyncio.Event = field(default_factory=asyncio.Event)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    peer: Peer | None = None

    def begin(self) -> None:
        """The numbers begin anew, under another epoch: what nobody read of the last one is lost to everybody."""
        self.epoch += 1
        self.sent = 0
        self.joined.clear()

    def lines(self, count: int) -> list[str]:
        """The next lines."""
        made = []
        for number in range(self.sent, self.sent + count):
            target = CHANNEL if self.dice.random() < 0.8 else self.user
            made.append(f":bob!b@host PRIVMSG {target} :{self.user} e{self.epoch} n{number}.")
        self.sent += count
        return made

    async def flow(self, peer: Peer) -> None:
        """Go on until the other side is gone."""
        with contextlib.suppress(OSError, TimeoutError):
            while not peer.closed.is_set():
                await self.going.wait()
                await peer.send(*self.lines(self.dice.randint(1, self.most)))
                await asyncio.sleep(self.dice.random() * 2 * BEAT_S)  # the beat itself, not a wait for something


class World:
    """Users on one network; `start` gives the bouncer's process, and `attach` clients that remember."""

    def __init__(self, cli: Cli, port: int, panel: str, users: Sequence[str], seed: int) -> None:
        self.cli = cli
        self.port = port
        self.panel = panel
        self.log = cli.folder / "log"
        self.dice = random.Random(seed)  # noqa: S311 - chance that can be had again
        self.network = ScriptedNetwork()
        self.ledgers = {user: Ledger(user) for user in users}
        self.talks = {user: Talk(user, random.Random(self.dice.random())) for user in users}  # noqa: S311 - ditto
        self.ids = {user: number for number, user in enumerate(users, 1)}
        self._group = tasks.Group()
        self.clients: list[tuple[Witness, asyncio.Task[None]]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def made(
        cls, folder: Path, users: Sequence[str], *, seed: int = 0, live_ms: int = PATIENT_MS, more: str = "",
        panel: bool = False, prepare: Callable[[Self], None] | None = None,
    ) -> AsyncIterator[Self]:  # fmt: skip
        """Configured, with its users and a network each; nothing runs yet but the network.

        `prepare`, in a thread, lays the storage out in place of the commands that add users and servers.
        """
        port, web = free_port(), f"http://127.0.0.1:{free_port()}" if panel else ""
        cli = Cli.make(folder, CONFIG.format(irc=port, web=web, live_ms=live_ms, more=more))
        world = cls(cli, port, web, users, seed)
        async with world.network:
            await asyncio.to_thread(prepare or cls._add_users, world)
            world.network.serve(world._script)
            try:
                yield world
            finally:
                await world._group.cancel()

    def _add_users(self) -> None:
        words = []
        for user in self.ids:
            words += [f"user add {user} --password-stdin", PASSWORD]
        for user in self.ids:
            place = f"{self.network.host} --port {self.network.port} --no-tls --nick {user} --join '{CHANNEL}'"
            words.append(f"server add {user} net {place}")
        shell = self.cli.start("shell", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = shell.communicate("\n".join(words) + "\n", timeout=DEADLINE_S)
        assert shell.returncode == 0, out
        assert "ERR" not in out

    async def _script(self, peer: Peer) -> None:
        """A plain network for whoever comes; the nick tells which user it is."""
        await peer.welcome()
        talk = self.talks[peer.welcomed.nick]
        await peer.expect("JOIN", CHANNEL, deadline_s=DEADLINE_S)
        await peer.let_in(CHANNEL, "bob")
        talk.peer = peer
        talk.joined.set()
        flow = self._group.spawn(talk.flow(peer), name=f"talk-{talk.user}")
        try:
            while (await peer.line(3600)).command != "QUIT":  # its PINGs are answered where they are read
                pass
            peer.hang_up()
        finally:
            flow.cancel()

    # -- the bouncer -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def process(self, *prefix: str) -> Iterator[subprocess.Popen[str]]:
        """`bouncer run`, started by the program `prefix`; killed at the end, unless it has ended.

        It may not listen yet.
        """
        for talk in self.talks.values():
            talk.begin()
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                [*prefix, *self.cli.argv("run")], text=True, env=self.cli.env(), cwd=self.cli.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield started
        finally:
            started.kill()
            started.wait(DEADLINE_S)

    async def listening(self, process: subprocess.Popen[str]) -> None:
        """Return once clients can connect; AssertionError with the log when the process ends instead."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                assert process.poll() is None, self.said()
                await asyncio.sleep(0.02)

    async def connected(self, *users: str) -> None:
        """Every one of them (all, if none is named) is on the channel."""
        async with asyncio.timeout(DEADLINE_S):
            for user in users or self.talks:
                await self.talks[user].joined.wait()

    async def stopped(self, process: subprocess.Popen[str]) -> None:
        """Ask it to stop, and wait for an ordered end."""
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0, self.said()

    def said(self) -> str:
        """The log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def talking(self, *users: str) -> None:
        """The network begins to talk to these (all, if none is named)."""
        for user in users or self.talks:
            self.talks[user].going.set()

    def quiet(self) -> None:
        """It talks no more."""
        for talk in self.talks.values():
            talk.going.clear()

    # -- clients -----------------------------------------------------------------------------------------------------

    async def attach(self, user: str, name: str) -> Witness:
        """A client of that name, reading."""
        client = await Witness.attach(self.port, name, self.ledgers[user])
        self.clients.append((client, self._group.spawn(client.run(), name=f"{user}@{name}")))
        return client

    async def ended(self) -> list[Witness]:
        """Every client has read to its end; gives them, and begins without any."""
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(reading for _, reading in self.clients))
        ended, self.clients = [client for client, _ in self.clients], []
        return ended

    # -- files -------------------------------------------------------------------------------------------------------

    def path(self, user: str) -> Path:
        """The user's file."""
        return self.cli.storage / "tenants" / f"{self.ids[user]}.sqlite3"

    @contextlib.contextmanager
    def copy(self, path: Path) -> Iterator[sqlite3.Connection]:
        """What is on disk now, opened elsewhere: the next start finds the files as they were left."""
        with copied(path, self.cli.folder / "copy") as connection:
            yield connection


def without_privileges() -> list[str]:
    """The words before a command that make the modes of files count for root too."""
    if os.geteuid():
        return []
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "setpriv is not there: apt-get install util-linux"
    return [setpriv, "--bounding-set=-all"]


@contextlib.contextmanager
def copied(path: Path, folder: Path) -> Iterator[sqlite3.Connection]:
    """A database and its write-ahead log in another folder, recovered as after a crash; never its -shm."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copyfile(path.with_name(name), folder / name)
    with contextlib.closing(open_tenant(folder / path.name, "rw")) as connection:
        yield connection
