"""What doubling costs: users, channels, people and history; memory and the cost of a message, and a plot of both."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.deep import long_house
from benchmarks.flood import LINES, once
from benchmarks.house import Figure, folder, house, opened
from benchmarks.many import CHANNELS, check_apart, full_house
from benchmarks.plot import Series, plot
from benchmarks.reading import acknowledge

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from benchmarks.house import Home

USERS = (125, 250, 500, 1_000)
SAID = 20
"""Messages to each user."""
PLOT = Path("docs/performance-users.svg")


class Size(NamedTuple):
    """MiB and the bouncer's CPU us a message at one size, one value a run."""

    mib: list[float]
    cpu_us: list[float]


def growth(runs: int) -> list[Figure]:
    """Each size in turn; a line for each doubling says what it did to memory and to the cost of a message."""
    users = {count: _users(count, runs) for count in USERS}
    _draw(users)
    figures = []
    for what, sizes in (
        ("users", users),
        ("channels", {count: _flooded(house(count, 50), runs) for count in (10, 20, 40)}),
        ("people on 10 channels", {count: _flooded(house(10, count), runs) for count in (100, 200, 400)}),
        ("messages in the file", {count: _flooded(long_house(count), runs) for count in (125_000, 250_000, 500_000)}),
    ):
        for count, size in sizes.items():
            figures.append(Figure(f"{count:,} {what}: MiB", "", size.mib))
            figures.append(Figure(f"{count:,} {what}: CPU us/message", "", size.cpu_us))
        figures += _doublings(what, list(sizes.values()))
    return figures


def _doublings(what: str, sizes: list[Size]) -> list[Figure]:
    """The medians of each size by those of the size before it."""
    pairs = list(itertools.pairwise(sizes))
    memory = [statistics.median(more.mib) / statistics.median(less.mib) for less, more in pairs]
    cost = [statistics.median(more.cpu_us) / statistics.median(less.cpu_us) for less, more in pairs]
    return [
        Figure(f"  doubling {what}: memory, times", "<= 2", memory, ",.2f"),
        Figure(f"  doubling {what}: cost of a message, times", "<= 1.2", cost, ",.2f"),
    ]


def _users(count: int, runs: int) -> Size:
    """So many users, each told something on a channel of their own now and then."""
    mib, cpu_us = [], []
    with folder() as place, full_house(place, count) as (network, users), opened(place) as home:
        network.joined(count, len(CHANNELS))
        said: list[str] = []
        for run in range(runs + 1):
            before = home.quiet_cpu_s()
            for number in range(SAID):
                said.append(f"run{run} n{number} for {{nick}}")
                network.say(said[-1])
            used = home.quiet_cpu_s() - before
            check_apart(home, users, said)
            if run:
                mib.append(home.resident_mib())
                cpu_us.append(used / SAID / count * 1e6)
    return Size(mib, cpu_us)


def _flooded(place: AbstractContextManager[Home], runs: int) -> Size:
    """One user of that size, flooded."""
    mib, cpu_us = [], []
    with place as home:
        clients = [home.client("bench")]
        acknowledge(clients[0])  # what it is played first
        for run in range(runs + 1):
            _, cpu_s, _ = once(home, clients, run)
            if run:
                mib.append(home.resident_mib())
                cpu_us.append(cpu_s / LINES * 1e6)
    return Size(mib, cpu_us)


def _draw(users: dict[int, Size]) -> None:
    rates = {count: 1e6 / statistics.median(size.cpu_us) for count, size in users.items()}
    memory = {count: statistics.median(size.mib) for count, size in users.items()}
    left, right = Series("messages per CPU second", rates), Series("memory, MiB", memory)
    PLOT.write_text(plot("users", left, right), encoding="utf-8")
