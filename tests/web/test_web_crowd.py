"""Many connections to the panel, slow ones and silent ones: who holds them keeps nobody else out."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from web import middlewares, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bouncer.config import Config
    from tests.web.panelkit import Browser, Installation

EACH, TOTAL = 4, 6
DEADLINE_S = 10.0
HALF = b"GET /session/new HTTP/1.1\r\nHost: panel\r\nX-Slow: "
BODY = b"POST /session HTTP/1.1\r\nHost: panel\r\nContent-Type: application/x-www-form-urlencoded\r\n"
BODY += b"Sec-Fetch-Site: same-origin\r\nContent-Length: 100\r\n"
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def config(config: Config) -> Config:
    """Room for few."""
    limits = replace(config.limits, panel_connections_per_address=EACH, panel_connections=TOTAL)
    return replace(config, limits=limits, timeouts=replace(config.timeouts, panel_s=20.0))


class Crowd:
    """Raw connections from addresses of this machine's."""

    def __init__(self, installation: Installation) -> None:
        self.port = int(installation.url.rpartition(":")[2])
        self.wires: list[Wire] = []

    async def open(self, address: str, data: bytes) -> Wire:
        wire = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        self.wires.append(wire)
        wire[1].write(data)
        return wire

    async def close(self) -> None:
        for _, writer in self.wires:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
async def crowd(installation: Installation) -> AsyncIterator[Crowd]:
    made = Crowd(installation)
    yield made
    await made.close()


async def answer(wire: Wire) -> bytes:
    """The first line of what comes, b"" when it was closed without one."""
    async with asyncio.timeout(DEADLINE_S):
        try:
            return await wire[0].readline()
        except ConnectionResetError:
            return b""


async def at_work(installation: Installation, number: int) -> None:
    """Wait until so many requests are being worked on."""
    async with asyncio.timeout(DEADLINE_S):
        house = installation.panel.connections
        while sum(one.at_work for one in house.open.values()) != number:  # noqa: ASYNC110 - that is what is asked
            await asyncio.sleep(0.01)


async def test_half_requests_give_way_to_whole_ones_wherever_they_come_from(
    installation: Installation, alice: Browser, crowd: Crowd
) -> None:
    for _ in range(30):
        await crowd.open("127.0.0.2", HALF)
    assert (await alice.get("/servers")).status == 200
    here = await crowd.open("127.0.0.2", HALF + b"no\r\n\r\n")
    assert await answer(here) == b"HTTP/1.1 200 OK\r\n"
    assert await answer(crowd.wires[0]) == b"", "the one that waited longest"
    house = installation.panel.connections
    assert house.displaced >= 30 - EACH
    assert house.refused == 0
    assert len(house.open) <= EACH + 1


async def test_the_address_with_most_connections_makes_room_for_others(
    installation: Installation, alice: Browser, crowd: Crowd
) -> None:
    await alice.http.close()  # its connection too
    few = [await crowd.open("127.0.0.3", HALF) for _ in range(2)]
    for _ in range(EACH):
        await crowd.open("127.0.0.2", HALF)
    other = await crowd.open("127.0.0.4", HALF + b"no\r\n\r\n")
    assert await answer(other) == b"HTTP/1.1 200 OK\r\n"
    assert await answer(crowd.wires[2]) == b""
    few[0][1].write(b"no\r\n\r\n")
    assert await answer(few[0]) == b"HTTP/1.1 200 OK\r\n"
    assert installation.panel.connections.displaced >= 1


async def test_where_all_are_at_work_one_more_of_that_address_is_told_so_and_others_get_in(
    installation: Installation, alice: Browser, crowd: Crowd
) -> None:
    for _ in range(EACH):
        await crowd.open("127.0.0.2", BODY + b"\r\nname=")
    await at_work(installation, EACH)
    assert await answer(await crowd.open("127.0.0.2", HALF)) == b"HTTP/1.1 503 Service Unavailable\r\n"
    assert installation.panel.connections.refused == 1
    assert (await alice.get("/servers")).status == 200


async def test_a_head_that_comes_by_the_byte_is_cut_off(
    installation: Installation, alice: Browser, crowd: Crowd
) -> None:
    bounds = replace(installation.panel.connections.bounds, idle_s=0.5)
    app = web.Application(middlewares=[serving.at_work])
    endpoint = installation.config.web.listen
    assert endpoint is not None
    slow = await serving.HttpListener.open("web.listen", endpoint, app, bounds)
    crowd.port = int(slow.address.rpartition(":")[2])
    reader, writer = await crowd.open("127.0.0.2", HALF)

    async def trickle() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async with asyncio.timeout(DEADLINE_S):
        trickling = asyncio.ensure_future(trickle())  # noqa: TID251 - it is ended below
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        trickling.cancel()
    await slow.close()
    assert (await alice.get("/servers")).status == 200


async def test_a_body_that_comes_by_the_byte_is_given_up(
    installation: Installation, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    del installation
    monkeypatch.setattr(middlewares, "DEADLINE_S", 0.3)
    wire = await crowd.open("127.0.0.2", BODY + b"\r\nname=")
    assert await answer(wire) == b"HTTP/1.1 503 Service Unavailable\r\n"


async def test_who_takes_nothing_of_an_answer_is_cut_off(
    installation: Installation, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "STALL_S", 0.3)
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(link, ("127.0.0.1", crowd.port))
    request = b"GET /session/new HTTP/1.1\r\nHost: panel\r\n\r\n"
    house = installation.panel.connections
    async with asyncio.timeout(DEADLINE_S):
        try:
            while True:  # until nothing more goes either way
                async with asyncio.timeout(0.2):
                    await loop.sock_sendall(link, request * 100)
        except TimeoutError:
            pass
        while house.open:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    link.close()


class TestBehindAProxy:
    """All come from its address; what counts is for whom it says they come."""

    @pytest.fixture
    def config(self, config: Config) -> Config:
        trusted = (ipaddress.ip_network("127.0.0.2"),)
        limits = replace(config.limits, panel_connections=100)
        return replace(config, limits=limits, web=replace(config.web, trusted_proxies=trusted))

    async def test_one_visitor_has_so_many_requests_at_work_and_others_have_theirs(
        self, installation: Installation, crowd: Crowd
    ) -> None:
        one, other = b"X-Forwarded-For: 203.0.113.7\r\n", b"X-Forwarded-For: 198.51.100.1\r\n"
        for _ in range(EACH):
            await crowd.open("127.0.0.2", BODY + one + b"\r\nname=")
        await at_work(installation, EACH)
        get = b"GET /session/new HTTP/1.1\r\nHost: panel\r\n"
        assert await answer(await crowd.open("127.0.0.2", get + one + b"\r\n")) == b"HTTP/1.1 429 Too Many Requests\r\n"
        assert await answer(await crowd.open("127.0.0.2", get + other + b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
