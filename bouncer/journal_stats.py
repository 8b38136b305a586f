"""Owns the figures of the write path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from bouncer.histogram import Histogram

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
BOUNDS_ROWS = (0, 1, 2, 5, 10, 50, 100, 500, 1_000, 2_000)


@dataclass(slots=True)
class Stats:
    """Counters since the start."""

    commits: int = 0
    rows: int = 0
    lost: int = 0
    sent_before_stored: int = 0
    failures: int = 0
    trip_s: Histogram = field(default_factory=lambda: Histogram(BOUNDS_S))
    """How long a trip to a worker thread took, with the commits of all tenants that had something to write."""
    commit_rows: Histogram = field(default_factory=lambda: Histogram(BOUNDS_ROWS))
    """Messages in one tenant's commit."""


class Waiting(NamedTuple):
    """What is not on disk yet: tenants, rows of theirs, and those among them whose storage is failing."""

    tenants: int
    rows: int
    troubled: int
