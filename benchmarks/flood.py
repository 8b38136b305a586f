"""20,000 lines at once from one network: stored, indexed and delivered in order, or passed on without being stored."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING

from benchmarks.house import Figure, house
from benchmarks.peers import read_all, spoken, tagged, texts, typing, who_replies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.house import Home
    from benchmarks.peers import Client

LINES = 20_000
MORE_CLIENTS = 10
TARGETS = {1: ("25,000", "45"), 5: ("130,000", ""), 20: ("350,000", "2")}


def talk(count: int, runs: int, *, tags: bool = False) -> list[Figure]:
    """A flood of words to `count` clients; CPU is the bouncer's alone, to the moment it has nothing left to do.

    Ends with an AssertionError when a message was not on disk as the last one was shown, or is lost, doubled,
    reordered, under another msgid, or not in the index.
    """
    rates, used, written = [], [], []
    with house() as home:
        clients = [home.client(f"bench{number}") for number in range(count)]
        for run in range(runs + 1):
            wall_s, cpu_s, disk = once(home, clients, run, tags=tags)
            if run:  # the first one warms up
                rates.append(LINES * count / wall_s)
                used.append(cpu_s / LINES / (count if count > 5 else 1) * 1e6)
                written.append(disk / 1e6)
        file = home.file
        check_file(file, LINES * (runs + 1))
    what = f"{'tagged ' if tags else ''}flood of {LINES:,}, {count} client{'s' if count > 1 else ''}"
    rate, cpu = TARGETS[count]
    each = "delivery" if count > 5 else "message"
    figures = [Figure(f"{what}: deliveries/s", f">= {rate}", rates, ",.0f")]
    figures.append(Figure(f"{what}: CPU us/{each}", f"<= {cpu}" if cpu else "", used))
    if count == 1:
        figures.append(Figure(f"{what}: MB written", "<= 40", written))
    return figures


def once(home: Home, clients: list[Client], run: int, *, tags: bool = False) -> tuple[float, float, int]:
    """One flood, looked at: seconds to the last client, seconds of CPU, bytes written."""
    said = texts(LINES, run)
    home.network.load(tagged(said, run) if tags else spoken(said))
    for client in clients:
        client.reset()
    cpu, disk, began = home.quiet_cpu_s(), home.written(), time.perf_counter()
    home.network.flood()
    ended = read_all(clients, LINES)
    with contextlib.closing(sqlite3.connect(f"file:{home.file}?mode=ro", uri=True)) as database:
        newest = database.execute("SELECT content FROM messages ORDER BY id DESC LIMIT 1").fetchone()[0]
        assert newest == said[-1], "shown, but not stored"
        used = ended - began, home.quiet_cpu_s() - cpu, home.written() - disk
        stored = database.execute("SELECT id, msgid, content FROM messages ORDER BY id DESC LIMIT ?", (LINES,))
        ids, *rest = zip(*reversed(stored.fetchall()), strict=True)
        assert rest[1] == tuple(said), "the file has lost, doubled or reordered messages"
        assert len(set(rest[0])) == LINES, "a msgid is there twice"
        for client in clients:
            assert tags or client.shown() == list(zip(*rest, strict=True)), "somebody was shown something else"
        sql = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ? ORDER BY rowid"
        assert [row[0] for row in database.execute(sql, (f"run{run}",))] == list(ids), "not all are in the index"
    return used


def check_file(file: Path, messages: int) -> None:
    """Nothing is there twice, over all runs, and every word of every message is in the index."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        sql = "SELECT count(*), count(DISTINCT msgid) FROM messages WHERE message_type = 'privmsg'"
        assert database.execute(sql).fetchone() == (messages, messages)
        database.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")


def passing(what: str, lines: Callable[[int], list[str]], runs: int) -> list[Figure]:
    """Lines that need no storing: what one costs to one client, and to each further one with the same capabilities."""
    one, more = [], []
    with house() as home:
        home.network.load(lines(LINES))
        clients = [home.client("bench0")]
        _pass_once(home, clients)
        one += [_pass_once(home, clients) for _ in range(runs)]
        clients += [home.client(f"bench{number + 1}") for number in range(MORE_CLIENTS)]
        more += [(_pass_once(home, clients) - first) / MORE_CLIENTS for first in one]
    return [
        Figure(f"{what}, network to one client: CPU us/line", "<= 40", one),
        Figure(f"{what}, each further client: CPU us/line", "<= 5", more, ",.2f"),
    ]


def _pass_once(home: Home, clients: list[Client]) -> float:
    for client in clients:
        client.reset()
    cpu = home.quiet_cpu_s()
    home.network.flood()
    read_all(clients, LINES)
    return (home.quiet_cpu_s() - cpu) / LINES * 1e6


def no_store(runs: int) -> list[Figure]:
    """TAGMSG of somebody who is typing, and answers to WHO."""
    return [*passing("TAGMSG (typing)", typing, runs), *passing("WHO reply", who_replies, runs)]
