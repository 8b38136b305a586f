"""What /metrics and /healthz say of a running bouncer: figures that are true, of nobody in particular."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bouncer import looplag, metrics
from bouncer.config import Metrics as Where
from bouncer.endpoints import parse_http
from bouncer.errors import ConfigError
from bouncer.metrics import Metrics
from tests.support.house import DEADLINE_S, Attached
from tests.support.network import ScriptedNetwork
from web.monitoring import start_monitoring, web_figures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bouncer.config import Config
    from tests.support.house import House

ROOT = Path(__file__).parents[2]
Sample = tuple[str, frozenset[tuple[str, str]]]


class Monitor:
    """Who scrapes."""

    def __init__(self, house: House, url: str, http: aiohttp.ClientSession) -> None:
        self.house = house
        self.url = url
        self.http = http

    async def text(self) -> str:
        async with self.http.get(f"{self.url}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return await answer.text()

    async def samples(self) -> dict[Sample, float]:
        """Every sample, as Prometheus' own parser reads it."""
        families = list(text_string_to_metric_families(await self.text()))
        assert len({family.name for family in families}) == len(families)
        assert all(family.documentation for family in families)
        found = [(one.name, frozenset(one.labels.items()), one.value) for family in families for one in family.samples]
        assert len({(name, labels) for name, labels, _ in found}) == len(found)
        return {(name, labels): value for name, labels, value in found}

    async def value(self, name: str, **labels: str) -> float:
        return (await self.samples())[f"bouncer_{name}", frozenset(labels.items())]

    async def until(self, wanted: float, name: str, **labels: str) -> None:
        """Ask until it is that."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.value(name, **labels) != wanted:  # noqa: ASYNC110 - what is waited for is what it says
                await asyncio.sleep(0.02)

    async def health(self) -> tuple[int, dict[str, str]]:
        async with self.http.get(f"{self.url}/healthz") as answer:
            found = await answer.json()
            assert found["status"] == ("ok" if answer.status == 200 else "failing")
            return answer.status, found["checks"]


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, metrics=Where(parse_http("http://127.0.0.1:0")))


@pytest.fixture
async def monitor(house: House, config: Config) -> AsyncIterator[Monitor]:
    figures = Metrics(house.supervisor, lambda: web_figures(None), list)
    listener = await start_monitoring(config, figures)
    async with aiohttp.ClientSession() as http:
        yield Monitor(house, listener.address, http)
    await listener.close()


async def guess(house: House, name: str) -> None:
    """A sign-in that fails."""
    client = await Attached.connect(house.port, name, password="wrong")
    house.clients.append(client)
    await client.until("ERROR")


async def test_figures_follow_what_happens(house: House, monitor: Monitor, network: ScriptedNetwork) -> None:
    assert await monitor.value("upstreams", state="connected") == 0
    await house.user("alice")
    await house.server("alice", network, channels="#room")
    peer = await network.accept()
    assert await monitor.value("upstreams", state="connecting") == 1
    await peer.welcome()
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room")
    client = await house.client("alice/net@phone")
    await client.until(" 366 ")
    stored = await monitor.value("messages_stored_total")
    for number in range(20):
        await peer.send(f":bob!b@h PRIVMSG #room :line {number}")
    await client.until("line 19")
    before, now = await monitor.samples(), await monitor.samples()
    assert now["bouncer_messages_stored_total", frozenset()] == stored + 20
    assert now["bouncer_upstreams", frozenset({("state", "connected")})] == 1
    assert now["bouncer_clients", frozenset()] == 1
    assert now["bouncer_irc_logins_total", frozenset({("way", "password")})] == 1
    assert now["bouncer_logins_total", frozenset({("outcome", "right")})] == 1
    assert now["bouncer_users_live", frozenset()] == 1
    assert now["bouncer_tenant_files_open", frozenset()] == 1
    assert now["bouncer_tenant_switches_total", frozenset()] > 0
    assert now["bouncer_journal_commit_rows_sum", frozenset()] == now["bouncer_messages_stored_total", frozenset()]
    assert now["bouncer_journal_trip_seconds_count", frozenset()] > 0
    assert now["bouncer_journal_waiting_rows", frozenset()] == 0
    assert {key for key in before if key not in now} == set()
    assert now["process_open_fds", frozenset()] > 3
    assert now["process_resident_memory_bytes", frozenset()] > 10_000_000

    await guess(house, "alice")
    assert await monitor.value("logins_total", outcome="wrong") == 1
    long = await house.client("alice")
    long.send("x" * (house.supervisor.config.limits.client_line_bytes + 10))
    await monitor.until(1, "clients_dropped_total", reason="line_too_long")
    await client.close()
    await monitor.until(0, "clients")
    network.refuse()
    peer.reset()
    await monitor.until(0, "upstreams", state="connected")


async def test_queues_are_seen_while_they_wait(house: House, monitor: Monitor, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    await (await network.accept()).welcome()
    client = await house.client("alice/net@phone")
    await client.until(" 001 ")
    config = house.supervisor.config
    await house.supervisor.reload(replace(config, flood=replace(config.flood, burst=1, interval_ms=60_000)))
    client.send(*(f"PRIVMSG #room :{number}" for number in range(7)), "CAP LIST")
    await client.until(" CAP ")
    samples = await monitor.samples()
    queued = samples["bouncer_upstream_queue_lines", frozenset()]
    assert queued >= 5
    assert samples["bouncer_upstream_queue_max_lines", frozenset()] == queued
    assert await monitor.value("clients_registering") == 0
    waiting = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(waiting)
    await monitor.until(1, "clients_registering")


async def test_no_figure_is_of_anybody_however_many_there_are(house: House, monitor: Monitor) -> None:
    """The same samples, with the same labels, for one user as for two; no name, address or channel in them."""
    counts = []
    for name in ("zaphod", "trillian"):
        async with ScriptedNetwork() as network:
            await house.user(name)
            await house.server(name, network, channels="#heartofgold")
            peer = await network.accept()
            await peer.welcome()
            await peer.expect("JOIN", "#heartofgold")
            await peer.let_in("#heartofgold")
            client = await house.client(f"{name}/net@towel")
            await client.until(" 366 ")
            await peer.send(":marvin!m@brain PRIVMSG #heartofgold :I think you ought to know")
            await client.until("ought to know")
            await guess(house, f"{name}x")
            counts.append(set(await monitor.samples()))
            text = (await monitor.text()).lower()
            private = ("zaphod", "trillian", "heartofgold", "towel", "marvin", "ought", "127.0.0.1", str(network.port))
            assert not [word for word in private if re.search(rf"\b{re.escape(word)}\b", text)]
            assert '"net"' not in text
    assert counts[0] == counts[1]
    labels = {pair for _, pairs in counts[0] for pair in pairs if pair[0] not in ("le", "generation")}
    assert {name for name, _ in labels} <= {
        "state", "reason", "outcome", "way", "status", "implementation", "major", "minor", "patchlevel", "version",
    }  # fmt: skip


async def test_healthz_is_200_while_all_is_well(monitor: Monitor) -> None:
    well = dict.fromkeys(("main_database", "writers", "loop", "listeners"), "ok")
    assert await monitor.health() == (200, well)
    for method, path, status in (("POST", "/healthz", 405), ("GET", "/", 404), ("GET", "/servers", 404)):
        async with monitor.http.request(method, monitor.url + path) as answer:
            assert answer.status == status


async def test_healthz_tells_of_a_main_database_that_cannot_be_read(house: House, monitor: Monitor) -> None:
    with contextlib.closing(sqlite3.connect(house.supervisor.config.storage.path / "main.sqlite3")) as other:
        other.execute("ALTER TABLE users RENAME TO gone")
        other.commit()
        status, checks = await monitor.health()
        assert (status, checks["main_database"]) == (503, "cannot be read: OperationalError")
        assert (await monitor.samples())["bouncer_users_live", frozenset()] == 0, "figures are told all the same"
        other.execute("ALTER TABLE gone RENAME TO users")
        other.commit()
    assert (await monitor.health())[0] == 200


async def test_healthz_tells_of_a_thread_that_has_ended(house: House, monitor: Monitor) -> None:
    await house.supervisor.tenants._threads[0].stop()
    assert await monitor.health() == (503, {**(await monitor.health())[1], "writers": "a thread has ended"})


async def test_healthz_tells_of_a_loop_that_is_held_up(
    house: House, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looplag, "EVERY_S", 0.01)
    monkeypatch.setattr(metrics, "LATE_S", 0.2)
    monkeypatch.setattr(metrics, "LATE_SAMPLES", 1_000)
    house.supervisor.lag.stop()
    house.supervisor.lag.start()
    time.sleep(0.3)  # noqa: ASYNC251 - that is what must not happen
    async with asyncio.timeout(DEADLINE_S):
        while (found := await monitor.health())[0] == 200:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    assert found[1]["loop"].startswith("0.")
    assert await monitor.value("loop_lag_recent_max_seconds") >= 0.2
    assert await monitor.value("loop_lag_seconds_bucket", le="0.1") < await monitor.value("loop_lag_seconds_count")


async def test_healthz_tells_of_a_listener_that_is_dead(house: House, monitor: Monitor) -> None:
    (acceptor,) = house.supervisor.listeners._open.values()
    acceptor._tasks[0].cancel()
    await asyncio.wait(acceptor._tasks)
    status, checks = await monitor.health()
    assert (status, checks["listeners"]) == (503, f"nobody listens on {house.supervisor.listening[0]}")


async def test_connections_that_were_refused_are_counted_by_reason(house: House, monitor: Monitor) -> None:
    config = house.supervisor.config
    await house.supervisor.reload(replace(config, limits=replace(config.limits, registering_per_address=1)))
    for _ in range(2):
        house.clients.append(Attached(*await asyncio.open_connection("127.0.0.1", house.port)))
    await house.clients[-1].until("ERROR")
    assert await monitor.value("connections_refused_total", reason="full") == 1


async def test_a_listener_that_cannot_be_is_named(house: House, config: Config, monitor: Monitor) -> None:
    taken = replace(config, metrics=Where(parse_http(monitor.url)))
    with pytest.raises(ConfigError, match=re.escape(f"metrics.listen: {monitor.url} is in use")):
        await start_monitoring(taken, Metrics(house.supervisor, lambda: web_figures(None), list))


async def test_who_sends_half_a_request_keeps_nobody_from_asking(monitor: Monitor) -> None:
    """More of those than the listener takes connections: they give way, the oldest first."""
    port = int(monitor.url.rpartition(":")[2])
    half = []
    for _ in range(40):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: ")
        half.append(writer)
    assert await monitor.value("clients") == 0
    assert (await monitor.health())[0] == 200
    for writer in half:
        writer.close()


async def test_every_figure_is_explained_to_the_operator(monitor: Monitor) -> None:
    text = await asyncio.to_thread((ROOT / "docs/operating.md").read_text, encoding="utf-8")
    families = {name for name, _ in await monitor.samples() if name.startswith("bouncer_")}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in families}
    assert ours == set(re.findall(r"`(bouncer_\w+)`", text))
