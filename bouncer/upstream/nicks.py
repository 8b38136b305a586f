"""Owns which nicks are tried while registering; pure."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SHORTEST_NICKLEN = 9
"""What RFC 1459 allows; some networks still do, and say so only after 001."""

_NUMBERED = 5
_LAST_DRAWS = 10


def candidates(
    wanted: str, alternatives: Sequence[str] = (), number: Callable[[int], int] = random.randrange
) -> Iterator[str]:
    """The nicks to try after `wanted` was refused: the user's own alternatives, then suffixes, then short ones.

    Ends after about two dozen, so that a nick which is refused for its letters does not go on for ever.
    """
    tried = {wanted}
    for nick in _proposals(wanted, alternatives, number):
        if nick and nick not in tried:
            tried.add(nick)
            yield nick


def _proposals(wanted: str, alternatives: Sequence[str], number: Callable[[int], int]) -> Iterator[str]:
    yield from alternatives
    yield wanted + "_"
    yield wanted + "__"
    yield wanted[:SHORTEST_NICKLEN]
    for suffix in ("_", *(str(count) for count in range(2, _NUMBERED + 1))):
        yield wanted[: SHORTEST_NICKLEN - len(suffix)] + suffix
    for _ in range(_LAST_DRAWS):
        yield f"{wanted[: SHORTEST_NICKLEN - 4]}{number(10_000):04d}"
