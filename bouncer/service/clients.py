"""Owns what can be done with the programs a user attaches: seen, sent away, forgotten, told times in text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from bouncer import tenant
from bouncer.errors import InvalidError, NotFoundError
from bouncer.models.tenant import ClientName, DeliveryReceipt
from bouncer.service.tokens import CLIENT_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.events import ClientInfo
    from bouncer.service.live import Live


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client name that was here; "" is what clients without one share. `last_seen_at` is in ms, None if unknown."""

    name: str
    text_timestamps: bool
    last_seen_at: int | None
    address: str


class Clients:
    """All functions take the user's id."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def attached(self, user_id: int) -> Sequence[ClientInfo]:
        """Who is there now."""
        return sorted(self._live.clients(user_id), key=lambda client: client.id)

    async def known(self, user_id: int) -> Sequence[KnownClient]:
        """Every name whose place in the history is kept, or that has settings, by name."""
        async with tenant.switch(user_id), tenant.session() as session:
            seen = select(DeliveryReceipt.client, func.max(DeliveryReceipt.updated_at)).group_by(DeliveryReceipt.client)
            found = {name: KnownClient(name, False, at, "") for name, at in await session.execute(seen)}
            for row in await session.scalars(select(ClientName)):
                at = max(row.last_seen_at or 0, found[row.name].last_seen_at or 0 if row.name in found else 0)
                found[row.name] = KnownClient(row.name, row.text_timestamps, at or None, row.address)
        return [found[name] for name in sorted(found)]

    async def disconnect(self, user_id: int, which: int | str) -> int:
        """End the client of this id, or all of this name; gives how many. Raises NotFoundError for none."""
        wanted = [one for one in self.attached(user_id) if which in {one.id, str(one.id), one.name}]
        dropped = [await self._live.drop_client(user_id, one.id) for one in wanted]
        if not any(dropped):
            named = f"client {which!r}" if which else "client without a name"
            raise NotFoundError(f"no {named} is attached: `client list` shows those that are")
        return sum(dropped)

    async def forget(self, user_id: int, name: str) -> None:
        """Let a name be new when it comes again: its place in the history and its settings go, tokens stay.

        A client of that name that is attached stays so, and is remembered again. Raises NotFoundError.
        """
        if name not in {one.name for one in await self.known(user_id)}:
            named = f"client {name!r}" if name else "client without a name"
            raise NotFoundError(f"no {named} is known: `client list` shows those that are")
        self._live.forget_client(user_id, name)
        await self._live.flush(user_id)
        async with tenant.switch(user_id), tenant.session() as session:
            await session.execute(delete(DeliveryReceipt).where(DeliveryReceipt.client == name))
            await session.execute(delete(ClientName).where(ClientName.name == name))
            await session.commit()

    async def set_timestamps(self, user_id: int, name: str, on: bool) -> None:
        """Whether messages played back to a client that cannot be given times have them in the text."""
        if not CLIENT_NAME.fullmatch(name):
            raise InvalidError({"name": "at most 64 characters, no blank and none of / @ :"})
        async with tenant.switch(user_id), tenant.session() as session:
            row = await session.get(ClientName, name) or ClientName(name=name)
            row.text_timestamps = on
            session.add(row)
            await session.commit()
