"""A file with a million messages in it: a page of history at any depth, a search, and whether others wait meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING

from benchmarks.house import PASSWORD, Figure, Home, folder, furnish, opened
from benchmarks.peers import NICKS, SPEAKERS, Network, Watch, words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers import Client

STORED, PAGE, FOUND = 1_000_000, 1_000, 50
START_MS = 1_735_689_600_000
INSERT = (
    "INSERT INTO messages (server_id, channel_id, target, sender, message_type, content, msgid, time, own) "
    "VALUES (1, 1, '#bench0', ?, 'privmsg', ?, ?, ?, 0)"
)


@contextlib.contextmanager
def long_house(messages: int) -> Iterator[Home]:
    """A bouncer whose user has so many messages of a channel, a second apart: `n17` and some words each."""
    network = Network()
    with contextlib.closing(network), folder() as place:
        furnish(place, ["alice"], network.port, ["#bench0"])
        fill(place / "storage" / "tenants" / "1.sqlite3", messages)
        with opened(place) as bouncer:
            network.wait_joined()
            yield Home(place, network, bouncer.port, bouncer.pid)


def fill(path: Path, messages: int) -> None:
    """Put them in as the bouncer does, with the index."""
    vocabulary = words()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-100000")
        database.executemany(INSERT, (_row(number, vocabulary) for number in range(messages)))


def _row(number: int, vocabulary: list[str]) -> tuple[str, str, str, int]:
    # Multiples of large primes: which words stand together looks like chance and is the same in each run.
    some = [vocabulary[number * prime % 4_999 % (4_999 // place + 1)] for place, prime in enumerate((7919, 104729), 1)]
    text = f"n{number} {' '.join(some)} and so on, about as long as what people write"
    return f"{NICKS[number % SPEAKERS]}!user@host.example", text, f"{number:033x}", START_MS + number * 1000


def deep(runs: int) -> list[Figure]:
    """CHATHISTORY and SEARCH in a million messages; each answer is looked at."""
    newest, middle, oldest, found, worst, idle = [], [], [], [], [], []
    with long_house(STORED) as home, contextlib.closing(Watch(home.port, "alice", PASSWORD)) as watch:
        client = home.client("reader", "draft/chathistory", "soju.im/search")
        for run in range(4 * runs + 1):
            pages = [_page(client, depth) for depth in (STORED, STORED // 2 + run, PAGE + run)]
            time.sleep(0.2)
            watch.worst_ms()
            time.sleep(0.2)
            idle_ms = watch.worst_ms()
            search_ms = _search(client, "about", STORED)
            rare_ms = _search(client, f"n{STORED - 1 - run}", STORED - run)
            if run:
                newest.append(pages[0])
                middle.append(pages[1])
                oldest.append(pages[2])
                found.append(max(search_ms, rare_ms))
                worst.append(watch.worst_ms())
                idle.append(idle_ms)
    what = f"CHATHISTORY 1,000 of {STORED:,}"
    return [
        Figure(f"{what}, the newest: ms", "<= 16", newest),
        Figure(f"{what}, from the middle: ms", "<= 16", middle),
        Figure(f"{what}, the oldest: ms", "<= 16", oldest),
        Figure(f"full-text search over {STORED:,}, newest {FOUND}: ms", "<= 50", found),
        Figure("  longest wait of anybody else meanwhile (loop lag): ms", "< 50", worst),
        Figure("  the same while nothing happens (what the machine adds): ms", "", idle),
    ]


def _page(client: Client, before: int) -> float:
    """Ms for the thousand messages before that one."""
    stamp = _stamp(before)
    ask = f"CHATHISTORY BEFORE #bench0 timestamp={stamp} {PAGE}\r\n"
    return _asked(client, ask, [f"n{number}" for number in range(before - PAGE, before)])


def _search(client: Client, word: str, before: int) -> float:
    """Ms for the newest fifty with that word, up to that one."""
    wanted = [before - 1] if word.startswith("n") else range(before - FOUND, before)
    return _asked(client, f"SEARCH text={word};limit={FOUND}\r\n", [f"n{number}" for number in wanted])


def _asked(client: Client, line: str, wanted: list[str]) -> float:
    client.reset()
    began = time.perf_counter()
    client.socket.sendall(line.encode())
    client.read_until(b" BATCH -")
    took_ms = (time.perf_counter() - began) * 1000
    assert [text.split()[0] for _, text in client.shown()] == wanted, "not what was asked for"
    return took_ms


def _stamp(number: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(START_MS // 1000 + number))
