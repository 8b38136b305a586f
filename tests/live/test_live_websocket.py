"""Clients over the panel's WebSocket: the same clients, one line a message."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bouncer.config import Web
from bouncer.endpoints import parse_http
from tests.support.house import DEADLINE_S, PASSWORD
from web.app import start_panel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bouncer.config import Config
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")  # as in the panel's own tests

TEXT, BINARY = "text.ircv3.net", "binary.ircv3.net"
LOGIN = (f"PASS :alice:{PASSWORD}", "NICK me", "USER me 0 * :me")


@pytest.fixture
def config(config: Config) -> Config:
    """With a panel."""
    return replace(config, web=Web(listen=parse_http("http://127.0.0.1:0")))


@pytest.fixture
async def panel(house: House, config: Config) -> AsyncIterator[str]:
    """The panel's address."""
    started = await start_panel(config, house.supervisor.service)
    yield started.address
    await started.close()


@contextlib.asynccontextmanager
async def socket(
    panel: str, *protocols: str, origin: str | None = None
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(panel + "/socket", protocols=protocols, origin=origin) as ws,
    ):
        yield ws


async def until(ws: aiohttp.ClientWebSocketResponse, text: str) -> list[str]:
    """All lines up to the one with `text` in it; each came as a message of its own, without its end."""
    seen: list[str] = []
    async with asyncio.timeout(DEADLINE_S):
        while True:
            message = await ws.receive()
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), (seen, message)
            assert (message.type is aiohttp.WSMsgType.TEXT) is (ws.protocol != BINARY)
            line = message.data if isinstance(message.data, str) else message.data.decode("latin-1")
            assert "\r" not in line
            assert "\n" not in line
            seen.append(line)
            if text in line:
                return seen


@pytest.mark.parametrize(
    ("asked", "got"),
    [((TEXT,), TEXT), ((BINARY,), BINARY), ((BINARY, TEXT), BINARY), ((TEXT, BINARY), TEXT), ((), None)],
)
async def test_a_client_chooses_text_or_binary(
    house: House, panel: str, network: ScriptedNetwork, asked: tuple[str, ...], got: str | None
) -> None:
    number = await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    async with socket(panel, *asked) as ws:
        assert ws.protocol == got
        for line in LOGIN:
            if got == BINARY:
                await ws.send_bytes(line.encode())
            else:
                await ws.send_str(line)
        await until(ws, " 001 ")
        (info,) = house.supervisor.clients(number)
        assert (info.address, info.tls) == ("127.0.0.1", False)
        await ws.send_bytes(b"PRIVMSG friend :caf\xe9")  # bytes as they are, even from who speaks text
        assert (await peer.expect("PRIVMSG", "friend")).raw.endswith(b":caf\xe9")
        await peer.send_bytes(b":friend!f@example PRIVMSG alice :caf\xe9\r\n")
        heard = (await until(ws, "PRIVMSG alice"))[-1]
        assert heard.endswith("caf\xe9" if got == BINARY else "caf\N{REPLACEMENT CHARACTER}")
        await ws.send_str("QUIT")
        await until(ws, "ERROR")
        assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
    assert not house.supervisor.clients(number)


async def test_a_line_over_the_limit_and_one_over_every_limit(house: House, panel: str) -> None:
    await house.user("alice")
    async with socket(panel, TEXT) as ws:
        await ws.send_str("PING :" + "x" * 504 + "\r\n")
        await until(ws, "PONG")
        await ws.send_str("PING :" + "x" * 505)
        await until(ws, " 417 ")
        await ws.send_str("x" * 20_000)
        async with asyncio.timeout(DEADLINE_S):
            assert (await ws.receive()).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


@pytest.mark.parametrize("origin", [None, "SELF"])
async def test_our_own_pages_and_what_is_no_browser_may_attach(house: House, panel: str, origin: str | None) -> None:
    del house
    async with socket(panel, TEXT, origin=panel if origin == "SELF" else origin) as ws:
        await ws.send_str("PING here")
        await until(ws, "PONG")


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1"])
async def test_pages_of_other_sites_may_not(house: House, panel: str, origin: str) -> None:
    del house
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with socket(panel, TEXT, origin=origin):
            pass
    assert refused.value.status == 403


async def test_what_is_no_websocket_is_told_so(house: House, panel: str) -> None:
    del house
    async with aiohttp.ClientSession() as http, http.get(panel + "/socket") as response:
        assert response.status == 400


async def test_a_client_that_does_not_read_is_dropped(house: House, config: Config, panel: str) -> None:
    """The bound is the same as on a TCP socket."""
    number = await house.user("alice")
    async with socket(panel, TEXT) as ws:
        for line in LOGIN:
            await ws.send_str(line)
        await until(ws, " 422 ")
        browser = ws._response.connection.transport  # type: ignore[union-attr]  # it is connected
        browser.pause_reading()  # type: ignore[union-attr]  # what a stuck one does
        (session,) = house.supervisor.users[number].sessions.values()
        block = b"NOTICE me :" + b"x" * 60_000 + b"\r\n"
        for _ in range(config.limits.client_sendq_bytes // len(block) + 50):
            session.client.write(block)
        async with asyncio.timeout(DEADLINE_S):
            while house.supervisor.clients(number):  # noqa: ASYNC110 - nobody is told when it has gone
                await asyncio.sleep(0)
        browser.abort()  # type: ignore[union-attr]  # which would wait for an answer to its close


async def test_closing_the_panel_ends_its_clients(house: House, config: Config) -> None:
    number = await house.user("alice")
    started = await start_panel(config, house.supervisor.service)
    async with socket(started.address, TEXT) as ws:
        for line in LOGIN:
            await ws.send_str(line)
        await until(ws, " 422 ")
        await started.close()
        await until(ws, "ERROR :The panel is closing")
    assert not house.supervisor.clients(number)
