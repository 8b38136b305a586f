"""Owns what can be done with a user's stored messages: found and counted; and the list of notifications."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select, update

from bouncer import browse, counts, tasks, tenant
from bouncer.browse import Found, Wanted
from bouncer.clock import now_ms
from bouncer.errors import NotFoundError, UsageError
from bouncer.history import Buffer
from bouncer.models.tenant import Channel, Conversation, Message, Notification, Server
from bouncer.service.files import FAILURES
from bouncer.service.folding import casemap_of
from bouncer.service.retention import Scope, count_all

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.counts import Disk, Size
    from bouncer.history import StoredMessage
    from bouncer.service.live import Live

log = logging.getLogger(__name__)

MAX_FOUND = 100
MAX_TEXT = 500
SEARCH_S = 5.0
"""How long one search goes on."""
MAX_NOTIFICATIONS = 100


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of all of a user's history; `density` as in `counts`, `behind` are messages not counted yet."""

    buffers: Sequence[Size]
    disk: Disk
    density: float = 1.0
    behind: int = 0

    @property
    def messages(self) -> int:
        """In all."""
        return sum(size.messages for size in self.buffers)

    def takes(self, *sizes: Size) -> int:
        """About the bytes that these buffers take on disk: the file does not say whose its pages are."""
        return round(sum(size.weight for size in sizes) * self.density)


class Notice(NamedTuple):
    """A notification with its message and the server's name."""

    row: Notification
    message: Message
    server: str


class Histories:
    """All functions take the user's id and go into that tenant themselves."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._tasks = tasks.Group()
        self._counting: set[int] = set()

    async def search(
        self,
        user_id: int,
        text: str,
        *,
        server_id: int | None = None,
        name: str = "",
        sender: str = "",
        since_ms: int | None = None,
        until_ms: int | None = None,
        limit: int = 20,
    ) -> Found:
        """The newest `limit` messages with all words of `text`, oldest first; `name` is a channel or nick.

        Words are as in the panel's search; the file is looked through a piece at a time, at most for SEARCH_S.
        Raises UsageError for a name without a server or too long a text, NotFoundError when there is no such channel or
        conversation.
        """
        if len(text) > MAX_TEXT:
            raise UsageError(f"at most {MAX_TEXT} characters to search for")
        found: list[StoredMessage] = []
        limit, below, until = min(max(limit, 1), MAX_FOUND), None, time.monotonic() + SEARCH_S
        async with tenant.switch(user_id):
            buffer = await self._buffer(server_id, name) if name else None
            wanted = Wanted(text, sender, server_id, buffer, since_ms, until_ms)
            while wanted:
                part = await browse.search(wanted, limit - len(found), below)
                found, below = [*found, *part.messages], part.below
                if below is None or len(found) >= limit or time.monotonic() >= until:
                    break
        return Found(found[::-1], below if len(found) < limit else None)

    async def scope(self, user_id: int, server_id: int, name: str) -> Scope:
        """A channel or conversation by its name; raises NotFoundError."""
        async with tenant.switch(user_id):
            return Scope(*await self._buffer(server_id, name))

    async def sizes(self, user_id: int) -> Sizes:
        """The buffers, the one that takes most first, and the file; from what is counted, however much there is."""

        def find(connection: sqlite3.Connection) -> Sizes:
            sizes, disk = counts.read_sizes(connection), counts.read_disk(connection)
            behind = counts.read_behind(connection)
            known = behind <= counts.MOST_AT_ONCE
            return Sizes(sizes, disk, counts.density(disk, sizes) if known else 1.0, behind)

        async with tenant.switch(user_id):
            found = await tenant.read(find)
        if found.behind > counts.PORTION:
            self._count(user_id)
        return found

    def _count(self, user_id: int) -> None:
        """Count on beside, in one task for a user."""
        if user_id not in self._counting:
            self._counting.add(user_id)
            self._tasks.spawn(self._counted(user_id), name=f"counting-{user_id}")

    async def _counted(self, user_id: int) -> None:
        try:
            async with tenant.switch(user_id):
                await count_all()
        except FAILURES as error:
            log.info("messages were not counted: %s", error)
        finally:
            self._counting.discard(user_id)

    async def close(self) -> None:
        """Stop counting; it goes on when somebody asks again."""
        await self._tasks.cancel()

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
