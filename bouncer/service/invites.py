"""Owns invitations: links with which somebody makes one account for themselves; only hashes of the links are kept."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from bouncer.clock import now_ms
from bouncer.errors import NotFoundError
from bouncer.models.main import Invite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select

    from bouncer.database import MainDatabase
    from bouncer.models.main import User
    from bouncer.service.audit import Audit
    from bouncer.service.users import Users

LIFETIME_MS = 7 * 86_400_000
GONE = "this invitation is not valid any more"


class Invites:
    """`create` gives the token of the link, once."""

    def __init__(self, main: MainDatabase, users: Users, audit: Audit) -> None:
        self._main = main
        self._users = users
        self._audit = audit

    async def create(self, note: str = "") -> tuple[Invite, str]:
        """A new one, valid for a week; `note` says whom it is for."""
        token, now = secrets.token_urlsafe(32), now_ms()
        row = Invite(token_hash=_hash(token), note=note[:100], created_at=now, expires_at=now + LIFETIME_MS)
        async with self._main.session() as session:
            await session.execute(delete(Invite).where(Invite.expires_at <= now))
            session.add(row)
            await session.commit()
        await self._audit.note("invitation made", detail=row.note)
        return row, token

    async def list(self) -> Sequence[Invite]:
        """Those that can still be used, oldest first."""
        async with self._main.session() as session:
            return list(await session.scalars(select(Invite).where(Invite.expires_at > now_ms()).order_by(Invite.id)))

    async def delete(self, number: int) -> None:
        """Take one back; raises NotFoundError."""
        async with self._main.session() as session:
            done = await session.execute(delete(Invite).where(Invite.id == number))
            await session.commit()
        if not done.rowcount:  # type: ignore[attr-defined]  # a DELETE's result has it
            raise NotFoundError("there is no such invitation")
        await self._audit.note("invitation taken back", detail=str(number))

    async def valid(self, token: str) -> bool:
        """Whether an account can be made with it."""
        async with self._main.session() as session:
            return await session.scalar(_usable(token)) is not None

    async def accept(self, token: str, name: str, password: str) -> User:
        """Make the account; the link is used up. Raises NotFoundError, or as `Users.add` and leaves the link valid."""
        async with self._main.session() as session:
            found = (await session.execute(_usable(token))).first()
            if found is None:
                raise NotFoundError(GONE)
            row = found[0]
            taken = await session.execute(delete(Invite).where(Invite.id == row.id))  # before: two cannot use one
            await session.commit()
        if not taken.rowcount:  # type: ignore[attr-defined]  # a DELETE's result has it
            raise NotFoundError(GONE)
        try:
            return await self._users.add(name, password=password)
        except BaseException:
            async with self._main.session() as session:
                session.add(
                    Invite(
                        token_hash=row.token_hash, note=row.note, created_at=row.created_at, expires_at=row.expires_at
                    )
                )
                await session.commit()
            raise


def _usable(token: str) -> Select[Any]:
    return select(Invite).where(Invite.token_hash == _hash(token), Invite.expires_at > now_ms())


def _hash(token: str) -> str:
    """256 random bits need no salt."""
    return hashlib.sha256(f"invite {token}".encode("utf-8", "replace")).hexdigest()
