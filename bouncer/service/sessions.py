"""Owns the browsers that are signed in to the panel, as rows: listed and ended; who lets them in is the panel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from bouncer.clock import now_ms
from bouncer.errors import NotFoundError
from bouncer.models.main import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.database import MainDatabase


class Sessions:
    """All functions take the user's id; a session of another user does not exist here."""

    def __init__(self, main: MainDatabase) -> None:
        self._main = main

    async def list(self, user_id: int) -> Sequence[Session]:
        """The browsers that are signed in as this user, the one used last first."""
        mine = (Session.user_id == user_id, Session.expires_at > now_ms())
        async with self._main.session() as session:
            return list(await session.scalars(select(Session).where(*mine).order_by(Session.last_used_at.desc())))

    async def end(self, user_id: int, number: int) -> None:
        """Sign one out; raises NotFoundError."""
        if not await self._end(Session.user_id == user_id, Session.id == number):
            raise NotFoundError("there is no such session")

    async def end_all(self, user_id: int, but: int | None = None) -> int:
        """Sign all of them out, or all `but` one; gives how many."""
        return await self._end(Session.user_id == user_id, *([] if but is None else [Session.id != but]))

    async def _end(self, *which: object) -> int:
        async with self._main.session() as session:
            done = await session.execute(delete(Session).where(*which))  # type: ignore[arg-type]  # conditions
            await session.commit()
        return int(done.rowcount)  # type: ignore[attr-defined]  # a DELETE's result has it
