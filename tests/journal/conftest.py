"""Fixtures for the write and read path: a patient journal and a hasty one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer.journal import Journal
from tests.support.journalkit import DEADLINE_S, Kit, add_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bouncer.tenant import Tenants


@pytest.fixture
async def journal(tenants: Tenants) -> AsyncIterator[Journal]:
    """A started journal that is patient enough for a slow machine: lines wait for the disk up to its deadline."""
    made = Journal(tenants, live_ms=DEADLINE_S * 1000)
    made.start()
    yield made
    await made.close()


@pytest.fixture
async def hasty(tenants: Tenants) -> AsyncIterator[Journal]:
    """A started journal that holds lines up for 50 ms and keeps at most 100 rows waiting."""
    made = Journal(tenants, live_ms=50, max_rows=100)
    made.start()
    yield made
    await made.close()


@pytest.fixture
async def kit(journal: Journal, tenant: str) -> Kit:
    return Kit(journal, tenant, await add_server(tenant))


@pytest.fixture
async def hasty_kit(hasty: Journal, tenant: str) -> Kit:
    return Kit(hasty, tenant, await add_server(tenant))
