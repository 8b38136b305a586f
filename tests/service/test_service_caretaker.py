"""Everybody's files looked after: rules go by themselves, limits are kept and told of, one broken file harms nobody."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select

from bouncer import counts, pruning, tenant
from bouncer.clock import now_ms
from bouncer.counts import DAY_MS
from bouncer.history import Buffer
from bouncer.models.tenant import Channel, Message, Server
from bouncer.pruning import Span
from bouncer.service import caretaker, removal, upkeep
from bouncer.service.caretaker import read_oldest
from bouncer.service.live import Offline
from bouncer.service.retention import EVERYTHING, Scope, count_all

if TYPE_CHECKING:
    from bouncer.models.main import User
    from bouncer.service import Service

MB = 1_000_000
WORDS = " ".join(f"word{number}" for number in range(120))


class Ears(Offline):
    """The live half of a bouncer with clients or without, that remembers what they are told."""

    running = True

    def __init__(self, clients: int) -> None:
        super().__init__()
        self.attached = clients
        self.told: list[str] = []

    def tell(self, user_id: int, text: str) -> int:
        self.told.append(f"{user_id}: {text}")
        return self.attached


@pytest.fixture
def ears(service: Service) -> Ears:
    made = Ears(1)
    service.caretaker._live = made
    return made


async def fill(user: User, number: int = 2_000, *, first_day: int = 20, text: str = WORDS) -> None:
    """Messages of about a kB each on disk in one channel, evenly over the days up to now."""
    apart = first_day * DAY_MS // number
    begin = now_ms() - first_day * DAY_MS
    async with tenant.switch(user.id), tenant.session() as session:
        if await session.get(Server, 1) is None:
            session.add(Server(name="net", address="irc.example.org", port=6697, nickname="ada"))
            await session.flush()
            session.add(Channel(server_id=1, name="#room", folded="#room"))
            await session.flush()
        row = {"server_id": 1, "channel_id": 1, "sender": "g!g@h", "message_type": "privmsg", "msgid": "m"}
        rows = [{**row, "content": f"n{place} {text}", "time": begin + place * apart} for place in range(number)]
        await session.execute(insert(Message), rows)
        await session.commit()


async def times(user: User) -> list[int]:
    async with tenant.switch(user.id), tenant.session() as session:
        return list(await session.scalars(select(Message.time).order_by(Message.time)))


async def limited(service: Service, user: User, disk: int) -> User:
    return await service.users.set_limits(user.id, max_disk_mb=disk)


async def test_over_the_limit_the_oldest_goes_and_the_user_is_told_before_and_then(
    service: Service, alice: User, bob: User, ears: Ears
) -> None:
    for user in (alice, bob):
        await fill(user)
    used = (await service.caretaker.fill(alice)).used
    assert used > 2 * MB
    alice = await limited(service, alice, used // MB * 2)
    await service.caretaker.look_after(alice)
    assert (ears.told, service.caretaker.warning(alice.id)) == ([], "")
    before = await times(alice)

    alice = await limited(service, alice, limit := -(-used // MB))  # just enough
    await fill(alice, 1 + (limit * MB - used) // 2_000, first_day=1)
    await service.caretaker.look_after(alice)
    assert 0.9 * limit * MB <= (await service.caretaker.fill(alice)).used <= limit * MB
    assert len(ears.told) == 1
    assert "when that is full, the oldest goes" in ears.told[0]
    assert "the oldest goes" in service.caretaker.warning(alice.id)
    await service.caretaker.look_after(alice)
    assert len(ears.told) == 1  # the same is not said again
    assert set(before) < set(await times(alice))

    await fill(alice, 1_000, first_day=1)
    assert (await service.caretaker.fill(alice)).used > limit * MB
    everything = await times(alice)
    await service.caretaker.look_after(alice)
    assert "the oldest of it is being deleted" in ears.told[1]
    assert ears.told[2].startswith(f"{alice.id}: Storage: what was said before ")
    assert await service.upkeep.finished(alice.id, 30)
    job = (await service.upkeep.jobs(alice.id))[0]
    assert (job.kind, job.state, job.done, job.total) == ("quota", "done", job.total, job.done)
    left = await times(alice)
    assert left == everything[job.done :]  # just the oldest
    assert f", {job.done} messages" in ears.told[2]
    now = await service.caretaker.fill(alice)
    assert 0.8 * limit * MB < now.used <= limit * MB
    await service.caretaker.look_after(alice)
    assert len(await service.upkeep.jobs(alice.id)) == 1
    assert len(await times(bob)) == 2_000
    assert not [words for words in ears.told if words.startswith(f"{bob.id}:")]


async def test_the_installations_limit_is_for_those_without_one_and_0_is_none(
    service: Service, alice: User, bob: User
) -> None:
    service.configure(replace(service.config, limits=replace(service.config.limits, disk_mb_per_user=3)))
    assert service.caretaker.limit_of(alice) == 3 * MB
    assert service.caretaker.limit_of(await limited(service, alice, 0)) == 0
    assert service.caretaker.limit_of(await limited(service, bob, 7)) == 7 * MB
    await fill(alice, 4_000)
    await service.caretaker.look_after(await service.users.get(alice.id))
    assert await service.upkeep.jobs(alice.id) == []


async def test_who_had_no_client_there_is_told_at_the_next_attaching_once(
    service: Service, alice: User, ears: Ears
) -> None:
    ears.attached = 0
    await fill(alice)
    alice = await limited(service, alice, 1)
    await service.caretaker.look_after(alice)
    assert "what was said before" in service.caretaker.untold(alice.id)
    assert service.caretaker.untold(alice.id) == ""


async def test_a_file_that_is_over_its_limit_without_any_history_is_left_alone(
    service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caretaker, "MEGABYTE", 1_000)
    alice = await limited(service, alice, 1)
    await service.caretaker.look_after(alice)
    assert await service.upkeep.jobs(alice.id) == []
    assert service.caretaker.warning(alice.id)


async def test_history_is_deleted_for_two_people_at_a_time_and_the_next_waits(service: Service, alice: User) -> None:
    await fill(alice, 50)
    work = service.upkeep
    async with asyncio.timeout(10):
        for _ in range(2):  # two others are at it
            await work._gate.acquire()
        await work.delete(alice.id, EVERYTHING, None, None)
    assert not await work.finished(alice.id, 0.2)
    assert len(await times(alice)) == 50
    work._gate.release()
    assert await work.finished(alice.id, 30)
    assert await times(alice) == []
    work._gate.release()


async def test_of_a_long_deletion_so_many_go_at_once_and_of_many_the_last_are_remembered(
    service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "BUDGET_S", 60.0)  # however slow this machine is
    await fill(alice, 2_500, text="x")
    with contextlib.closing(sqlite3.connect(tenant.path(alice.id))) as file, file:
        file.execute("CREATE TABLE steps (size)")
        step = "INSERT INTO steps VALUES (new.done - old.done)"
        file.execute(f"CREATE TRIGGER step AFTER UPDATE OF done ON upkeep_jobs BEGIN {step}; END")
        count = file.execute("SELECT max(id) FROM upkeep_jobs").fetchone()[0] or 0
    await service.upkeep.delete(alice.id, EVERYTHING, None, None)
    assert await service.upkeep.finished(alice.id, 30)
    with contextlib.closing(sqlite3.connect(tenant.path(alice.id))) as file:
        assert file.execute("SELECT max(size), sum(size) FROM steps").fetchone() == (1_000, 2_500)
    for _ in range(24):
        await service.upkeep.delete(alice.id, EVERYTHING, None, None)
    assert await service.upkeep.finished(alice.id, 30)
    await service.upkeep.delete(alice.id, EVERYTHING, None, None)
    assert await service.upkeep.finished(alice.id, 30)
    assert [job.id for job in await service.upkeep.jobs(alice.id)] == list(range(count + 26, count + 6, -1))
    with contextlib.closing(sqlite3.connect(tenant.path(alice.id))) as file:
        assert file.execute("SELECT count(*), min(id) FROM upkeep_jobs").fetchone() == (20, count + 7)


async def test_the_moment_before_which_so_much_was_said(service: Service, alice: User) -> None:
    await fill(alice, 1_000, first_day=10)
    all_times = await times(alice)
    async with tenant.switch(alice.id):
        await count_all()
        disk = await tenant.read(counts.read_disk)
        history = disk.used - counts.EMPTY_BYTES
        for part in (0.001, 0.13, 0.5, 0.77, 1.0, 5.0):
            before, number = await tenant.read(partial(read_oldest, size=round(history * part)))
            assert number == sum(time < before for time in all_times)
            assert number == pytest.approx(min(1.0, part) * 1_000, abs=25)
    assert await times(alice) == all_times
    del service


async def test_rules_go_by_themselves_once_a_day_and_at_once_when_the_operator_says_so(
    service: Service, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        await fill(user, 200)
    await service.caretaker.look_after(alice)
    assert await service.upkeep.jobs(alice.id) == []
    service.configure(replace(service.config, history=replace(service.config.history, retention=5 * DAY_MS)))
    for user in (alice, bob):
        await service.caretaker.look_after(user)
        assert await service.upkeep.finished(user.id, 30)
        assert [job.kind for job in await service.upkeep.jobs(user.id)] == ["rules"]
        assert min(await times(user)) >= (now_ms() // DAY_MS - 5) * DAY_MS
        assert len(await times(user)) in range(50, 62)


async def test_all_is_looked_after_whatever_one_file_is_like(
    service: Service, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bob, 200)
    await service.retention.set_rule(bob.id, EVERYTHING, 5)
    await asyncio.to_thread(tenant.path(alice.id).write_bytes, b"no database " * 1_000)
    monkeypatch.setattr(caretaker, "CHECK_S", 0.01)
    service.caretaker.start()
    async with asyncio.timeout(20):
        while not (jobs := await service.upkeep.jobs(bob.id)) or jobs[0].running:  # noqa: ASYNC110 - it is in the file
            await asyncio.sleep(0.01)
    assert len(await times(bob)) in range(50, 62)


async def test_what_is_not_counted_is_counted_by_the_way(service: Service, alice: User) -> None:
    await fill(alice, 200)
    await service.caretaker.look_after(alice)
    async with tenant.switch(alice.id):
        assert await tenant.read(counts.read_behind) == 0


async def test_a_file_that_somebody_else_has_locked_is_tried_again(
    service: Service, alice: User, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "RETRY_S", 0.05)
    monkeypatch.setattr(removal, "FIRST_PORTION", 10)
    monkeypatch.setattr(removal, "LARGEST_PORTION", 10)
    service.upkeep._live = ears
    await fill(alice, 500)
    begun = await service.upkeep.delete(alice.id, Scope(1), None, None)
    with contextlib.closing(sqlite3.connect(tenant.path(alice.id), isolation_level=None)) as other:
        async with asyncio.timeout(20):
            while (await service.upkeep.job(alice.id, begun.id)).done == 0:  # noqa: ASYNC110 - it is in the file
                await asyncio.sleep(0)
        other.execute("BEGIN IMMEDIATE")
        assert not await service.upkeep.finished(alice.id, 1.0)
        now = await service.upkeep.job(alice.id, begun.id)
        assert now.running
        assert 0 < now.done < 500
        other.execute("ROLLBACK")
    assert await service.upkeep.finished(alice.id, 30)
    now = await service.upkeep.job(alice.id, begun.id)
    assert (now.state, now.done, now.note) == ("done", 500, "")


@pytest.mark.usefixtures("service")
async def test_the_index_merges_a_few_pages_with_each_portion_and_by_itself_only_afterwards(alice: User) -> None:
    await fill(alice, 100)
    sql = "SELECT v FROM messages_fts_config WHERE k = 'automerge'"
    seen: list[int] = []

    def also(base: sqlite3.Connection, number: int) -> bool:
        seen.append(base.execute(sql).fetchone()[0])
        return number == 100

    span = Span(Buffer(1, 1), None, None, removal.MAX_ID)
    async with tenant.switch(alice.id):
        for most, there in ((99, None), (100, 100), (100, None)):
            assert await tenant.write(partial(pruning.delete_some, span=span, most=most, also=also)) == there
            left = await tenant.read(lambda base: base.execute(sql).fetchone())
            assert left == (None if len(seen) == 1 else (pruning.AUTOMERGE,))
    assert seen == [0, 0, 0]


SEGMENTS = "SELECT count(DISTINCT segid) FROM messages_fts_idx"


@pytest.mark.usefixtures("service")
async def test_while_much_is_deleted_the_index_does_not_fall_to_pieces(alice: User) -> None:
    """Each portion adds a piece, which every search has to look through; by itself 16 are put together, no fewer."""
    await fill(alice, 300)
    seen: list[int] = []
    span = Span(Buffer(1, 1), None, None, removal.MAX_ID)
    async with tenant.switch(alice.id):
        for _ in range(30):
            await tenant.write(partial(pruning.delete_some, span=span, most=10))
            seen += await tenant.read(lambda base: base.execute(SEGMENTS).fetchone())
    assert max(seen) <= 2 * pruning.AUTOMERGE, seen


@pytest.mark.usefixtures("service")
async def test_a_deletion_that_fails_leaves_the_log_to_be_written_back_as_ever(alice: User) -> None:
    await fill(alice, 100)
    log_pages = "PRAGMA wal_autocheckpoint"
    seen: list[int] = []

    def full(base: sqlite3.Connection, _number: int) -> bool:
        seen.extend(base.execute(log_pages).fetchone())
        raise sqlite3.OperationalError("database or disk is full")

    async with tenant.switch(alice.id):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await removal.remove(Span(Buffer(1, 1), None, None, removal.MAX_ID), full)
        seen += await tenant.write(lambda base: base.execute(log_pages).fetchone())
    assert seen == [pruning.LOG_PAGES, pruning.USUAL_LOG_PAGES]
