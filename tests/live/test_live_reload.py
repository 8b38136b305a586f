"""A configuration read again while networks and clients are connected: it counts, and nobody is dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bouncer.config import Flood

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.live.conftest import House
    from tests.support.network import ScriptedNetwork


async def test_flood_limits_and_timeouts_reach_live_networks_without_dropping_them(
    house: House, config: Config, network: ScriptedNetwork
) -> None:
    user_id = await house.user("alice")
    server_id = await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    client = await house.client("alice/net@phone")
    await client.until(" 001 ")
    live = house.supervisor.users[user_id].networks[server_id]
    times = replace(config.timeouts, ping_s=30.0, connect_s=5.0, register_s=6.0)
    await house.supervisor.reload(replace(config, flood=Flood(burst=1, interval_ms=60_000), timeouts=times))
    await house.supervisor.nudge(user_id)  # any later change reads the rows, and these timeouts with them
    client.send("PRIVMSG #room :one", "PRIVMSG #room :two")
    await client.barrier()
    await peer.expect("PRIVMSG", "#room", "one")
    assert live.upstream is not None
    assert live.up
    assert live.settings.params.ping_s == 30.0
    assert live._queue.wait_s() > 60, "the second line waits by the new limit"
    assert not peer.closed.is_set()
