"""Files that nobody uses are closed after a while, a few at a time; never one in use, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from bouncer.cli.parts import open_storage
from bouncer.config import Config, Storage
from bouncer.models.tenant import Server
from bouncer.tenant import Tenants, handles, install

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bouncer.vault import Vault

DEADLINE_S = 10


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def quiet(storage: Path, secrets: Vault, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tenants]:
    """A registry whose files are quiet when the clock says so, and are looked at when a test does."""
    del secrets
    monkeypatch.setattr("bouncer.tenant.registry.LOOK_S", 3_600.0)
    registry = Tenants(storage / "tenants", max_open=64, clock=clock)
    await registry.start()
    install(registry)
    yield registry
    install(None)
    await registry.close()


async def add(tenants: Tenants, user: int) -> None:
    async with tenants.switch(user), tenants.session() as unit, unit.begin():
        unit.add(Server(name=f"net{await count_in(unit)}", address="irc.example.org", port=6697, nickname="ada"))


async def count_in(unit: object) -> int:
    return await unit.scalar(select(func.count()).select_from(Server)) or 0  # type: ignore[attr-defined]


async def count(tenants: Tenants, user: int) -> int:
    async with tenants.switch(user), tenants.session() as unit:
        return await count_in(unit)


def open_in(folder: Path) -> set[str]:
    """The names of files in the folder that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that these are read with
            found.add(link.readlink())
    return {path.name for path in found if path.parent == folder}


async def descriptors(tenants: Tenants) -> set[str]:
    """The names of tenants' files that are open when the threads have done what they were given."""
    for worker in range(tenants.workers):
        await tenants.call(worker, lambda: None)
    return open_in(tenants.files.root)


async def test_a_file_that_nobody_uses_is_closed_whole_and_opens_by_itself(quiet: Tenants, clock: Clock) -> None:
    await quiet.create(1)
    await add(quiet, 1)
    clock.now_s += handles.IDLE_S - 1
    assert quiet._handles.close_quiet() == 0
    assert "1.sqlite3" in await descriptors(quiet)
    clock.now_s += 1
    assert quiet._handles.close_quiet() == 1
    assert quiet.open_files == 0
    assert await descriptors(quiet) == set()
    assert [path.name for path in quiet.files.root.iterdir()] == ["1.sqlite3"], "its log was put into it"
    await add(quiet, 1)
    assert await count(quiet, 1) == 2
    assert quiet.counts.opened == 2
    assert quiet.counts.evicted == 0


async def test_who_comes_back_is_not_quiet(quiet: Tenants, clock: Clock) -> None:
    for user in (1, 2):
        await quiet.create(user)
        await add(quiet, user)
    clock.now_s += handles.IDLE_S - 1
    await add(quiet, 1)
    clock.now_s += 1
    assert quiet._handles.close_quiet() == 1
    assert {name.partition(".")[0] for name in await descriptors(quiet)} == {"1"}


async def test_a_file_in_use_is_not_closed_however_long_that_takes(quiet: Tenants, clock: Clock) -> None:
    await quiet.create(1)
    await add(quiet, 1)  # it has been idle before
    async with quiet.switch(1), quiet.session() as unit:
        unit.add(Server(name="other", address="irc.example.org", port=6697, nickname="ada"))
        await unit.flush()
        clock.now_s += 10 * handles.IDLE_S
        assert quiet._handles.close_quiet() == 0
        await unit.commit()
    assert quiet._handles.close_quiet() == 0, "quiet counts from the end of its use"
    lease = quiet.try_lease("1")
    assert lease is not None
    clock.now_s += 10 * handles.IDLE_S
    assert quiet._handles.close_quiet() == 0
    lease.release()
    assert await count(quiet, 1) == 2
    assert quiet.counts.opened == 1


async def test_many_are_closed_a_few_at_a_time_the_quietest_first(quiet: Tenants, clock: Clock) -> None:
    everyone = range(1, 2 * handles.CLOSE_AT_ONCE + 2)
    for user in everyone:
        await quiet.create(user)
        await add(quiet, user)
        clock.now_s += 0.001
    clock.now_s += handles.IDLE_S
    assert quiet._handles.close_quiet() == handles.CLOSE_AT_ONCE
    left = {int(name.partition(".")[0]) for name in await descriptors(quiet)}
    assert left == set(everyone[handles.CLOSE_AT_ONCE :])
    assert quiet._handles.close_quiet() == handles.CLOSE_AT_ONCE
    assert quiet._handles.close_quiet() == 1
    assert await descriptors(quiet) == set()


