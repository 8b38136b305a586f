"""What a flood costs and what silence costs: many messages share a commit, one alone is committed at once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from bouncer import tenant
from bouncer.models.tenant import Channel, Preference, Server
from bouncer.network import known

if TYPE_CHECKING:
    import pytest

    from tests.live.conftest import House
    from tests.support.network import ScriptedNetwork

SAID = 20_000
MOST_COMMITS = 2_000
ALL = [f":friend!f@irc.example PRIVMSG #room :n{number} of a flood" for number in range(SAID)]


async def test_a_flood_of_20000_messages_makes_fewer_than_2000_commits_and_one_message_one_at_once(
    house: House, network: ScriptedNetwork
) -> None:
    await house.user("alice")
    await house.server("alice", network, channels="#room")
    peer = await network.accept()
    await peer.welcome()
    await peer.expect("JOIN", "#room")
    await peer.let_in("#room", "friend")
    await peer.barrier()
    client = await house.client("alice/net@phone", caps="message-tags")
    await client.until(" 366 ")
    stats = house.supervisor.journal.stats
    before = stats.commits
    flood = asyncio.ensure_future(peer.send(*ALL))  # noqa: TID251 - read while it is sent
    shown = [line for line in await client.until(f":n{SAID - 1} of a flood") if " PRIVMSG #room " in line]
    await flood
    assert [line.partition(" :n")[2].split()[0] for line in shown] == [str(number) for number in range(SAID)]
    assert 0 < stats.commits - before < MOST_COMMITS
    await client.barrier()
    await house.supervisor.flush(1)  # the receipt of the flood

    before = stats.commits
    await peer.send(":friend!f@irc.example PRIVMSG #room :alone")
    await client.until(":alone")
    with closing(sqlite3.connect(tenant.path("1"))) as database:
        assert database.execute("SELECT content FROM messages ORDER BY id DESC LIMIT 1").fetchone() == ("alone",)
    assert stats.commits > before


async def test_what_a_network_is_brought_to_life_with_is_what_the_orm_reads(house: House) -> None:
    """Types and secrets too: rows are read bare there."""
    user = await house.user("alice")
    async with tenant.switch(user):
        async with tenant.session() as session, session.begin():
            server = Server(name="net", address="irc.example", port=6697, nickname="alice", tls=True, keep_nick=False)
            server.password, server.auth_password, server.flood_burst = "word", "secret of hers", 3
            session.add(server)
            await session.flush()
            session.add(Channel(server_id=server.id, name="#Room", folded="#room", key="sesame", auto_join=True))
            session.add(Channel(server_id=server.id, name="#left", folded="#left"))
            session.add(Preference(name="highlight_nick", value="0"))
        found = await known.rows()
        async with tenant.session() as session:
            wanted = await session.get_one(Server, server.id)
            rows = {column.key: getattr(wanted, column.key) for column in Server.__table__.columns}
    assert [vars(row) for row in found.servers] == [rows]
    assert [(row.name, row.key, row.auto_join is True) for row in found.channels] == [("#Room", "sesame", True)]
    assert found.preferences == {"highlight_nick": "0"}


async def test_a_user_disabled_while_the_start_is_under_way_stays_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of all users was read before that."""
    supervisor = house.supervisor
    user = await house.user("alice")
    users = await supervisor.service.users.list()
    await supervisor.forget(user, "a start begins")
    listed, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> object:
        listed.set()
        await go_on.wait()
        return users

    monkeypatch.setattr(supervisor.service.users, "list", slowly)
    starting = asyncio.ensure_future(supervisor.bring_all())  # noqa: TID251 - the start, seen from beside it
    await listed.wait()
    await supervisor.service.users.set_enabled(user, enabled=False)
    await supervisor.nudge(user)
    go_on.set()
    await starting
    assert user not in supervisor.users


async def test_who_comes_while_a_start_is_under_way_finds_their_networks(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart everybody's clients are back before everybody's networks are."""
    supervisor = house.supervisor
    await house.user("alice")
    await house.server("alice", network, channels="#room")
    await (await network.accept()).welcome()
    users = await supervisor.service.users.list()
    await supervisor.forget(house.ids["alice"], "a start begins")
    listed, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> object:
        listed.set()
        await go_on.wait()
        return users

    monkeypatch.setattr(supervisor.service.users, "list", slowly)
    starting = asyncio.ensure_future(supervisor.bring_all())  # noqa: TID251 - as above
    await listed.wait()
    client = await house.client("alice/net")
    await client.until(" 001 ")
    go_on.set()
    await starting
    assert [one.name for one in supervisor.clients(house.ids["alice"])] == [""]
    assert len(supervisor.users[house.ids["alice"]].networks) == 1
