"""Owns what a long trial measures: latencies, how late a loop runs, and what a process says of itself (`inside`)."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from statistics import linear_regression
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOOK_S = 0.02
FAULT = re.compile(r"^(?:\S+ )?\S+ (?:error|critical) \S+ .*$|^.*Traceback \(most recent call last\).*$", re.MULTILINE)
"""A line as `bouncer.logs` writes it, or one of Python's own."""


def tokens(out: str) -> list[str]:
    """The app passwords that `token create` has shown."""
    return re.findall(r"shown this once: (\S+)", out)


def part(values: Sequence[float], share: float) -> float:
    """The value that this share of all lies at or below; 0 without any."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


@dataclass
class Latencies:
    """Seconds something took, each time."""

    values: list[float] = field(default_factory=list)

    def line(self, what: str) -> str:
        """Median, p99 and worst, in ms."""
        shown = (f"{part(self.values, share) * 1000:.1f}" for share in (0.5, 0.99, 1.0))
        return f"{what}: {' / '.join(shown)} ms (median / p99 / worst of {len(self.values)})"


@dataclass
class Machine:
    """How late a loop that does nothing runs here: what the machine adds, whatever the bouncer does."""

    worst: list[tuple[float, float]] = field(default_factory=list)

    async def watch(self) -> None:
        """Go on until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self.worst.append((loop.time(), loop.time() - due))

    def between(self, start: float, end: float) -> float:
        """The latest it was, in seconds."""
        return max((late for at, late in self.worst if start <= at <= end), default=0.0)


def looked(path: Path) -> list[dict[str, Any]]:
    """What `inside` wrote down; times are those of the monotonic clock."""
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def middle(figures: Sequence[dict[str, Any]], name: str, start: float, end: float) -> float:
    """The median of a figure between two shares of the time."""
    some = figures[int(len(figures) * start) : max(int(len(figures) * end), int(len(figures) * start) + 1)]
    return part([one[name] for one in some], 0.5)


def slope(figures: Sequence[dict[str, Any]], name: str) -> float:
    """What a figure grows by in a second, by least squares."""
    times, values = [one["at"] for one in figures], [float(one[name]) for one in figures]
    return linear_regression(times, values).slope if len(set(times)) > 1 else 0.0


def faults(log: str) -> list[str]:
    """Lines of a log that no trial may lead to."""
    return FAULT.findall(log)
