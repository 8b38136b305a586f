"""A network and clients who speak nonsense, in a short form of `make soak`: nobody else notices, nothing is logged."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bouncer.logs import _Text
from fuzz.session import session
from soak import nonsense
from soak.figures import faults
from soak.mallory import Mallory
from tests.support.arrival import arrived, client
from tests.support.house import PASSWORD
from tests.support.ircd import free_port
from tests.support.network import ScriptedNetwork

if TYPE_CHECKING:
    from tests.support.house import House

WELCOME = (Path(__file__).parents[2] / "fuzz/corpus/session/whole").read_bytes().partition(b":irc.test 332")[0]
BURSTS = 8
LONGEST = 100_000
MESSAGES, DEADLINE_S = 60, 40.0
DONE = ("network lines", "client lines", "clients attached")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_network_says_leaves_a_state_that_is_bounded_and_lines_that_are_whole(seed: int) -> None:
    speaker = nonsense.Network(seed)
    said = [data for data in (speaker.burst() for _ in range(BURSTS)) if len(data) < LONGEST]
    assert said
    session(WELCOME + b"".join(said))


async def test_a_hostile_network_and_hostile_clients_leave_no_error_and_the_others_their_messages(
    house: House, network: ScriptedNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    peer = await arrived(house, network)
    calm = await client(house)
    await house.user("mallory")
    theirs = ScriptedNetwork()
    theirs.port = free_port()
    await house.server("mallory", theirs)
    options = {"listen": theirs.port, "bouncer": house.port, "login": f"mallory:{PASSWORD}", "seed": 3, "speed": 0.5}
    mallory = Mallory(argparse.Namespace(**options))
    await mallory.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            number = 0
            while number < MESSAGES or min(mallory.done[what] for what in DONE) == 0:
                number += 1
                await peer.send(f":friend!f@h PRIVMSG #room :word {number}.")
                await calm.until(f"word {number}.")
                await asyncio.sleep(0.02)  # mallory's turn: it is in this loop
    finally:
        await mallory.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


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
