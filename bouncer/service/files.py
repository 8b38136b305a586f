"""Owns what can be done with the users' files as a whole: migrate, check, back up, restore, export, encrypt anew."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm.attributes import flag_modified

from bouncer import tenant, vault
from bouncer.errors import BouncerError, CommandError
from bouncer.models.tenant import Channel, Server, TenantBase
from bouncer.models.types import Encrypted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.service.live import Live
    from bouncer.service.users import Users
    from bouncer.tenant import Tenants

FAILURES = (BouncerError, OSError, sqlite3.Error, SQLAlchemyError)
"""What a damaged, foreign or unreadable file can raise; one such file must not end work on the others."""


class TenantFiles:
    """`progress` is called as (done, total, user name, words of failure or "") after each file."""

    def __init__(self, users: Users, tenants: Tenants, live: Live, encrypt_main: Callable[[], Awaitable[None]]) -> None:
        self._users = users
        self._encrypt_main = encrypt_main
        self._tenants = tenants
        self._live = live
        self._rotating = asyncio.Lock()

    async def migrate(self, users: Sequence[User], progress: Callable[[int, int, str, str], None]) -> None:
        """Bring files to this program's schema, one after another; raises CommandError naming those that failed."""
        await self._each(users, lambda user: self._tenants.migrate(user.id), progress)

    async def check(self, users: Sequence[User], progress: Callable[[int, int, str, str], None]) -> None:
        """Look for damage; raises CommandError naming the users in whose files there is some."""

        async def one(user: User) -> None:
            if problems := await self._tenants.check(user.id):
                raise CommandError("; ".join(problems[:3]))

        await self._each(users, one, progress)

    async def backup(self, user_id: int, path: Path) -> None:
        """A consistent copy of the user's file at `path`, with all that was received before the call."""
        await self._live.flush(user_id)
        await self._tenants.backup(user_id, path)

    async def restore(self, user_id: int, path: Path) -> None:
        """Put the backup at `path` in place of the user's file; connections end before and begin again after.

        Raises TenantSchemaError for a file that is no backup of ours; then nothing has changed.
        """
        await self._live.forget(user_id, "history is being restored")
        try:
            await self._tenants.restore(user_id, path)
        finally:
            await self._live.nudge(user_id)

    async def export(
        self, user_id: int, path: Path, form: str, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write the history as `jsonl`, `text` or `sqlite`, without secrets, with all received before the call.

        `progress(done, all)` is called on another thread.
        """
        await self._live.flush(user_id)
        await self._tenants.export(user_id, path, form, progress)

    async def rotate_secrets(self, progress: Callable[[int, int, str, str], None]) -> None:
        """Encrypt every stored secret with a new key, then forget the old ones; backups keep secrets of the old key.

        When a file fails, the old keys stay beside the new one, and the command can be given again.
        """
        keys = vault.installed()
        async with self._rotating:  # of two at once, one would forget the key that the other still encrypts with
            await asyncio.to_thread(keys.add_key)
            await self._encrypt_main()
            await self._each(await self._users.list(), self._encrypt_anew, progress)
            await asyncio.to_thread(keys.retire_old_keys)

    async def _encrypt_anew(self, user: User) -> None:
        await self._live.flush(user.id)  # what waits to be written was encrypted with the old key
        async with tenant.switch(user.id), tenant.session() as session:
            for model in (Server, Channel):
                columns = encrypted_columns(model)
                for row in await session.scalars(select(model)):
                    for column in columns:
                        if getattr(row, column):
                            flag_modified(row, column)
            await session.commit()

    async def _each(
        self,
        users: Sequence[User],
        act: Callable[[User], Awaitable[Any]],
        progress: Callable[[int, int, str, str], None],
    ) -> None:
        failed = []
        for done, user in enumerate(users, 1):
            words = ""
            try:
                await act(user)
            except FAILURES as error:
                words = " ".join(str(error).split()) or type(error).__name__
                failed.append(f"{user.name} ({words})")
            progress(done, len(users), user.name, words)
        if failed:
            raise CommandError(f"{len(failed)} of {len(users)} failed: {', '.join(failed)}")


def encrypted_columns(model: type[TenantBase]) -> list[str]:
    """The names of a model's columns that the vault encrypts."""
    return [column.key for column in model.__table__.columns if isinstance(column.type, Encrypted)]
