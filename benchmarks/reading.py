"""What a client waits for: its playback, a page of history, the channels it is shown; and whether others wait too."""

from __future__ import annotations

import contextlib
import select
import sqlite3
import time
from typing import TYPE_CHECKING

from benchmarks.house import PASSWORD, Figure, house
from benchmarks.peers import Watch, spoken, texts
from benchmarks.process import DEADLINE_S
from bouncer.irc.message import Message
from bouncer.irc.state import NetworkState
from bouncer.irc.welcome import names_lines, topic_lines

if TYPE_CHECKING:
    from benchmarks.house import Home
    from benchmarks.peers import Client

MISSED, ASKED = 10_000, 1_000
QUIET_S = 1.2
"""A receipt follows within a second of the last line."""
CHANNELS, PEOPLE = 100, 300
MANY_CHANNELS, MANY_PEOPLE = 200, 500


def playback(runs: int) -> list[Figure]:
    """10,000 missed messages to a client that attaches, and how long nobody else was answered meanwhile."""
    times, worst, idle = [], [], []
    with house() as home:
        first = home.client("phone")
        acknowledge(first)
        first.socket.close()
        for run in range(runs + 1):
            said = _miss(home, run)
            with contextlib.closing(Watch(home.port, "alice", PASSWORD)) as watch:
                time.sleep(0.3)
                idle_ms = watch.worst_ms()
                client = home.client("phone")
                client.read_until(said[-1].encode() + b"\r\n")
                took_ms = (time.perf_counter() - client.let_in_at) * 1000
                worst_ms = watch.worst_ms()
            if run:  # the first one warms up
                times.append(took_ms)
                worst.append(worst_ms)
                idle.append(idle_ms)
            acknowledge(client)
            assert [text for _, text in client.shown()] == said, "not what was missed"
            client.socket.close()
    return [
        Figure(f"playback of {MISSED:,} missed messages, from 001 to the last: ms", "<= 200", times),
        Figure("  longest wait of anybody else meanwhile (loop lag): ms", "< 50", worst),
        Figure("  the same while nothing happens (what the machine adds): ms", "", idle),
    ]


def _miss(home: Home, run: int) -> list[str]:
    """Messages that come while nobody is attached; all of them on disk."""
    said = texts(MISSED, run)
    home.network.load(spoken(said))
    home.network.flood()
    until = time.monotonic() + DEADLINE_S
    with contextlib.closing(sqlite3.connect(f"file:{home.file}?mode=ro", uri=True)) as database:
        sql = "SELECT content FROM messages ORDER BY id DESC LIMIT 1"
        while (found := database.execute(sql).fetchone()) is None or found[0] != said[-1]:
            assert time.monotonic() < until, "not all was stored"
            time.sleep(0.05)
    home.quiet_cpu_s()
    return said


def acknowledge(client: Client) -> None:
    """Answer what the bouncer asks, until it asks no more."""
    while select.select([client.socket], [], [], QUIET_S)[0]:
        client.read()


def chathistory(runs: int) -> list[Figure]:
    """CHATHISTORY LATEST of 1,000 messages out of 10,000: from the command to the end of the batch."""
    times = []
    with house() as home:
        _miss(home, 1)
        client = home.client("reader", "draft/chathistory")
        acknowledge(client)
        for run in range(4 * runs + 1):
            client.reset()
            began = time.perf_counter()
            client.socket.sendall(f"CHATHISTORY LATEST #bench0 * {ASKED}\r\n".encode())
            client.read_until(b" BATCH -")
            if run:
                times.append((time.perf_counter() - began) * 1000)
            assert len(client.shown()) == ASKED, "not the page that was asked for"
    return [Figure(f"CHATHISTORY LATEST {ASKED:,} of {MISSED:,}: ms", "<= 16", times)]


def attach(runs: int) -> list[Figure]:
    """A client that attaches to 100 channels of 300 people, from its first packet to the last NAMES."""
    times = []
    with house(CHANNELS, PEOPLE) as home:
        for run in range(runs + 1):
            began = time.perf_counter()
            client = home.client(f"bench{run}")
            if run:
                times.append((client.attached_at - began) * 1000)
            client.socket.close()
    return [Figure(f"attach, {CHANNELS} channels of {PEOPLE} people, to the last NAMES: ms", "<= 150", times)]


def state(runs: int) -> list[Figure]:
    """Answers that are put together from state, on 200 channels of 500 people each; in this process."""
    known, channel = _crowd(), f"#c{MANY_CHANNELS // 2}"
    every = frozenset({"multi-prefix", "userhost-in-names"})
    names, short = [], []
    for _ in range(10 * runs):
        found = known.channels[channel]
        began = time.perf_counter()
        lines = names_lines(known, found, "server", every)
        names.append((time.perf_counter() - began) * 1000)
        assert sum(line.count(b"!") for line in lines) > MANY_PEOPLE
        began = time.perf_counter()
        assert topic_lines(known, found, "server")
        assert found.mode_params()
        short.append((time.perf_counter() - began) * 1000)
    what = f"from state, {MANY_CHANNELS} channels of {MANY_PEOPLE} people"
    return [
        Figure(f"NAMES {what}: ms", "< 50", names, ",.2f"),
        Figure(f"TOPIC and MODE {what}: ms", "< 50", short, ",.3f"),
    ]


def _crowd() -> NetworkState:
    known = NetworkState("me")
    people = [f"person{number}" for number in range(MANY_PEOPLE)]
    for number in range(MANY_CHANNELS):
        channel = f"#c{number}"
        lines = [f":me!u@h JOIN {channel}", f":s 332 me {channel} :a topic", f":s 324 me {channel} +nt"]
        lines += [f":{nick}!user@{nick}.example.org JOIN {channel}" for nick in people]
        lines.append(f":s 366 me {channel} :end")
        for line in lines:
            known.apply(Message.parse(line.encode()), 0)
    return known
