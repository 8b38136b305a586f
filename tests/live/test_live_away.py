"""What the network takes us for: away while nobody is there, what a person said in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.arrival import CAPS, again, arrived, asked, client

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

AUTO = "Not here right now; what you say is kept"


async def aways(peer: Peer) -> list[list[str]]:
    """The parameters of every AWAY that came so far; all that was sent before has been handled."""
    await peer.barrier()
    return [[part for part in (line.partition(" ")[2].lstrip(":"),) if part] for line in peer.seen("AWAY")]


async def test_away_is_set_when_the_last_client_leaves_and_taken_back_when_one_comes(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network)
    await peer.barrier()
    assert await aways(peer) == [[AUTO]]
    first = await client(house, "one")
    assert await aways(peer) == [[AUTO], []]
    second = await client(house, "two")
    await first.close()
    await asked(second, "WHO nobody")
    assert await aways(peer) == [[AUTO], []]
    await second.close()
    assert (await peer.expect("AWAY", AUTO)).params == [AUTO]
    third = await client(house, "three")
    assert await aways(peer) == [[AUTO], [], [AUTO], []]
    assert not [line for line in await third.barrier() if " 305 " in line or " 306 " in line]


async def test_what_a_person_said_reaches_the_network_and_outlives_clients_and_connections(
    house: House, network: ScriptedNetwork
) -> None:
    """W8: not the words of auto-away."""
    peer = await arrived(house, network)
    person = await client(house)
    await peer.numeric(306, "You have been marked as being away")
    await peer.numeric(305, "You are no longer marked as being away")
    person.send("AWAY :gone fishing")
    await peer.expect("AWAY", "gone fishing")
    await peer.numeric(306, "You have been marked as being away")
    (shown,) = [line for line in await person.until(" 306 alice ") if " 30" in line]
    assert shown.endswith("marked as being away")
    count = len(await aways(peer))
    await person.close()
    other = await client(house, "two")
    assert len(await aways(peer)) == count, "neither coming nor going says anything"
    await other.close()
    peer.hang_up()
    peer = await again(network)
    assert await aways(peer) == [["gone fishing"]]
    back = await client(house, "two")
    assert await aways(peer) == [["gone fishing"]]
    back.send("AWAY")
    assert (await peer.expect("AWAY")).params == []
    await back.close()
    assert (await peer.expect("AWAY")).params == [AUTO]


async def test_words_given_while_the_network_is_down_are_kept_for_it(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    person = await client(house)
    await network.stop()
    await person.until("Not connected to net")
    assert " 306 alice " in (await asked(person, "AWAY :gone fishing"))[0]
    await network.start(network.port)
    peer = await again(network)
    assert await aways(peer) == [["gone fishing"]]


async def test_a_client_in_the_background_does_not_count(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    phone = await client(house, "phone", f"{CAPS} draft/pre-away")
    assert await aways(peer) == [[AUTO], []]
    assert " 306 alice " in (await asked(phone, "AWAY *"))[0]
    assert (await peer.expect("AWAY", AUTO)).params
    desk = await client(house, "desk")
    assert (await aways(peer))[-1] == []
    await desk.close()
    while (await peer.expect("AWAY")).params != []:
        pass
    assert (await peer.expect("AWAY")).params == [AUTO]
    phone.send("AWAY")
    assert (await peer.expect("AWAY")).params == []


async def test_a_star_is_a_word_for_clients_that_do_not_know_better(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    person = await client(house)
    person.send("AWAY *")
    await peer.expect("AWAY", "*")


async def test_each_server_has_its_own_words_and_its_own_switch(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, away_message="asleep")
    assert await aways(peer) == [["asleep"]]
    service, user_id = house.supervisor.service.servers, house.ids["alice"]
    (row,) = await service.list(user_id)
    await service.update(user_id, row.row.id, {"auto_away": False})
    assert await aways(peer) == [["asleep"], []], "who is not to be away is taken back"
    person = await client(house)
    await person.close()
    await service.update(user_id, row.row.id, {"auto_away": True, "away_message": "gone"})
    while (await peer.expect("AWAY")).params != ["gone"]:
        pass
    assert await aways(peer) == [["asleep"], [], ["gone"]]
    await service.update(user_id, row.row.id, {"away_message": "still gone"})
    assert (await aways(peer))[-1] == ["still gone"]
