"""A channel of a scripted network with things said in it at known times, and clients that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.house import Attached, House
    from tests.support.network import Peer, ScriptedNetwork

UPSTREAM = ("message-tags", "server-time")
CAPS = "server-time message-tags batch draft/chathistory standard-replies"


def stamp(ms: int) -> str:
    return f"2026-01-02T03:04:{5 + ms // 1000:02}.{ms % 1000:03}Z"


async def on_room(house: House, network: ScriptedNetwork, *, caps: tuple[str, ...] = UPSTREAM) -> Peer:
    """alice is on the network and in #Room."""
    await house.user("alice")
    await house.server("alice", network, channels="#Room")
    peer = await network.accept()
    await peer.welcome(caps=caps)
    await peer.expect("JOIN", "#Room")
    await peer.let_in("#Room", "@friend")
    await peer.barrier()
    return peer


async def said(peer: Peer, count: int, *, apart: int = 2, to: str = "#Room") -> None:
    """`count` messages m0, m1 … with msgids id0, id1 …, `apart` ms between them."""
    await peer.send(
        *(f"@time={stamp(n * apart)};msgid=id{n} :friend!f@example PRIVMSG {to} :m{n}" for n in range(count))
    )
    await peer.barrier()


async def reader(house: House, caps: str = CAPS) -> Attached:
    client = await house.client("alice/net@reader", caps=caps)
    await client.until(" 366 ")
    await client.barrier()
    return client


async def ask(client: Attached, line: str) -> list[str]:
    client.send(line)
    return (await client.barrier())[:-1]


def named(*numbers: int) -> list[str]:
    return [f"m{number}" for number in numbers]
