"""Owns the open event streams: how many a user may have, and that they end with the application."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PER_USER = 16
"""Pages that can be live at once; browsers open six to a host, so this is several browsers."""


class Streams:
    """The requests that are being streamed to, by user."""

    def __init__(self) -> None:
        self._open: dict[int, dict[asyncio.Task[Any], web.Request]] = {}

    @contextlib.contextmanager
    def admit(self, user_id: int, request: web.Request) -> Iterator[None]:
        """Count this request as a stream of the user while inside; raises HTTPTooManyRequests over the bound.

        A stream whose browser has gone, which only shows at its next write, does not count any more and is ended.
        """
        mine = self._open.setdefault(user_id, {})
        for stream, other in mine.items():
            if other.transport is None or other.transport.is_closing():
                stream.cancel()
        if sum(not stream.cancelling() for stream in mine) >= MAX_PER_USER:
            raise web.HTTPTooManyRequests
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler runs in a task
        mine[task] = request
        try:
            yield
        finally:
            del mine[task]
            if not mine:
                self._open.pop(user_id, None)

    def __len__(self) -> int:
        return sum(len(mine) for mine in self._open.values())

    async def close(self, _app: web.Application | None = None) -> None:
        """End every stream: the application stops."""
        for mine in self._open.values():
            for task in mine:
                task.cancel()


STREAMS = web.AppKey("streams", Streams)
