"""The network goes away under its clients: what they are told, and that all is right once it is back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bouncer.config import Flood
from tests.support.arrival import LABELS, again, answered, arrived, asked, client, net
from tests.support.network import ISUPPORT

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

BOTH = "#room,#other"


def of(lines: list[str], *words: str) -> list[str]:
    """The lines with one of these commands, without source and tags."""
    bare = [line.partition(" ")[2] if line.startswith("@") else line for line in lines]
    return [line.split(" ", 1)[1] for line in bare if line.split(" ")[1] in words]


async def test_channels_stay_open_until_the_joins_are_answered(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, channels=BOTH)
    one = await client(house, "one", until=" 366 alice #room")
    await network.stop()
    lines = await one.until("Not connected to net")
    assert not of(lines, "PART", "KICK", "QUIT")
    late = await house.client("alice/net@late")
    await late.until("Not connected")
    await network.start(network.port)
    peer = await network.accept()
    peer.answer_pings = False
    await peer.welcome()
    await peer.expect("JOIN", "#other,#room")
    await peer.numeric(474, "#other", "Cannot join channel (+b)")
    await peer.let_in("#room", "@friend")
    await answered(peer)
    peer.answer_pings = True
    lines = await one.until("PART")
    assert of(lines, "474", "JOIN", "PART") == [
        "474 alice #other :Cannot join channel (+b)",
        "JOIN #room",
        "PART #other :Not joined again",
    ]
    assert not of(await late.barrier(), "PART"), "it never had it open"


async def test_a_second_loss_changes_nothing(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, channels=BOTH)
    one = await client(house, "one", until=" 366 alice #room")
    peer.hang_up()
    peer = await network.accept()
    peer.answer_pings = False
    await peer.welcome()
    await peer.expect("JOIN", "#other,#room")
    await peer.let_in("#room")
    peer.hang_up()
    peer = await network.accept()
    peer.answer_pings = False
    await peer.welcome()
    await peer.expect("JOIN")
    await peer.let_in("#other")
    await answered(peer, ":irc.test 471 alice #room :Cannot join channel (+l)")
    lines = await one.until("PART")
    assert of(lines, "PART") == ["PART #room :Not joined again"]


async def test_who_does_not_come_back_closes_the_channels(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, channels=BOTH)
    one = await client(house, "one", until=" 366 alice #room")
    servers, user_id = house.supervisor.service.servers, house.ids["alice"]
    network.refuse()
    await asked(one, "PART #room :detach")
    peer.hang_up()
    await servers.disconnect(user_id, net(house).server_id)
    lines = await one.until("PART #other")
    assert of(lines, "PART") == ["PART #other :Disconnected"]


async def test_our_nick_and_what_the_network_supports_are_told_anew(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    one = await client(house, caps="cap-notify")
    peer.hang_up()
    peer = await again(network, taken=["alice"], isupport=(*ISUPPORT, "TOPICLEN=77"))
    nick = peer.welcomed.nick
    lines = await one.until(f" 366 {nick} #room")
    assert [line for line in lines if line.endswith(f"NICK {nick}") and line.startswith(":alice")]
    assert of(lines, "005")[0].startswith(f"005 {nick} ")
    assert "TOPICLEN=77" in "".join(of(lines, "005"))
    await peer.send(f":friend!f@example PRIVMSG {nick} :hello")
    assert f"PRIVMSG {nick} :hello" in (await one.until("hello"))[-1]


async def test_capabilities_stay_while_it_is_away_and_follow_when_it_is_back(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, caps=("away-notify", "setname"))
    one = await client(house, caps="cap-notify")
    assert "ACK :away-notify" in "".join(await asked(one, "CAP REQ away-notify"))
    await network.stop()
    lines = await one.until("Not connected to net")
    assert not of(lines, "CAP")
    assert "away-notify" in "".join(await asked(one, "CAP LIST"))
    await network.start(network.port)
    peer = await again(network, caps=("account-notify",))
    assert peer.welcomed.caps == {"account-notify"}
    lines = await one.until(" 366 alice #room")
    assert of(lines, "CAP") == ["CAP alice DEL :away-notify", "CAP alice NEW :account-notify"]


async def lost_in_the_queue(house: House, network: ScriptedNetwork, caps: tuple[str, ...]) -> list[str]:
    """What a client is told of lines that waited for the flood limit when the connection went."""
    supervisor = house.supervisor
    peer: Peer = await arrived(house, network, caps=caps)
    one = await client(house, caps=f"{LABELS} echo-message")
    live = supervisor.users[house.ids["alice"]]
    live.configure(replace(live.config, flood=Flood(burst=1, interval_ms=60_000)))
    one.send(
        "@label=l0 PRIVMSG #room :the only one that leaves",
        "@label=l1 PRIVMSG #room :waits",
        "@label=l2 WHOIS friend",
        "@label=l3 NICK other",
        "@label=l4 PRIVMSG friend :waits",
    )
    await peer.expect("PRIVMSG", "#room", "the only one that leaves")
    peer.answer_pings = False
    one.send("AWAY", "PRIVMSG BouncerServ :help")
    await one.until("BouncerServ")
    await network.stop()
    lines = await one.until("Not connected to net")
    assert len([line for line in peer.received if "PRIVMSG" in line]) == 1
    return lines


async def test_lines_that_never_left_are_answered(house: House, network: ScriptedNetwork) -> None:
    lines = await lost_in_the_queue(house, network, ())
    found = {line.split(" ")[0]: line.split(" ", 2)[2] for line in lines if line.startswith("@label=")}
    words = "Not sent: net is not connected any more"
    assert found["@label=l1"] == f"404 alice #room :{words}"
    assert found["@label=l2"] == f"318 alice friend :{words}"
    assert found["@label=l3"] == f"NOTICE alice :NICK: {words}"
    assert found["@label=l4"] == f"404 alice friend :{words}"


async def test_lines_that_never_left_are_answered_once_on_networks_with_labels(
    house: House, network: ScriptedNetwork
) -> None:
    lines = await lost_in_the_queue(house, network, ("labeled-response", "batch", "message-tags", "echo-message"))
    assert [line.split(" ")[2] for line in lines if "label=l1" in line] == ["404"]
    assert [line.split(" ")[2] for line in lines if "label=l2" in line] == ["318"]
    assert not [line for line in lines if "PRIVMSG #room :waits" in line]


async def test_what_is_typed_while_it_is_away_is_refused_at_once(house: House, network: ScriptedNetwork) -> None:
    await arrived(house, network)
    one = await client(house, caps=LABELS)
    await network.stop()
    await one.until("Not connected to net")
    assert of(await asked(one, "@label=a PRIVMSG #room :x"), "404") == [
        "404 alice #room :Not sent: net is not connected"
    ]
    assert of(await asked(one, "JOIN #new"), "403") == ["403 alice #new :Not connected to net"]
    assert "@label=w" in (await asked(one, "@label=w WHOIS friend"))[-1]
