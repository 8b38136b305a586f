"""A running bouncer for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bouncer(tmp_path: Path) -> Iterator[daemon.Bouncer]:
    """`bouncer run` with the user alice, listening."""
    folder = tmp_path / "bouncer"
    folder.mkdir()
    with daemon.running(folder) as running:
        yield running
