"""The networks, each started once for all scripts, and the loop in which they live between tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.transparency.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")


class Played:
    """A setting and the loop it lives in: tests are plain functions that `run` what they need.

    One network is there at a time, as there is one bouncer in a process; asking for another ends it.
    """

    def __init__(self, runner: asyncio.Runner, factory: pytest.TempPathFactory) -> None:
        self._runner = runner
        self._factory = factory
        self._setting: Setting | None = None
        self._failed: set[str] = set()

    def on(self, network: str) -> Setting:
        """The setting of that network, started if need be."""
        if self._setting is None or self._setting.name != network:
            self.close()
            assert network not in self._failed, f"{network} could not be set up before"
            self._failed.add(network)
            setting = Setting(network, self._factory.mktemp(network))
            self._setting = self.run(setting.__aenter__())
            self._failed.discard(network)
        return self._setting

    def run(self, what: Coroutine[object, object, T]) -> T:
        return self._runner.run(what)

    def close(self) -> None:
        setting, self._setting = self._setting, None
        if setting is not None:
            self.run(setting.__aexit__())


@pytest.fixture(scope="package")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with asyncio.Runner() as runner:
        played = Played(runner, tmp_path_factory)
        try:
            yield played
        finally:
            played.close()
