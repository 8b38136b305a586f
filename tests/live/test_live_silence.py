"""Clients that say nothing, and what they said of themselves before they were there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.house import PASSWORD, Attached

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

PING_S = 0.2


@pytest.fixture
def config(config: Config) -> Config:
    """Silence is soon too long."""
    return replace(config, timeouts=replace(config.timeouts, ping_s=PING_S))


async def test_a_client_that_answers_stays_and_one_that_does_not_is_dropped(house: House) -> None:
    number = await house.user("alice")
    vanished = await house.client("alice")
    vanished.mute = True
    await vanished.until(" 422 ")  # nobody is asked before there was silence
    loop = asyncio.get_running_loop()
    began = loop.time()
    await vanished.until("PING :bouncer-alive-")
    with pytest.raises((AssertionError, ConnectionError)):
        await vanished.until("never")
    assert loop.time() - began < PING_S * 2 + 1
    lively = await house.client("alice")
    for _ in range(5):
        await lively.until("PING :bouncer-alive-")
    assert len(house.supervisor.clients(number)) == 1


async def attached(house: House, network: ScriptedNetwork) -> Peer:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    return peer


@pytest.mark.parametrize(("said", "heard"), [("AWAY :gone fishing", ["gone fishing"]), ("AWAY", []), ("AWAY *", None)])
async def test_away_before_registration_is_what_the_network_sees(
    house: House, network: ScriptedNetwork, said: str, heard: list[str] | None
) -> None:
    peer = await attached(house, network)
    await peer.expect("AWAY")  # nobody is there yet
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(client)
    client.send(f"PASS :alice/net:{PASSWORD}", "CAP REQ :draft/pre-away", said, "NICK me", "USER me 0 * :me", "CAP END")
    await client.until(" 306 " if said != "AWAY" else " 305 ")
    await client.until(" 001 ")
    if heard is None:
        client.send("WHOIS end")
        await peer.expect("WHOIS", "end")
        assert len([line for line in peer.received if line.startswith("AWAY")]) == 1
        return
    while (await peer.expect("AWAY")).params != heard:
        pass
