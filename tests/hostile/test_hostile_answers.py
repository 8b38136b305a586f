"""An answer larger than what may wait for a client is given in parts, whole and in order, to who takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.room import UPSTREAM, ask, on_room, reader

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

SENDQ = 524_288
MESSAGES = 1_000
CAPS = "server-time message-tags batch draft/chathistory standard-replies labeled-response znc.in/playback"


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, limits=replace(config.limits, client_sendq_bytes=SENDQ))


@pytest.mark.parametrize(
    ("line", "batches"),
    [
        ("@label=x CHATHISTORY LATEST #Room * 1000", 1),
        ("CHATHISTORY LATEST #Room * 1000", 1),
        ("@label=x PRIVMSG *playback :PLAY *", 3),
        ("PRIVMSG *playback :PLAY *", 2),
        ("@label=x SEARCH in=#Room;text=word;limit=1000", 1),
    ],
)
async def test_a_thousand_long_messages_arrive_at_a_client_with_a_short_queue(
    house: House, network: ScriptedNetwork, line: str, batches: int
) -> None:
    peer = await on_room(house, network, caps=UPSTREAM)
    tag, words = "+draft/persist=" + "t" * 4_500, "word " * 60
    for start in range(0, MESSAGES, 100):
        await peer.send(
            *(f"@{tag};msgid=id{n} :friend!f@h PRIVMSG #Room :{n:04} {words}" for n in range(start, start + 100))
        )
        await peer.barrier()
    await peer.send(":friend!f@h PRIVMSG alice :0000 a word aside")
    await peer.barrier()
    client = await reader(house, CAPS)
    lines = await ask(client, line)
    shown = [one.rpartition(" PRIVMSG #Room :")[2][:4] for one in lines if " PRIVMSG #Room :" in one]
    assert shown == [f"{n:04}" for n in range(MESSAGES)]
    assert sum(map(len, lines)) > 8 * SENDQ, "more than the system holds for a socket besides"
    opened = [one for one in lines if " BATCH +" in one]
    assert len(opened) == batches
    assert len([one for one in lines if " BATCH -" in one]) == batches
    assert [one for one in lines if "label=x" in one] == ([opened[0]] if "@label" in line else [])
    outer = opened[0].partition(" BATCH +")[2].partition(" ")[0]
    if batches == 3:
        assert all(f"batch={outer}" in one.partition(" ")[0] for one in opened[1:])
        assert lines[-1].endswith(f" BATCH -{outer}")
