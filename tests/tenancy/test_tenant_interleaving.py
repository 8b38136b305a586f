"""Fifty tenants in one loop, in whatever order: every row ends in its own tenant's file and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from bouncer import tasks, vault
from bouncer.errors import NoTenantError, TenantBusyError, TenantScopeClosedError, WrongTenantError
from bouncer.models.tenant import Server
from bouncer.tenant import Tenants, current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TENANTS = 50
MAX_OPEN = 3
DEADLINE_S = 60

# What one task of one tenant does: verbs, each after giving the loop away a few times.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "roll back", "journal", "read", "nest", "trespass", "leak", "generator"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=4,
)
STORIES = st.lists(st.tuples(st.integers(1, TENANTS), STEPS), min_size=TENANTS, max_size=TENANTS + 10)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    vault.install(vault.Vault(tmp_path_factory.mktemp("vault") / vault.KEY_NAME))
    yield
    vault.install(None)


class World:
    """The tenants, and how many rows each should have in the end."""

    def __init__(self, tenants: Tenants) -> None:
        self.tenants = tenants
        self.expected: Counter[str] = Counter()
        self.serial = 0

    def row(self, user: str) -> Server:
        self.serial += 1
        return Server(name=f"n{self.serial}", address=f"tenant-{user}", port=1, nickname="n")

    async def live(self, user: str, steps: list[tuple[str, int]]) -> None:
        verbs: dict[str, Callable[[str], Awaitable[None]]] = {
            "add": self.add,
            "roll back": self.roll_back,
            "journal": self.journal,
            "read": self.read,
            "nest": self.nest,
            "trespass": self.trespass,
            "leak": self.leak,
            "generator": self.own_task,
        }
        for verb, turns in steps:
            for _ in range(turns):
                await asyncio.sleep(0)
            async with self.tenants.switch(user):
                await verbs[verb](user)
            with pytest.raises(NoTenantError):
                current()

    async def add(self, user: str) -> None:
        async with self.tenants.session() as unit, unit.begin():
            unit.add(self.row(user))
        self.expected[user] += 1

    async def roll_back(self, user: str) -> None:
        async with self.tenants.session() as unit:
            unit.add(self.row(user))
            await unit.flush()

    async def journal(self, user: str) -> None:
        while (lease := self.tenants.try_lease(user)) is None:
            free = asyncio.Event()
            self.tenants.when_free(user, free.set)
            await free.wait()
        name = self.row(user).name

        def write() -> None:
            with lease.connection_sync() as connection:
                connection.execute(
                    "INSERT INTO servers (name, address, port, nickname, created_at, updated_at)"
                    " VALUES (?, ?, 1, '', 0, 0)",
                    (name, f"tenant-{user}"),
                )

        await self.tenants.call(self.tenants.worker_index(user), write)
        lease.release()
        self.expected[user] += 1

    async def read(self, user: str) -> None:
        found = await self.tenants.read(lambda c: c.execute("SELECT DISTINCT address FROM servers").fetchall())
        assert found in ([], [(f"tenant-{user}",)])

    async def nest(self, user: str) -> None:
        async with self.tenants.switch(user), self.tenants.session() as unit:
            assert set(await unit.scalars(select(Server.address))) <= {f"tenant-{user}"}
            with pytest.raises(TenantBusyError):
                async with self.tenants.session():
                    pass

    async def trespass(self, user: str) -> None:
        with pytest.raises(WrongTenantError):
            async with self.tenants.switch(int(user) % TENANTS + 1):
                pass
        assert current() == user

    async def leak(self, user: str) -> None:
        left = asyncio.Event()

        async def outlive() -> None:
            await left.wait()
            with pytest.raises(TenantScopeClosedError):
                async with self.tenants.session():
                    pass

        async with self.tenants.switch(user):
            task = asyncio.get_running_loop().create_task(outlive())
        left.set()
        await task

    async def own_task(self, user: str) -> None:
        """A task of its own starts outside and goes to another tenant, while this one keeps its place."""
        neighbour = str(int(user) % TENANTS + 1)

        async def visit() -> None:
            async with self.tenants.switch(neighbour):
                await self.add(neighbour)

        task = tasks.spawn(visit(), name="visit")
        async with self.tenants.session() as unit:
            await unit.execute(text("SELECT 1"))
        await task
        assert current() == user


async def play(folder: Path, stories: list[tuple[int, list[tuple[str, int]]]]) -> None:
    tenants = Tenants(folder, max_open=MAX_OPEN)
    await tenants.start()
    world = World(tenants)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(tenants.create(number) for number in range(1, TENANTS + 1)))
            async with asyncio.TaskGroup() as group:
                for number, steps in stories:
                    group.create_task(world.live(str(number), steps))
        assert tenants.open_files <= MAX_OPEN
    finally:
        await tenants.close()
    for number in range(1, TENANTS + 1):
        with contextlib.closing(sqlite3.connect(tenants.path(number))) as connection:
            found = connection.execute("SELECT address FROM servers").fetchall()
            assert found == [(f"tenant-{number}",)] * world.expected[str(number)]
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(stories=STORIES)
def test_fifty_tenants_interleave_and_no_row_lands_in_the_wrong_file(
    template: None, stories: list[tuple[int, list[tuple[str, int]]]]
) -> None:
    del template
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), stories))
