"""Owns the one notion of wall-clock time that is stored: integer milliseconds, UTC."""

from __future__ import annotations

import time


def now_ms() -> int:
    """The present, in ms since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000
