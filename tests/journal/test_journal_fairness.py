"""Tenants that share a worker thread: who has little to write does not wait for who has much."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bouncer.journal import MAX_ROWS_PER_COMMIT, TRIP, Batch, Change, ignore_release
from bouncer.journal_sql import CHANNEL_LEFT
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
        changes = [Change(CHANNEL_LEFT, (kit.server_id, "#none"))] * (MAX_ROWS_PER_COMMIT - 1)
        journal.submit(kit.tenant, Batch(ignore_release, changes=changes))
    await kit.flush()
    assert journal.stats.commits == before + 3
