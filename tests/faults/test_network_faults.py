"""Networks and clients that vanish, trickle, say nothing or go for ever: ended in time, and nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bouncer import listeners, tasks, tls
from bouncer.config import Tls
from bouncer.endpoints import parse_listen
from tests.support.arrival import arrived, client, net
from tests.support.held import held, nothing_more_than
from tests.support.house import PASSWORD, Attached
from tests.support.network import ISUPPORT, ScriptedNetwork
from tests.support.relay import relay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from bouncer.config import Config
    from tests.support.house import House

PING_S, REGISTER_S, CONNECT_S = 0.2, 0.25, 0.25
ROUNDS = 3
TRICKLE_S = 0.02
"""Between two bytes: a second beside the usual deadlines."""
LATE_S = 3.0
"""A busy machine may be so much later than a deadline says."""


@pytest.fixture
def config(config: Config, tmp_path: Path) -> Config:
    """Short deadlines; the second listener speaks TLS."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    tls.write_pair(tls.self_signed(["localhost"]), cert, key)
    times = replace(config.timeouts, ping_s=PING_S, register_s=REGISTER_S, connect_s=CONNECT_S, backoff_min_s=0.01)
    listen = (parse_listen("irc+insecure://127.0.0.1:0"), parse_listen("ircs://127.0.0.1:0"))
    return replace(config, timeouts=times, listen=listen, tls=Tls(cert, key))


# -- networks -------------------------------------------------------------------------------------------------------


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(1000):
            pass


async def _trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reading = tasks.spawn(_silent(reader, writer), name="faulty reader")
    with contextlib.suppress(OSError):
        for number in itertools.cycle(b":irc.test NOTICE * :on and on, a byte at a time "):
            if reading.done():
                return
            writer.write(bytes([number]))
            await writer.drain()
            await asyncio.sleep(TRICKLE_S)  # the trickle


async def _closing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readline()


async def _half_a_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76")  # a ServerHello of which only the beginning comes
    await _silent(reader, writer)


