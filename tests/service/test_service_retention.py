"""How long messages are kept, ranges that are deleted, and that nothing of them stays: real files, two people."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select

from bouncer import counts, tenant
from bouncer.clock import now_ms
from bouncer.counts import DAY_MS
from bouncer.errors import InvalidError, NotFoundError, RefusedError
from bouncer.models.tenant import Channel, Conversation, Message, Notification, ReadMarker, Server
from bouncer.service import removal
from bouncer.service.bouncerserv import BouncerServ
from bouncer.service.retention import EVERYTHING, Scope
from bouncer.tenant import tools

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.service import Service
    from bouncer.service.upkeep import Job

ROOM, TALK, OWN = Scope(1, 1), Scope(1, None, 1), Scope(1, 0)
OLD, RECENT = "oldsecret", "keptword"


async def fill(user: User, *, days: int = 10, each: int = 20, apart: int = DAY_MS) -> None:
    """A server with a room, a talk and lines of its own: `each` messages a day, the last day being today's.

    Words of days before the last three begin with OLD, others with RECENT; every tenth message calls.
    """
    today = now_ms() // DAY_MS * DAY_MS
    async with tenant.switch(user.id), tenant.session() as session:
        session.add(Server(name="net", address="irc.example.org", port=6697, nickname="ada"))
        await session.flush()
        session.add(Channel(server_id=1, name="#Room", folded="#room"))
        session.add(Conversation(server_id=1, nick="Grace", folded="grace"))
        session.add(ReadMarker(server_id=1, folded="grace", name="Grace", time=now_ms()))
        await session.flush()
        rows: list[dict[str, object]] = []
        for day in range(days):
            word = OLD if day < days - 3 else RECENT
            for number in range(each):
                name = f"{word}{user.id}x{day}x{number}"
                for where in ({"channel_id": 1, "target": "#Room"}, {"conversation_id": 1, "target": "Grace"}, {}):
                    rows.append(
                        {
                            "server_id": 1,
                            "channel_id": None,
                            "conversation_id": None,
                            "target": "",
                            "tags": None,
                            "sender": "grace!g@host",
                            "message_type": "privmsg",
                            "content": f"{name} is said",
                            "msgid": f"m{len(rows)}",
                            "time": today - (days - 1 - day) * apart + number,
                            **where,
                        }
                    )
        await session.execute(insert(Message), rows)
        ids = list(await session.scalars(select(Message.id)))
        await session.execute(insert(Notification), [{"message_id": i, "reason": "dm"} for i in ids[::10]])
        await session.commit()


async def held(user: User) -> list[str]:
    """The words of all messages."""
    async with tenant.switch(user.id), tenant.session() as session:
        return [content.split()[0] for content in await session.scalars(select(Message.content).order_by(Message.id))]


async def found(user: User, words: str) -> int:
    """How many messages the search index finds."""
    sql = "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH ?"
    async with tenant.switch(user.id):
        return await tenant.read(lambda base: int(base.execute(sql, (words,)).fetchone()[0]))


def on_disk(path: Path, word: str) -> int:
    """How often a word is in the user's file and its log, as bytes."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-journal"))
    return sum(file.read_bytes().count(word.encode()) for file in files if file.exists())


async def done(service: Service, user: User, job: Job | None) -> Job:
    assert job is not None
    assert await service.upkeep.finished(user.id, 30)
    return await service.upkeep.job(user.id, job.id)


async def begins(service: Service, user: User, job: Job) -> None:
    """Wait until some of it is done."""
    async with asyncio.timeout(10):
        while (await service.upkeep.job(user.id, job.id)).done == 0:  # noqa: ASYNC110 - it says so in the file only
            await asyncio.sleep(0)


