"""Owns what a person wants to be told of: own nick, words, and a level for each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from bouncer import tenant
from bouncer.errors import InvalidError
from bouncer.models.tenant import Channel, Preference, Server
from bouncer.network.settings import HIGHLIGHT_NICK, HIGHLIGHT_WORDS, Highlights, highlights
from bouncer.service import checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.service.live import Live

MAX_WORDS = 50
MAX_WORD = 60


@dataclass(frozen=True, slots=True)
class Level:
    """A channel that has a level of its own: its row and its server's name."""

    row: Channel
    server: str


class Attention:
    """All functions take the user's id and go into that tenant themselves."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def rules(self, user_id: int) -> Highlights:
        """What counts as a call."""
        async with tenant.switch(user_id), tenant.session() as session:
            return await highlights(session)

    async def set_rules(self, user_id: int, *, nick: bool, words: str) -> Highlights:
        """Own nick or not, and words or phrases, one a line; raises InvalidError (field `words`)."""
        wanted = Highlights(nick, _words(words))
        async with tenant.switch(user_id), tenant.session() as session:
            await _put(session, HIGHLIGHT_NICK, "1" if nick else "0")
            await _put(session, HIGHLIGHT_WORDS, "\n".join(wanted.words))
            await session.commit()
        await self._live.nudge(user_id)
        return wanted

    async def levels(self, user_id: int) -> Sequence[Level]:
        """The channels that one is told more or less of than calls, by server and name."""
        query = (
            select(Channel, Server.name)
            .join(Server, Server.id == Channel.server_id)
            .where(Channel.notify != "mentions")
            .order_by(Server.name, Channel.folded)
        )
        async with tenant.switch(user_id), tenant.session() as session:
            return [Level(row, name) for row, name in await session.execute(query)]


def _words(text: str) -> tuple[str, ...]:
    found = list(dict.fromkeys(" ".join(line.split()) for line in text.splitlines() if line.strip()))
    if len(found) > MAX_WORDS:
        raise InvalidError({"words": f"at most {MAX_WORDS}"})
    try:
        return tuple(checks.one_line(word, MAX_WORD) for word in found)
    except ValueError as error:
        raise InvalidError({"words": str(error)}) from error


async def _put(session: AsyncSession, name: str, value: str) -> None:
    row = await session.get(Preference, name)
    if row is None:
        session.add(Preference(name=name, value=value))
    else:
        row.value = value
