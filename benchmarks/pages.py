"""Two hundred open pages of a real bouncer while people talk: memory they cost, and what IRC notices of them.

    python -m benchmarks.pages [PAGES] [SECONDS]

The pages are event streams of conversations, as browsers hold them, with what they load when they are opened; the
network and an IRC client that measures are in this process, the bouncer and the pages in processes of their own. The
client's PING is answered behind what was said before it, so it waits for the network, the file and the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import re
import statistics
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.house import PASSWORD, folder, furnish, opened
from benchmarks.process import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from multiprocessing.connection import Connection
    from pathlib import Path

PAGES_PER_USER = 16
TALK_S = 0.1
"""Every user's channel gets a line this often."""


class Talkers:
    """A network of everybody's: it lets in who comes, and says something to each from time to time."""

    def __init__(self, expected: int) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.said = 0
        self.all_here = asyncio.Event()
        self._expected = expected

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nick = "x"
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while line := (await reader.readline()).decode().strip():
                command, _, rest = line.partition(" ")
                if command == "NICK":
                    nick = rest.lstrip(":")
                elif command == "USER":
                    writer.write(f":s 001 {nick} :hi\r\n:s 376 {nick} :end\r\n".encode())
                elif command == "JOIN":
                    writer.write(f":{nick}!u@h JOIN #a\r\n:s 366 {nick} #a :end\r\n".encode())
                    self.writers.append(writer)
                    if len(self.writers) == self._expected:
                        self.all_here.set()
                elif command == "PING":
                    writer.write(f":s PONG s {rest}\r\n".encode())

    async def talk(self, until: float) -> None:
        while time.monotonic() < until:
            for writer in self.writers:
                self.said += 1
                writer.write(f":grace!g@h PRIVMSG #a :line {self.said} of what is said here\r\n".encode())
            await asyncio.sleep(TALK_S)


async def page(http: aiohttp.ClientSession, url: str, heard: list[int], opened: list[float]) -> None:
    """Open a conversation and follow it; `opened` gets how long the first took, in s."""
    began = time.perf_counter()
    async with http.get(f"{url}/channels/1/messages") as answer:
        upto = re.search(r'data-upto="(\d+)"', await answer.text())
    opened.append(time.perf_counter() - began)
    after = f"&after={upto[1]}" if upto else ""
    async with http.get(f"{url}/events?unread=0&buffer=c1{after}", timeout=aiohttp.ClientTimeout(total=None)) as stream:
        assert stream.status == 200, stream.status
        async for line in stream.content:
            heard[0] += line.startswith(b"event: lines")


async def open_pages(url: str, users: list[str], count: int, pipe: Connection) -> None:
    """Sign in and say so; open the pages when told to; say what they were told, and how fast they came, when asked."""
    async with signed_in(url, users) as people:
        for http in people:  # what the first page of each costs once is no page's
            async with http.get(f"{url}/channels/1/messages"):
                pass
        pipe.send(0)
        await asyncio.to_thread(pipe.recv)
        heard, took = [0], list[float]()
        tasks = [asyncio.create_task(page(people[n % len(people)], url, heard, took)) for n in range(count)]  # noqa: TID251
        await asyncio.to_thread(pipe.recv)
        failed = [task for task in tasks if task.done()]
        assert not failed, failed[0].exception()
        pipe.send((heard[0], took))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def browsers(url: str, users: list[str], count: int, pipe: Connection) -> None:
    """A process of pages."""
    warnings.filterwarnings("ignore", category=UserWarning)
    asyncio.run(open_pages(url, users, count, pipe))


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def attached(port: int, user: str) -> Client:
    """A client that has been let in and has what it missed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(f"PASS {user}/net@bench:{PASSWORD}\r\nNICK {user}\r\nUSER {user} 0 * :x\r\n".encode())
    await pings((reader, writer), 0.0)
    return reader, writer


async def pings(client: Client, until: float) -> list[float]:
    """How long a client of the bouncer waits for the answer of its own PING, in ms; at least one."""
    reader, writer = client
    took: list[float] = []
    number = 0
    while not took or time.monotonic() < until:
        number += 1
        began = time.perf_counter()
        writer.write(f"PING mark{number}\r\n".encode())
        while f"mark{number}" not in (await reader.readline()).decode():
            pass
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.05)
    return took


@contextlib.asynccontextmanager
async def signed_in(url: str, users: list[str]) -> AsyncIterator[list[aiohttp.ClientSession]]:
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for number, user in enumerate(users):  # each from an address of their own: one has only so many connections
            connector = aiohttp.TCPConnector(limit=0, local_addr=(f"127.0.1.{1 + number % 250}", 0))
            http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=connector)
            await stack.enter_async_context(http)
            async with http.post(f"{url}/session", data={"name": user, "password": PASSWORD}) as answer:
                assert answer.url.path == "/servers", answer.url
            found.append(http)
        yield found


def lag_ms(place: Path) -> int:
    """The longest delay of the bouncer's loop in the last minute, as it says itself."""
    words = [sys.executable, "-m", "bouncer", "--config", str(place / "bouncer.toml"), "bouncer", "status", "--json"]
    return int(json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["lag_ms"])


