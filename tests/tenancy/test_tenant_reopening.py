"""A file that could not be written is opened anew, however it was noticed; who comes meanwhile waits for that."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bouncer.tenant import read, session, switch, write

if TYPE_CHECKING:
    from bouncer.tenant import Tenants

ONLY_READING = "PRAGMA query_only=ON"
"""What a connection to a file without the right to write answers, without such a file."""
CHANGE = "DELETE FROM servers"


def change(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute(CHANGE)


async def forbid() -> None:
    await write(lambda connection: connection.execute(ONLY_READING).close())


async def writing_fails(way: str) -> None:
    if way == "write":
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await write(change)
    else:
        with pytest.raises(OperationalError, match="readonly"):
            async with session() as unit, unit.begin():
                await unit.execute(text(CHANGE))


@pytest.mark.parametrize("way", ["write", "session"])
async def test_what_was_opened_for_reading_only_is_opened_anew_and_written(
    tenants: Tenants, tenant: str, way: str
) -> None:
    opened = tenants.counts.opened
    async with switch(tenant):
        await forbid()
        await writing_fails(way)
        await write(change)
    assert tenants.counts.opened == opened + 2


async def test_who_comes_meanwhile_waits_for_those_who_use_the_file(tenants: Tenants, tenant: str) -> None:
    async with switch(tenant):
        await forbid()
        begun, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(_connection: sqlite3.Connection) -> None:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)

        async with asyncio.TaskGroup() as group:
            group.create_task(read(slow))
            await begun.wait()
            await writing_fails("write")
            ways = [group.create_task(one) for one in (write(change), read(lambda _: None), _in_a_session())]
            lease = tenants.try_lease(tenant)
            freed = asyncio.Event()
            tenants.when_free(tenant, freed.set)
            known = group.create_task(tenants.exists(tenant))
            await asyncio.sleep(0)
            assert lease is None
            assert not any(one.done() for one in (*ways, known))
            assert not freed.is_set()
            go_on.set()
            async with asyncio.timeout(10):
                await freed.wait()
    assert known.result()


async def _in_a_session() -> None:
    async with session() as unit, unit.begin():
        await unit.execute(text(CHANGE))
