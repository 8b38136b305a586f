"""A network and clients who speak nonsense, in a short form of `make soak`: nobody else notices, nothing is logged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bouncer.logs import _Text
from fuzz.session import session
from soak import hostile, nonsense
from soak.figures import faults

WELCOME = (Path(__file__).parents[2] / "fuzz/corpus/session/whole").read_bytes().partition(b":irc.test 332")[0]
BURSTS = 8
LONGEST = 100_000


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_network_says_leaves_a_state_that_is_bounded_and_lines_that_are_whole(seed: int) -> None:
    speaker = nonsense.Network(seed)
    said = [data for data in (speaker.burst() for _ in range(BURSTS)) if len(data) < LONGEST]
    assert said
    session(WELCOME + b"".join(said))


async def test_a_hostile_network_and_hostile_clients_leave_no_error_and_the_others_their_messages() -> None:
    report = await hostile.trial(6.0, seed=3)
    assert report.faults == []
    assert min(report.done[name] for name in ("network lines", "client lines", "clients attached")) > 0
    assert len(report.hostile.values) > 10
    assert report.lags_ms


def test_errors_are_found_in_a_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(_Text(journal=False))
        log = logging.getLogger("bouncer.test")
        log.addHandler(handler)
        log.warning("error in sight")
        log.error("a line was passed over")
        log.critical("the end")
        log.removeHandler(handler)
    found = faults((tmp_path / "log").read_text(encoding="utf-8") + "Traceback (most recent call last):\n  x\n")
    assert ["passed over" in line for line in found] == [True, False, False]
