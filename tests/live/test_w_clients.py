"""Clients that misbehave or are old; each test is one that another bouncer fails."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.house import PASSWORD, Attached

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.live.conftest import House
    from tests.support.network import ScriptedNetwork

CAPS = "server-time message-tags batch"
FLOOD = 14_000


@pytest.fixture
def config(config: Config) -> Config:
    """Little is kept for a client that does not read."""
    return replace(config, limits=replace(config.limits, client_sendq_bytes=65_536))


async def test_w5_a_client_that_stops_reading_is_dropped_alone_and_catches_up(
    house: House, network: ScriptedNetwork
) -> None:
    number = await house.user("alice")
    await house.server("alice", network, channels="#room")
    peer = await network.accept()
    await peer.welcome()
    await peer.let_in("#room")
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.setblocking(False)
    await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", house.port))
    stuck = Attached(*await asyncio.open_connection(sock=link, limit=4096))
    house.clients.append(stuck)
    stuck.send(f"PASS :alice/net@stuck:{PASSWORD}", "NICK me", "USER me 0 * :me")
    await stuck.until(" 366 ")
    await stuck.barrier()
    lively = await house.client("alice/net@lively", caps=CAPS)
    await lively.until(" 366 ")
    padding = "x" * 350
    for start in range(0, FLOOD, 100):
        await peer.send(*(f":f!f@x PRIVMSG #room :{padding} {one:05}" for one in range(start, start + 100)))
        await lively.until(f"{padding} {start + 99:05}")  # never held up for long: each wait has its deadline
    assert [client.name for client in house.supervisor.clients(number)] == ["lively"]
    again = await house.client("alice/net@stuck", caps=CAPS)
    shown = [line for line in await again.until(f" {FLOOD - 1:05}") if "PRIVMSG" in line]
    numbers = [int(line[-5:]) for line in shown]
    assert numbers == list(range(FLOOD)), "nothing skipped, nothing twice"


async def test_w9_numerics_name_the_client_by_its_nick(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    unbound = await house.client("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome(motd=())
    bound = await house.client("alice/net")
    seen = [*await unbound.until(" 422 "), *await bound.until(" 422 ")]
    nonsense = ("JOIN", "WHOIS", "FROB", "USER x", "PASS x", "CAP NONSENSE", "PRIVMSG", "NICK", "MODE", "CHATHISTORY")
    for client in (unbound, bound):
        client.send(*nonsense)
    await peer.expect("MODE")
    await peer.send(":irc.test 461 * JOIN :Not enough parameters", ":irc.test 421 * FROB :Unknown command")
    for client in (unbound, bound):
        seen += await client.barrier()
    numerics = [line for line in seen if re.match(r"(@\S+ )?:\S+ \d{3} ", line)]
    assert len(numerics) > 15
    assert not [line for line in numerics if re.match(r"(@\S+ )?:\S+ \d{3} \* ", line)]


@pytest.mark.parametrize("version", ["302", ""])
async def test_w10_no_line_of_cap_ls_is_longer_than_512_bytes(
    house: House, network: ScriptedNetwork, version: str
) -> None:
    await house.user("alice")
    await house.server("alice", network)
    caps = ["away-notify", "chghost", "account-notify", "account-tag", "extended-join", "extended-monitor"]
    caps += ["draft/channel-rename", "draft/message-redaction", "batch", "labeled-response", "message-tags"]
    peer = await network.accept()
    await peer.welcome(caps=caps)
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(client)
    client.send(f"PASS :alice/net:{PASSWORD}", f"CAP LS {version}".strip(), "CAP LIST")
    lines = [line for line in await client.until(" LIST ") if " LS " in line]
    assert all(len(line.encode()) + 2 <= 512 for line in lines), lines
    continued = [" LS * :" in line for line in lines]
    if version:
        assert continued == [True] * (len(lines) - 1) + [False]
        assert len(lines) > 1, "all of it does not fit into one"
    else:
        assert continued == [False], "who does not know of several lines gets one, and the short names"
        assert "=" not in lines[0].partition(" :")[2]
