from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from tests.support.network import ScriptedNetwork
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Everything here holds on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def network() -> AsyncIterator[ScriptedNetwork]:
    async with ScriptedNetwork() as started:
        yield started


@pytest.fixture
async def connect(network: ScriptedNetwork) -> AsyncIterator[Callable[..., Recorder]]:
    """Start an Upstream; by default towards `network`."""
    made: list[Recorder] = []

    def start(**params: Any) -> Recorder:
        recorder = Recorder(**({"port": network.port} | params))
        made.append(recorder)
        recorder.start()
        return recorder

    yield start
    for recorder in made:
        await recorder.stop()
