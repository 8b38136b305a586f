"""Owns the PINGs behind our lines: what waits until the network has dealt with all that was sent before; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.network.entry import Turn

BARRIER = "bouncer-done-"
"""The token of such a PING; its PONG is nobody else's business."""

MAX_WAITING = 8_000
"""What waits for a network that answers no PING; nothing more is asked of it meanwhile."""


class Barriers:
    """At most one PING is under way: what comes meanwhile waits for the next. Call `after` when a line has left."""

    def __init__(self, ping: Callable[[str], None]) -> None:
        self._ping = ping
        self._waiting: list[tuple[int, Callable[[Turn], None]]] = []
        self._last = 0
        self._sent = 0

    def after(self, call: Callable[[Turn], None]) -> None:
        """Call it, with the turn it happens in, once the network has dealt with everything sent until now."""
        self._last += 1
        self._waiting.append((self._last, call))
        if not self._sent:
            self._send()

    def pong(self, token: str, turn: Turn) -> None:
        """The network has answered a PING of ours."""
        number = token.removeprefix(BARRIER)
        if not self._sent or number != str(self._sent):
            return
        done = self._sent
        self._sent = 0
        while self._waiting and self._waiting[0][0] <= done:
            self._waiting.pop(0)[1](turn)
        if self._waiting and not self._sent:
            self._send()

    @property
    def full(self) -> bool:
        """Whether so much waits that nothing more should be asked: what is in the send queue still comes here."""
        return len(self._waiting) >= MAX_WAITING

    @property
    def open(self) -> bool:
        """Whether a PING is under way."""
        return bool(self._sent)

    def overdue(self, turn: Turn) -> None:
        """The PING that is under way has had its time: what waits for it goes on, the rest gets another."""
        self.pong(f"{BARRIER}{self._sent}", turn)

    def reset(self) -> None:
        """The connection is gone; nothing waits any more."""
        self._waiting.clear()
        self._sent = 0

    def _send(self) -> None:
        self._sent = self._last
        self._ping(f"{BARRIER}{self._last}")
