"""What is said when a network lets us in, and where we go when it does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.arrival import added, arrived, client, let_in, net
from tests.support.network import ISUPPORT, ScriptedNetwork

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer


COMMANDS = """
PRIVMSG Q@CServe.quakenet.org :AUTH user word
/msg NickServ identify a word with blanks
/mode {nick} +x
/quote LUSERS
MODE {nick} +i
"""


def said(lines: list[str]) -> list[str]:
    """What came after the registration, but for what programs say by themselves."""
    first = next(number for number, line in enumerate(lines) if line.startswith("USER "))
    return [line for line in lines[first + 1 :] if not line.startswith(("CAP ", "PING ", "PONG ", "AWAY"))]


async def test_connect_commands_come_before_the_joins(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, connect_commands=COMMANDS)
    assert said(peer.received) == [
        "PRIVMSG Q@CServe.quakenet.org :AUTH user word",
        "PRIVMSG NickServ :identify a word with blanks",
        "mode alice +x",
        "LUSERS",
        "MODE alice +i",
        "JOIN #room",
    ]


async def test_the_joins_wait_for_a_wait_and_nothing_of_a_connection_that_is_gone_is_said_on_the_next(
    house: House, network: ScriptedNetwork
) -> None:
    await added(house, network, connect_commands="WAIT 1\nPRIVMSG friend :late", channels="#room")
    peer = await network.accept()
    await peer.welcome()
    peer.hang_up()
    peer = await network.accept()
    loop = asyncio.get_running_loop()
    await peer.welcome()
    began = loop.time()
    await peer.expect("PRIVMSG", "friend", "late")
    await peer.expect("JOIN", "#room")
    assert loop.time() - began > 0.9
    await peer.barrier()
    assert said(peer.received) == ["PRIVMSG friend :late", "JOIN #room"]


async def test_joins_are_packed_with_the_keys_in_their_places(house: House, network: ScriptedNetwork) -> None:
    rooms = "\n".join(["#a", "#b key-b", "#c", "#d key-d", *(f"#channel-number-{number:03}" for number in range(40))])
    await added(house, network, channels=rooms)
    peer = await network.accept()
    await peer.welcome()
    joins: dict[str, str] = {}
    while len(joins) < 44:
        line = await peer.expect("JOIN")
        names, keys = line.param(0).split(","), line.param(1).split(",")
        joins.update((name, keys[number] if number < len(keys) else "") for number, name in enumerate(names))
    lines = peer.seen("JOIN")
    assert len(lines) < 5
    assert max(map(len, lines)) <= 510
    assert {name: key for name, key in joins.items() if key} == {"#b": "key-b", "#d": "key-d"}


async def test_a_network_that_takes_one_channel_at_a_time_gets_one(house: House, network: ScriptedNetwork) -> None:
    await added(house, network, channels="#a\n#b")
    peer = await network.accept()
    await peer.welcome(isupport=(*ISUPPORT, "TARGMAX=PRIVMSG:4,JOIN:1,KICK:"))
    assert [(await peer.expect("JOIN")).params for _ in "ab"] == [["#a"], ["#b"]]


async def test_a_channel_that_was_left_is_not_joined_again_and_its_key_is_kept_while_we_are_on_it(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, channels="")
    one = await client(house, until=" 376 ")
    one.send("JOIN #locked sesame", "JOIN #open", "JOIN #left")
    for channel in ("#locked", "#open", "#left"):
        await peer.expect("JOIN", channel)
        await peer.let_in(channel)
    await one.until(" 366 alice #left")
    one.send("PART #left")
    await peer.expect("PART", "#left")
    await peer.send(f":{peer.mask} PART #left")
    await one.until("PART")
    await house.supervisor.flush(house.ids["alice"])
    peer.hang_up()
    peer = await network.accept()
    await peer.welcome()
    assert (await peer.expect("JOIN")).params == ["#locked,#open", "sesame"]


# -- other addresses -----------------------------------------------------------------------------------------------


async def test_addresses_are_tried_in_turn_and_the_first_one_again_after_success(
    house: House, network: ScriptedNetwork
) -> None:
    async with ScriptedNetwork() as second, ScriptedNetwork() as third:
        second.refuse()
        port = network.port
        network.refuse()
        places = f"{second.host} {second.port}\n{third.host} {third.port}"
        await added(house, network, channels="#room", fallbacks=places)
        peer = await third.accept()
        await peer.welcome()
        await let_in(peer, "#room")
        one = await client(house)
        async with ScriptedNetwork() as first:
            await first.stop()
            await first.start(port)
            peer.hang_up()
            peer = await first.accept()
            await peer.welcome()
            await let_in(peer, "#room")
            assert "Not connected to net" in "".join(await one.until("JOIN"))
            assert net(house).snapshot().state == "connected"


async def test_every_address_has_its_turn_again(house: House, network: ScriptedNetwork) -> None:
    async with ScriptedNetwork() as second:
        await added(house, network, fallbacks=f"{second.host} {second.port}")
        for _ in range(2):
            for one in (network, second):
                peer = await one.accept()
                await peer.expect("USER")
                peer.hang_up()


async def test_a_refusal_for_good_is_left_by_the_user_alone(house: House, network: ScriptedNetwork) -> None:
    values = {"auth_method": "sasl-plain", "auth_account": "acct", "auth_password": "pw", "auth_required": True}
    passwords = ["another", "pw"]

    async def script(peer: Peer) -> None:
        await peer.welcome(caps=("sasl=PLAIN",), accounts={"acct": passwords.pop(0)})

    network.serve(script)
    server = await added(house, network, channels="#room", **values)
    hub = house.supervisor.hub(house.ids["alice"])
    with hub.subscribe() as events:
        async with asyncio.timeout(10):
            while net(house).snapshot().state != "failed":
                await events.get(0.2)
            assert net(house).snapshot().next_attempt_s is None
            await house.supervisor.service.servers.connect(house.ids["alice"], server)
            while net(house).snapshot().state != "connected":
                await events.get(0.2)
