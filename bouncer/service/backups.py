"""Owns backups of the whole installation in its storage folder: made and checked one after another, with progress."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import make_url

from bouncer import tasks
from bouncer.clock import now_ms
from bouncer.errors import BouncerError, NotFoundError, RefusedError
from bouncer.service.files import FAILURES
from bouncer.tenant import tools

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bouncer.config import Config
    from bouncer.service.audit import Audit
    from bouncer.service.files import TenantFiles
    from bouncer.service.users import Users

log = logging.getLogger(__name__)

KEPT = 5
"""Complete backups; a new one pushes out the oldest."""
NAME = re.compile(r"\d{8}T\d{6}Z")
UNFINISHED = ".unfinished"


class Backup(NamedTuple):
    """One that is there; `time` in ms UTC, `size` in bytes, `files` those of users."""

    name: str
    time: int
    size: int
    files: int


@dataclass(slots=True)
class Work:
    """What goes on or went on last: `kind` is backup or check; `problems` in words, by whose file it is."""

    kind: str
    name: str
    total: int = 0
    done: int = 0
    finished: bool = False
    problems: list[str] = field(default_factory=list)


class Backups:
    """`run` and `check` return at once; `work` says how far they are. The key of the secrets is in no backup."""

    def __init__(self, config: Config, users: Users, files: TenantFiles, audit: Audit) -> None:
        self._config = config
        self._users = users
        self._files = files
        self._audit = audit
        self._tasks = tasks.Group()
        self._running: asyncio.Task[None] | None = None
        self.work: Work | None = None

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._config.storage.path / "backups"

    async def list(self) -> Sequence[Backup]:
        """The complete ones, newest first."""
        return await asyncio.to_thread(self._list)

    def _list(self) -> Sequence[Backup]:
        if not self.folder.is_dir():
            return []
        found = []
        for path in sorted(self.folder.iterdir(), reverse=True):
            if path.is_dir() and NAME.fullmatch(path.name):
                files = [file for file in path.rglob("*") if file.is_file()]
                time = datetime.strptime(path.name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                size = sum(file.stat().st_size for file in files)
                found.append(Backup(path.name, int(time.timestamp() * 1000), size, len(files) - 1))
        return found

    async def run(self) -> Work:
        """Begin a backup of everything; RefusedError while other work goes on."""
        name = datetime.fromtimestamp(now_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        work = self._begin("backup", name)
        await self._audit.note("backup", detail=name)
        self._running = self._tasks.spawn(self._backup(work), name="backup")
        return work

    async def finished(self) -> None:
        """Wait for the end of what goes on."""
        if self._running is not None:
            await asyncio.wait({self._running})

    async def check(self, name: str) -> Work:
        """Begin to look for damage in a backup; raises NotFoundError, RefusedError."""
        if not NAME.fullmatch(name) or not await asyncio.to_thread((self.folder / name).is_dir):
            raise NotFoundError("there is no such backup")
        work = self._begin("check", name)
        self._running = self._tasks.spawn(self._check(work), name="backup-check")
        return work

    def _begin(self, kind: str, name: str) -> Work:
        if self.work is not None and not self.work.finished:
            raise RefusedError("a backup is being made or checked already")
        self.work = Work(kind, name)
        return self.work

    async def _backup(self, work: Work) -> None:
        target = self.folder / (work.name + UNFINISHED)
        try:
            users = await self._users.list()
            work.total = len(users) + 1
            await asyncio.to_thread(_folders, self.folder, target, target / "tenants")
            await asyncio.to_thread(_copy_main, self._config, target / "main.sqlite3")
            work.done = 1
            for user in users:
                await self._one(work, user.name, user.id, target)
            await asyncio.to_thread(target.rename, self.folder / work.name)
            await asyncio.to_thread(self._drop_old)
        except FAILURES as error:
            log.exception("the backup %s failed", work.name)
            work.problems.append(" ".join(str(error).split()) or type(error).__name__)
        finally:
            work.finished = True
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)

    async def _one(self, work: Work, name: str, user_id: int, target: Path) -> None:
        path = target / "tenants" / f"{user_id}.sqlite3"
        try:
            await self._files.backup(user_id, path)
            problems = await asyncio.to_thread(tools.check, path)
        except FAILURES as error:
            problems = [" ".join(str(error).split()) or type(error).__name__]
        work.problems += [f"{name}: {words}" for words in problems[:3]]
        work.done += 1

    async def _check(self, work: Work) -> None:
        try:
            folder = self.folder / work.name
            paths = await asyncio.to_thread(lambda: sorted((folder / "tenants").glob("*.sqlite3")))
            names = {str(user.id): user.name for user in await self._users.list()}
            work.total = len(paths) + 1
            work.problems += await asyncio.to_thread(_damage, folder / "main.sqlite3")
            work.done = 1
            for path in paths:
                who = names.get(path.stem, f"user {path.stem}")
                try:
                    problems = await asyncio.to_thread(tools.check, path)
                except FAILURES as error:
                    problems = [" ".join(str(error).split())]
                work.problems += [f"{who}: {words}" for words in problems[:3]]
                work.done += 1
        except FAILURES as error:
            work.problems.append(" ".join(str(error).split()) or type(error).__name__)
        finally:
            work.finished = True

    def _drop_old(self) -> None:
        for old in self._list()[KEPT:]:
            shutil.rmtree(self.folder / old.name, ignore_errors=True)

    async def close(self) -> None:
        """Give up what goes on; a backup that is not complete is removed."""
        await self._tasks.cancel()


def _folders(*paths: Path) -> None:
    for path in paths:  # one by one: the mode given to mkdir is not that of parents it makes
        path.mkdir(mode=0o700, exist_ok=True)


def _copy_main(config: Config, target: Path) -> None:
    """The main database as it is at one moment. Blocking."""
    source = make_url(config.main_url)
    if source.get_backend_name() != "sqlite" or not source.database:
        raise BouncerError("the main database is no SQLite file: back it up with its own tools")
    target.touch(mode=0o600)
    with (
        contextlib.closing(sqlite3.connect(f"file:{source.database}?mode=ro", uri=True)) as reading,
        contextlib.closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode=DELETE")


def _damage(path: Path) -> list[str]:
    if not path.exists():
        return ["the main database is missing"]
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        return [f"the main database: {error}"]
    return [] if found == ["ok"] else [f"the main database: {words}" for words in found[:3]]
