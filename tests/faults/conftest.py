"""A running bouncer in the test's own loop, as the live tests have it."""

from __future__ import annotations

from tests.live.conftest import config, house, network

__all__ = ["config", "house", "network"]
