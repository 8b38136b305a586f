"""Channels we stay on while no client sees them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.arrival import CAPS, LABELS, again, answered, arrived, asked, client, net

if TYPE_CHECKING:
    from tests.support.house import Attached, House
    from tests.support.network import Peer, ScriptedNetwork

ROOM, OTHER = "#room", "#other"


def of_room(lines: list[str]) -> list[str]:
    return [line for line in lines if "#room" in line.lower()]


async def detached(house: House, network: ScriptedNetwork, **rules: object) -> tuple[Peer, Attached]:
    """alice is on both channels, #room is hidden, `one` is there."""
    peer = await arrived(house, network, channels=f"{ROOM},{OTHER}")
    await set_rules(house, **rules)
    one = await client(house, "one", until=" 366 alice #room")
    lines = await asked(one, "PART #Room :detach")
    assert [line.split(" ", 1)[1] for line in of_room(lines)] == ["PART #room :Detached"]
    return peer, one


async def set_rules(house: House, **rules: object) -> None:
    if rules:
        channels, user_id = house.supervisor.service.channels, house.ids["alice"]
        row = await channels.by_name(user_id, net(house).server_id, ROOM)
        await channels.update(user_id, row.id, rules)


async def test_a_channel_is_hidden_from_all_and_the_network_knows_nothing_of_it(
    house: House, network: ScriptedNetwork
) -> None:
    peer, one = await detached(house, network)
    two = await client(house, "two", CAPS, until=" 366 alice #other")
    await peer.send(
        ":friend!f@example PRIVMSG #room :unseen",
        ":friend!f@example NOTICE #room :unseen",
        ":friend!f@example TOPIC #room :unseen",
        ":friend!f@example MODE #room +m",
        ":third!t@example JOIN #room",
        ":third!t@example NICK fourth",
        ":fourth!t@example QUIT :unseen",
        ":irc.test 332 alice #room :unseen",
        ":irc.test 353 alice = #room :alice @friend",
        ":irc.test 366 alice #room :End of /NAMES list.",
        ":friend!f@example NICK pal",
        ":pal!f@example QUIT :bye",
    )
    await peer.barrier()
    for attached in (one, two):
        lines = await attached.barrier()
        assert not of_room(lines)
        assert not [line for line in lines if "unseen" in line or "third" in line or "fourth" in line]
        assert [line.split(" ")[-2:] for line in lines if "pal" in line] == [["NICK", "pal"], ["QUIT", ":bye"]]
    assert not peer.seen("PART")


async def test_it_stays_hidden_from_who_attaches_and_after_a_reconnect(house: House, network: ScriptedNetwork) -> None:
    peer, one = await detached(house, network)
    await house.supervisor.flush(house.ids["alice"])
    two = await house.client("alice/net@two")
    assert not of_room(await two.barrier())
    peer.hang_up()
    peer = await again(network, channels=f"{ROOM},{OTHER}")
    await peer.send(":friend!f@example PRIVMSG #room :unseen", ":friend!f@example PRIVMSG #other :seen")
    for attached in (one, two):
        assert not of_room(await attached.until(":seen"))


