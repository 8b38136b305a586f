"""Owns measuring how late the event loop runs; a blocked loop answers no PING, so it is worth watching."""

from __future__ import annotations

import asyncio
from collections import deque

EVERY_S = 1.0
KEPT = 60
"""Samples: the last minute."""


class LoopLag:
    """How much later than asked a timer fires, sampled once a second between `start` and `stop`."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=KEPT)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; call inside the loop."""
        due = asyncio.get_running_loop().time() + EVERY_S
        self._timer = asyncio.get_running_loop().call_at(due, self._fired, due)

    def _fired(self, due: float) -> None:
        self._samples.append(max(0.0, asyncio.get_running_loop().time() - due))
        self.start()

    def stop(self) -> None:
        """End; what was measured stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def worst_ms(self) -> int:
        """The largest of the last minute, in ms; 0 before the first sample."""
        return round(max(self._samples, default=0.0) * 1000)
