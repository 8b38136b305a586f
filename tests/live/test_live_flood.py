"""A network that lets us say little: what people say goes before what programs ask, which state answers meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bouncer.config import Flood

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.live.conftest import House
    from tests.support.network import ScriptedNetwork


async def test_words_do_not_wait_behind_the_questions_of_a_client_that_attaches(
    house: House, config: Config, network: ScriptedNetwork
) -> None:
    await house.user("alice")
    await house.server("alice", network, channels="#room")
    peer = await network.accept()
    await peer.welcome()
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room", "@friend", topic="the topic")
    await peer.send(":irc.example 324 alice #room +nt", ":irc.example 329 alice #room 1700000000")
    await peer.barrier()
    client = await house.client("alice/net@phone")
    await client.until(" 366 ")
    await client.barrier()
    await house.supervisor.reload(replace(config, flood=Flood(burst=3, interval_ms=100)))
    client.send(*(f"WHO #room{number}" for number in range(40)), "NAMES #room", "MODE #room", "PRIVMSG #room :a word")
    shown = await client.until(" 329 alice #room 1700000000")
    assert any(" 353 alice = #room :alice @friend" in line for line in shown)
    assert any(" 324 alice #room +nt" in line for line in shown)
    await peer.expect("PRIVMSG", "#room", "a word")
    assert len(peer.seen("WHO")) < 10, "the questions wait"
    assert not peer.seen("NAMES")
