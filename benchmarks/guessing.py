"""What guessing passwords tells, and what it costs those who are in: times for known and unknown names, and a flood.

    python -m benchmarks.guessing

In one process, with real sockets and files: the loop that serves the clients is the one that the guesses come to.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.errors import RefusedError
from bouncer.throttle import Throttle
from tests.support.house import opened
from tests.support.network import ScriptedNetwork
from tests.support.room import on_room

if TYPE_CHECKING:
    from bouncer.service import Service
    from tests.support.house import Attached
    from tests.support.network import Peer

ATTEMPTS = 60
FLOOD = 500
ROUNDS = 50


def shown(what: str, seconds: list[float]) -> None:
    """One line: the median, and what nine of ten lie between."""
    tenths = quantiles(seconds, n=20)
    print(f"{what:<48} median {tenths[9] * 1000:7.1f} ms   5-95 % {tenths[0] * 1000:.1f} - {tenths[-1] * 1000:.1f} ms")


async def attempts(service: Service) -> None:
    """Wrong passwords for a name that there is, and for one that there is not, in turn."""
    took: dict[str, list[float]] = {"alice": [], "nobody": []}
    for _ in range(ATTEMPTS):
        for name, times in took.items():
            service.users.throttle = Throttle()
            began = time.perf_counter()
            assert await service.users.authenticate(name, "wrong", address="") is None
            times.append(time.perf_counter() - began)
    shown("wrong password, a name that there is", took["alice"])
    shown("wrong password, a name that nobody has", took["nobody"])


async def talk(peer: Peer, client: Attached, most: int) -> list[float]:
    """How long words take from the network to an attached client, one after the other."""
    took = []
    for number in range(most):
        began = time.perf_counter()
        await peer.send(f":friend!f@h PRIVMSG #Room :m{number}")
        await client.until(f"#Room :m{number}")
        took.append(time.perf_counter() - began)
    return took


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with ScriptedNetwork() as network, opened(Path(folder)) as house:
            peer = await on_room(house, network)
            client = await house.client("alice/net@one")
            await client.until(" 366 ")
            await client.barrier()
            service = house.supervisor.service
            await attempts(service)
            shown("network to client, quiet", await talk(peer, client, ROUNDS))
            refused = 0

            async def guess(number: int) -> None:
                nonlocal refused
                try:
                    await service.users.authenticate(f"u{number}", "guess", address=f"{number % 200 + 1}.{number}.0.1")
                except RefusedError:
                    refused += 1

            flood = tasks.Group()
            guesses = [flood.spawn(guess(number), name="guess") for number in range(FLOOD)]
            shown(f"network to client, {FLOOD} guesses at once", await talk(peer, client, ROUNDS))
            going_on = sum(not one.done() for one in guesses)
            await asyncio.wait(guesses)
            print(f"{refused} of {FLOOD} guesses turned away at once, {going_on} still under way after the last word")


if __name__ == "__main__":
    asyncio.run(main())
