"""A running bouncer in the test's own loop: real sockets, real files, a scripted network on the other side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer.supervisor import Supervisor
from tests.support.house import DEADLINE_S, PASSWORD, Attached, House, quick_config, running
from tests.support.network import ScriptedNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants

__all__ = ["DEADLINE_S", "PASSWORD", "Attached", "House"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Short timeouts, no flood limit, a free port."""
    return quick_config(tmp_path / "storage")


@pytest.fixture
async def house(config: Config, main_db: MainDatabase, tenants: Tenants) -> AsyncIterator[House]:
    async with running(Supervisor(config, main_db, tenants)) as house:
        yield house


@pytest.fixture
async def network() -> AsyncIterator[ScriptedNetwork]:
    async with ScriptedNetwork() as scripted:
        yield scripted
