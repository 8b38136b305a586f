"""Owns giving freed memory back to the system, which the C library keeps for itself otherwise."""

from __future__ import annotations

import ctypes

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library's own; see malloc_trim(3)


def give_back_sync() -> None:
    """Let the system have the pages in which nothing is left; 26 to 60 ms for 120 MiB, so never on the loop.

    Does nothing with another C library.
    """
    if _TRIM is not None:
        _TRIM(0)
