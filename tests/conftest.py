"""Fixtures for everybody: a storage folder of the test's own, its databases, and tenants without ceremony."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import hypothesis
import pytest

from bouncer import passwords, vault
from bouncer import tenant as tenancy
from bouncer.database import MainDatabase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from pathlib import Path

MEMORY_KIB, PASSES = passwords.MEMORY_KIB, passwords.PASSES

# How long an example takes depends on what else the machine does; that is no property.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


SLOW = ("faults", "e2e", "frame", "cli", "web", "transparency", "hostile", "live", "service")
"""Folders in the order they are begun, the others last: what is begun last is short, so no worker is waited for."""
ALONE = {"faults", "e2e", "cli", "web", "hostile", "live", "service"}
"""Of these each test goes to the worker that is free; of others a file at a time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order and groups for `--dist loadgroup`; what shares a fixture with its module stays together."""
    ranks = {folder: rank for rank, folder in enumerate(SLOW)}
    items.sort(key=lambda item: ranks.get(item.path.parent.name, len(SLOW)))
    for item in items:
        if item.path.parent.name not in ALONE or _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _shares(item: pytest.Item) -> bool:
    used = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]  # a Function's, which each of ours is
    return any(found[-1].scope in {"class", "module", "package"} for found in used.values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was logged may hold bytes that are no text; a worker can send only text to who reports it."""
    del item, call
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as ever, with a thousandth of the work: most tests sign somebody in, few are about the price of it."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 8)
    monkeypatch.setattr(passwords, "PASSES", 1)


@pytest.fixture
def full_price(_cheap_passwords: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing costs what it costs those who run a bouncer."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", MEMORY_KIB)
    monkeypatch.setattr(passwords, "PASSES", PASSES)


@pytest.fixture(scope="session")
def empty_main(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A main database that was migrated and closed, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "main.sqlite3"

    async def make() -> None:
        database = MainDatabase(f"sqlite+aiosqlite:///{path}")
        await database.migrate()
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """An empty storage folder (0700) that no other test sees."""
    folder = tmp_path / "storage"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def secrets(storage: Path) -> Iterator[vault.Vault]:
    """The vault of `storage`, installed for the length of the test."""
    made = vault.Vault(storage / vault.KEY_NAME)
    vault.install(made)
    yield made
    vault.install(None)


@pytest.fixture
async def main_db(storage: Path, empty_main: Path) -> AsyncIterator[MainDatabase]:
    """A migrated main database, started as one that is found."""
    await asyncio.to_thread(shutil.copy, empty_main, storage / "main.sqlite3")
    database = MainDatabase(f"sqlite+aiosqlite:///{storage / 'main.sqlite3'}")
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
async def tenants(storage: Path, secrets: vault.Vault) -> AsyncIterator[tenancy.Tenants]:
    """The started registry of `storage`, installed; with a bound on open files that tests run into."""
    del secrets
    registry = tenancy.Tenants(storage / "tenants", max_open=8)
    await registry.start()
    tenancy.install(registry)
    yield registry
    tenancy.install(None)
    await registry.close()


@pytest.fixture
async def tenant(tenants: tenancy.Tenants) -> str:
    """The id of a tenant that is there: `async with switch(tenant):`."""
    return await tenants.create(1)


@pytest.fixture
async def other_tenant(tenants: tenancy.Tenants) -> str:
    """The id of another one."""
    return await tenants.create(2)