async def test_the_more_are_open_the_sooner_a_quiet_one_is_closed(
    quiet: Tenants, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "KEPT", 2)
    for user in range(1, 5):
        await quiet.create(user)
        await add(quiet, user)
        clock.now_s += 1
    clock.now_s += handles.IDLE_S / 2 - 4 - 1
    assert quiet._handles.close_quiet() == 0
    clock.now_s += 1
    assert quiet._handles.close_quiet() == 1, "with three left they may stay for two thirds of the time"
    clock.now_s += handles.IDLE_S / 6 + 1
    assert quiet._handles.close_quiet() == 1
    clock.now_s += handles.IDLE_S / 3
    assert quiet._handles.close_quiet() == 0, "two may stay for all of it"
    clock.now_s += 1
    assert quiet._handles.close_quiet() == 1
    assert quiet.open_files == 1


async def test_one_trip_has_few_files_however_many_may_be_open(
    storage: Path, secrets: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    del secrets
    monkeypatch.setattr("bouncer.tenant.registry.MOST_LEASES", 2)
    registry = Tenants(storage / "tenants", max_open=64, workers=1)
    await registry.start()
    leases = [registry.try_lease(str(user)) for user in range(1, 4)]
    assert [lease is not None for lease in leases] == [True, True, False]
    for lease in leases[:2]:
        assert lease is not None
        lease.release()
    last = registry.try_lease("3")
    assert last is not None
    last.release()
    await registry.close()


async def test_an_open_file_keeps_no_more_pages_than_a_write_needs(quiet: Tenants) -> None:
    await quiet.create(1)
    lease = quiet.try_lease("1")
    assert lease is not None

    def pragmas() -> list[object]:
        names = (
            "cache_size",
            "cache_spill",
            "foreign_keys",
            "journal_mode",
            "secure_delete",
            "synchronous",
            "temp_store",
        )
        return [lease.connection_sync().execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    found = await quiet.call(quiet.worker_index("1"), pragmas)
    lease.release()
    assert found == [20, 250, 1, "wal", 2, 1, 2]


@pytest.fixture
async def hurried(
    storage: Path, secrets: Vault, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Tenants]:
    """A registry that looks for quiet files in every turn of the loop."""
    del secrets
    monkeypatch.setattr("bouncer.tenant.registry.LOOK_S", 0.0)
    registry = Tenants(storage / "tenants", clock=clock)
    await registry.start()
    yield registry
    await registry.close()


async def test_quiet_files_are_looked_for_all_the_time(hurried: Tenants, clock: Clock) -> None:
    await hurried.create(1)
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(2):
            await add(hurried, 1)
            assert hurried.open_files == 1
            clock.now_s += handles.IDLE_S
            while hurried.open_files:  # noqa: ASYNC110 - nobody is told of it, and it is a turn of the loop
                await asyncio.sleep(0)


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def leave_holes(libc: ctypes.CDLL) -> int:
    """Use 64 MiB of the C library's and free them, all but the last block; returns where that is."""
    libc.malloc.restype = ctypes.c_void_p
    size = 64 << 10  # what is larger comes from the system and goes back to it by itself
    blocks = [libc.malloc(ctypes.c_size_t(size)) for _ in range(1_024)]
    last: int = blocks.pop()  # without it they would be the end of the heap, which goes back by itself
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        libc.free(ctypes.c_void_p(block))
    return last


async def test_the_memory_of_what_was_closed_is_given_back(hurried: Tenants, clock: Clock) -> None:
    await hurried.create(1)
    await add(hurried, 1)
    libc = ctypes.CDLL(None)
    last = leave_holes(libc)
    before = resident_mib()
    clock.now_s += handles.IDLE_S
    try:
        async with asyncio.timeout(DEADLINE_S):
            while await asyncio.to_thread(resident_mib) > before - 48:
                pass
    finally:
        libc.free(ctypes.c_void_p(last))


def test_half_of_the_descriptors_are_left_to_clients_and_networks() -> None:
    assert handles.most_open(65_536) == handles.MOST_OPEN == 4_096
    assert handles.most_open(20_000) == 2_500
    assert handles.most_open(600) == 75
    assert handles.most_open(3) == 1


async def test_the_storage_has_as_many_files_open_as_the_system_allows(storage: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        main, tenants = await open_storage(Config(storage=Storage(path=storage)))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert tenants._handles.max_open == handles.most_open(hard)
        install(None)
        await tenants.close()
        await main.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
