"""Owns counting measurements by size: two additions and a search among a few bounds for each, nothing kept of it."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Histogram:
    """How many measurements were at most each of `bounds` (ascending), and their sum; for one thread."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[float, int]]:
        """Each bound, and infinity at the end, with how many were at most that."""
        return list(zip((*self.bounds, float("inf")), accumulate(self._counts), strict=True))
