"""Clients on a running bouncer: what they are shown, once, in order, and nobody else's."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from bouncer import tenant

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.live.conftest import Attached, House
    from tests.support.network import Peer, ScriptedNetwork

CAPS = "server-time message-tags batch echo-message"


async def joined(house: House, network: ScriptedNetwork, name: str = "alice", caps: tuple[str, ...] = ()) -> Peer:
    """`name` is on the network and in #room."""
    await house.user(name)
    await house.server(name, network, channels="#room")
    peer = await network.accept()
    await peer.welcome(caps=caps)
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room", "@friend", topic="the topic")
    await peer.barrier()
    return peer


def shown(lines: list[str], word: str) -> list[str]:
    return [line for line in lines if "PRIVMSG" in line and word in line]


async def acknowledged(house: House, client: Attached, name: str) -> None:
    """The receipt of that client has reached the newest message."""
    (network,) = house.supervisor.users[house.ids["alice"]].networks.values()
    async with asyncio.timeout(5):
        while network.receipts.get(name, -1) < network.released_id:
            await client.barrier()


async def test_a_client_is_shown_the_channels_and_what_is_said(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    client = await house.client("alice/net@phone", caps=CAPS)
    welcome = await client.until(" 366 ")
    assert any(" 001 alice " in line for line in welcome)
    assert any(" 332 alice #room :the topic" in line for line in welcome)
    assert any(" 353 alice = #room :alice @friend" in line for line in welcome), welcome
    await peer.send(":friend!f@example PRIVMSG #room :hello there")
    (line,) = shown(await client.until("hello there"), "hello")
    assert line.startswith("@time=")
    assert "msgid=" in line


async def test_what_was_missed_is_shown_once_and_in_order(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    client = await house.client("alice/net@phone", caps=CAPS)
    await client.until(" 366 ")
    await peer.send(":friend!f@example PRIVMSG #room :seen before")
    await client.until("seen before")
    await client.barrier()
    await acknowledged(house, client, "phone")
    await client.close()
    for number in range(1_500):
        await peer.send(f":friend!f@example PRIVMSG #room :missed {number:04}")
    await peer.barrier()
    again = await house.client("alice/net@phone", caps=CAPS)
    lines = shown(await again.until("missed 1499"), "missed")
    assert [line.rpartition(" ")[2] for line in lines] == [f"{number:04}" for number in range(1_500)]
    assert not shown(lines, "seen before")


async def test_own_lines_appear_in_the_other_clients_and_are_stored(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    first = await house.client("alice/net@one", caps=CAPS)
    second = await house.client("alice/net@two")
    await first.until(" 366 ")
    await second.until(" 366 ")
    peer.answer_pings = False
    first.send("PRIVMSG #room :from the first")
    await peer.expect("PRIVMSG", "#room", "from the first")
    ping = await peer.expect("PING")
    await peer.send(f":irc.test PONG irc.test :{ping.params[-1]}")
    assert len(shown(await first.until("from the first"), "from the first")) == 1
    assert len(shown(await second.until("from the first"), "from the first")) == 1


@pytest.mark.parametrize(("cap", "times"), [("message-tags", 1), ("znc.in/self-message", 1), ("server-time", 0)])
async def test_own_words_to_a_nick_reach_the_clients_that_know_themselves(
    house: House, network: ScriptedNetwork, cap: str, times: int
) -> None:
    """WeeChat asks for no more than message-tags; what asks for less might answer its own words."""
    peer = await joined(house, network)
    desk = await house.client("alice/net@desk", caps=CAPS)
    await desk.until(" 366 ")
    phone = await house.client("alice/net@phone", caps=cap)
    await phone.until(" 366 ")
    for when in ("live", "missed"):
        desk.send(f"PRIVMSG friend :{when} words")
        await desk.until(f"{when} words")
        await peer.send(f":friend!f@example PRIVMSG #room :end of {when}")
        if when == "missed":
            await desk.until("end of missed")
            phone = await house.client("alice/net@phone", caps=cap)
        assert len(shown(await phone.until(f"end of {when}"), f"{when} words")) == times
        await acknowledged(house, phone, "phone")
        await phone.close()


async def test_a_refused_message_is_not_said(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    client = await house.client("alice/net@one", caps=CAPS)
    await client.until(" 366 ")
    await client.barrier()
    peer.answer_pings = False
    client.send("PRIVMSG #room :never said")
    await peer.expect("PRIVMSG", "#room", "never said")
    ping = await peer.expect("PING")
    await peer.numeric(404, "#room", "Cannot send to channel")
    await peer.send(f":irc.test PONG irc.test :{ping.params[-1]}", ":friend!f@example PRIVMSG #room :after")
    lines = await client.until(":after")
    assert any(" 404 alice #room " in line for line in lines)
    assert not shown(lines, "never said")


async def test_a_network_with_echo_gives_the_true_msgid(house: House, network: ScriptedNetwork) -> None:
    caps = ("echo-message", "message-tags", "server-time")
    peer = await joined(house, network, caps=caps)
    client = await house.client("alice/net@one", caps=CAPS)
    await client.until(" 366 ")
    client.send("PRIVMSG #room :echo me")
    await peer.expect("PRIVMSG", "#room", "echo me")
    await peer.send("@msgid=theirs :alice!a@b PRIVMSG #room :echo me")
    lines = shown(await client.until("echo me"), "echo me")
    assert len(lines) == 1
    assert "msgid=theirs" in lines[0]


async def test_a_reply_reaches_only_the_client_that_asked(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    asker = await house.client("alice/net@one")
    other = await house.client("alice/net@two")
    await asker.until(" 366 ")
    await other.until(" 366 ")
    asker.send("WHOIS friend")
    await peer.expect("WHOIS", "friend")
    await peer.numeric(311, "friend", "f", "example", "*", "A friend")
    await peer.numeric(318, "friend", "End of /WHOIS list")
    await asker.until(" 318 ")
    assert not [line for line in await other.barrier() if " 311 " in line or " 318 " in line]


async def test_an_unanswered_question_ends_within_the_reply_time(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    client = await house.client("alice/net@one")
    await client.until(" 366 ")
    client.send("WHOIS silence")
    await peer.expect("WHOIS", "silence")
    await client.until(" 318 alice silence ")


async def test_a_wrong_password_is_refused_in_the_same_words(house: House, network: ScriptedNetwork) -> None:
    await joined(house, network)
    for login in ("alice/net", "nobody/net"):
        client = await house.client(login + ":wrong")
        assert any(" 464 " in line for line in await client.until("ERROR"))


async def test_one_user_sees_nothing_of_another(house: House, network: ScriptedNetwork) -> None:
    first = await joined(house, network, "alice")
    await joined(house, network, "bob")
    alice = await house.client("alice/net")
    bob = await house.client("bob/net")
    await alice.until(" 366 ")
    await bob.until(" 366 ")
    await first.send(":friend!f@example PRIVMSG alice :for alice only")
    await alice.until("for alice only")
    assert not shown(await bob.barrier(), "for alice only")
    bob.send("CHATHISTORY LATEST friend * 50")
    assert not shown(await bob.barrier(), "for alice only")
    for name, count in (("alice", 1), ("bob", 0)):
        async with tenant.switch(house.ids[name]):
            rows = await tenant.read(
                lambda db: db.execute("SELECT count(*) FROM messages WHERE content = 'for alice only'").fetchone()[0]
            )
        assert rows == count


async def test_rosters_follow_and_are_emptied_on_disconnect(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)

    async def roster() -> list[tuple[str, str]]:
        await house.supervisor.flush(house.ids["alice"])
        async with tenant.switch(house.ids["alice"]):
            sql = "SELECT nickname, modes FROM channel_users ORDER BY nickname"
            return await tenant.read(lambda db: db.execute(sql).fetchall())

    assert await roster() == [("alice", ""), ("friend", "o")]
    await peer.send(":friend!f@example NICK pal", ":alice!a@b MODE #room +v pal", ":third!t@x JOIN #room")
    await peer.barrier()
    assert await roster() == [("alice", ""), ("pal", "ov"), ("third", "")]
    peer.hang_up()
    await network.accept()
    assert await roster() == []


async def test_a_locked_file_holds_nobody_up_and_loses_nothing(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    peer = await joined(house, network)
    client = await house.client("alice/net", caps=CAPS)
    await client.until(" 366 ")
    path = config.storage.tenants / f"{house.ids['alice']}.sqlite3"
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    await peer.send(":friend!f@example PRIVMSG #room :while locked")
    await client.until("while locked")
    lock.execute("ROLLBACK")
    await house.supervisor.flush(house.ids["alice"])
    rows = lock.execute("SELECT count(*) FROM messages WHERE content = 'while locked'").fetchone()[0]
    lock.close()
    assert rows == 1
    assert any("Storage works again" in line for line in await client.until("Storage works again"))


async def test_a_client_attaches_while_its_network_is_down(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    await network.stop()
    peer.hang_up()
    client = await house.client("alice/net")
    lines = await client.until("Not connected to net")
    assert any(" 001 alice " in line for line in lines)


async def test_stopping_says_quit_to_networks_and_error_to_clients(house: House, network: ScriptedNetwork) -> None:
    peer = await joined(house, network)
    client = await house.client("alice/net")
    await client.until(" 366 ")
    stopping = asyncio.ensure_future(house.supervisor.stop("maintenance"))  # noqa: TID251 - both ends are watched
    quit_line = await peer.expect("QUIT")
    assert quit_line.params == ["maintenance"]
    peer.hang_up()
    await client.until("ERROR :maintenance")
    await stopping
