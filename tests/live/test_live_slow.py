"""Clients that take little at a time or nothing, and storage that is late: nothing is lost, nobody stays for ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from bouncer.downstream import TURN_LINES
from tests.support.house import PASSWORD, Attached

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork


async def connected(house: House, network: ScriptedNetwork) -> Peer:
    await house.user("alice")
    await house.server("alice", network, channels="#room")
    peer = await network.accept()
    await peer.welcome()
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room", "friend")
    await peer.barrier()
    return peer


async def test_a_client_that_takes_nothing_is_gone_soon_after_it_was_dropped(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await connected(house, network)
    number = house.ids["alice"]
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", house.port))
    client = Attached(*await asyncio.open_connection(sock=link, limit=4096))
    house.clients.append(client)
    client.send(f"PASS :alice/net:{PASSWORD}", "NICK me", "USER me 0 * :me")
    await client.until(" 366 ")  # and reads no more
    words = "x" * 400
    for _ in range(40):
        await peer.send(*[f":friend!f@h PRIVMSG #room :{words}"] * 300)
        await peer.barrier()
    attached = house.supervisor.clients(number)
    assert len(attached) == 1
    await house.supervisor.drop_client(number, attached[0].id)
    for _ in range(160):
        if house.supervisor.clients(number):
            await asyncio.sleep(0.05)
    assert not house.supervisor.clients(number)


async def test_who_comes_while_storage_is_locked_is_shown_what_was_said_before(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    peer = await connected(house, network)
    one = await house.client("alice/net@one")
    await one.until(" 366 ")
    await peer.send(":friend!f@h PRIVMSG #room :first")
    await one.until("#room :first")
    with contextlib.closing(sqlite3.connect(config.storage.path / "tenants" / f"{house.ids['alice']}.sqlite3")) as file:
        file.execute("BEGIN IMMEDIATE")
        await peer.send(":friend!f@h PRIVMSG #room :second")
        await one.until("#room :second")
        other = await house.client("alice/net@other")
        await other.until("#room :first")
        file.rollback()
    await peer.send(":friend!f@h PRIVMSG #room :third")
    await other.until("#room :second")
    await one.until("#room :third")
    for client in one, other:
        assert not [line for line in await client.barrier() if "#room :second" in line], "once is enough"


async def test_long_messages_are_played_back_in_portions(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    """A page of history that is far over what may wait for a client drops nobody."""
    limits = replace(config.limits, client_sendq_bytes=1_000_000)
    await house.supervisor.reload(replace(config, limits=limits))
    peer = await connected(house, network)
    client = await house.client("alice/net", caps="message-tags")
    await client.until(" 366 ")
    await client.barrier()
    await client.close()
    for start in range(0, 1600, 50):
        words = [f":friend!f@h PRIVMSG #room :{number} {'x' * 12_000}" for number in range(start, start + 50)]
        await peer.send(*words)
    await peer.barrier()
    await house.supervisor.flush(house.ids["alice"])  # all of it is history for who comes now
    again = await house.client("alice/net", caps="message-tags")
    again.reader._limit = 2**20  # type: ignore[attr-defined]
    shown = await again.until("PRIVMSG #room :199 ")
    # As long as it does not read on, what is said is held for it: more than may wait, too.
    for start in range(1600, 1900, 50):
        words = [f":friend!f@h PRIVMSG #room :{number} {'x' * 12_000}" for number in range(start, start + 50)]
        await peer.send(*words)
    await peer.barrier()
    shown += await again.until("PRIVMSG #room :1899 ")
    words = [line.partition("#room :")[2].split(" ")[0] for line in shown if "PRIVMSG #room :" in line]
    assert [int(number) for number in words] == list(range(1900))


async def test_a_question_to_a_broken_file_costs_an_answer_and_no_connection(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    await connected(house, network)
    client = await house.client("alice/net")
    await client.until(" 366 ")
    await client.barrier()
    with contextlib.closing(sqlite3.connect(config.storage.path / "tenants" / f"{house.ids['alice']}.sqlite3")) as file:
        file.execute("ALTER TABLE conversations RENAME TO elsewhere")
    client.send("PRIVMSG *playback :LIST")
    assert any("could not be carried out" in line for line in await client.barrier())


async def test_a_client_that_says_much_at_once_leaves_others_their_turn(house: House, network: ScriptedNetwork) -> None:
    await connected(house, network)
    client = await house.client("alice/net")
    await client.until(" 366 ")
    await client.barrier()
    turns, over = 0, asyncio.get_running_loop().create_future()
    session = next(iter(house.supervisor.users[house.ids["alice"]].sessions.values()))

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not over.done():
            asyncio.get_running_loop().call_soon(turn)

    lines = [b"MARKREAD #room"] * 1000
    turn()
    await session.client._serve_lines(lines)
    over.set_result(None)
    assert turns >= len(lines) // TURN_LINES
