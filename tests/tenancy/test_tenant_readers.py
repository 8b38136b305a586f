"""Reading: however long one user's takes, the others have threads to read on; a file that is replaced is read anew."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from bouncer import tasks
from bouncer.errors import TenantBusyError, TenantDoesNotExistError
from bouncer.models.tenant import Server
from bouncer.tenant import read, session, switch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bouncer.tenant import Tenants

DEADLINE_S = 10
THREADS = 4


class Stuck:
    """Reads that go on until `free`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._go_on = threading.Event()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def read(self, tenant: str) -> tasks.Group:
        """One more of that tenant; gives its owner."""

        def wait(_connection: sqlite3.Connection) -> None:
            self._loop.call_soon_threadsafe(self._begin, tenant)
            self._go_on.wait(DEADLINE_S)

        group = tasks.Group()
        group.spawn(read_in(tenant, wait), name=f"stuck-{tenant}")
        return group

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.begun) < count:
                self._changed.clear()
                await self._changed.wait()

    def free(self) -> None:
        self._go_on.set()

    def _begin(self, tenant: str) -> None:
        self.begun.append(tenant)
        self._changed.set()


@pytest.fixture
async def stuck() -> AsyncIterator[Stuck]:
    made = Stuck()
    yield made
    made.free()


async def read_in(tenant: str, function: Callable[[sqlite3.Connection], object]) -> object:
    async with switch(tenant):
        return await read(function)


async def names(tenant: str) -> object:
    async with asyncio.timeout(DEADLINE_S):
        return await read_in(tenant, lambda connection: connection.execute("SELECT name FROM servers").fetchall())


async def test_a_user_who_reads_without_end_has_one_thread_at_most(tenants: Tenants, stuck: Stuck) -> None:
    for number in range(1, 8):
        await tenants.create(number)
    for _ in range(THREADS + 1):
        stuck.read("1")
    await stuck.until(1)
    for number in range(2, 8):
        assert await names(str(number)) == []
    assert stuck.begun == ["1"]


async def test_users_whose_reading_was_slow_leave_half_of_the_threads(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bouncer.tenant.readers.SLOW_S", 0.0)
    for number in range(1, 8):
        await tenants.create(number)
    for number in range(1, 7):
        await names(str(number))  # now they count as slow, user 7 does not
    monkeypatch.setattr("bouncer.tenant.readers.SLOW_S", 60.0)
    stuck = Stuck()
    for number in range(1, 7):
        stuck.read(str(number))
    await stuck.until(THREADS // 2)
    assert await names("7") == []
    assert len(stuck.begun) == THREADS // 2
    stuck.free()
    await stuck.until(6)
    assert await names("1") == []


async def test_removing_a_user_waits_for_a_read_that_nobody_waits_for(
    tenants: Tenants, tenant: str, stuck: Stuck
) -> None:
    reading = stuck.read(tenant)
    await stuck.until(1)
    await reading.cancel()
    removing = tasks.spawn(tenants.destroy(tenant), name="remove")
    await asyncio.sleep(0)
    assert not removing.done()
    stuck.free()
    async with asyncio.timeout(DEADLINE_S):
        await removing
    assert not await tenants.exists(tenant)


async def test_a_file_put_in_the_place_of_an_open_one_is_used_and_the_old_one_if_it_comes_back(
    tenants: Tenants, tenant: str, other_tenant: str
) -> None:
    """Writing on into a file that has no name any more would lose it all without a word."""

    async def add(name: str) -> None:
        async with switch(tenant), session() as unit:
            unit.add(Server(name=name, address="", port=1, nickname=""))
            await unit.commit()

    await add("first")
    assert await names(tenant) == [("first",)]
    path = tenants.path(tenant)
    aside = path.with_name("aside")
    await asyncio.to_thread(path.rename, aside)
    with pytest.raises(TenantDoesNotExistError):
        await names(tenant)
    with pytest.raises(TenantDoesNotExistError):
        await add("nowhere")
    lease = None
    with contextlib.suppress(TenantDoesNotExistError):
        lease = tenants.try_lease(tenant)
    assert lease is not None
    with pytest.raises(TenantDoesNotExistError):
        await tenants.call(tenants.worker_index(tenant), lease.connection_sync)
    lease.release()
    await asyncio.to_thread(aside.rename, path)
    await add("second")
    assert await names(tenant) == [("first",), ("second",)]
    backup, old = path.with_name("backup"), path.with_name("old")
    await tenants.backup(other_tenant, backup)
    await asyncio.to_thread(path.rename, old)
    await asyncio.to_thread(backup.rename, path)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(TenantBusyError, TenantDoesNotExistError):  # it is being closed and opened anew
                await add("third")
                break
            await asyncio.sleep(0)
    assert await names(tenant) == [("third",)]
    assert await tenants.check(tenant) == []
    with contextlib.closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT name FROM servers").fetchall() == [("first",), ("second",)]
