"""Owns the files people take their data away in: made one at a time per user, with progress, kept for an hour."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.clock import now_ms
from bouncer.errors import NotFoundError, RefusedError, UsageError
from bouncer.service.files import FAILURES
from bouncer.tenant.exports import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.service.files import TenantFiles

log = logging.getLogger(__name__)

KEPT_MS = 3_600_000
MAX_AT_ONCE = 3
"""Files of everybody together that are being made."""
SUFFIX = {"sqlite": "sqlite3", "jsonl": "jsonl", "text": "txt"}


@dataclass(slots=True)
class Download:
    """One file: `done` of `total` messages so far (0 of 0 for SQLite, whose copy is one step)."""

    form: str
    path: Path
    begun_at: int
    done: int = 0
    total: int = 0
    ready: bool = False
    error: str = ""
    size: int = 0

    @property
    def running(self) -> bool:
        """Whether it is still being made."""
        return not self.ready and not self.error


class Downloads:
    """`folder` is made when it is needed (0700) and emptied by `clear`, which a start of the bouncer does."""

    def __init__(self, files: TenantFiles, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._made: dict[int, Download] = {}
        self._tasks = tasks.Group()
        self._running: asyncio.Task[None] | None = None

    def of(self, user_id: int) -> Download | None:
        """The user's file, in the making or made; one that is too old is gone."""
        found = self._made.get(user_id)
        if found is not None and not found.running and now_ms() - found.begun_at > KEPT_MS:
            self._tasks.spawn(self.forget(user_id), name="download-forget")
            return None
        return found

    async def start(self, user_id: int, form: str) -> Download:
        """Begin to make a file in one of FORMATS, in place of the one before; RefusedError while one is being made."""
        if form not in FORMATS:
            raise UsageError(f"one of {', '.join(FORMATS)}")
        now = self._made.get(user_id)
        if now is not None and now.running:
            raise RefusedError("a file is being made already")
        if sum(one.running for one in self._made.values()) >= MAX_AT_ONCE:
            raise RefusedError("others are taking their data away just now; try again in a minute")
        made = self._made[user_id] = Download(form, self._folder / f"{user_id}-{secrets.token_hex(8)}", now_ms())
        if now is not None:
            await asyncio.to_thread(now.path.unlink, missing_ok=True)
        self._running = self._tasks.spawn(self._make(user_id, made), name=f"download-{user_id}")
        return made

    async def _make(self, user_id: int, made: Download) -> None:
        def progress(done: int, total: int) -> None:  # called on another thread: two plain numbers
            made.done, made.total = done, total

        try:
            await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
            await self._files.export(user_id, made.path, made.form, progress)
            if self._made.get(user_id) is not made:  # the account was deleted meanwhile
                await asyncio.to_thread(made.path.unlink, missing_ok=True)
                return
            made.size = (await asyncio.to_thread(made.path.stat)).st_size
            made.ready = True
            self._tasks.spawn(self._expire(user_id, made), name=f"download-{user_id}-expiry")
        except FAILURES as error:
            log.warning("a user's data could not be written: %s", error)
            made.error = " ".join(str(error).split()) or type(error).__name__
        except asyncio.CancelledError:
            made.error = "the bouncer stopped"
            raise

    async def _expire(self, user_id: int, made: Download) -> None:
        await asyncio.sleep(KEPT_MS / 1000)
        if self._made.get(user_id) is made:
            await self.forget(user_id)

    async def finished(self) -> None:
        """Wait for the end of the newest one that is being made."""
        if self._running is not None:
            await asyncio.wait({self._running})

    def file(self, user_id: int) -> tuple[Path, str]:
        """Where the made file is, and how its name ends; raises NotFoundError."""
        found = self.of(user_id)
        if found is None or not found.ready:
            raise NotFoundError("there is no file")
        return found.path, SUFFIX[found.form]

    async def forget(self, user_id: int) -> None:
        """Remove the user's file."""
        found = self._made.pop(user_id, None)
        if found is not None:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(found.path.unlink, missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier run left. Blocking."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def close(self) -> None:
        """Stop making files, and remove them."""
        await self._tasks.cancel()
        self._made.clear()
        await asyncio.to_thread(self.clear)
