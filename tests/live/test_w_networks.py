"""Networks that misbehave, are slow or are busy, with short times; each test is one that another bouncer fails."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from bouncer.config import Flood
from tests.support.network import ScriptedNetwork

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.live.conftest import House
    from tests.support.network import Peer

CAPS = "server-time message-tags batch"


async def test_w1_a_server_that_closes_right_after_registering_us_is_left_alone_longer_and_longer(
    house: House, config: Config, network: ScriptedNetwork
) -> None:
    times = replace(config.timeouts, backoff_min_s=0.05, backoff_max_s=10.0)
    await house.supervisor.reload(replace(config, timeouts=times))
    loop = asyncio.get_running_loop()
    came: list[float] = []
    enough = asyncio.Event()

    async def let_in_and_close(peer: Peer) -> None:
        came.append(loop.time())
        await peer.welcome()
        peer.hang_up()
        if len(came) == 6:
            enough.set()

    network.serve(let_in_and_close)
    await house.user("alice")
    await house.server("alice", network)
    async with asyncio.timeout(20):
        await enough.wait()
    gaps = [later - before for before, later in itertools.pairwise(came)]
    for number, gap in enumerate(gaps):  # each is drawn from the upper half of 0.1 s, 0.2 s, 0.4 s ...
        assert gap >= 0.05 * 2**number, gaps


async def test_w2_a_question_that_is_never_answered_holds_up_no_other(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    first = await house.client("alice/net@one")
    second = await house.client("alice/net@two")
    await first.until(" 001 ")
    await second.until(" 001 ")
    for question, end in (("WHO #wide", " 315 alice #wide "), ("WHOIS silence", " 318 "), ("LIST", " 323 ")):
        first.send(question)
        second.send(question)
        await peer.expect(question.split()[0])
        await first.until(end)
        await second.until(end)
    first.send("WHO #narrow")
    await peer.expect("WHO", "#narrow")
    await peer.numeric(315, "#narrow", "End of /WHO list.")
    await first.until(" 315 alice #narrow ")


async def test_w3_pings_are_answered_while_120_channels_are_joined(
    house: House, config: Config, network: ScriptedNetwork
) -> None:
    await house.supervisor.reload(replace(config, flood=Flood(burst=1, interval_ms=60_000)))
    await house.user("alice")
    await house.server("alice", network, channels=",".join(f"#channel-{number}" for number in range(120)))
    peer = await network.accept()
    await peer.welcome()
    loop = asyncio.get_running_loop()
    for _ in range(3):
        began = loop.time()
        await peer.barrier()
        assert loop.time() - began < 1.0
    joined = [name for line in peer.seen("JOIN") for name in line.split(" ")[1].split(",")]
    assert len(joined) < 120, "the rest waits behind the flood limit, and the answers do not"


async def test_w4_a_paste_on_one_network_delays_nothing_on_another(
    house: House, config: Config, network: ScriptedNetwork
) -> None:
    await house.supervisor.reload(replace(config, flood=Flood(burst=20, interval_ms=60_000)))
    await house.user("alice")
    await house.server("alice", network)
    pasted = await network.accept()
    await pasted.welcome()
    async with ScriptedNetwork() as quiet:
        fields = {"name": "quiet", "address": quiet.host, "port": str(quiet.port), "tls": False, "nickname": "alice"}
        await house.supervisor.service.servers.add(house.ids["alice"], fields, trusted=True)
        peer = await quiet.accept()
        await peer.welcome()
        paster = await house.client("alice/net@one")
        reader = await house.client("alice/quiet@two", caps=CAPS)
        await paster.until(" 001 ")
        await reader.until(" 001 ")
        paster.send(*(f"PRIVMSG #busy :line {number}" for number in range(200)))
        await pasted.expect("PRIVMSG", "#busy", "line 0")
        loop = asyncio.get_running_loop()
        for number in range(20):
            began = loop.time()
            await peer.send(f":friend!f@example PRIVMSG alice :word {number}")
            await reader.until(f":word {number}")
            assert loop.time() - began < 1.0
        began = loop.time()
        newcomer = await house.client("alice/quiet@three")
        await newcomer.until(" 001 ")
        assert loop.time() - began < 2.0
        assert len(pasted.seen("PRIVMSG")) < 200, "the paste still waits"


async def test_w8_words_of_away_reach_the_network_and_come_back_after_nobody_was_there(
    house: House, network: ScriptedNetwork
) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    client = await house.client("alice/net@one")
    await client.until(" 001 ")
    client.send("AWAY :gone fishing")
    await peer.expect("AWAY", "gone fishing")
    await client.close()
    again = await house.client("alice/net@one")
    await again.until(" 001 ")
    again.send("VERSION")
    await peer.expect("VERSION")
    assert peer.seen("AWAY")[-1] == "AWAY :gone fishing"
