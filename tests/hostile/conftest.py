"""A running bouncer, and the command layer over files, for those who mean it ill."""

from __future__ import annotations

from tests.live.conftest import config, house, network
from tests.service.conftest import alice, bob, service

__all__ = ["alice", "bob", "config", "house", "network", "service"]
