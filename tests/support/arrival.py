"""alice on a scripted network, in her channels, with fields of her server as the test wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.network import ISUPPORT, SERVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bouncer.network.network import Network
    from tests.support.house import Attached, House
    from tests.support.network import Peer, ScriptedNetwork

CAPS = "server-time message-tags batch echo-message"
LABELS = "labeled-response batch message-tags"


async def added(house: House, network: ScriptedNetwork, **fields: object) -> int:
    """alice with a server row `net` that leads to `network`; the row's id."""
    await house.user("alice")
    place = {"name": "net", "address": network.host, "port": str(network.port), "tls": False, "nickname": "alice"}
    row = await house.supervisor.service.servers.add(house.ids["alice"], {**place, **fields}, trusted=True)
    return row.id


async def let_in(peer: Peer, channels: str, names: str = "@friend") -> None:
    """Her JOINs, however packed, are all granted."""
    for _ in channels.split(",") if channels else ():
        line = await peer.expect("JOIN")
        for channel in line.params[0].split(","):
            await peer.let_in(channel, names)
        if line.params[0].count(",") == channels.count(","):
            break
    await peer.barrier()


async def arrived(
    house: House,
    network: ScriptedNetwork,
    *,
    caps: Iterable[str] = (),
    isupport: Sequence[str] = ISUPPORT,
    channels: str = "#room",
    taken: Iterable[str] = (),
    **fields: object,
) -> Peer:
    """She is let in and in her channels."""
    await added(house, network, channels=channels, **fields)
    return await again(network, caps=caps, isupport=isupport, channels=channels, taken=taken)


async def again(
    network: ScriptedNetwork,
    *,
    caps: Iterable[str] = (),
    isupport: Sequence[str] = ISUPPORT,
    channels: str = "#room",
    taken: Iterable[str] = (),
) -> Peer:
    """Her next connection gets as far as that."""
    peer = await network.accept()
    await peer.welcome(caps=caps, isupport=isupport, taken=taken)
    await let_in(peer, channels)
    return peer


async def client(house: House, name: str = "one", caps: str = "", *, until: str = " 366 ") -> Attached:
    """A client of hers that has been shown the channel (or what `until` names) and all that came with it."""
    attached = await house.client(f"alice/net@{name}", caps=caps)
    await attached.until(until)
    await attached.barrier()
    return attached


def net(house: House) -> Network:
    """The live half of her one server."""
    (found,) = house.supervisor.users[house.ids["alice"]].networks.values()
    return found


async def asked(attached: Attached, *lines: str) -> list[str]:
    """What a client is shown until its next PING is answered, without that answer."""
    attached.send(*lines)
    return (await attached.barrier())[:-1]


async def answered(peer: Peer, *lines: str) -> None:
    """What the network says to the lines before its next PING, then the PONG; with `answer_pings` off."""
    ping = await peer.expect("PING")
    await peer.send(*lines, f":{SERVER} PONG {SERVER} :{ping.params[-1]}")
