"""A panel on a real socket over real files, and people who use it with a real HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer.config import Config, Storage, Web
from bouncer.endpoints import parse_http
from bouncer.service import Service
from tests.web.panelkit import Browser, Installation, Recording
from web.app import start_panel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "web":
            # aiohttp-session keeps its session under a text key, which aiohttp would rather have typed
            item.add_marker(pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning"))


@pytest.fixture
def config(storage: Path) -> Config:
    return Config(storage=Storage(storage), web=Web(listen=parse_http("http://127.0.0.1:0")))


@pytest.fixture
async def installation(config: Config, main_db: MainDatabase, tenants: Tenants) -> AsyncIterator[Installation]:
    live = Recording()
    service = Service(config, main_db, tenants, live)
    service.figures.patience_s = 10  # a busy machine counts slowly
    panel = await start_panel(config, service)
    try:
        yield Installation(config, main_db, live, service, panel)
    finally:
        await panel.close()
        await service.caretaker.close()
        service.close()


@pytest.fixture
async def anonymous(installation: Installation) -> AsyncIterator[Browser]:
    browser = Browser(installation.url)
    yield browser
    await browser.close()


@pytest.fixture
async def alice(installation: Installation) -> AsyncIterator[Browser]:
    """Alice, signed in."""
    await installation.user("alice")
    browser = Browser(installation.url)
    await browser.sign_in("alice")
    yield browser
    await browser.close()


@pytest.fixture
async def bob(installation: Installation) -> AsyncIterator[Browser]:
    """Bob, signed in."""
    await installation.user("bob")
    browser = Browser(installation.url)
    await browser.sign_in("bob")
    yield browser
    await browser.close()
