"""Owns the audit trail: who did what to the installation and to accounts; nothing that anybody said on IRC."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from bouncer.clock import now_ms
from bouncer.models.main import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.database import MainDatabase

log = logging.getLogger(__name__)

KEPT = 10_000
"""Entries; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a user, or the command line (`id` None). `address` is the peer's, "" on IRC and this machine."""

    id: int | None = None
    name: str = "command line"
    address: str = ""


NOBODY = Actor()
ACTOR: ContextVar[Actor] = ContextVar("actor", default=NOBODY)
"""Set by the doors that people come through; what has no door is the command line."""


class Audit:
    """`note` never raises for a database that cannot be written: what was done was done."""

    def __init__(self, main: MainDatabase) -> None:
        self._main = main

    async def note(self, action: str, subject_id: int | None = None, subject: str = "", detail: str = "") -> None:
        """Remember that the current actor did this."""
        actor = ACTOR.get()
        log.info("audit: %s: %s %s %s", actor.name, action, subject, detail)
        entry = AuditEntry(
            time=now_ms(),
            actor_id=actor.id,
            actor=actor.name,
            action=action,
            subject_id=subject_id,
            subject=subject,
            detail=detail[:500],
            address=actor.address,
        )
        try:
            async with self._main.session() as session:
                session.add(entry)
                await session.flush()
                await session.execute(delete(AuditEntry).where(AuditEntry.id <= entry.id - KEPT))
                await session.commit()
        except SQLAlchemyError as error:
            log.warning("the audit trail could not be written: %s", error)

    async def list(self, *, before: int | None = None, limit: int = 100) -> Sequence[AuditEntry]:
        """The newest entries, those older than the entry `before`; newest first."""
        query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
        async with self._main.session() as session:
            return list(await session.scalars(query if before is None else query.where(AuditEntry.id < before)))

    async def forget(self, user_id: int) -> None:
        """Put a number in place of a deleted user's name."""
        pseudonym = f"user {user_id}"
        async with self._main.session() as session:
            for number, name in ((AuditEntry.actor_id, "actor"), (AuditEntry.subject_id, "subject")):
                change = update(AuditEntry).where(number == user_id)
                await session.execute(change.values({name: pseudonym, **({"address": ""} if name == "actor" else {})}))
            await session.commit()

    async def count(self) -> int:
        """How many entries there are."""
        async with self._main.session() as session:
            return await session.scalar(select(func.count()).select_from(AuditEntry)) or 0
