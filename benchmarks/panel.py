"""The panel's pages with a million messages in the user's file: milliseconds of the server, and the first load's size.

    python -m benchmarks.panel [MESSAGES] [RUNS]

The panel runs in this process, with no bouncer behind it; a page is asked for over HTTP on loopback, one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import re
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from bouncer import tenant, vault
from bouncer.cli.daemon import GC_THRESHOLDS
from bouncer.clock import now_ms
from bouncer.config import Config, Storage, Web
from bouncer.counts import count_more
from bouncer.database import MainDatabase
from bouncer.endpoints import parse_http
from bouncer.service import Service
from bouncer.service.live import Offline
from web.app import start_panel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PASSWORD = "correct horse battery"
ROOMS, TALKS = 40, 20
WORDS = (Path(__file__).read_text("utf-8").lower() + " alpha beta gamma delta epsilon zeta eta theta").split()
RARE = "xylophone"
APART_MS = 20_000


def rows(count: int) -> Iterator[tuple[object, ...]]:
    """A year of talk: one room has half of it, one nick says little, one word is said seven times."""
    rng = random.Random(5)  # noqa: S311 - the same talk each time
    start = now_ms() - count * APART_MS
    nicks = [f"nick{number}" for number in range(300)]
    for number in range(count):
        room = 1 if rng.random() < 0.5 else rng.randrange(2, ROOMS + TALKS + 1)
        channel, talk = (room, None) if room <= ROOMS else (None, room - ROOMS)
        nick = "seldom" if number % 100_003 == 7 else rng.choice(nicks)
        kind = "privmsg" if rng.random() < 0.9 else rng.choice(("join", "part", "quit"))
        text = " ".join(rng.choices(WORDS, k=9)) + (f" {RARE}" if number % 150_000 == 11 else "") + " common"
        target = f"#room{channel}" if channel else f"friend{talk}"
        moment = start + number * APART_MS
        yield 1, channel, talk, target, f"{nick}!u@host.example", kind, text, f"{number:020x}", moment


def fill(file: Path, count: int) -> None:
    """Straight into the file; the search index follows by its triggers."""
    into = (
        "INSERT INTO messages (server_id, channel_id, conversation_id, target, sender, message_type, content, msgid, "
        "time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    with contextlib.closing(sqlite3.connect(file)) as db:
        server = (
            "INSERT INTO servers (name, address, port, nickname, created_at, updated_at) VALUES (?, '', 1, '', 0, 0)"
        )
        db.execute(server, ("net",))
        for number in range(1, ROOMS + 1):
            name = f"#room{number}"
            db.execute("INSERT INTO channels (server_id, name, folded, joined) VALUES (1, ?, ?, 1)", (name, name))
            marker = "INSERT INTO read_markers (server_id, folded, name, time, updated_at) VALUES (1, ?, ?, ?, 0)"
            if number % 2:
                db.execute(marker, (name, name, now_ms() - number * 3_600_000))
        for number in range(1, TALKS + 1):
            name = f"friend{number}"
            db.execute("INSERT INTO conversations (server_id, nick, folded) VALUES (1, ?, ?)", (name, name))
        people = [(1, f"p{number}", f"p{number}") for number in range(500)]
        db.executemany("INSERT INTO channel_users (channel_id, folded, nickname) VALUES (?, ?, ?)", people)
        db.executemany(into, rows(count))
        notices = (
            "INSERT INTO notifications (message_id, reason, created_at) SELECT id, 'highlight', time FROM messages "
        )
        db.execute(f"{notices} WHERE id % 5003 = 0")
        kinds = ("connected", "registered", "joined", "disconnected")
        log = [(1, kinds[number % 4], "words", now_ms() - (1000 - number) * 600_000) for number in range(1000)]
        db.executemany("INSERT INTO server_events (server_id, kind, detail, time) VALUES (?, ?, ?, ?)", log)
        db.commit()
        while count_more(db):  # as the journal does behind what arrives
            pass


def pages(count: int) -> dict[str, str]:
    """What is measured, by name."""
    middle = now_ms() - count * APART_MS // 2
    day = time.strftime("%Y-%m-%d", time.gmtime(middle / 1000))
    return {
        "servers": "/servers",
        "server": "/servers/1",
        "server log": "/servers/1/log",
        "server form": "/servers/1/edit",
        "channels": "/servers/1/channels",
        "channel": "/channels/1",
        "all conversations": "/chat",
        "conversation, big": "/channels/1/messages",
        "conversation, small": "/conversations/3/messages",
        "older page": f"/channels/1/messages?before={middle}-{count // 2}",
        "lines around": f"/channels/1/messages?around={middle}-{count // 2}",
        "a day": f"/channels/1/messages?day={day}",
        "month of days": f"/channels/1/days?month={day[:7]}",
        "notifications": "/notifications",
        "notifications, all": "/notifications?all=1",
        "account": "/account",
        "own data": "/account/data",
        "users": "/admin/users",
        "house": "/admin/house",
        "audit trail": "/admin/audit",
        "clients": "/clients",
        "how much there is": "/history",
        "search form": "/search",
        "search: common word": "/search?q=common",
        "search: rare word": f"/search?q={RARE}",
        "search: two words": "/search?q=alpha+beta",
        "search: a phrase": '/search?q="alpha+beta"',
        "search: none": "/search?q=nothinglikeit",
        "search: beginnings": "/search?q=comm*",
        "search: nick": "/search?q=common&nick=seldom",
        "search: nick alone": "/search?nick=seldom",
        "search: small room": "/search?q=alpha&in=c7",
        "search: days": f"/search?q=common&from={day}&to={day}",
    }


@contextlib.asynccontextmanager
async def panel(folder: Path, count: int) -> AsyncIterator[str]:
    """A panel with the one user `ada`; its address."""
    vault.install(vault.Vault(folder / vault.KEY_NAME))
    config = Config(storage=Storage(folder), web=Web(listen=parse_http("http://127.0.0.1:0")))
    main, tenants = MainDatabase(config.main_url), tenant.Tenants(folder / "tenants")
    await main.migrate()
    await tenants.start()
    tenant.install(tenants)
    service = Service(config, main, tenants, Offline())
    user = await service.users.add("ada", password=PASSWORD, admin=True)
    await asyncio.to_thread(fill, tenant.path(user.id), count)
    running = await start_panel(config, service)
    try:
        yield running.address
    finally:
        await running.close()
        service.close()
        tenant.install(None)
        await tenants.close()
        await main.close()
        vault.install(None)


async def first_load(http: aiohttp.ClientSession, url: str, path: str) -> int:
    """Bytes of a page and of everything it asks for, as they are sent."""
    async with http.get(url + path) as answer:
        html = await answer.read()
        total = int(answer.headers["Content-Length"])
    for address in set(re.findall(r'"(/static/[^"]*)"', html.decode())):
        async with http.get(url + address) as answer:
            total += int(answer.headers["Content-Length"])
    return total


async def main(count: int, runs: int) -> None:
    """Print the median, the 99th of a hundred and the worst of each page."""
    warnings.filterwarnings("ignore", category=aiohttp.web.NotAppKeyWarning)
    with tempfile.TemporaryDirectory(prefix="bouncer-panel-") as name:
        async with (
            panel(Path(name), count) as url,
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
        ):
            async with http.post(f"{url}/session", data={"name": "ada", "password": PASSWORD}) as answer:
                assert answer.status == 200
            gc.collect()
            gc.freeze()  # as `bouncer run` does after its start
            gc.set_threshold(*GC_THRESHOLDS)
            print(f"{count} messages, {runs} runs; ms: median, 99th, worst")
            for what, path in pages(count).items():
                times = []
                for run in range(runs + 1):
                    began = time.perf_counter()
                    async with http.get(url + path) as answer:
                        await answer.read()
                        assert answer.status == 200, (path, answer.status)
                    if run:
                        times.append((time.perf_counter() - began) * 1000)
                high = statistics.quantiles(times, n=100, method="inclusive")[98]
                print(f"{what:22} {statistics.median(times):6.1f} {high:6.1f} {max(times):6.1f}")
            size = await first_load(http, url, pages(count)["conversation, big"])
            print(f"first load of a conversation, everything: {size / 1000:.0f} kB")


if __name__ == "__main__":
    asyncio.run(
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    )
