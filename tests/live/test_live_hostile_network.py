"""A network that means harm: what it can make us do at once, and keep, has a bound; others have their turn."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.irc.message import Message
from bouncer.network import traffic
from bouncer.network.traffic import TURN_ROWS
from tests.support.arrival import arrived, net

if TYPE_CHECKING:
    import pytest

    from bouncer.config import Config
    from tests.live.conftest import House
    from tests.support.network import Peer, ScriptedNetwork

CHANNELS = 300


async def on_many_channels(house: House, network: ScriptedNetwork) -> Peer:
    """alice, and bob, are on all of them."""
    peer = await arrived(house, network)
    names = [f"#{number}" for number in range(CHANNELS)]
    await peer.send(f":{peer.mask} JOIN {','.join(names)}", f":bob!b@h JOIN {','.join(names)}")
    await peer.barrier()
    return peer


def in_file(house: House, config: Config, sql: str) -> list[tuple[object, ...]]:
    path = config.storage.path / "tenants" / f"{house.ids['alice']}.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as file:
        return file.execute(sql).fetchall()


async def test_lines_that_are_a_thousand_rows_each_are_taken_a_few_at_a_time(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "TURN_S", 60.0)
    await on_many_channels(house, network)
    names = ["bob", *(f"bob{number}" for number in range(20))]
    lines = [Message.parse(f":{old}!b@h NICK {new}".encode()) for old, new in itertools.pairwise(names)]
    taken = net(house).lines(lines)
    assert taken == TURN_ROWS // CHANNELS + 1
    assert net(house).state.users.spelled(names[taken]) == names[taken]


async def test_lines_that_take_long_are_taken_one_at_a_time(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_many_channels(house, network)
    monkeypatch.setattr(traffic, "TURN_S", 0.0)
    lines = [Message.parse(f":bob!b@h PRIVMSG #1 :{number}".encode()) for number in range(3)]
    assert net(house).lines(lines) == 1


async def test_a_storm_of_nicks_is_stored_as_a_whole_and_others_have_their_turn(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    peer = await on_many_channels(house, network)
    loop, turns, done = asyncio.get_running_loop(), 0, asyncio.Event()
    worst = 0.0

    async def watch() -> None:
        nonlocal turns, worst
        while not done.is_set():
            before = loop.time()
            await asyncio.sleep(0)
            turns, worst = turns + 1, max(worst, loop.time() - before)

    watcher = tasks.spawn(watch(), name="watch")
    names = ["bob", *(f"bob{number}" for number in range(100))]
    await peer.send(*(f":{old}!b@h NICK {new}" for old, new in itertools.pairwise(names)))
    await peer.barrier(30)  # seconds of work, on a busy machine more
    done.set()
    await watcher
    assert turns > 100 * CHANNELS / (TURN_ROWS + CHANNELS)
    await house.supervisor.flush(house.ids["alice"])
    assert in_file(house, config, "SELECT count(*) FROM messages WHERE message_type = 'nick'") == [(100 * CHANNELS,)]
    roster = in_file(house, config, "SELECT nickname, count(*) FROM channel_users GROUP BY folded ORDER BY folded")
    assert roster == [("alice", CHANNELS + 1), ("bob99", CHANNELS), ("friend", 1)]


async def test_names_told_again_and_again_leave_the_stored_roster_right(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    peer = await arrived(house, network)
    await peer.send(
        ":irc.test 353 alice = #room :@alice bob carol",
        ":bob!b@h PART #room",
        ":irc.test 353 alice = #room :+carol dave",
        ":irc.test 366 alice #room :End",
        ":dave!d@h NICK Eve",
        ":irc.test 353 alice = #room :@alice +carol Eve frank",
        ":friend!f@h QUIT",
    )
    await peer.barrier()
    await house.supervisor.flush(house.ids["alice"])
    stored = in_file(house, config, "SELECT nickname, modes FROM channel_users ORDER BY folded")
    assert stored == [("alice", "o"), ("carol", "v"), ("Eve", ""), ("frank", "")]
    assert stored == sorted(net(house).state.channels["#room"].members.items(), key=lambda item: item[0].lower())
