"""The wanted nick: got back when it is free, however the network tells, until a person wants another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.network import nickkeeper
from tests.support.arrival import answered, arrived, asked, client
from tests.support.network import ISUPPORT

if TYPE_CHECKING:
    import pytest

    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

MONITOR = (*ISUPPORT, "MONITOR=10")


async def change(peer: Peer, nick: str) -> None:
    """The network carries out a NICK of ours."""
    await peer.expect("NICK", nick)
    await peer.send(f":{peer.mask} NICK :{nick}")
    peer.welcomed.nick = nick
    await peer.barrier()


async def test_monitor_tells_when_it_is_free(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, taken=["alice"], isupport=MONITOR)
    other = peer.welcomed.nick
    assert other != "alice"
    assert peer.seen("MONITOR") == ["MONITOR + alice"]
    one = await client(house)
    await peer.numeric(730, "alice!x@elsewhere")
    await peer.barrier()
    assert not peer.received[-1].startswith("NICK alice")
    await peer.numeric(731, "alice")
    await change(peer, "alice")
    shown = await one.until("NICK")
    assert not [line for line in shown if " 730 " in line or " 731 " in line], "whom we wait for is our business"
    assert shown[-1].endswith("NICK :alice")
    assert (await peer.expect("MONITOR")).params == ["-", "alice"]
    assert await asked(one, "PRIVMSG #room :x") == []


async def test_asking_tells_where_there_is_no_monitor(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nickkeeper, "ASK_S", 0.1)  # on a busy machine the first question is too old for an answer
    peer = await arrived(house, network, taken=["alice"])
    one = await client(house)
    assert set(peer.seen("ISON")) == {"ISON alice"}
    await peer.numeric(303, "")
    await change(peer, "alice")
    shown = await one.until("NICK")
    assert not [line for line in shown if " 303 " in line]
    assert not peer.seen("MONITOR")


async def test_it_is_asked_for_again_as_long_as_somebody_has_it(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nickkeeper, "ASK_S", 0.1)
    peer = await arrived(house, network, taken=["alice"], channels="")
    for answer in ("Alice", "alice", ""):
        await peer.expect("ISON", "alice")
        await peer.numeric(303, answer)
    await peer.expect("NICK", "alice")
    await peer.numeric(433, "alice", "Nickname is already in use")
    await peer.expect("ISON", "alice")
    await peer.numeric(303, "")
    await change(peer, "alice")
    assert peer.seen("ISON")


async def test_a_nick_that_is_held_back_is_tried_again(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has it, so MONITOR has no more to tell."""
    monkeypatch.setattr(nickkeeper, "ASK_S", 0.1)
    peer = await arrived(house, network, taken=["alice"], isupport=MONITOR, channels="")
    one = await client(house, until=" 376 ")
    await peer.numeric(731, "alice")
    peer.answer_pings = False
    await peer.expect("NICK", "alice")
    await answered(peer, f":irc.test 437 {peer.welcomed.nick} alice :Nick/channel is temporarily unavailable")
    await change(peer, "alice")
    assert not [line for line in await one.until("NICK") if " 437 " in line]


async def test_a_list_that_is_full_is_no_reason_to_give_up(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, taken=["alice"], isupport=MONITOR, channels="")
    one = await client(house, until=" 376 ")
    await peer.numeric(734, "10", "alice", "Monitor list is full.")
    await peer.expect("ISON", "alice")
    await peer.numeric(303, "")
    await change(peer, "alice")
    assert not [line for line in await one.until("NICK") if " 734 " in line]


async def test_services_are_asked_where_the_user_says_how(house: House, network: ScriptedNetwork) -> None:
    command = "PRIVMSG NickServ :REGAIN {nick}"
    peer = await arrived(house, network, taken=["alice"], channels="", regain_command=command)
    assert (await peer.expect("PRIVMSG")).params == ["NickServ", "REGAIN alice"]
    one = await client(house, until=" 376 ")
    await peer.send(f":{peer.mask} NICK :alice")
    peer.welcomed.nick = "alice"
    lines = await one.until("NICK")
    await peer.barrier()
    assert not [line for line in lines + await asked(one, "WHO x") if "REGAIN" in line], "nobody said it"


async def test_with_the_wanted_nick_nothing_is_asked(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, isupport=MONITOR, regain_command="PRIVMSG NickServ :REGAIN {nick}")
    assert not [line for line in peer.received if line.startswith(("MONITOR", "ISON", "PRIVMSG"))]


async def test_who_does_not_want_it_kept_is_left_alone(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, isupport=MONITOR, taken=["alice"], keep_nick=False)
    assert not [line for line in peer.received if line.startswith(("MONITOR", "ISON"))]


async def test_a_person_who_chooses_a_nick_does_not_want_another_one(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, taken=["alice"], isupport=MONITOR)
    one = await client(house)
    one.send("NICK lizzy")
    assert (await peer.expect("MONITOR", "-")).params == ["-", "alice"]
    await change(peer, "lizzy")
    await peer.numeric(731, "alice")
    await peer.barrier()
    assert "NICK alice" not in peer.received[2:]
    assert " 731 " not in "".join(await asked(one, "PRIVMSG #room :x"))


async def test_what_clients_watch_stays_watched(house: House, network: ScriptedNetwork) -> None:
    """The nick we wait for is told to a client that asks for it, and not taken from it when we have it."""
    peer = await arrived(house, network, taken=["alice"], isupport=MONITOR)
    await peer.numeric(730, "alice!x@elsewhere")
    one = await client(house)
    assert "733" in (await asked(one, "MONITOR L"))[0], "nothing of ours is on a client's list"
    lines = await asked(one, "MONITOR + alice")
    assert [line.split(" ", 1)[1] for line in lines] == [f"730 {peer.welcomed.nick} :alice!x@elsewhere"]
    await peer.numeric(731, "alice")
    await change(peer, "alice")
    await one.until(" 731 ")
    await one.until("NICK")
    assert peer.seen("MONITOR") == ["MONITOR + alice"]
