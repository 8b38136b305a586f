"""History that goes while clients are attached: nothing else is lost, talks begin anew, limits are told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.models.tenant import Channel, Conversation, Message
from bouncer.service.retention import EVERYTHING, Scope
from tests.support.room import on_room

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork


async def said(house: House, peer: Peer, *lines: str) -> None:
    """Lines of the network, stored."""
    await peer.send(*lines)
    await peer.barrier()
    await house.supervisor.flush(house.ids["alice"])


async def contents(user: int) -> list[str]:
    async with tenant.switch(user), tenant.session() as session:
        types = Message.message_type == "privmsg"
        return list(await session.scalars(select(Message.content).where(types).order_by(Message.id)))


async def test_a_talk_that_was_deleted_begins_anew_and_nothing_of_it_is_lost(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await on_room(house, network)
    service, user = house.supervisor.service, house.ids["alice"]
    client = await house.client("alice/net@laptop")
    await client.until(" 376 ")
    await said(house, peer, *(f":grace!g@h PRIVMSG alice :before {number}" for number in range(5)))
    await client.until("before 4")
    talk = await service.histories.scope(user, 1, "grace")
    await service.upkeep.delete(user, talk, None, None)
    assert await service.upkeep.finished(user, 20)
    assert await contents(user) == []
    await said(house, peer, *(f":grace!g@h PRIVMSG alice :after {number}" for number in range(5)))
    await client.until("after 4")
    assert await contents(user) == [f"after {number}" for number in range(5)]
    async with tenant.switch(user), tenant.session() as session:
        assert list(await session.scalars(select(Conversation.nick))) == ["grace"]
    assert house.supervisor.journal.stats.lost == 0


async def test_what_is_said_while_much_is_being_deleted_is_stored_and_shown(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await on_room(house, network)
    service, user = house.supervisor.service, house.ids["alice"]
    async with tenant.switch(user), tenant.session() as session:
        channel = await session.scalar(select(Channel.id))
        row = {"server_id": 1, "channel_id": channel, "message_type": "privmsg", "msgid": "x", "time": 5}
        await session.execute(insert(Message), [{**row, "content": f"old{number} words"} for number in range(3_000)])
        await session.commit()
    client = await house.client("alice/net@laptop")
    await client.until(" 376 ")
    await client.barrier()
    job = await service.upkeep.delete(user, EVERYTHING, None, None)
    new = [f"new {number}" for number in range(100)]
    for text in new:
        await peer.send(f":friend!f@example PRIVMSG #Room :{text}")
    shown = await client.until(new[-1])
    assert [line.partition(" :")[2] for line in shown if "PRIVMSG #Room" in line] == new
    assert await service.upkeep.finished(user, 30)
    await house.supervisor.flush(user)
    assert (await service.upkeep.job(user, job.id)).done >= 3_000
    assert await contents(user) == new
    assert house.supervisor.journal.stats.lost == 0


async def test_clients_are_told_that_a_limit_is_near_at_once_or_when_they_attach(
    house: House, network: ScriptedNetwork
) -> None:
    await on_room(house, network)
    service, user = house.supervisor.service, house.ids["alice"]
    async with tenant.switch(user), tenant.session() as session:
        row = {"server_id": 1, "message_type": "privmsg", "msgid": "x", "time": now_ms()}
        await session.execute(insert(Message), [{**row, "content": f"w{number} " * 50} for number in range(4_000)])
        await session.commit()
    used = (await service.caretaker.fill(await service.users.get(user))).used
    rows = [await service.users.set_limits(user, max_disk_mb=most) for most in (1_000, -(-used // 1_000_000))]
    assert rows[1].max_disk_mb is not None
    assert used >= 0.9 * rows[1].max_disk_mb * 1_000_000
    await service.caretaker.look_after(rows[1])
    client = await house.client("alice/net@laptop")
    assert "Storage: your history takes" in (await client.until("the oldest goes"))[-1]
    other = await house.client("alice/net@phone")
    assert not [line for line in await other.barrier() if "Storage" in line]  # it was said once
    await service.caretaker.look_after(rows[0])
    await service.caretaker.look_after(rows[1])
    for one in (client, other):
        assert "NOTICE" in (await one.until("the oldest goes"))[-1]


async def test_a_channel_of_which_nothing_is_left_is_still_there_with_its_rule(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await on_room(house, network)
    service, user = house.supervisor.service, house.ids["alice"]
    await said(house, peer, ":friend!f@example PRIVMSG #Room :words")
    scope = await service.histories.scope(user, 1, "#room")
    assert scope == Scope(1, scope.channel_id)
    await service.retention.set_rule(user, scope, 3)
    await service.upkeep.delete(user, scope, None, None)
    assert await service.upkeep.finished(user, 20)
    await said(house, peer, ":friend!f@example PRIVMSG #Room :more words")
    assert await contents(user) == ["more words"]
    assert [rule.name for rule in (await service.retention.rules(user)).special] == ["#Room"]
