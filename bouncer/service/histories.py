"""Owns what can be done with a user's stored messages: found, counted, cleared; and the list of notifications."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select, update

from bouncer import history, tenant
from bouncer.clock import now_ms
from bouncer.errors import NotFoundError, UsageError
from bouncer.history import Buffer
from bouncer.models.tenant import Channel, Conversation, Message, Notification, Server
from bouncer.service.folding import casemap_of
from bouncer.service.removal import remove_messages
from bouncer.service.sizes import SizeCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.history import StoredMessage
    from bouncer.service.live import Live
    from bouncer.service.sizes import Size

MAX_FOUND = 100
MAX_NOTIFICATIONS = 100


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of all of a user's history; `file_bytes` is the whole file, all else in it too."""

    buffers: Sequence[Size]
    file_bytes: int


class Notice(NamedTuple):
    """A notification with its message and the server's name."""

    row: Notification
    message: Message
    server: str


class Histories:
    """All functions take the user's id and go into that tenant themselves."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._sizes = SizeCounts()

    async def search(
        self,
        user_id: int,
        text: str,
        *,
        server_id: int | None = None,
        name: str = "",
        sender: str = "",
        limit: int = 20,
    ) -> Sequence[StoredMessage]:
        """The newest `limit` messages with all words of `text`, oldest first; `name` is a channel or nick.

        Raises UsageError for a name without a server, NotFoundError when there is no such channel or conversation.
        """
        async with tenant.switch(user_id):
            buffer = await self._buffer(server_id, name) if name else None
            found = await history.search(
                text, limit=min(max(limit, 1), MAX_FOUND), server_id=server_id, buffer=buffer, sender=sender
            )
        return found[::-1]

    async def clear(self, user_id: int, server_id: int, name: str) -> int:
        """Delete all messages of a channel or conversation, from the index too; gives how many. Takes its time."""
        await self._live.flush(user_id)
        async with tenant.switch(user_id):
            buffer = await self._buffer(server_id, name)
            async with tenant.session() as session:
                newest = await session.scalar(select(func.max(Message.id))) or 0
            removed = await remove_messages(
                Message.server_id == buffer.server_id,
                Message.channel_id == buffer.channel_id,
                Message.conversation_id == buffer.conversation_id,
                Message.id <= newest,
            )
        self._sizes.forget(user_id)
        return removed

    async def sizes(self, user_id: int) -> Sizes:
        """The buffers with their counts, largest first."""
        async with tenant.switch(user_id):
            buffers = await self._sizes.of(user_id)
        path = tenant.path(user_id)
        return Sizes(buffers, await asyncio.to_thread(lambda: path.stat().st_size))

    async def notifications(self, user_id: int, *, all_of_them: bool = False) -> Sequence[Notice]:
        """The newest unread ones (or all), oldest first, at most MAX_NOTIFICATIONS."""
        query = (
            select(Notification, Message, Server.name)
            .join(Message, Message.id == Notification.message_id)
            .join(Server, Server.id == Message.server_id)
            .order_by(Notification.id.desc())
            .limit(MAX_NOTIFICATIONS)
        )
        async with tenant.switch(user_id), tenant.session() as session:
            found = await session.execute(query if all_of_them else query.where(Notification.read_at.is_(None)))
            return [Notice(row, message, server) for row, message, server in found][::-1]

    async def mark_read(self, user_id: int, number: int | None = None) -> int:
        """Mark one notification as read, or all; gives how many were not. NotFoundError for one that is not there."""
        async with tenant.switch(user_id), tenant.session() as session:
            if number is not None and await session.get(Notification, number) is None:
                raise NotFoundError(f"there is no notification {number}: `notify list` shows them")
            change = update(Notification).where(Notification.read_at.is_(None)).values(read_at=now_ms())
            done = await session.execute(change if number is None else change.where(Notification.id == number))
            await session.commit()
        return int(done.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it

    async def _buffer(self, server_id: int | None, name: str) -> Buffer:
        if server_id is None:
            raise UsageError(f"on which network is {name}? Say --server NAME")
        async with tenant.session() as session:
            return await _named(session, server_id, name)


async def _named(session: AsyncSession, server_id: int, name: str) -> Buffer:
    server = await session.get(Server, server_id)
    if server is None:
        raise NotFoundError("there is no such server")
    folded = casemap_of(server).fold(name)
    channel = select(Channel.id).where(Channel.server_id == server_id, Channel.folded == folded)
    if (number := await session.scalar(channel)) is not None:
        return Buffer(server_id, channel_id=number)
    nick = select(Conversation.id).where(Conversation.server_id == server_id, Conversation.folded == folded)
    if (number := await session.scalar(nick)) is not None:
        return Buffer(server_id, conversation_id=number)
    raise NotFoundError(f"there is no history of {name!r} on {server.name}")
