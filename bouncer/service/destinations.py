"""Owns when a change of a server would take its stored secrets to somebody else; pure but for one query of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from bouncer.errors import ElsewhereError
from bouncer.models.tenant import Channel
from bouncer.service.fields import KEEP

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.service.fields import ServerFields

SECRETS = ("password", "auth_password")
WORDS = "is stored, and would go to another place: give it again, or remove it"
KEYS = "keys are stored of {}, and would go to another place: give them again, or leave these out"


def places(fields: ServerFields) -> set[str]:
    """All addresses with their ports, as `fallbacks` has them."""
    return {f"{fields.address} {fields.port}", *fields.fallbacks.splitlines()}


def elsewhere(before: ServerFields, wanted: ServerFields) -> bool:
    """Whether somebody who could not before may read what is sent: another place, or one that is checked less."""
    if not places(wanted) <= places(before):
        return True
    if not before.tls:
        return False
    unchecked = before.tls_verify and not wanted.tls_verify and not wanted.tls_fingerprint
    return not wanted.tls or wanted.tls_fingerprint != before.tls_fingerprint or unchecked


def hold_secrets(before: ServerFields, wanted: ServerFields) -> None:
    """Raise ElsewhereError, naming the secrets, when stored ones would go elsewhere."""
    if elsewhere(before, wanted) and (kept := [name for name in SECRETS if getattr(wanted, name) is KEEP]):
        raise ElsewhereError(dict.fromkeys(kept, WORDS))


async def hold_keys(session: AsyncSession, server_id: int, before: ServerFields, wanted: ServerFields) -> None:
    """The same for the keys of channels that would be joined there."""
    if not elsewhere(before, wanted):
        return
    query = select(Channel.name).where(Channel.server_id == server_id, Channel.key.is_not(None), Channel.auto_join)
    keyless = {join.name.lower() for join in wanted.channels if join.key is None}
    if kept := [name for name in await session.scalars(query.order_by(Channel.folded)) if name.lower() in keyless]:
        raise ElsewhereError({"channels": KEYS.format(" ".join(kept))})
