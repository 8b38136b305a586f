"""Owns what the journal knows of one tenant: the batches that are not on disk yet, and how storing them goes."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bouncer.journal import Batch

RETRY_MIN_S = 0.1


@dataclass(slots=True, eq=False)
class Queue:
    """One tenant's batches that are not on disk yet, oldest first."""

    tenant: str
    worker: int
    batches: deque[Batch] = field(default_factory=deque)
    rows: int = 0
    changes: int = 0
    writing: bool = False
    forgotten: bool = False
    reason: str = ""
    error: str = ""
    since: int = 0
    lost: int = 0
    retry_s: float = RETRY_MIN_S
    retry: asyncio.TimerHandle | None = None
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    room: asyncio.Event | None = None
    progress_at: float = 0.0

    @property
    def weight(self) -> int:
        """Rows, or the statements of changes."""
        return max(self.rows, self.changes)

    def due_s(self, now: float, live_s: float) -> float:
        """How long its lines may still wait for a commit; after that they go out before they are stored.

        Many rows behind each other are no slow commit: as long as commits succeed, the order stays store, then show.
        """
        waiting = next((batch for batch in self.batches if not batch.released), None)
        return live_s if waiting is None else max(waiting.submitted_at, self.progress_at) + live_s - now

    async def wait_for_room(self) -> None:
        """Until `has_room` is called the next time."""
        if self.room is None:
            self.room = asyncio.Event()
        self.room.clear()
        await self.room.wait()

    def has_room(self) -> None:
        """Something was written, or nothing can be."""
        if self.room is not None:
            self.room.set()