async def test_join_brings_it_back_with_what_was_said(house: House, network: ScriptedNetwork) -> None:
    peer, one = await detached(house, network)
    reads = await client(house, "reads", f"{CAPS} draft/chathistory", until=" 366 alice #other")
    quiet = await client(house, "quiet", "no-implicit-names", until=" JOIN #other")
    await peer.send(
        ":friend!f@example PRIVMSG #room :said before",
        ":third!t@x JOIN #room",
        ":friend!f@example TOPIC #room :the topic",
    )
    await peer.barrier()
    for attached in (one, reads, quiet):
        await attached.barrier()
    one.send("JOIN #ROOM")
    lines = of_room(await one.until("said before"))
    assert lines[0].startswith(":alice!")
    assert [line.split(" ")[1] for line in lines] == ["JOIN", "332", "333", "353", "366", "PRIVMSG"]
    assert lines[3].endswith(":alice @friend third")
    assert [line.split(" ")[1] for line in of_room(await quiet.until("said before"))] == [
        "JOIN", "332", "333", "PRIVMSG",
    ]  # fmt: skip
    lines = of_room(await reads.barrier())
    assert all(line.startswith("@time=") for line in lines)
    assert [line.split(" ")[2] for line in lines] == ["JOIN", "332", "333", "353", "366"]
    assert len(peer.seen("JOIN")) == 1, "the network knows nothing of it"
    await peer.send(":friend!f@example PRIVMSG #room :said later")
    assert [line for line in of_room(await one.until("said later")) if "before" in line] == []
    await house.supervisor.flush(house.ids["alice"])
    two = await house.client("alice/net@two")
    assert of_room(await two.until(" 366 alice #room"))


async def test_two_channels_come_back_at_once(house: House, network: ScriptedNetwork) -> None:
    peer, one = await detached(house, network)
    await asked(one, "PART #other :detach")
    await peer.send(":friend!f@example PRIVMSG #room :first", ":friend!f@example PRIVMSG #other :second")
    await peer.barrier()
    one.send("JOIN #room,#other")
    lines = [line for line in await one.until(":second") if "JOIN" in line or "PRIVMSG" in line]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "JOIN #room", "PRIVMSG #room :first", "JOIN #other", "PRIVMSG #other :second",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "heard"),
    [
        ({}, ["alice: look"]),
        ({"relay_detached": "default"}, ["alice: look"]),
        ({"relay_detached": "message"}, ["hello", "alice: look", "a secret"]),
        ({"relay_detached": "none"}, []),
    ],
)
async def test_what_is_relayed_is_a_notice_of_the_service(
    house: House, network: ScriptedNetwork, rules: dict[str, object], heard: list[str]
) -> None:
    peer, one = await detached(house, network, **rules)
    await peer.send(
        ":friend!f@example PRIVMSG #room :hello",
        ":friend!f@example PRIVMSG #room :alice: look",
        ":friend!f@example PRIVMSG @#room :a secret",
        ":alice!a@b PRIVMSG #room :alice says",
    )
    await peer.barrier()
    lines = of_room(await one.barrier())
    assert lines == [f":BouncerServ!BouncerServ@bouncer NOTICE alice :[#room] <friend> {words}" for words in heard]


@pytest.mark.parametrize(("rule", "words"), [("message", "hello"), ("highlight", "alice: look")])
async def test_a_message_brings_it_back(house: House, network: ScriptedNetwork, rule: str, words: str) -> None:
    peer, one = await detached(house, network, reattach_on=rule, relay_detached="none")
    if rule == "highlight":
        await peer.send(":friend!f@example PRIVMSG #room :hello", f":friend!f@example PRIVMSG #room :{words}")
    else:
        await peer.send(":friend!f@example NICK friend2", f":friend2!f@example PRIVMSG #room :{words}")
    await peer.send(":third!t@example PRIVMSG #room :and more")
    lines = of_room(await one.until("and more"))
    said = [line.split(" ", 3)[1::2] for line in lines if "PRIVMSG" in line]
    before = [["PRIVMSG", ":hello"]] if rule == "highlight" else []
    assert said == [*before, ["PRIVMSG", f":{words}"], ["PRIVMSG", ":and more"]], "each once, in order"
    assert lines[0].endswith("JOIN #room")


async def test_one_that_is_quiet_is_hidden_after_its_time(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, channels=f"{ROOM},{OTHER}")
    one = await client(house, until=" 366 alice #room")
    await set_rules(house, detach_after_s=1, detach_on="highlight")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await one.barrier()
    await peer.send(":friend!f@example PRIVMSG #room :nothing", ":friend!f@example PRIVMSG #other :alice: nothing")
    lines = await one.until("PART #room")
    assert lines[-1].endswith("PART #room :Detached")
    assert 0.8 < loop.time() - began < 5
    assert not peer.seen("PART")


