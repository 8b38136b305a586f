"""Owns opening a tenant's file anew under those who use it: all its connections are closed, the next use finds it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.errors import TenantError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

log = logging.getLogger(__name__)

REOPEN_S = 1.0  # for those who use the file to be done; others wait meanwhile


class Reopening:
    """`begin` it, and `settled` waits until it is over; `closed(tenant, seconds)` is a block without connections."""

    def __init__(self, closed: Callable[[str, float], AbstractAsyncContextManager[None]]) -> None:
        self._closed = closed
        self._going: dict[str, asyncio.Task[None]] = {}
        self._group = tasks.Group()

    def begin(self, tenant: str, why: str, level: int) -> None:
        """Close every connection to the tenant's file as soon as nobody uses it; `why` is for the log, at `level`."""
        if tenant not in self._going:
            work = self._let_go(tenant, why, level)
            task = self._going[tenant] = self._group.spawn(work, name=f"tenant-{tenant}-reopen")
            task.add_done_callback(lambda _: self._going.pop(tenant))

    def going(self, tenant: str) -> bool:
        """Whether the tenant's file is being opened anew."""
        return tenant in self._going

    def when_settled(self, tenant: str, callback: Callable[[], None]) -> None:
        """Call `callback` once when that is over; only while it is `going`."""
        self._going[tenant].add_done_callback(lambda _: callback())

    async def settled(self, tenant: str) -> None:
        """Wait while it goes on. Who has the file in use waits too, until the wait for them is given up."""
        if (task := self._going.get(tenant)) is not None:
            await asyncio.wait({task})

    async def _let_go(self, tenant: str, why: str, level: int) -> None:
        try:
            async with self._closed(tenant, REOPEN_S):
                log.log(level, "tenant %s is opened anew: %s", tenant, why)
        except TenantError as error:  # in use all the time: whoever comes next tries again
            log.warning("%s", error)

    async def cancel(self) -> None:
        """Stop."""
        await self._group.cancel()
