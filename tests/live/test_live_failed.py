"""A network that refuses us for good: it is not asked again, and every door says why."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from bouncer.service.bouncerserv import BouncerServ

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bouncer.events import ServerState
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

DEADLINE_S = 10.0


async def failed(house: House, server_id: int) -> ServerState:
    """The state of alice's server once it is `failed`."""
    hub = house.supervisor.hub(house.ids["alice"])
    with hub.subscribe() as events:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                state = house.supervisor.server_states(house.ids["alice"])[server_id]
                if state.state == "failed":
                    return state
                await events.get(1.0)


async def no_sasl(peer: Peer) -> None:
    """The password is wrong; the network lets us in all the same."""
    with contextlib.suppress(EOFError, ConnectionError):
        await peer.welcome(caps=("sasl=PLAIN",), accounts={"acct": "another"})


async def no_password(peer: Peer) -> None:
    await peer.expect("USER")
    await peer.send(":irc.test 464 * :Password incorrect")
    peer.hang_up()


async def no_nick(peer: Peer) -> None:
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            nick = (await peer.expect("NICK")).params[0]
            await peer.send(f":irc.test 432 * {nick} :Erroneous nickname")


SASL = {"auth_method": "sasl-plain", "auth_account": "acct", "auth_password": "pw", "auth_required": True}


@pytest.mark.parametrize(
    ("script", "values", "words"),
    [
        (no_sasl, SASL, "SASL failed"),
        (no_password, {"password": "pw"}, "Password incorrect"),
        (no_nick, {}, "no nickname was accepted: Erroneous nickname"),
    ],
)
async def test_what_would_be_refused_again_is_failed_until_somebody_changes_it(
    house: House,
    network: ScriptedNetwork,
    script: Callable[[Peer], Awaitable[None]],
    values: dict[str, object],
    words: str,
) -> None:
    connections: list[Peer] = []

    async def count(peer: Peer) -> None:
        connections.append(peer)
        await script(peer)

    network.serve(count)
    await house.user("alice")
    place = {"name": "net", "address": network.host, "port": str(network.port), "tls": False, "nickname": "alice"}
    user_id, service = house.ids["alice"], house.supervisor.service
    server_id = (await service.servers.add(user_id, {**place, **values}, trusted=True)).id
    state = await failed(house, server_id)
    assert words in state.error
    assert state.next_attempt_s is None
    assert len(connections) == 1
    client = await house.client("alice", caps="soju.im/bouncer-networks")
    await client.until(" 422 ")
    client.send("BOUNCER LISTNETWORKS")
    line = (await client.until("BOUNCER NETWORK"))[-1]
    assert "state=disconnected" in line
    assert words.replace(" ", r"\s") in line
    serv = BouncerServ(service)
    assert words in (await serv.handle(user_id, "server status", server="net"))[0]
    assert (await serv.handle(user_id, "server status", server="net"))[0].startswith("net: failed")

    await service.servers.connect(user_id, server_id)
    with house.supervisor.hub(user_id).subscribe() as events:
        async with asyncio.timeout(DEADLINE_S):
            while len(connections) < 2:
                await events.get(0.2)
    assert words in (await failed(house, server_id)).error
