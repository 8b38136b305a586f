"""Owns the way out to one network: a bounded queue behind a token bucket; knows nothing of what a line means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

MAX_QUEUED_LINES = 2_000


class SendQueue(Generic[T]):
    """Lines leave in order, `burst` at once and then one each `interval_ms`; burst 0 turns the limit off.

    Those queued as `later` (what clients ask by themselves) let the others pass, so that nobody's words wait behind
    the hundred questions of a client that attaches. `sent(item)` is called for each line queued with an item, when it
    is handed to the socket.
    """

    def __init__(
        self, write: Callable[[bytes], None], sent: Callable[[T], None], *, burst: int, interval_ms: int
    ) -> None:
        self._write = write
        self._sent = sent
        # Lists, here and beside: an empty deque takes 0.7 kB, and each network has several things that seldom wait.
        self._queue: list[tuple[tuple[bytes, ...], T | None]] = []
        self._later: list[tuple[tuple[bytes, ...], T | None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._burst = 0
        self._tokens = 0.0
        self._filled_at = 0.0
        self.configure(burst=burst, interval_ms=interval_ms)

    def __len__(self) -> int:
        return len(self._queue) + len(self._later)

    def configure(self, *, burst: int, interval_ms: int) -> None:
        """Change the limit; what waits is sent by the new one."""
        # A limit that was off begins with a full bucket, however much went through before.
        self._tokens = min(self._tokens, float(burst)) if self._burst else float(burst)
        self._burst = burst
        self._interval_s = max(interval_ms, 1) / 1000
        if not burst and self._timer is not None:
            self._timer.cancel()
            self._flush()

    def wait_s(self) -> float:
        """How long a line queued now, as `later`, would wait, in seconds."""
        if not self._burst:
            return 0.0
        since = asyncio.get_running_loop().time() - self._filled_at
        tokens = min(float(self._burst), self._tokens + since / self._interval_s)
        return max(0.0, (len(self) + 1 - tokens) * self._interval_s)

    def send(self, line: bytes, item: T | None = None, *, later: bool = False, behind: Sequence[bytes] = ()) -> bool:
        """Queue one line (bytes, no CR LF); False when the queue is full and the line was not taken.

        An empty line only marks its place: nothing is written and nothing counted, its item is reported in turn. The
        lines `behind` it leave with it, nothing between them, and are counted against what comes after.
        """
        if len(self) >= MAX_QUEUED_LINES:
            return False
        (self._later if later else self._queue).append(((line, *behind), item))
        if self._timer is None:
            self._flush()
        return True

    def room(self, lines: int) -> bool:
        """Whether that many lines more would be taken."""
        return len(self) + lines <= MAX_QUEUED_LINES

    def reset(self) -> list[T]:
        """Empty the queue and fill the bucket (a new connection); returns the items that were never sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        items = [item for _, item in (*self._queue, *self._later) if item is not None]
        self._queue.clear()
        self._later.clear()
        self._tokens = float(self._burst)
        return items

    def _flush(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._tokens = min(float(self._burst), self._tokens + (now - self._filled_at) / self._interval_s)
        self._filled_at = now
        while queue := self._queue or self._later:
            lines, item = queue[0]
            if lines[0] and self._burst:
                if self._tokens < 1:
                    self._timer = loop.call_later((1 - self._tokens) * self._interval_s, self._flush)
                    return
                self._tokens -= len(lines)
            del queue[0]
            for line in lines:
                if line:
                    self._write(line)
            if item is not None:
                self._sent(item)
