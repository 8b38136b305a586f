"""Very many users, each with a connection and five channels of fifty people: memory, and how long a start takes."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING

from benchmarks import rivals
from benchmarks.crowd_network import CrowdNetwork, make_certificate
from benchmarks.house import PASSWORD, Figure, House, folder, furnish, opened
from benchmarks.peers import Watch
from benchmarks.process import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHANNELS = [f"#c{number}" for number in range(5)]
PEOPLE = 50
USERS, STARTED, ZNC_USERS = 1_000, 500, 100
REST_S, QUIET_S, FEW = 180.0, 5.0, 120
"""A file that nobody uses is closed within a minute or two, and its memory given back some seconds later; besides the
networks' connections so many descriptors are left: readers, listeners, the main database."""


@contextlib.contextmanager
def full_house(place: Path, count: int, *, tls: bool = False) -> Iterator[tuple[CrowdNetwork, list[str]]]:
    """A folder with so many users, who are on a network that is there; the bouncer is not running yet."""
    network = CrowdNetwork(PEOPLE, make_certificate(place) if tls else None)
    users = [f"u{number}" for number in range(count)]
    with contextlib.closing(network):
        furnish(place, users, network.port, CHANNELS, tls=tls)
        yield network, users


def check_apart(house: House, users: list[str], texts: list[str], first: int = 0) -> None:
    """Every user's file has what was said to that user and nothing else, in order, and the index finds all of it."""
    until = time.monotonic() + DEADLINE_S
    for number, user in enumerate(users, first):
        wanted = [text.replace("{nick}", user) for text in texts]
        with contextlib.closing(sqlite3.connect(f"file:{house.file_of(number)}?mode=ro", uri=True)) as database:
            sql = "SELECT content FROM messages WHERE message_type = 'privmsg' ORDER BY id"
            while (stored := [row[0] for row in database.execute(sql)]) != wanted and len(stored) < len(wanted):
                assert time.monotonic() < until, f"{user} has {len(stored)} of {len(wanted)} messages"
                time.sleep(0.05)
            assert stored == wanted, f"{user} has something else"
            sql = "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH ?"
            assert database.execute(sql, (user,)).fetchone() == (len(wanted),), f"{user} does not find everything"


def memory(runs: int) -> list[Figure]:
    """MiB and threads of the bouncer with 1,000 users, and kB for each one from the 501st on; runs are starts."""
    figures = []
    for tls in (False, True):
        busy, whole, threads, each = [], [], [], []
        for _ in range(max(1, runs // 2)):
            at_once, mib, count = _resident(USERS, tls=tls)
            _, half, _ = _resident(USERS // 2, tls=tls)
            busy.append(at_once)
            whole.append(mib)
            threads.append(float(count))
            each.append((mib - half) * 1024 * 1.024 / (USERS // 2))
        how = "TLS" if tls else "plain"
        what = f"{USERS:,} users, {len(CHANNELS)} channels of {PEOPLE}, {how}"
        figures.append(Figure(f"{what}, at rest: MiB", "" if tls else "<= 200", whole))
        figures.append(Figure("  right after each of them was told something: MiB", "", busy))
        figures.append(Figure(f"{what}: threads", "<= 16", threads, ",.0f"))
        figures.append(Figure(f"  each further user, {how}: kB", "<= 200" if tls else "<= 130", each))
    return figures


def _resident(count: int, *, tls: bool) -> tuple[float, float, int]:
    """With so many users on all their channels: MiB as each has been told something, MiB and threads at rest."""
    with folder() as place, full_house(place, count, tls=tls) as (network, users), opened(place) as house:
        network.joined(count, len(CHANNELS))
        house.quiet_cpu_s()
        said = [f"run0 n{number} for {{nick}}" for number in range(3)]
        for text in said:
            network.say(text)
        check_apart(house, users, said)
        house.quiet_cpu_s()
        at_once, until = house.resident_mib(), time.monotonic() + REST_S
        while house.descriptors() > count + FEW and time.monotonic() < until:
            time.sleep(1)
        time.sleep(QUIET_S)
        return at_once, house.resident_mib(), house.threads()


def start(runs: int) -> list[Figure]:
    """500 upstreams, from the start of the process to the last one's being on its channels."""
    times, used, lags = [], [], []
    with folder() as place, full_house(place, STARTED + 1) as (network, users):
        watcher = users.pop(0)
        with contextlib.closing(sqlite3.connect(House(place, 0, 0).file_of(0))) as database, database:
            database.execute("DELETE FROM servers")
        for run in range(runs + 1):
            began = time.perf_counter()
            with opened(place) as house:
                watch = Watch(house.port, watcher, PASSWORD)
                ended = network.joined(STARTED, len(CHANNELS))
                lag_ms = watch.worst_ms()
                watch.close()
                cpu_s = house.quiet_cpu_s()
                text = f"run{run} for {{nick}}"
                network.say(text)
                check_apart(house, users, [f"run{number} for {{nick}}" for number in range(run + 1)], 1)
            if run:
                times.append(ended - began)
                used.append(cpu_s)
                lags.append(lag_ms)
    what = f"{STARTED} upstreams registered and joined after a start"
    return [
        Figure(f"{what}: s", "<= 2.5", times, ",.2f"),
        Figure(f"{what}: CPU s", "", used, ",.2f"),
        Figure("  longest wait of anybody else meanwhile (loop lag): ms", "< 50", lags),
    ]


def znc_memory(_: int) -> list[Figure]:
    """ZNC with 100 users of that kind: it connects one a second, so that 1,000 would take a quarter of an hour."""
    network = CrowdNetwork(PEOPLE)
    with contextlib.closing(network), folder() as place:
        users = [f"u{number}" for number in range(ZNC_USERS)]
        began = time.perf_counter()
        with rivals.znc(place / "znc", users, PASSWORD, network.port, CHANNELS, log=True) as znc:
            ended = network.joined(ZNC_USERS, len(CHANNELS), ZNC_USERS * 3)
            znc.quiet_cpu_s()
            what = f"ZNC, log: {ZNC_USERS} users, {len(CHANNELS)} channels of {PEOPLE}, plain"
            return [
                Figure(f"{what}: MiB", "", [znc.resident_mib()]),
                Figure(f"{what}: s to connect and join", "", [ended - began]),
                Figure(f"{what}: CPU s", "", [znc.cpu_s()], ",.2f"),
            ]
