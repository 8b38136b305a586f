"""Owns the receipts of a network that have moved and are not yet on their way to the file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer.clock import now_ms
from bouncer.journal import Batch, Change, ignore_release

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 0.25
"""How long one may wait for the next commit, to be written with it: one of its own costs as much as a message."""


class MovedReceipts:
    """`submit(batch)` takes what nothing else came for in `WAIT_S`."""

    __slots__ = ("_due", "_moved", "_server_id", "_submit")

    def __init__(self, server_id: int, submit: Callable[[Batch], None]) -> None:
        self._server_id = server_id
        self._submit = submit
        self._moved: dict[str, int] = {}
        self._due: asyncio.TimerHandle | None = None

    def move(self, client: str, message_id: int, *, at_once: bool) -> None:
        """That client name has everything up to that message; `at_once` lets it not wait for more."""
        self._moved[client] = message_id
        if at_once:
            self._again(0)
        elif self._due is None:
            self._again(WAIT_S)

    def forget(self, client: str) -> None:
        """Nothing is written of this name."""
        self._moved.pop(client, None)

    def save(self) -> None:
        """Hand on what waits."""
        batch = Batch(ignore_release)
        self.join(batch)
        if batch.changes:
            self._submit(batch)

    def join(self, batch: Batch) -> None:
        """Let what waits be written with this batch."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._moved:
            now = now_ms()
            rows: list[tuple[object, ...]] = [(*moved, now, self._server_id) for moved in self._moved.items()]
            self._moved.clear()
            batch.changes.append(Change(sql.RECEIPT, rows))

    def _again(self, delay_s: float) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = asyncio.get_running_loop().call_later(delay_s, self.save)
