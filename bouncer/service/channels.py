"""Owns what can be done with channels and conversations of a user's servers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from bouncer import tenant
from bouncer.errors import NotFoundError
from bouncer.irc.message import serialise
from bouncer.models.tenant import Channel, ChannelUser, Conversation, Server
from bouncer.service import checks
from bouncer.service.channel_fields import ChannelFields, channel_fields
from bouncer.service.fields import CLEAR, KEEP, one
from bouncer.service.folding import casemap_of, chantypes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.service.live import Live

MAX_REASON = 300
_RULES = tuple(field.name for field in fields(ChannelFields) if field.name != "key")


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel's row, its server's, how many people are in it, and (from `get` only) who, by folded nick."""

    row: Channel
    server: Server
    people: int
    roster: Sequence[ChannelUser] = ()


@dataclass(frozen=True, slots=True)
class ConversationView:
    """The row for one nick on one server, and the server's row."""

    row: Conversation
    server: Server


class Channels:
    """All functions take the user's id, go into that tenant themselves and give detached rows."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def list(self, user_id: int, server_id: int) -> Sequence[ChannelView]:
        """The channels of a server, also those left of which there is history, by name."""
        counts = (
            select(ChannelUser.channel_id, func.count().label("people")).group_by(ChannelUser.channel_id).subquery()
        )
        query = (
            select(Channel, func.coalesce(counts.c.people, 0))
            .outerjoin(counts, counts.c.channel_id == Channel.id)
            .where(Channel.server_id == server_id)
            .order_by(Channel.folded)
        )
        async with tenant.switch(user_id), tenant.session() as session:
            server = await _server(session, server_id)
            return [ChannelView(row, server, people) for row, people in await session.execute(query)]

    async def get(self, user_id: int, channel_id: int) -> ChannelView:
        """One channel with its roster."""
        async with tenant.switch(user_id), tenant.session() as session:
            row = await _channel(session, channel_id)
            roster = select(ChannelUser).where(ChannelUser.channel_id == channel_id).order_by(ChannelUser.folded)
            people = list(await session.scalars(roster))
            return ChannelView(row, await _server(session, row.server_id), len(people), people)

    async def by_name(self, user_id: int, server_id: int, name: str) -> Channel:
        """The channel of this name by the network's own rules of equality."""
        async with tenant.switch(user_id), tenant.session() as session:
            server = await _server(session, server_id)
            row = await _find(session, server, name)
        if row is None:
            raise NotFoundError(f"there is no channel {name!r} on {server.name}")
        return row

    async def join(self, user_id: int, server_id: int, name: str, key: str | None = None) -> Channel:
        """Join now (when connected) and at each connecting; an earlier key stays unless a new one is given."""
        key = one("key", checks.channel_key, key) if key else None
        async with tenant.switch(user_id), tenant.session() as session:
            server = await _server(session, server_id)
            types = chantypes_of(server)
            name = one("name", lambda value: checks.channel(value, types), name.strip())
            row = await _find(session, server, name)
            if row is None:
                row = Channel(server_id=server_id, name=name, folded=casemap_of(server).fold(name))
                session.add(row)
            row.auto_join, row.join_error = True, None
            row.key = key or row.key
            await session.commit()
        await self._live.nudge(user_id)
        if not row.joined:
            self._live.send(user_id, server_id, serialise("JOIN", [row.name, *([row.key] if row.key else [])]))
        return row

    async def part(self, user_id: int, channel_id: int, reason: str = "") -> Channel:
        """Leave now (when connected) and do not join again; the history stays."""
        reason = one("reason", lambda value: checks.one_line(value, MAX_REASON), reason)
        async with tenant.switch(user_id), tenant.session() as session:
            row = await _channel(session, channel_id)
            row.auto_join = False
            await session.commit()
        if row.joined or self._live.running:
            self._live.send(user_id, row.server_id, serialise("PART", [row.name, *([reason] if reason else [])]))
        await self._live.nudge(user_id)
        return row

    async def fields(self, user_id: int, channel_id: int) -> ChannelFields:
        """What the row says now, for a form: the key is KEEP where there is one, CLEAR where there is none."""
        async with tenant.switch(user_id), tenant.session() as session:
            return _fields(await _channel(session, channel_id))

    async def update(self, user_id: int, channel_id: int, raw: Mapping[str, object]) -> Channel:
        """Change what `raw` names (see `channel_fields`), the rest stays; raises InvalidError."""
        async with tenant.switch(user_id), tenant.session() as session:
            row = await _channel(session, channel_id)
            wanted = channel_fields(raw, _fields(row))
            for name in _RULES:
                if getattr(row, name) != getattr(wanted, name):
                    setattr(row, name, getattr(wanted, name))
            if wanted.key is CLEAR:
                row.key = None
            elif wanted.key is not KEEP:
                row.key = str(wanted.key)
            await session.commit()
        await self._live.nudge(user_id)
        return row

    async def conversations(self, user_id: int, server_id: int) -> Sequence[Conversation]:
        """The people one has talked with on a server, by nick."""
        async with tenant.switch(user_id), tenant.session() as session:
            await _server(session, server_id)
            query = select(Conversation).where(Conversation.server_id == server_id).order_by(Conversation.folded)
            return list(await session.scalars(query))

    async def conversation(self, user_id: int, conversation_id: int) -> ConversationView:
        """One conversation."""
        async with tenant.switch(user_id), tenant.session() as session:
            row = await session.get(Conversation, conversation_id)
            if row is None:
                raise NotFoundError("there is no such conversation")
            return ConversationView(row, await _server(session, row.server_id))


def _fields(row: Channel) -> ChannelFields:
    values: dict[str, Any] = {name: getattr(row, name) for name in _RULES}
    return ChannelFields(**values, key=CLEAR if row.key is None else KEEP)


async def _server(session: AsyncSession, server_id: int) -> Server:
    row = await session.get(Server, server_id)
    if row is None:
        raise NotFoundError("there is no such server")
    return row


async def _channel(session: AsyncSession, channel_id: int) -> Channel:
    row = await session.get(Channel, channel_id)
    if row is None:
        raise NotFoundError("there is no such channel")
    return row


async def _find(session: AsyncSession, server: Server, name: str) -> Channel | None:
    folded = casemap_of(server).fold(name)
    query = select(Channel).where(Channel.server_id == server.id, Channel.folded == folded)
    found: Channel | None = await session.scalar(query)
    return found
