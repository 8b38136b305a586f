"""The command layer over real files, with nothing connected, and two people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer.config import Config, Storage
from bouncer.service import Service
from bouncer.service.live import Offline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bouncer.database import MainDatabase
    from bouncer.models.main import User
    from bouncer.tenant import Tenants


@pytest.fixture
async def service(storage: Path, main_db: MainDatabase, tenants: Tenants) -> AsyncIterator[Service]:
    made = Service(Config(storage=Storage(storage)), main_db, tenants, Offline())
    yield made
    await made.caretaker.close()
    made.close()


@pytest.fixture
async def alice(service: Service) -> User:
    """An admin."""
    return await service.users.add("alice", password="wonderland", admin=True)


@pytest.fixture
async def bob(service: Service, alice: User) -> User:
    """No admin."""
    del alice
    return await service.users.add("bob", password="builder", email="Bob@Example.org")
