"""Owns how long to wait before the next attempt; pure: the clock and the dice are the caller's."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Seconds between attempts: doubling from `min_s` to `max_s`, each drawn from the upper half of its step.

    Only a connection that lasted `healthy_s` seconds starts it over, so a server that lets us in and closes again
    is not hammered. `chance` gives a float in [0, 1).
    """

    def __init__(
        self,
        min_s: float = 1.0,
        max_s: float = 600.0,
        healthy_s: float = 60.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.configure(min_s, max_s, healthy_s)
        self._chance = chance
        self.attempt = 0

    def configure(self, min_s: float, max_s: float, healthy_s: float) -> None:
        """Change the bounds; attempts made stay counted."""
        self._min_s, self._max_s, self._healthy_s = min_s, max_s, healthy_s

    def delay(self) -> float:
        """The next wait in seconds, never under `min_s` nor over `max_s`; counts as one more attempt."""
        self.attempt += 1
        step = self._max_s if self.attempt > 60 else min(self._max_s, self._min_s * 2.0**self.attempt)
        low = max(self._min_s, step / 2)
        return low + (max(step, low) - low) * self._chance()

    def healthy(self, connected_seconds: float) -> None:
        """Tell how long (s) the connection that ended had been registered; long enough, and the waits start over."""
        if connected_seconds >= self._healthy_s:
            self.attempt = 0
