"""Lines of a network that are odd in one place: they cost themselves, never what came with them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.network import ISUPPORT

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork


async def connected(house: House, network: ScriptedNetwork, *, caps: tuple[str, ...] = ()) -> Peer:
    await house.user("alice")
    await house.server("alice", network, channels="#room")
    peer = await network.accept()
    await peer.welcome(caps=caps)
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room", "friend")
    await peer.barrier()
    return peer


async def test_isupport_that_is_no_utf8_keeps_nobody_out(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network, channels="#room")
    peer = await network.accept()
    early = await house.client("alice/net")
    await early.until(" 422 ")
    await peer.welcome(isupport=(*ISUPPORT[:5], b"NETWORK=Caf\xe9".decode("utf-8", "surrogateescape"), r"X=a\x0D\x0Ab"))
    await peer.expect("JOIN", "#room")
    client = await house.client("alice/net")
    async with asyncio.timeout(5):
        while b" 376 " not in (line := await client.reader.readline()):
            assert line


async def test_a_network_whose_name_hides_a_line_end_is_told_without_it(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome(isupport=(*ISUPPORT[:5], r"NETWORK=My\x20net\x0D\x0AQUIT\x00"))
    await peer.barrier()
    client = await house.client("alice/net")
    assert any(" 001 alice :Welcome to the My net  QUIT  Network" in line for line in await client.until(" 376 "))


@pytest.mark.parametrize(
    "odd", ["PONG", ":irc.test 730", ":irc.test 734", ":irc.test 403", ":irc.test 372", ":irc.test 005", "BATCH", "ACK"]
)
async def test_a_line_without_parameters_costs_no_other(house: House, network: ScriptedNetwork, odd: str) -> None:
    peer = await connected(house, network)
    client = await house.client("alice/net")
    await client.until(" 366 ")
    await peer.send(":friend!f@h PRIVMSG #room :before", odd, ":friend!f@h PRIVMSG #room :after")
    seen = "\n".join(await client.until("#room :after"))
    assert "#room :before" in seen


@pytest.mark.parametrize("odd", [":alice!a@h JOIN :#a b", ":alice!a@h JOIN #c,:d", ":alice!a@h NICK :two words"])
async def test_names_that_no_line_can_carry_are_not_taken_over(
    house: House, network: ScriptedNetwork, odd: str
) -> None:
    peer = await connected(house, network)
    await peer.send(odd)
    await peer.barrier()
    client = await house.client("alice/net")
    lines = await client.until(" 366 ")
    assert any(line.startswith(":irc.test 366 alice #room ") for line in lines)


async def test_an_empty_target_costs_nobody_a_line(house: House, network: ScriptedNetwork) -> None:
    peer = await connected(house, network)
    one, other = await house.client("alice/net"), await house.client("alice/net@other", caps="message-tags")
    await one.until(" 366 ")
    await other.until(" 366 ")
    peer.answer_pings = False
    one.send("PRIVMSG #room,, :to the room")
    await peer.expect("PRIVMSG")
    ping = await peer.expect("PING")
    await peer.send(f":irc.test PONG irc.test :{ping.param(0)}", ":friend!f@h PRIVMSG #room :hello")
    peer.answer_pings = True
    seen = "\n".join(await other.until("#room :hello"))
    assert "PRIVMSG #room :to the room" in seen


async def test_a_question_that_cannot_be_repeated_is_ended_all_the_same(house: House, network: ScriptedNetwork) -> None:
    await connected(house, network)
    client = await house.client("alice/net")
    await client.until(" 366 ")
    client.send("WHO :two words", "WHO #room")
    lines = await client.until(" 315 alice #room ")
    assert any(" 315 alice * :The network did not answer" in line for line in lines)


async def test_capabilities_of_the_network_come_and_go_for_clients(house: House, network: ScriptedNetwork) -> None:
    peer = await connected(house, network)
    client = await house.client("alice/net", caps="cap-notify")
    await client.until(" 366 ")
    await peer.send(":irc.test CAP alice NEW :away-notify")
    await peer.expect("CAP", "REQ")
    await peer.send(":irc.test CAP alice ACK :away-notify")
    assert (await client.until("CAP"))[-1] == ":bouncer CAP alice NEW :away-notify"
    await peer.send(":irc.test CAP alice DEL :away-notify")
    assert (await client.until("CAP"))[-1] == ":bouncer CAP alice DEL :away-notify"


async def test_a_channel_takes_its_marker_along_to_a_new_name(house: House, network: ScriptedNetwork) -> None:
    peer = await connected(house, network, caps=("draft/channel-rename",))
    client = await house.client("alice/net", caps="draft/read-marker")
    await client.until(" 366 ")
    client.send("MARKREAD #room timestamp=2026-01-31T12:00:00.000Z")
    await client.until("MARKREAD #room timestamp=2026-01-31T12:00:00.000Z")
    await peer.send(":irc.test RENAME #room #hall :moved")
    await client.until("JOIN #hall")
    client.send("MARKREAD #hall")
    assert (await client.until("MARKREAD #hall"))[-1].endswith(" timestamp=2026-01-31T12:00:00.000Z")


async def test_words_that_the_network_echoes_otherwise_are_said_once(house: House, network: ScriptedNetwork) -> None:
    peer = await connected(house, network, caps=("echo-message",))
    client, other = await house.client("alice/net"), await house.client("alice/net@other", caps="message-tags")
    await other.until(" 366 ")
    client.send("PRIVMSG #room :\x02bold")
    await peer.expect("PRIVMSG", "#room")
    await peer.send(f":{peer.mask} PRIVMSG #room :bold")
    await other.until("#room :bold")
    await other.barrier()
    peer.hang_up()
    assert not [line for line in await other.until("Not connected to net") if "PRIVMSG" in line]