async def test_who_asks_of_a_hidden_channel_is_answered(house: House, network: ScriptedNetwork) -> None:
    peer, one = await detached(house, network)
    two = await client(house, "two", f"{LABELS} echo-message", until=" 366 alice #other")
    two.send("NAMES #room")
    await peer.expect("NAMES", "#room")
    await peer.numeric(353, "=", "#room", "alice @friend")
    await peer.numeric(366, "#room", "End of /NAMES list.")
    assert len(of_room(await two.until(" 366 "))) == 2
    peer.answer_pings = False
    two.send("@label=t TOPIC #room :mine")
    await peer.expect("TOPIC", "#room")
    await answered(peer, f":{peer.mask} TOPIC #room :mine")
    assert "@label=t" in (await two.until("TOPIC #room"))[-1]
    two.send("@label=p PRIVMSG #room :words")
    await peer.expect("PRIVMSG", "#room")
    await answered(peer)
    assert "label=p" in (await two.until("PRIVMSG #room"))[-1]
    two.send("PART #room :really")
    await peer.expect("PART", "#room")
    await answered(peer, f":{peer.mask} PART #room :really")
    await two.until("PART #room")
    peer.answer_pings = True
    assert not of_room(await one.barrier())
    one.send("JOIN #room")
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room")
    await one.until("JOIN #room")
    await two.until(" 366 alice #room")


async def test_a_labelled_answer_of_a_hidden_channel_reaches_its_asker(house: House, network: ScriptedNetwork) -> None:
    caps = ("labeled-response", "batch", "message-tags", "echo-message")
    peer = await arrived(house, network, channels=f"{ROOM},{OTHER}", caps=caps)
    one = await client(house, "one", f"{LABELS} echo-message", until=" 366 alice #room")
    two = await client(house, "two", f"{LABELS} echo-message", until=" 366 alice #room")
    assert "ACK" in "".join(await asked(one, "@label=d PART #room :detach"))
    one.send("@label=t MODE #room +m")
    line = await peer.expect("MODE", "#room")
    await peer.send(f"@label={line.tags['label']} :{peer.mask} MODE #room +m")
    assert "@label=t" in (await one.until("MODE #room"))[-1]
    assert [line.split(" ")[1] for line in of_room(await two.barrier())] == ["PART"]


async def test_one_we_were_thrown_out_of_is_seen_when_a_client_joins_it(house: House, network: ScriptedNetwork) -> None:
    peer, one = await detached(house, network)
    await peer.send(":friend!f@example KICK #room alice :out")
    await peer.barrier()
    assert not of_room(await one.barrier())
    one.send("JOIN #room")
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room", "@friend")
    assert of_room(await one.until(" 366 alice #room"))[0].endswith("JOIN #room")


async def test_its_new_name_is_hidden_too(house: House, network: ScriptedNetwork) -> None:
    peer, one = await detached(house, network)
    await peer.send(
        ":friend!f@example RENAME #room #attic :moved",
        ":friend!f@example PRIVMSG #attic :unseen",
        ":friend!f@example RENAME #other #hall :moved",
    )
    lines = await one.until(" 366 alice #hall")
    assert not [line for line in lines if "#attic" in line or "#room" in line]
    assert not [line for line in await asked(one, "JOIN #attic") if "#hall" in line]
    assert len(peer.seen("JOIN")) == 1


async def test_a_new_host_does_not_tell_of_it(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, channels=f"{ROOM},{OTHER}", caps=("chghost",))
    one = await client(house, until=" 366 alice #room")
    await asked(one, "PART #room :detach")
    await peer.send(":friend!f@example CHGHOST f new.example")
    await peer.barrier()
    lines = [line for line in await one.barrier() if line.startswith(":friend")]
    assert [line.split(" ", 1)[1] for line in lines] == ["QUIT :Changing host", "JOIN #other", "MODE #other +o friend"]
