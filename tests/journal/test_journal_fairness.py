"""Tenants that share a worker thread: who has little to write does not wait for who has much."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.journal import MAX_STATEMENTS_PER_COMMIT, TRIP, Batch, Change, ignore_release
from bouncer.journal_sql import CHANNEL_LEFT
from bouncer.journal_turns import TURN_S
from tests.support.journalkit import Kit, add_server

if TYPE_CHECKING:
    from bouncer.journal import Journal
    from bouncer.tenant import Tenants


async def beside(kit: Kit, tenants: Tenants, journal: Journal) -> Kit:
    """Another tenant on the same worker."""
    number = 2
    while tenants.worker_index(str(number)) != tenants.worker_index(kit.tenant):
        number += 1
    tenant = await tenants.create(number)
    return Kit(journal, tenant, await add_server(tenant))


async def test_one_message_goes_before_many_that_came_first(kit: Kit, tenants: Tenants, journal: Journal) -> None:
    other = await beside(kit, tenants, journal)
    order: list[str] = []
    many = [kit.row(str(number)) for number in range(TRIP + 1)]
    journal.submit(kit.tenant, Batch(lambda *_: order.append("many"), rows=many))
    journal.submit(other.tenant, Batch(lambda *_: order.append("one"), rows=[other.row("one")]))
    await kit.flush()
    await other.flush()
    assert order == ["one", "many"]


async def test_those_who_have_little_share_a_trip(kit: Kit, tenants: Tenants, journal: Journal) -> None:
    other = await beside(kit, tenants, journal)
    trips = journal.stats.trip_s.buckets()[-1][1]
    kit.submit(kit.row("a"))
    other.submit(other.row("b"))
    await asyncio.gather(kit.flush(), other.flush())
    assert journal.stats.trip_s.buckets()[-1][1] == trips + 1


async def test_statements_without_rows_fill_a_commit_too(kit: Kit, journal: Journal) -> None:
    before = journal.stats.commits
    for _ in range(3):
        changes = [Change(CHANNEL_LEFT, (kit.server_id, "#none"))] * (MAX_STATEMENTS_PER_COMMIT - 1)
        journal.submit(kit.tenant, Batch(ignore_release, changes=changes))
    await kit.flush()
    assert journal.stats.commits == before + 3


PARTS = 40
"""Batches of one commit, each of which takes a whole turn to release."""


class Slow:
    """Notes in which turn of the loop each batch is released."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.turn = 0
        self.turns: list[int] = []
        self.stored: list[bool] = []

    def submit(self, count: int) -> None:
        for number in range(count):
            self.kit.journal.submit(self.kit.tenant, Batch(self._release, rows=[self.kit.row(str(number))]))

    def _release(self, _batch: Batch, stored: bool) -> None:
        self.turns.append(self.turn)
        self.stored.append(stored)
        until = time.monotonic() + TURN_S
        while time.monotonic() < until:
            pass

    async def count(self) -> None:
        """Somebody else, who wants a turn each time."""
        while True:
            self.turn += 1
            await asyncio.sleep(0)


async def test_others_have_a_turn_between_the_batches_of_a_large_commit(kit: Kit, tenants: Tenants) -> None:
    """And their own message is stored and shown meanwhile."""
    other = await beside(kit, tenants, kit.journal)
    await other.store(other.row("warm"))
    slow = Slow(kit)
    counting = tasks.spawn(slow.count(), name="count")
    slow.submit(PARTS)
    before: list[int] = []

    def shown(_batch: Batch, _stored: bool) -> None:
        before.append(len(slow.turns))

    while not slow.turns:  # noqa: ASYNC110 - the turns are what is counted
        await asyncio.sleep(0)
    kit.journal.submit(other.tenant, Batch(shown, rows=[other.row("one")]))
    await kit.flush()
    await other.flush()
    counting.cancel()
    assert len(set(slow.turns)) == PARTS
    assert before[0] < PARTS
    assert kit.journal.stats.commits == 3


async def test_what_comes_while_a_large_commit_is_shown_comes_behind_it(kit: Kit) -> None:
    slow = Slow(kit)
    counting = tasks.spawn(slow.count(), name="count")
    slow.submit(PARTS)
    while not slow.turns:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    order: list[int] = []
    late = Batch(lambda *_: order.append(len(slow.turns)), rows=[kit.row("late")])
    kit.journal.submit(kit.tenant, late)
    await kit.flush()
    counting.cancel()
    assert order == [PARTS]
    assert slow.stored == [True] * PARTS
    assert kit.journal.waiting == (0, 0, 0)


async def test_who_is_removed_while_a_large_commit_is_shown_leaves_nothing_behind(kit: Kit) -> None:
    slow = Slow(kit)
    slow.submit(PARTS)
    while not slow.turns:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    slow.submit(1)
    kit.journal.forget(kit.tenant)
    await kit.flush()
    assert len(slow.turns) == PARTS + 1
    assert kit.journal.waiting == (0, 0, 0)