async def measure(place: Path, count: int, seconds: float) -> None:
    users = [f"u{number}" for number in range((count + PAGES_PER_USER - 1) // PAGES_PER_USER)]
    network = Talkers(len(users))
    came: list[float] = []
    async with await asyncio.start_server(network.serve, "127.0.0.1", 0) as server:
        await asyncio.to_thread(furnish, place, users, server.sockets[0].getsockname()[1], ["#a"])
        web = free_port()
        settings = (place / "bouncer.toml").read_text(encoding="utf-8")
        settings = settings.replace('listen = ""', f'listen = "http://127.0.0.1:{web}"')
        (place / "bouncer.toml").write_text(settings, encoding="utf-8")
        with opened(place) as bouncer:
            async with asyncio.timeout(30):
                await network.all_here.wait()
            url = f"http://127.0.0.1:{web}"
            context = multiprocessing.get_context("spawn")
            pipe, theirs = context.Pipe()
            process = context.Process(target=browsers, args=(url, users, count, theirs), daemon=True)
            process.start()
            theirs.close()  # so that its end is heard of
            await asyncio.to_thread(pipe.recv)
            talking = asyncio.create_task(network.talk(time.monotonic() + seconds * 2 + 4))  # noqa: TID251
            client = await attached(bouncer.port, users[0])
            alone = await pings(client, time.monotonic() + seconds)
            before, cpu = bouncer.resident_mib(), bouncer.cpu_s()
            pipe.send(0)
            began = time.perf_counter()
            newcomer = asyncio.create_task(attached(bouncer.port, users[1]))  # noqa: TID251 - beside the pages
            newcomer.add_done_callback(lambda _: came.append(time.perf_counter() - began))
            beside = await pings(client, time.monotonic() + seconds)
            pipe.send(0)
            heard, opening = await asyncio.to_thread(pipe.recv)
            async with asyncio.timeout(30):
                other = await newcomer
            print(f"{count} pages of {len(users)} users, a line every {TALK_S * 1000:.0f} ms to each user's channel")
            print(f"memory for all pages: {bouncer.resident_mib() - before:.1f} MiB (target < 100 MB)")
            print(f"lines told to pages: {heard}; CPU of the bouncer: {(bouncer.cpu_s() - cpu) / seconds:.0%}")
            half, last = statistics.median(opening), max(opening)
            print(f"pages came after {half:.1f} s in the median, the last after {last:.1f} s")
            print(f"a client that came while they were opened was let in after {came[0]:.2f} s")
            for what, took in (("no page open", alone), ("opening all, then open", beside)):
                took.sort()
                last = took[int(len(took) * 0.99)]
                print(
                    f"PING of a client, {what}: {statistics.median(took):.1f} ms, 99th {last:.0f}, worst {took[-1]:.0f}"
                )
            print(f"loop lag, worst of the last minute: {await asyncio.to_thread(lag_ms, place)} ms (target < 50)")
            talking.cancel()
            for _, writer in (client, other):
                writer.close()
            process.join(10)


def main() -> None:
    """Print the figures."""
    warnings.filterwarnings("ignore", category=UserWarning)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    with folder() as place:
        asyncio.run(measure(place, count, seconds))


if __name__ == "__main__":
    main()
