"""Owns in which turn of the loop stored batches are released: a few ms in each, nobody waits for a large commit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_S = 0.005
"""Of releasing in one turn of the loop, all tenants together. One batch, which is not parted, may take longer."""


class Turns:
    """`add` what is to be done and then `go`: a part of each in turn, as much as fits now, the rest in later turns."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], bool]] = deque()
        self._due = False

    def add(self, step: Callable[[], bool]) -> None:
        """`step()` does a part and says whether there is more of it; it does not raise."""
        self._steps.append(step)

    def go(self) -> None:
        """Begin now, unless it is going on."""
        if not self._due:
            self._turn()

    def _turn(self) -> None:
        self._due = False
        until = time.monotonic() + TURN_S
        while self._steps:
            step = self._steps.popleft()
            if step():
                self._steps.append(step)
            if self._steps and time.monotonic() >= until:
                self._due = True
                asyncio.get_running_loop().call_soon(self._turn)
                return
