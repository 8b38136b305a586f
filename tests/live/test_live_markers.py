"""MARKREAD and READ on a running bouncer: forward only, everywhere at once, and still there after a restart."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from bouncer import history, tenant
from bouncer.supervisor import Supervisor
from tests.support.house import DEADLINE_S, running
from tests.support.room import ask, on_room, said, stamp

if TYPE_CHECKING:
    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

NEW, OLD = "server-time draft/read-marker", "soju.im/read"
EARLY, LATE = "timestamp=2019-01-04T14:33:26.123Z", "timestamp=2020-01-04T14:33:26.123Z"


def words(lines: list[str]) -> list[str]:
    return [line.split(" ", 1)[1] for line in lines if " PING" not in line and not line.startswith("PING")]


async def test_a_marker_moves_forward_only_and_is_told_to_every_client(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    new, other, old, none = [await house.client("alice/net", caps=caps) for caps in (NEW, NEW, OLD, "batch")]
    for client in (new, other, old, none):
        await client.until(" 366 ")
        await client.barrier()
    assert words(await ask(new, "MARKREAD #nowhere")) == ["MARKREAD #nowhere *"]
    assert words(await ask(new, f"MARKREAD #room {LATE}")) == [f"MARKREAD #room {LATE}"]
    assert words(await ask(new, f"MARKREAD #ROOM {EARLY}")) == [f"MARKREAD #ROOM {LATE}"]
    assert words(await ask(new, "MARKREAD #Room")) == [f"MARKREAD #Room {LATE}"]
    assert words((await other.barrier())[:-1]) == [f"MARKREAD #room {LATE}"]
    (line,) = (await old.barrier())[:-1]
    assert line.startswith(":alice")
    assert line.endswith(f" READ #room {LATE}")
    assert words((await none.barrier())[:-1]) == []
    assert words(await ask(old, f"READ friend {EARLY}")) == [f"READ friend {EARLY}"]
    assert words((await new.barrier())[:-1]) == [f"MARKREAD friend {EARLY}"]


async def test_a_marker_stands_between_each_join_and_its_names(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    client = await house.client("alice/net", caps=NEW)

    def order(lines: list[str]) -> list[str]:
        return [word for line in lines for word in (" JOIN ", " MARKREAD ", " 366 ") if word in line]

    lines = await client.until(" 366 ")
    assert order(lines) == [" JOIN ", " MARKREAD ", " 366 "]
    assert any(line.endswith(" MARKREAD #Room *") for line in lines)
    await client.barrier()
    client.send(f"MARKREAD #Room {EARLY}", "JOIN #Second")
    await client.until(" MARKREAD ")
    await peer.expect("JOIN", "#Second")
    await peer.let_in("#Second", "@friend")
    assert order(await client.until(" 366 ")) == [" JOIN ", " MARKREAD ", " 366 "]
    again = await house.client("alice/net", caps=NEW)
    assert any(line.endswith(f" MARKREAD #Room {EARLY}") for line in await again.until(" 366 "))


async def test_nobody_has_read_what_is_yet_to_come(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    client = await house.client("alice/net", caps=NEW)
    await client.until(" 366 ")
    shown = await ask(client, "MARKREAD #room timestamp=2262-01-01T00:00:00.000Z")
    assert "2262" not in "".join(shown)


@pytest.mark.parametrize("command", ["MARKREAD", "READ"])
@pytest.mark.parametrize(
    ("rest", "answer"),
    [
        ("", "NEED_MORE_PARAMS :"),
        (" #room *", "INVALID_PARAMS * :"),
        (" #room timestamp=yesterday", "INVALID_PARAMS timestamp=yesterday :"),
        (" #room 2019-01-04T14:33:26.123Z", "INVALID_PARAMS 2019-01-04T14:33:26.123Z :"),
        (" :two words", "INVALID_PARAMS * :"),
    ],
)
async def test_what_cannot_be_marked_fails(
    house: House, network: ScriptedNetwork, command: str, rest: str, answer: str
) -> None:
    await on_room(house, network)
    client = await house.client("alice/net", caps=NEW)
    await client.until(" 366 ")
    await client.barrier()
    (line,) = words(await ask(client, command + rest))
    assert f" FAIL {command} {answer}" in line


async def test_markers_outlive_a_restart_and_count_what_is_unread(
    config: Config, main_db: MainDatabase, tenants: Tenants, network: ScriptedNetwork
) -> None:
    async with running(Supervisor(config, main_db, tenants)) as house:
        peer = await on_room(house, network)
        peer.lets_go = True
        await said(peer, 5)
        await peer.send(f"@time={stamp(99)} :friend!f@example PRIVMSG #Room :alice: look")
        await peer.send(f"@time={stamp(100)} :friend!f@example PRIVMSG alice :hello")
        await peer.barrier()
        client = await house.client("alice/net", caps=NEW)
        await client.until(" 366 ")
        await ask(client, f"MARKREAD #room timestamp={stamp(4)}")
        user = house.ids["alice"]
        await house.supervisor.flush(user)
        async with tenant.switch(user):
            unread = await history.unread(1)
            names = {buffer.buffer: buffer.name for buffer in await history.buffers(1)}
        assert {names[buffer]: tuple(count) for buffer, count in unread.items()} == {"#Room": (3, 1), "friend": (1, 1)}
        await ask(client, f"MARKREAD #room timestamp={stamp(99)}")
        await ask(client, f"MARKREAD friend timestamp={stamp(100)}")
        await house.supervisor.flush(user)
        async with tenant.switch(user):
            assert await history.unread(1) == {}
            waiting = "SELECT count(*) FROM notifications WHERE read_at IS NULL"
            assert await tenant.read(lambda db: db.execute(waiting).fetchone()) == (0,)
    async with running(Supervisor(config, main_db, tenants)) as house:
        peer = await network.accept()
        peer.lets_go = True
        await peer.welcome()
        await peer.expect("JOIN", "#Room")
        await peer.let_in("#Room")
        await peer.barrier()
        client = await house.client("alice/net", caps=NEW)
        lines = await client.until(" 366 ")
        assert any(line.endswith(f" MARKREAD #Room timestamp={stamp(99)}") for line in lines)


async def test_a_marker_is_on_disk_before_anybody_is_told(house: House, network: ScriptedNetwork) -> None:
    """Whatever happens then, it never goes back."""
    await on_room(house, network)
    new, other = [await house.client("alice/net", caps=NEW) for _ in range(2)]
    for client in (new, other):
        await client.until(" 366 ")
        await client.barrier()
    house.supervisor.journal._live_s = DEADLINE_S  # a disk as slow as this is another matter
    tenants, go_on = tenant.installed(), threading.Event()
    blocked = tenants.call(tenants.worker_index(str(house.ids["alice"])), lambda: go_on.wait(DEADLINE_S))
    try:
        new.send(f"MARKREAD #room {LATE}")
        other.send("CAP LIST")  # the answer to that needs no file
        assert not [line for line in await other.until(" LIST ") if " MARKREAD " in line]
        new.send("CAP LIST")
    finally:
        go_on.set()
        await blocked
    lines = await new.until(" LIST ")
    assert words(lines)[0] == f"MARKREAD #room {LATE}"
    assert words(await other.until(" MARKREAD ")) == [f"MARKREAD #room {LATE}"]
