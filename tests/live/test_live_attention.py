"""What a person is told of: own nick, words of theirs, all of a channel or nothing of it; followed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer.errors import InvalidError, NotFoundError
from tests.support.room import on_room

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork


async def reasons(house: House, peer: Peer, *texts: str, to: str = "#Room") -> list[tuple[str, str]]:
    """(content, reason) of what came to want attention through these messages."""
    service, user = house.supervisor.service, house.ids["alice"]
    await service.histories.mark_read(user)
    await peer.send(*(f":friend!f@example PRIVMSG {to} :{text}" for text in texts))
    await peer.barrier()
    await house.supervisor.flush(user)
    return [(notice.message.content, notice.row.reason) for notice in await service.histories.notifications(user)]


async def test_own_nick_words_and_levels_decide_what_wants_attention(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    attention, user = house.supervisor.service.attention, house.ids["alice"]
    texts = ("hello", "alice: hello", "the SQLite\x02 thing\x02", "sqlites", "a big deal")
    assert await reasons(house, peer, *texts) == [("alice: hello", "highlight")]
    await attention.set_rules(user, nick=True, words="sqlite\n big  deal \nsqlite\n")
    assert (await attention.rules(user)).words == ("sqlite", "big deal")
    assert [text for text, _ in await reasons(house, peer, *texts)] == [texts[1], texts[2], texts[4]]
    await attention.set_rules(user, nick=False, words="")
    assert await reasons(house, peer, *texts) == []
    assert await reasons(house, peer, "psst", to="alice") == [("psst", "dm")]
    channels = house.supervisor.service.channels
    channel = await channels.by_name(user, 1, "#room")
    await channels.update(user, channel.id, {"notify": "all"})
    await attention.set_rules(user, nick=True, words="")
    assert await reasons(house, peer, *texts[:2]) == [("hello", "message"), ("alice: hello", "highlight")]
    assert [level.row.name for level in await attention.levels(user)] == ["#Room"]
    await channels.update(user, channel.id, {"notify": "none"})
    assert await reasons(house, peer, *texts) == []


async def test_rules_that_cannot_be_are_refused_in_words(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    attention, user = house.supervisor.service.attention, house.ids["alice"]
    for words in ("x" * 61, "a\x07b", "\n".join(map(str, range(51)))):
        with pytest.raises(InvalidError):
            await attention.set_rules(user, nick=True, words=words)
    channels = house.supervisor.service.channels
    channel = await channels.by_name(user, 1, "#room")
    with pytest.raises(InvalidError):
        await channels.update(user, channel.id, {"notify": "loud"})
    with pytest.raises(NotFoundError):
        await channels.update(user, 999, {"notify": "all"})