class Faulty:
    """A listener whose connections go as `act` says; `came` holds when (s) each began and how long it lasted."""

    def __init__(self, act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.lasted: list[float] = []
        self.enough = asyncio.Event()
        self._act = act
        self._tasks = tasks.Group()

    async def start(self) -> ScriptedNetwork:
        """A network in name: where it listens."""
        self._server = await asyncio.start_server(self._came, "127.0.0.1", 0)
        network = ScriptedNetwork()
        network.port = self._server.sockets[0].getsockname()[1]
        return network

    async def stop(self) -> None:
        self._server.close()
        await self._tasks.cancel()

    def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.spawn(self._one(reader, writer), name="faulty")

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began = asyncio.get_running_loop().time()
        try:
            with contextlib.suppress(OSError):
                await self._act(reader, writer)
        finally:
            writer.transport.abort()
            self.lasted.append(asyncio.get_running_loop().time() - began)
            if len(self.lasted) >= ROUNDS:
                self.enough.set()


@pytest.mark.parametrize(
    ("act", "encrypted", "limit_s", "reason"),
    [
        (_silent, False, REGISTER_S, "registration timed out"),
        (_trickling, False, REGISTER_S, "registration timed out"),
        (_closing, False, 0.0, "closed by the server"),
        (_silent, True, CONNECT_S, "no answer within 0.25 s"),
        (_half_a_handshake, True, CONNECT_S, "no answer within 0.25 s"),
        (_trickling, True, CONNECT_S, "the server does not speak TLS on this port"),
    ],
)
async def test_a_network_that_lets_nobody_in_is_given_up_in_time_and_leaves_nothing(
    house: House, act: Callable[..., Awaitable[None]], encrypted: bool, limit_s: float, reason: str
) -> None:
    await house.user("alice")
    before = held()
    faulty = Faulty(act)
    network = await faulty.start()
    await added_to(house, network, encrypted=encrypted)
    async with asyncio.timeout(ROUNDS * (limit_s + LATE_S)):
        await faulty.enough.wait()
    assert net(house).error.startswith(reason)
    assert min(faulty.lasted) < limit_s + LATE_S
    await house.supervisor.forget(house.ids["alice"], "the test is over")
    await faulty.stop()
    await nothing_more_than(before)


async def added_to(house: House, network: ScriptedNetwork, *, encrypted: bool) -> None:
    """The row, for a user who is there."""
    place = {"name": "net", "address": network.host, "port": str(network.port), "tls": encrypted, "nickname": "alice"}
    await house.supervisor.service.servers.add(house.ids["alice"], {**place, "tls_verify": False}, trusted=True)


async def test_a_network_that_falls_silent_or_only_trickles_is_noticed_and_leaves_nothing(house: House) -> None:
    await house.user("alice")
    before = held()
    loop = asyncio.get_running_loop()
    async with ScriptedNetwork() as network, relay(network.port) as between:
        reached = ScriptedNetwork()
        reached.port = between.port
        await added_to(house, reached, encrypted=False)
        for number in range(ROUNDS):
            between.silent = False
            peer = await network.accept()
            await peer.welcome(isupport=ISUPPORT)
            await peer.barrier()
            peer.answer_pings = False
            began = loop.time()
            if number % 2:
                between.silent = True  # no FIN, no answer
            lost = asyncio.Event()
            trickle = tasks.spawn(_bytes(peer.send_bytes, lost), name="trickle")
            while net(house).up:
                assert loop.time() - began < 2 * PING_S + LATE_S, "nobody notices"
                await asyncio.sleep(0.01)
            lost.set()
            await trickle
            assert "ping timeout" in net(house).error
        await house.supervisor.forget(house.ids["alice"], "the test is over")
    del network, between, reached, peer
    await nothing_more_than(before)


async def _bytes(send: Callable[[bytes], Awaitable[None]], over: asyncio.Event) -> None:
    """A line that does not end."""
    with contextlib.suppress(OSError, RuntimeError):
        while not over.is_set():
            await send(b"x")
            await asyncio.sleep(TRICKLE_S)  # the trickle


# -- clients --------------------------------------------------------------------------------------------------------


async def _says_nothing(_writer: asyncio.StreamWriter) -> None:
    pass


async def _trickles(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        for number in itertools.cycle(b"NICK on-and-on-and-on"):
            writer.write(bytes([number]))
            await writer.drain()
            await asyncio.sleep(TRICKLE_S)  # the trickle


async def _half_a_hello(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")  # a ClientHello of which only the beginning comes


@pytest.mark.parametrize("act", [_says_nothing, _trickles, _half_a_hello])
@pytest.mark.parametrize("listener", [0, 1])
async def test_a_client_that_does_not_come_in_is_ended_in_time_and_leaves_nothing(
    house: House,
    act: Callable[[asyncio.StreamWriter], Coroutine[None, None, None]],
    listener: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "HANDSHAKE_S", CONNECT_S)
    port = int(house.supervisor.listening[listener].rpartition(":")[2])
    before = held()

    async def comes() -> float:
        began = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        acting = tasks.spawn(act(writer), name="acting")
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                pass
        acting.cancel()
        writer.transport.abort()
        return asyncio.get_running_loop().time() - began

    async with asyncio.timeout(REGISTER_S + LATE_S):
        lasted = await asyncio.gather(*(comes() for _ in range(ROUNDS)))
    assert max(lasted) < REGISTER_S + LATE_S
    await nothing_more_than(before)


async def test_a_client_that_vanishes_trickles_or_reads_nothing_is_ended_and_leaves_nothing(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    await house.supervisor.reload(replace(config, timeouts=replace(config.timeouts, register_s=10.0)))
    peer = await arrived(house, network)
    warm = await client(house, "one")
    await warm.close()
    house.clients.clear()
    del warm
    await asyncio.sleep(0)
    before = held()
    number = house.ids["alice"]
    async with relay(house.port) as between:
        vanishing = await Attached.connect(between.port, "alice/net@vanishes")
        await vanishing.until(" 366 ")
        trickling = await Attached.connect(house.port, "alice/net@trickles")
        await trickling.until(" 366 ")
        deaf = await _deaf(house)
        lively = await Attached.connect(house.port, "alice/net@lively")
        await lively.until(" 366 ")
        listening = tasks.spawn(_listens(lively), name="listens")
        between.silent = True
        over = asyncio.Event()
        trickle = tasks.spawn(_bytes(_sender(trickling), over), name="trickle")
        await peer.send(*[f":friend!f@h PRIVMSG #room :{'x' * 400}"] * 200)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2 * PING_S + LATE_S
        while [one.name for one in house.supervisor.clients(number)] != ["lively"]:
            assert loop.time() < deadline, house.supervisor.clients(number)
            await asyncio.sleep(0.01)
        over.set()
        await trickle
        listening.cancel()
        for one in (vanishing, trickling, deaf, lively):
            one.writer.transport.abort()
    del between, vanishing, trickling, deaf, lively, listening, trickle, one
    await nothing_more_than(before)


async def _deaf(house: House) -> Attached:
    """It registers, and never reads again."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.setblocking(False)
    await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", house.port))
    deaf = Attached(*await asyncio.open_connection(sock=link, limit=1024))
    deaf.send(f"PASS :alice/net@deaf:{PASSWORD}", "NICK me", "USER me 0 * :me")
    await deaf.until(" 001 ")
    return deaf


async def _listens(attached: Attached) -> None:
    with contextlib.suppress(AssertionError, OSError):
        await attached.until("never said")


def _sender(attached: Attached) -> Callable[[bytes], Awaitable[None]]:
    async def send(data: bytes) -> None:
        attached.writer.write(data)
        await attached.writer.drain()

    return send