def counted(path: Path) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """What is counted by day, and what there is."""
    sql = (
        "SELECT server_id, coalesce(channel_id, 0), coalesce(conversation_id, 0), time / 86400000, count(*), "  # noqa: S608
        f"sum({counts.BYTES}) FROM messages GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    )
    with contextlib.closing(sqlite3.connect(path)) as base:
        days = base.execute("SELECT * FROM message_days WHERE messages > 0 ORDER BY 1, 2, 3, 4").fetchall()
        return days, base.execute(sql).fetchall()


# -- counting ----------------------------------------------------------------------------------------------------------


async def test_what_is_counted_by_day_is_what_there_is_whatever_happens_to_messages(
    service: Service, alice: User
) -> None:
    await fill(alice)
    path = tenant.path(alice.id)
    async with tenant.switch(alice.id):
        assert await tenant.read(counts.read_behind) == 600
        while await tenant.write(counts.count_more):
            pass
        assert await tenant.read(counts.read_behind) == 0
    with contextlib.closing(sqlite3.connect(path)) as base, base:
        base.execute("PRAGMA foreign_keys=ON")
        base.execute("DELETE FROM messages WHERE id % 7 = 0")
        base.execute("UPDATE messages SET content = '', redacted = 'x' WHERE id % 5 = 0")
        base.execute("UPDATE messages SET channel_id = NULL, conversation_id = 1 WHERE id % 11 = 0")
        base.execute("UPDATE messages SET time = time + 86400000 WHERE id % 13 = 0")
        base.execute("UPDATE messages SET tags = '{\"é\": 1}' WHERE id % 17 = 0")
        base.execute("UPDATE messages SET msgid = 'another', sender = 'a', target = 'b' WHERE id % 19 = 0")
        base.execute("INSERT INTO messages (server_id, message_type, content, msgid, time) VALUES (1, 'x', 'é', '', 5)")
    async with tenant.switch(alice.id):
        await tenant.write(counts.count_more)
    days, there = await asyncio.to_thread(counted, path)
    assert days == there
    sizes = await service.histories.sizes(alice.id)
    assert sum(size.messages for size in sizes.buffers) == sum(row[4] for row in there)


async def test_messages_that_are_not_counted_yet_are_in_the_sizes(service: Service, alice: User) -> None:
    await fill(alice)
    sizes = await service.histories.sizes(alice.id)
    assert {size.name: size.messages for size in sizes.buffers} == {"#Room": 200, "Grace": 200, "": 200}
    today = now_ms() // DAY_MS * DAY_MS
    assert {(size.oldest, size.newest) for size in sizes.buffers} == {(today - 9 * DAY_MS, today + 19)}


async def test_what_a_buffer_is_said_to_take_is_about_what_the_file_shrinks_by_without_it(
    service: Service, alice: User
) -> None:
    await fill(alice, days=30, each=100)
    async with tenant.switch(alice.id), tenant.session() as session:
        row = {"server_id": 1, "channel_id": 1, "sender": "grace!g@host", "message_type": "privmsg", "msgid": "long"}
        words = (" ".join(f"w{number * word % 3000}" for word in range(60)) for number in range(2000))
        rows = [{**row, "content": text, "time": number} for number, text in enumerate(words)]
        await session.execute(insert(Message), rows)
        await session.commit()
    before = await service.histories.sizes(alice.id)
    said = {size.name: before.takes(size) for size in before.buffers}
    for scope, name in ((ROOM, "#Room"), (TALK, "Grace")):
        used = (await service.histories.sizes(alice.id)).disk.used
        await done(service, alice, await service.upkeep.delete(alice.id, scope, None, None))
        gone = used - (await service.histories.sizes(alice.id)).disk.used
        assert 0.6 < said[name] / gone < 1.6, (name, said[name], gone)


# -- rules -------------------------------------------------------------------------------------------------------------


async def test_a_rule_shows_what_would_go_and_then_just_that_goes(service: Service, alice: User, bob: User) -> None:
    for user in (alice, bob):
        await fill(user)
    going = await service.retention.preview_rule(alice.id, EVERYTHING, 3)
    today = now_ms() // DAY_MS * DAY_MS
    assert [(one.name, one.messages, one.oldest, one.newest) for one in going] == [
        (name, 120, today - 9 * DAY_MS, today - 4 * DAY_MS + 19) for name in ("", "#Room", "Grace")
    ]
    assert all(120 * 72 < one.bytes < 120 * 2000 for one in going)
    assert len(await held(alice)) == 600  # to look at it deletes nothing
    assert await service.upkeep.apply_rules(alice.id) is None
    await service.retention.set_rule(alice.id, EVERYTHING, 3)
    job = await done(service, alice, await service.upkeep.apply_rules(alice.id))
    assert (job.kind, job.state, job.done, job.total, job.note) == ("rules", "done", 360, 360, "")
    left = await held(alice)
    assert len(left) == 240
    assert {word.split("x")[1] for word in left} == {"6", "7", "8", "9"}
    assert await service.upkeep.apply_rules(alice.id) is None
    assert len(await held(bob)) == 600
    assert await service.upkeep.jobs(bob.id) == []


async def test_the_nearest_rule_counts_and_none_keeps_longer_than_the_operator(service: Service, alice: User) -> None:
    await fill(alice)
    await service.retention.set_rule(alice.id, EVERYTHING, 8)
    await service.retention.set_rule(alice.id, Scope(1), 5)
    await service.retention.set_rule(alice.id, ROOM, 0)
    await service.retention.set_rule(alice.id, TALK, 2)

    async def going(scope: Scope = EVERYTHING, days: int | None = 8) -> dict[str, int]:
        return {one.name: one.messages for one in await service.retention.preview_rule(alice.id, scope, days)}

    assert await going() == {"": 80, "Grace": 140}  # 4 days of the server's lines, 7 of Grace's, none of the room's
    assert await going(TALK, None) == {"": 80, "Grace": 80}
    assert await going(Scope(1), None) == {"": 20, "Grace": 140}
    service.configure(replace(service.config, history=replace(service.config.history, retention=7 * DAY_MS)))
    assert await going(days=None) == {"": 80, "#Room": 40, "Grace": 140}
    for wrong in (0, 8):
        with pytest.raises(InvalidError, match="at most 7"):
            await service.retention.set_rule(alice.id, ROOM, wrong)
    rules = await service.retention.rules(alice.id)
    assert (rules.most, rules.general, rules.kept) == (7, 8, 7)
    assert [(rule.name, rule.days) for rule in rules.special] == [("", 5), ("#Room", 0), ("Grace", 2)]
    job = await done(service, alice, await service.upkeep.apply_rules(alice.id))
    assert job.done == 260


async def test_a_rule_for_what_is_not_there_or_is_anothers_is_refused(service: Service, alice: User, bob: User) -> None:
    await fill(alice)
    for scope in (Scope(1), ROOM, TALK, OWN, Scope(1, 99), Scope(2, 1)):
        with pytest.raises(NotFoundError):
            await service.retention.set_rule(bob.id, scope, 3)
        with pytest.raises(NotFoundError):
            await service.upkeep.delete(bob.id, scope, None, None)
        with pytest.raises(NotFoundError):
            await service.retention.preview_range(bob.id, scope, None, None)
    for scope in (Scope(1, 99), Scope(2, 1), Scope(1, None, 7)):
        with pytest.raises(NotFoundError):
            await service.retention.preview_rule(alice.id, scope, 3)
    assert await service.upkeep.jobs(bob.id) == []


# -- ranges ------------------------------------------------------------------------------------------------------------


async def test_what_is_deleted_is_gone_from_the_file_the_index_the_log_and_all_that_hung_on_it(
    service: Service, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        await fill(user, each=60)
    path = tenant.path(alice.id)
    assert on_disk(path, f"{OLD}{alice.id}x") > 1000
    before = now_ms() // DAY_MS * DAY_MS - 2 * DAY_MS
    going = await service.retention.preview_range(alice.id, EVERYTHING, None, before)
    assert sum(one.messages for one in going) == 3 * 7 * 60
    job = await done(service, alice, await service.upkeep.delete(alice.id, EVERYTHING, None, before))
    assert (job.state, job.done, job.total, job.note) == ("done", 1260, 1260, "")
    assert job.freed > 100_000
    assert on_disk(path, OLD) == 0
    assert on_disk(path, RECENT) > 500
    assert await found(alice, f"{OLD}*") == 0
    assert await found(alice, f"{RECENT}*") == 3 * 3 * 60
    assert await service.tenants._tenants.check(alice.id) == []
    async with tenant.switch(alice.id), tenant.session() as session:
        there = set(await session.scalars(select(Message.id)))
        assert set(await session.scalars(select(Notification.message_id))) <= there
        assert len(list(await session.scalars(select(Notification.id)))) == 3 * 3 * 60 // 10
    assert on_disk(tenant.path(bob.id), f"{OLD}{bob.id}x") > 1000


async def test_between_two_days_of_one_buffer_nothing_else_goes(service: Service, alice: User) -> None:
    await fill(alice)
    today = now_ms() // DAY_MS * DAY_MS
    after, before = today - 5 * DAY_MS + 10, today - 3 * DAY_MS + 5  # from within one day to within another
    going = await service.retention.preview_range(alice.id, TALK, after, before)
    assert [(one.name, one.messages) for one in going] == [("Grace", 10 + 20 + 5)]
    job = await done(service, alice, await service.upkeep.delete(alice.id, TALK, after, before))
    assert job.done == 35
    sizes = await service.histories.sizes(alice.id)
    assert {size.name: size.messages for size in sizes.buffers} == {"#Room": 200, "Grace": 165, "": 200}
    within = await service.retention.preview_range(alice.id, ROOM, today - 8 * DAY_MS + 5, today - 8 * DAY_MS + 8)
    assert [one.messages for one in within] == [3]


async def test_reactions_go_with_what_they_are_about_and_others_stay(service: Service, alice: User) -> None:
    await fill(alice)
    today = now_ms() // DAY_MS * DAY_MS
    async with tenant.switch(alice.id), tenant.session() as session:
        at = (today - 5 * DAY_MS + 19, today - 4 * DAY_MS)
        query = select(Message.msgid).where(Message.channel_id == 1, Message.time.in_(at)).order_by(Message.time)
        gone, stays = await session.scalars(query)
        reaction = {"server_id": 1, "channel_id": 1, "message_type": "tagmsg", "time": today - 3 * DAY_MS}
        for about in (gone, stays):
            tags = f'{{"+draft/reply": "{about}", "+draft/react": "x"}}'
            session.add(Message(**reaction, msgid=f"to-{about}", tags=tags))
        session.add(Message(**reaction, msgid="odd", tags="no json"))
        await session.commit()
    await done(service, alice, await service.upkeep.delete(alice.id, ROOM, None, today - 4 * DAY_MS))
    async with tenant.switch(alice.id), tenant.session() as session:
        left = set(await session.scalars(select(Message.msgid).where(Message.message_type == "tagmsg")))
    assert left == {f"to-{stays}", "odd"}


async def test_a_talk_of_which_nothing_is_left_is_forgotten_with_the_name_and_can_begin_anew(
    service: Service, alice: User
) -> None:
    await fill(alice)
    await done(service, alice, await service.upkeep.delete(alice.id, TALK, None, None))
    async with tenant.switch(alice.id), tenant.session() as session:
        assert list(await session.scalars(select(Conversation.nick))) == []
        assert list(await session.scalars(select(ReadMarker.name))) == []
        assert list(await session.scalars(select(Channel.name))) == ["#Room"]
    assert on_disk(tenant.path(alice.id), "Grace") == 0


async def test_a_file_of_an_earlier_version_is_made_anew_once_and_then_gives_back_bit_by_bit(
    service: Service, alice: User
) -> None:
    path = tenant.path(alice.id)
    with contextlib.closing(sqlite3.connect(path)) as base:  # as it was made before
        base.execute("PRAGMA auto_vacuum=NONE")
        base.execute("VACUUM")
        assert base.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    await fill(alice, each=60)
    job = await done(service, alice, await service.upkeep.delete(alice.id, ROOM, None, None))
    assert (job.state, job.note) == ("done", "")
    assert job.freed > 50_000
    sizes = await service.histories.sizes(alice.id)
    assert (sizes.disk.gives_back, sizes.disk.free) == (True, 0)
    assert await service.tenants._tenants.check(alice.id) == []


async def test_work_that_was_interrupted_goes_on_with_the_next_start(
    service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(alice, each=60)
    monkeypatch.setattr(removal, "FIRST_PORTION", 20)
    monkeypatch.setattr(removal, "LARGEST_PORTION", 20)
    begun = await service.upkeep.delete(alice.id, EVERYTHING, None, None)
    await begins(service, alice, begun)
    await service.upkeep.close()
    now = await service.upkeep.job(alice.id, begun.id)
    assert now.running
    assert 0 < now.done < 1800 == now.total
    assert len(await held(alice)) == 1800 - now.done
    await service.caretaker.look_after(alice)  # what a start does
    job = await done(service, alice, begun)
    assert (job.state, job.done, job.total) == ("done", 1800, 1800)
    assert await held(alice) == []
    assert on_disk(tenant.path(alice.id), f"{OLD}{alice.id}x") == 0


async def test_work_can_be_stopped_and_gone_on_with_but_a_rules_cannot(
    service: Service, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(alice, each=60)
    monkeypatch.setattr(removal, "FIRST_PORTION", 20)
    monkeypatch.setattr(removal, "LARGEST_PORTION", 20)
    begun = await service.upkeep.delete(alice.id, EVERYTHING, None, None)
    await begins(service, alice, begun)
    await service.upkeep.stop(alice.id, begun.id)
    job = await done(service, alice, begun)
    assert job.state == "stopped"
    assert 0 < len(await held(alice)) == 1800 - job.done < 1800
    with pytest.raises(RefusedError):
        await service.upkeep.stop(alice.id, begun.id)
    for act in (service.upkeep.stop, service.upkeep.resume):
        with pytest.raises(NotFoundError):
            await act(bob.id, begun.id)
    await service.upkeep.resume(alice.id, begun.id)
    assert (await done(service, alice, begun)).state == "done"
    assert await held(alice) == []
    with pytest.raises(RefusedError):
        await service.upkeep.resume(alice.id, begun.id)


async def test_what_arrives_while_all_is_being_deleted_stays(service: Service, alice: User) -> None:
    await fill(alice)
    begun = await service.upkeep.delete(alice.id, EVERYTHING, None, None)
    async with tenant.switch(alice.id), tenant.session() as session:
        session.add(Message(server_id=1, channel_id=1, message_type="privmsg", content="new", msgid="n", time=now_ms()))
        await session.commit()
    await done(service, alice, begun)
    assert await held(alice) == ["new"]


async def test_a_backup_made_while_a_range_was_deleted_brings_back_what_was_not_gone_yet(
    service: Service, alice: User, tmp_path: Path
) -> None:
    await fill(alice)
    path = tenant.path(alice.id)
    with contextlib.closing(sqlite3.connect(path)) as base, base:
        base.execute(
            "INSERT INTO upkeep_jobs (kind, state, phase, upto, begun_at) VALUES ('range', 'running', 'messages', 9, 1)"
        )
    await asyncio.to_thread(tools.backup, path, tmp_path / "copy")
    await service.tenants.restore(alice.id, tmp_path / "copy")
    await service.caretaker.look_after(alice)
    assert [job.state for job in await service.upkeep.jobs(alice.id)] == ["stopped"]
    assert len(await held(alice)) == 600


async def test_a_deleted_users_work_ends_with_the_user(service: Service, alice: User, bob: User) -> None:
    await fill(bob, each=60)
    await service.upkeep.delete(bob.id, EVERYTHING, None, None)
    await service.users.delete(bob.id)
    assert not await tenant.exists(bob.id)
    assert await service.upkeep.jobs(alice.id) == []


# -- by words ----------------------------------------------------------------------------------------------------------


async def test_bouncerserv_shows_keeps_and_deletes(service: Service, alice: User, bob: User) -> None:
    for user in (alice, bob):
        await fill(user)
    serv = BouncerServ(service)

    async def say(text: str, server: str | None = "net") -> list[str]:
        return await serv.handle(bob.id, text, server=server)

    assert await say("history retention") == [
        "messages are kept until you clear them (`history clear`) or delete the server"
    ]
    shown = await say("history keep 3d")
    assert shown[-2].startswith("360 messages would go")
    assert "--yes" in shown[-1]
    assert (await say("history keep 5 --in grace"))[-2].startswith("80 messages would go")
    assert "Error: days:" in (await say("history keep 0d"))[0]
    assert await say("history keep 3d --yes") == ["messages are kept for 3 days", "360 messages deleted"]
    assert (await say("history keep forever --in grace --yes"))[1:] == ["  Grace on net: for ever"]
    assert (await say("history clear #room --since 2026-02-30"))[0] == "Error: since: a day like 2026-01-31"
    assert (await say("history clear #room --since 2026-02-03 --until 2026-02-02"))[0].startswith("Error: until")
    assert (await say("history clear"))[0].startswith("say what")
    assert (await say("history clear --everything --server net"))[-2].startswith("240 messages would go")
    assert await say("history clear #room --yes") == ["80 messages deleted"]
    assert [line.split(": ", 2)[1] for line in await say("history work")] == ["#Room on net", "what is kept no longer"]
    assert "which one?" in (await say("history stop x"))[0]
    assert "no such work" in (await say("history stop 99"))[0]
    assert (await say("history compact"))[0].startswith("there was nothing")
    assert (await say("history clear --everything --yes", None)) == ["160 messages deleted"]
    assert len(await held(alice)) == 600
