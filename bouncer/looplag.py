"""Owns measuring how late the event loop runs; a blocked loop answers no PING, so it is worth watching."""

from __future__ import annotations

import asyncio
from collections import deque

from bouncer.histogram import Histogram

EVERY_S = 1.0
KEPT = 60
"""Samples: the last minute."""
BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class LoopLag:
    """How much later than asked a timer fires, sampled once a second between `start` and `stop`."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=KEPT)
        self._timer: asyncio.TimerHandle | None = None
        self.seconds = Histogram(BOUNDS_S)
        """All samples since the start."""

    def start(self) -> None:
        """Begin; call inside the loop."""
        due = asyncio.get_running_loop().time() + EVERY_S
        self._timer = asyncio.get_running_loop().call_at(due, self._fired, due)

    def _fired(self, due: float) -> None:
        late_s = max(0.0, asyncio.get_running_loop().time() - due)
        self._samples.append(late_s)
        self.seconds.observe(late_s)
        self.start()

    def stop(self) -> None:
        """End; what was measured stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def worst_of(self, samples: int = KEPT) -> float:
        """The largest of so many samples, the last minute's at most, in seconds; 0 before the first one."""
        return max(list(self._samples)[-samples:], default=0.0)

    @property
    def worst_ms(self) -> int:
        """The largest of the last minute, in ms."""
        return round(self.worst_of() * 1000)
