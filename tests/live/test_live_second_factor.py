"""Who signs in to the panel with two factors comes to IRC by app passwords and certificates only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pyotp

from bouncer.service.second_factor import new_secret

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork


async def turn_on(house: House, name: str) -> None:
    call = house.supervisor.service
    secret = new_secret()
    await call.second_factors.enable(await call.users.get(name), secret, pyotp.TOTP(secret).at(int(time.time())))


async def test_the_password_ends_at_once_and_an_app_password_goes_on(house: House, network: ScriptedNetwork) -> None:
    user = await house.user("alice")
    await house.server("alice", network)
    await (await network.accept()).welcome()
    _, secret = await house.supervisor.service.tokens.create(user, "phone")
    by_password = await house.client("alice/net@laptop")
    await by_password.until(" 001 ")
    by_token = await type(by_password).connect(house.port, "alice/net@phone", password=secret)
    house.clients.append(by_token)
    await by_token.until(" 001 ")

    await turn_on(house, "alice")
    assert "use an app password" in (await by_password.until("ERROR"))[-1]
    await by_token.barrier()
    refused = await house.client("alice/net@laptop")
    assert "app password" in " ".join(await refused.until("ERROR"))
    again = await type(by_password).connect(house.port, "alice/net@phone", password=secret)
    house.clients.append(again)
    await again.until(" 001 ")

    await house.supervisor.service.second_factors.disable(await house.supervisor.service.users.get("alice"))
    back = await house.client("alice/net@laptop")
    await back.until(" 001 ")


async def test_lag_and_lifecycle_are_there_for_the_panel(house: House, network: ScriptedNetwork) -> None:
    user = await house.user("alice")
    number = await house.server("alice", network, channels="#a,#b key")
    peer = await network.accept()
    await peer.welcome()
    await peer.expect("JOIN")
    network.refuse()
    peer.reset()
    call = house.supervisor.service
    hub = call.live.hub(user)
    with hub.subscribe() as events:
        while call.live.server_states(user)[number].next_attempt_s is None:
            await events.get(10)
    await call.live.flush(user)
    kinds = [row.kind for row in await call.figures.events(user, number)]
    assert kinds[-2:] == ["joining", "registered"]
    assert {"disconnected", "backoff"} <= set(kinds)
    joined = next(row.detail for row in await call.figures.events(user, number) if row.kind == "joining")
    assert joined == "#a #b"
    assert (await call.figures.trouble(user))[number].kind in ("disconnected", "failed")
