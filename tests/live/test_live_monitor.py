"""MONITOR: the network has one list, each client its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.arrival import LABELS, again, answered, arrived, asked, client
from tests.support.network import ISUPPORT

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

MONITOR = (*ISUPPORT, "MONITOR=10")


def bare(lines: list[str]) -> list[str]:
    """Numerics and what is in them, without source and nick."""
    return [f"{line.split(' ')[1]} {' '.join(line.split(' ')[3:]).lstrip(':')}" for line in lines if " 73" in line]


async def watching(peer: Peer, attached: object, name: str, *, online: bool = True) -> list[str]:
    """A client asks for somebody the network does not watch yet."""
    attached.send(f"MONITOR + {name}")  # type: ignore[attr-defined]  # a client
    await peer.expect("MONITOR", "+", name)
    await peer.numeric(730 if online else 731, f"{name}!u@host" if online else name)
    return bare(await attached.until(" 73"))  # type: ignore[attr-defined]  # as above


async def test_each_client_is_told_of_those_it_watches(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, isupport=MONITOR)
    one, two = await client(house, "one"), await client(house, "two")
    assert await watching(peer, one, "ann") == ["730 ann!u@host"]
    assert await watching(peer, two, "bob", online=False) == ["731 bob"]
    await peer.numeric(731, "ann,bob")
    await peer.numeric(730, "Bob!u@host")
    await peer.barrier()
    assert bare(await one.barrier()) == ["731 ann"]
    assert bare(await two.barrier()) == ["731 bob", "730 Bob!u@host"]


async def test_who_is_watched_already_is_told_at_once_as_the_network_would_say_nothing(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, isupport=MONITOR)
    one, two = await client(house, "one"), await client(house, "two")
    await watching(peer, one, "ann")
    assert bare(await asked(two, "MONITOR + ANN")) == ["730 ann!u@host"]
    assert len(peer.seen("MONITOR")) == 1
    two.send("MONITOR + ann,carl")
    await peer.expect("MONITOR", "+", "carl")
    await peer.numeric(731, "carl")
    assert bare(await two.until(" 731 ")) == ["730 ann!u@host", "731 carl"]
    assert bare(await one.barrier()) == []


async def test_lists_are_told_apart_with_two_clients(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, isupport=MONITOR)
    one, two = await client(house, "one"), await client(house, "two")
    await watching(peer, one, "ann")
    await watching(peer, one, "bob", online=False)
    await watching(peer, two, "carl")
    assert bare(await asked(one, "MONITOR L")) == ["732 ann,bob", "733 End of MONITOR list"]
    assert bare(await asked(two, "MONITOR L")) == ["732 carl", "733 End of MONITOR list"]
    assert bare(await asked(one, "MONITOR S")) == ["730 ann!u@host", "731 bob"]
    assert bare(await asked(two, "MONITOR S")) == ["730 carl!u@host"]
    assert bare(await asked(two, "MONITOR C")) == []
    assert (await peer.expect("MONITOR")).params == ["-", "carl"]
    one.send("MONITOR L")
    await peer.expect("MONITOR", "L")
    await peer.numeric(732, "ann,bob")
    await peer.numeric(733, "End of MONITOR list")
    assert bare(await one.until(" 733 ")) == ["732 ann,bob", "733 End of MONITOR list"]


async def test_nobody_takes_a_name_off_anothers_list(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, isupport=MONITOR)
    one, two = await client(house, "one"), await client(house, "two")
    await watching(peer, one, "ann")
    await asked(two, "MONITOR - ann", "MONITOR + ann", "MONITOR - ann", "MONITOR C")
    await peer.barrier()
    assert len(peer.seen("MONITOR")) == 1
    await peer.numeric(731, "ann")
    assert bare(await one.until(" 731 ")) == ["731 ann"]
    await one.close()
    assert (await peer.expect("MONITOR")).params == ["-", "ann"]


async def test_the_list_is_renewed_after_a_reconnect(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, isupport=MONITOR)
    one, two = await client(house, "one"), await client(house, "two")
    await watching(peer, one, "ann")
    await watching(peer, two, "bob")
    peer.hang_up()
    peer = await again(network, isupport=MONITOR)
    assert peer.seen("MONITOR") == ["MONITOR + ann,bob"]
    await peer.numeric(731, "ann,bob")
    assert bare(await one.until(" 731 ")) == ["731 ann"]
    assert bare(await two.until(" 731 ")) == ["731 bob"]


async def test_a_network_without_it_is_asked_only_by_clients(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    one = await client(house)
    one.send("MONITOR + ann")
    await peer.expect("MONITOR", "+", "ann")
    await peer.numeric(421, "MONITOR", "Unknown command")
    await one.until(" 421 alice MONITOR ")
    peer.hang_up()
    peer = await again(network)
    await one.close()
    await peer.barrier()
    assert not peer.seen("MONITOR")


async def test_whom_the_network_does_not_take_is_on_nobodys_list(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, isupport=MONITOR)
    one, two = await client(house, "one"), await client(house, "two")
    await watching(peer, one, "ann")
    await watching(peer, two, "carl")
    peer.answer_pings = False
    one.send("MONITOR + bob")
    await peer.expect("MONITOR", "+", "bob")
    await answered(peer, ":irc.test 734 alice 1 bob :Monitor list is full.")
    peer.answer_pings = True
    assert " 734 alice 1 bob " in (await one.until(" 734 "))[-1]
    assert bare(await asked(one, "MONITOR L")) == ["732 ann", "733 End of MONITOR list"]
    assert bare(await two.barrier()) == []


@pytest.mark.parametrize("caps", [(), ("labeled-response", "batch", "message-tags")])
async def test_a_label_stands_on_the_answer(house: House, network: ScriptedNetwork, caps: tuple[str, ...]) -> None:
    peer = await arrived(house, network, isupport=MONITOR, caps=caps)
    one, two = await client(house, "one", LABELS), await client(house, "two", LABELS)
    peer.answer_pings = False
    one.send("@label=m1 MONITOR + ann")
    line = await peer.expect("MONITOR", "+", "ann")
    if caps:
        await peer.send(f"@label={line.tags['label']} :irc.test 730 alice :ann!u@host")
    else:
        await answered(peer, ":irc.test 730 alice :ann!u@host")
    peer.answer_pings = True
    shown = [line for line in await one.until("730 alice") if " 730 " in line]
    assert shown == ["@label=m1 :irc.test 730 alice :ann!u@host"]
    shown = [line for line in await asked(two, "@label=m2 MONITOR + ann") if " 730 " in line]
    assert shown == ["@label=m2 :irc.test 730 alice :ann!u@host"]
    assert " ACK" in "".join(await asked(two, "@label=m3 MONITOR C"))


async def test_news_of_those_one_watches_go_to_those_who_watch(house: House, network: ScriptedNetwork) -> None:
    """extended-monitor: and to nobody who did not ask for it, or watches somebody else."""
    caps = ("away-notify", "extended-monitor")
    peer = await arrived(house, network, isupport=MONITOR, caps=caps)
    watches, elsewhere, plain = [await client(house, name) for name in ("watches", "elsewhere", "plain")]
    for attached, wanted in ((watches, " extended-monitor"), (elsewhere, " extended-monitor"), (plain, "")):
        await asked(attached, f"CAP REQ :away-notify{wanted}")
    await watching(peer, watches, "ann")
    await asked(plain, "MONITOR + ann")
    await watching(peer, elsewhere, "bob")
    await peer.send(":ann!u@host AWAY :lunch", ":friend!f@example AWAY :tea")
    await peer.barrier()
    for attached, words in ((watches, ["lunch", "tea"]), (elsewhere, ["tea"]), (plain, ["tea"])):
        assert [line.rpartition(":")[2] for line in await attached.barrier() if "AWAY" in line] == words
