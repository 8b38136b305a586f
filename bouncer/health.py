"""Owns how one user's file is doing: what storing and reading it fail of, told to the clients, shown by the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.clock import now_ms
from bouncer.events import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.journal import Journal

LONG_MS = 5_000
"""A trouble of this length, or one that cost messages, is written down when it is over."""


class Health:
    """`tell` is called with a sentence for the clients, `note` with one for the log of each connection."""

    def __init__(
        self, tenant: str, journal: Journal, tell: Callable[[str], object], note: Callable[[str], object]
    ) -> None:
        self.lost = 0
        """Messages that could not be kept, since the start and before the present trouble."""
        self._tenant = tenant
        self._journal = journal
        self._tell, self._note = tell, note
        self._unread: Trouble | None = None
        self._last: Trouble | None = None
        self._told = ""

    def words(self) -> str:
        """What is wrong now, in a sentence for a person; "" for nothing."""
        if (unread := self._unread) is not None:
            return f"Your data cannot be read ({unread.reason}); this is tried again"
        trouble = self._journal.trouble(self._tenant)
        return "" if trouble is None else f"{_storing(trouble)}; {trouble.waiting} wait"

    def storing(self, trouble: Trouble | None) -> None:
        """What the journal says: storing fails, goes on failing, or works again (None)."""
        text = _storing(trouble) if trouble is not None else ""
        if trouble is None and self._told:
            text = "Storage works again; what waited has been written"
        if text and text != self._told:
            self._tell(text)
        self._told = text if trouble is not None else ""
        last, self._last = self._last, trouble
        if trouble is None and last is not None:
            self._over(last)

    def _over(self, last: Trouble) -> None:
        self.lost += last.lost
        took = now_ms() - last.since
        if last.lost or took >= LONG_MS:
            self._note(f"{last.reason}; for {took / 1000:.0f} s, {last.lost} messages could not be kept")

    def unreadable(self, reason: str) -> bool:
        """The file could not be read when its user's networks were to be started or changed; whether that is news."""
        before = self._unread
        self._unread = Trouble(reason, before.since if before is not None else now_ms(), 0, 0)
        return before is None or before.reason != reason

    def readable(self) -> None:
        """It could."""
        self._unread = None


def _storing(trouble: Trouble) -> str:
    if trouble.lost:
        return f"Storage: {trouble.lost} messages could not be kept ({trouble.reason})"
    return f"Storage fails ({trouble.reason}): lines are shown before they are stored"
