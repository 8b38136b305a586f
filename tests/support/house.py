"""A running bouncer in the test's own loop with clients on real sockets: what live and transparency tests stand on."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from bouncer import tenant as tenancy
from bouncer import vault
from bouncer.config import Config, Flood, Storage, Timeouts, Web
from bouncer.database import MainDatabase
from bouncer.endpoints import parse_listen
from bouncer.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.network import ScriptedNetwork

DEADLINE_S = 10.0
PASSWORD = "correct horse"


class Attached:
    """A client on a real socket; PINGs are answered unless `mute`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.mute = False
        self.lines: list[str] = []

    @classmethod
    async def connect(cls, port: int, login: str, *, caps: str = "", password: str = PASSWORD) -> Self:
        """Register as `login`; returns at once, the welcome is still to be read."""
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        if caps:
            client.send("CAP LS 302", f"CAP REQ :{caps}")
        client.send(f"PASS :{login}:{password}", "NICK me", "USER me 0 * :me")
        if caps:
            client.send("CAP END")
        return client

    def send(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def until(self, text: str) -> list[str]:
        """All lines up to the one that holds `text`; without PINGs that are answered, which come at any time."""
        seen: list[str] = []
        async with asyncio.timeout(DEADLINE_S):
            while True:
                raw = await self.reader.readline()
                assert raw, f"closed before {text!r}; seen {seen}"
                line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
                asked = line.startswith("PING ") and not self.mute
                if asked:
                    self.send("PONG " + line[5:])
                if not asked or text in line:
                    seen.append(line)
                if text in line:
                    return seen

    async def barrier(self) -> list[str]:
        """All lines up to the answer to a PING of ours."""
        self.send("PING barrier")
        return await self.until(" :barrier")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class House:
    """The supervisor with one user `alice` (and more on demand)."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.ids: dict[str, int] = {}
        self.clients: list[Attached] = []

    @property
    def port(self) -> int:
        return int(self.supervisor.listening[0].rpartition(":")[2])

    async def user(self, name: str) -> int:
        user = await self.supervisor.service.users.add(name, password=PASSWORD)
        self.ids[name] = user.id
        return user.id

    async def server(self, name: str, network: ScriptedNetwork, *, channels: str = "") -> int:
        """A server row named `net` that leads to `network`."""
        fields = {"name": "net", "address": network.host, "port": str(network.port), "tls": False, "nickname": name}
        row = await self.supervisor.service.servers.add(self.ids[name], {**fields, "channels": channels}, trusted=True)
        return row.id

    async def client(self, login: str, *, caps: str = "") -> Attached:
        client = await Attached.connect(self.port, login, caps=caps)
        self.clients.append(client)
        return client


def quick_config(storage: Path) -> Config:
    """Short timeouts, no flood limit, a free port."""
    times = replace(Timeouts(), backoff_min_s=0.05, backoff_max_s=0.2, reply_s=1.0, away_s=0.0, commit_live_ms=300)
    return Config(
        storage=Storage(path=storage),
        listen=(parse_listen("irc+insecure://127.0.0.1:0"),),
        web=Web(listen=None),
        timeouts=times,
        flood=Flood(burst=0),
    )


@contextlib.asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[House]:
    """The supervisor started, its clients closed and it stopped at the end."""
    await supervisor.start()
    house = House(supervisor)
    try:
        yield house
    finally:
        for client in house.clients:
            await client.close()
        await supervisor.stop("the test is over")
        supervisor.service.close()


@contextlib.asynccontextmanager
async def opened(storage: Path) -> AsyncIterator[House]:
    """All of it without pytest's fixtures: databases and tenants in `storage`, which must be there, and `running`."""
    vault.install(vault.Vault(storage / vault.KEY_NAME))
    main = MainDatabase(f"sqlite+aiosqlite:///{storage / 'main.sqlite3'}")
    await main.migrate()
    tenants = tenancy.Tenants(storage / "tenants", max_open=8)
    await tenants.start()
    tenancy.install(tenants)
    try:
        config = quick_config(storage)
        # A busy disk is not what these tests are about, and its notices would stand among the lines they compare.
        config = replace(config, timeouts=replace(config.timeouts, commit_live_ms=20_000))
        async with running(Supervisor(config, main, tenants)) as house:
            yield house
    finally:
        tenancy.install(None)
        await tenants.close()
        await main.close()
        vault.install(None)
