"""Owns whose request is worked on next: a few at once, fewer of one person, and those who wait take turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE = 2
"""Places. More would make no page faster: one loop works on all of them."""
EACH = 1
"""Of one person, so that who opens many pages leaves a place to others."""
SLOW_S = 0.25
"""Who takes longer waits for a file or a network, which is no work: the place is given to others."""
MAX_SLOW = 8
"""Of one person."""
WAIT_S = 10.0
MAX_WAITING = 1_000
MAX_WAITING_EACH = 100
AGAIN_S = "5"
"""When to come again, for who is not waited for."""


@dataclass(slots=True)
class _Person:
    """What somebody has at work, and what waits."""

    placed: int = 0
    slow: int = 0
    line: deque[asyncio.Future[None]] = field(default_factory=deque)


class Turns:
    """Places for requests at work; the first of one person is never behind the second of another."""

    def __init__(self, *, at_once: int = AT_ONCE, each: int = EACH) -> None:
        self._at_once = at_once
        self._each = each
        self._placed = 0
        self._people: dict[str, _Person] = {}
        self.waiting = 0
        """Requests that wait."""

    def __len__(self) -> int:
        """People who have something at work, or wait."""
        return len(self._people)

    @contextlib.asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Wait for a place, and have it while inside. HTTPServiceUnavailable: too many wait, or it took too long."""
        await self._wait(who)
        slow = False

        def too_slow() -> None:
            nonlocal slow
            slow = True
            self._people[who].slow += 1
            self._leave(who)

        timer = asyncio.get_running_loop().call_later(SLOW_S, too_slow)
        try:
            yield
        finally:
            timer.cancel()
            if slow:
                self._people[who].slow -= 1
                self._hand_out()
                self._forget(who)
            else:
                self._leave(who)

    async def _wait(self, who: str) -> None:
        person = self._people.get(who) or _Person()
        if self.waiting >= MAX_WAITING or len(person.line) >= MAX_WAITING_EACH:
            raise _too_busy()
        self._people[who] = person
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        person.line.append(place)
        self.waiting += 1
        self._hand_out()
        try:
            async with asyncio.timeout(WAIT_S):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():  # given in the very moment that nobody waited any more
                self._leave(who)
            if isinstance(error, TimeoutError):
                raise _too_busy() from error
            raise
        finally:
            person.line.remove(place)
            self.waiting -= 1
            self._forget(who)

    def _hand_out(self) -> None:
        """Give free places to those who may have one: first who has fewest, then who waits longest since the last."""
        while self._placed < self._at_once:
            able = [who for who, one in self._people.items() if self._may(one)]
            if not able:
                return
            who = min(able, key=lambda who: self._people[who].placed)
            person = self._people[who] = self._people.pop(who)  # behind all others
            person.placed += 1
            self._placed += 1
            next(place for place in person.line if not place.done()).set_result(None)

    def _may(self, person: _Person) -> bool:
        # A place that is done in the line is that of somebody who has given up, or got it, and has not run since.
        waits = any(not place.done() for place in person.line)
        return waits and person.placed < self._each and person.slow < MAX_SLOW

    def _leave(self, who: str) -> None:
        """A place is free again."""
        self._people[who].placed -= 1
        self._placed -= 1
        self._hand_out()
        self._forget(who)

    def _forget(self, who: str) -> None:
        if self._people.get(who) == _Person():
            del self._people[who]


def _too_busy() -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(headers={"Retry-After": AGAIN_S})


PAGES = web.AppKey("pages", Turns)
"""Of who is signed in, by user."""
DOOR = web.AppKey("door", Turns)
"""Of who is not, or of whom it is not known yet, by address."""
