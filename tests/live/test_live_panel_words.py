"""Words of a person who sits at the panel: sent, stored and shown as anybody's; refusals come back in words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bouncer import history, tenant
from bouncer.errors import InvalidError
from bouncer.irc.message import Message
from bouncer.service.talk import Place
from tests.support.room import on_room

if TYPE_CHECKING:
    from bouncer.service.talk import Outcome
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

LABELLED = ("message-tags", "server-time", "labeled-response", "batch", "echo-message")


async def place(house: House, name: str = "#Room") -> Place:
    row = await house.supervisor.service.servers.by_name(house.ids["alice"], "net")
    return Place(row, name, name.startswith("#"))


async def say(house: House, text: str, name: str = "#Room") -> Outcome:
    return await house.supervisor.service.talk.say(house.ids["alice"], await place(house, name), text)


async def stored(house: House, name: str) -> list[tuple[str, str, bool]]:
    async with tenant.switch(house.ids["alice"]):
        found = await history.find_buffer(1, name)
        assert found is not None
        messages = await history.latest(found.buffer, 10, events=False)
    return [(message.message_type, message.content, message.own) for message in messages]


async def test_a_line_is_stored_and_shown_to_the_clients_before_the_answer(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await on_room(house, network)
    client = await house.client("alice/net")
    await client.until(" 366 ")
    await client.barrier()
    outcome = await say(house, "hello there\n/me is no command here\nthird")
    assert outcome.replies == []
    assert await stored(house, "#room") == [
        ("privmsg", "hello there", True),
        ("privmsg", "/me is no command here", True),
        ("privmsg", "third", True),
    ]
    shown = [Message.parse(line.encode()) for line in await client.barrier()]
    assert [msg.params for msg in shown if msg.command == "PRIVMSG"] == [
        ["#Room", "hello there"],
        ["#Room", "/me is no command here"],
        ["#Room", "third"],
    ]
    await say(house, "/me waves")
    assert (await stored(house, "#room"))[-1] == ("action", "waves", True)
    await peer.expect("PRIVMSG", "#Room", "\x01ACTION waves\x01")


@pytest.mark.parametrize("caps", [("message-tags", "server-time"), LABELLED])
async def test_what_the_network_refuses_is_told_and_not_stored(
    house: House, network: ScriptedNetwork, caps: tuple[str, ...]
) -> None:
    peer = await on_room(house, network, caps=caps)
    peer.answer_pings = False

    async def refuse() -> None:
        message = await peer.expect("PRIVMSG", "#Room")
        label = f"@label={message.tags['label']} " if "label" in message.tags else ""
        await peer.send(f"{label}:irc.test 404 alice #Room :Cannot send to channel")
        ping = await peer.expect("PING")
        await peer.send(f":irc.test PONG irc.test :{ping.param(0)}")
        peer.answer_pings = True

    async with asyncio.TaskGroup() as group:
        group.create_task(refuse())
        outcome = await say(house, "hello")
    assert outcome.refused == "#Room: Cannot send to channel"
    assert await stored(house, "#room") == []


async def test_an_echo_is_stored_once_on_a_network_that_sends_one(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network, caps=LABELLED)
    network.serve(lambda _peer: peer.play())

    async def echo() -> None:
        message = await peer.expect("PRIVMSG", "friend")
        await peer.send(f"@label={message.tags['label']};msgid=x1 :{peer.mask} PRIVMSG friend :{message.param(1)}")

    async with asyncio.TaskGroup() as group:
        group.create_task(echo())
        await say(house, "/msg friend hi you")
    assert await stored(house, "friend") == [("privmsg", "hi you", True)]


async def test_long_text_goes_in_pieces_and_whois_comes_back_in_words(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await say(house, "w" * 1000)
    assert len(await stored(house, "#room")) == 3

    async def whois() -> None:
        await peer.expect("WHOIS", "friend")
        await peer.numeric(311, "friend", "f", "host.example", "*", "A Friend")
        await peer.numeric(317, "friend", "7300", "1700000000", "seconds idle, signon time")
        await peer.numeric(318, "friend", "End of /WHOIS list.")

    async with asyncio.TaskGroup() as group:
        group.create_task(whois())
        outcome = await say(house, "/whois friend")
    assert [reply.words for reply in outcome.replies] == ["friend is f@host.example: A Friend", "idle for 2 h"]


async def test_join_part_topic_nick_and_away_do_what_they_do_from_a_client(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await on_room(house, network)
    user = house.ids["alice"]

    async def let_in() -> None:
        await peer.expect("JOIN", "#other")
        await peer.let_in("#other")

    async with asyncio.TaskGroup() as group:
        group.create_task(let_in())
        outcome = await say(house, "/join other key")
    assert outcome.go == "#other"
    talk, channels = house.supervisor.service.talk, house.supervisor.service.channels
    row = await channels.by_name(user, 1, "#other")
    assert row.joined
    assert await talk.open(user, 1, "#Other") == ("channels", row.id)
    await say(house, "/part see you", "#other")
    await peer.expect("PART", "#other", "see you")
    await say(house, "/topic new one")
    await peer.expect("TOPIC", "#Room", "new one")
    await say(house, "/nick bob")
    await peer.expect("NICK", "bob")
    await say(house, "/away gone fishing")
    await peer.expect("AWAY", "gone fishing")
    assert (await say(house, "/query Somebody")).go == "Somebody"
    kind, number = await talk.open(user, 1, "Somebody") or ("", 0)
    assert (kind, await talk.open(user, 1, "somebody")) == ("conversations", ("conversations", number))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to send"),
        (" \r\n \n", "nothing to send"),
        ("x" * 8001, "at most 8000 characters"),
        ("x\n" * 21, "at most 20 lines"),
        ("a\0b", "cannot carry"),
        ("/nonsense", "no command /nonsense"),
        ("/me", "say what you do"),
        ("/msg", "to whom"),
        ("/msg friend", "what friend is to be told"),
        ("/query #chan", "is a channel"),
        ("/quote QUIT :bye", "bouncer's own business"),
        ("/quote \x01", "write a line of IRC"),
        ("/notice bouncerserv help", "BouncerServ hears /msg only"),
        ("/join a\nb", "a command is one line"),
    ],
)
async def test_what_cannot_be_sent_is_said_in_words(
    house: House, network: ScriptedNetwork, text: str, words: str
) -> None:
    await on_room(house, network)
    with pytest.raises(InvalidError) as refused:
        await say(house, text)
    assert words in refused.value.fields["text"]


async def test_without_a_connection_nothing_is_sent(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    network.refuse()
    peer.hang_up()
    await peer.closed.wait()
    client = await house.client("alice/net")
    await client.until("Not connected to net")
    with pytest.raises(InvalidError) as refused:
        await say(house, "hello?")
    assert "net is not connected" in refused.value.fields["text"]


async def test_reading_in_the_panel_is_told_to_the_clients(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await peer.send("@time=2026-01-02T03:04:05.000Z :friend!f@example PRIVMSG #Room :alice: look")
    await peer.barrier()
    client = await house.client("alice/net", caps="draft/read-marker")
    await client.until(" 366 ")
    await client.barrier()
    user = house.ids["alice"]
    await house.supervisor.flush(user)
    assert len(await house.supervisor.service.histories.notifications(user)) == 1
    await house.supervisor.service.talk.mark_read(user, await place(house), 1_767_323_045_000)
    assert any("MARKREAD #Room timestamp=2026-01-02T03:04:05.000Z" in line for line in await client.barrier())
    await house.supervisor.flush(user)
    assert await house.supervisor.service.histories.notifications(user) == []
