"""Clients of one user ask at once: each gets its own answers, whole and in order, and the others nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transparency.differences import unexplained
from tests.transparency.questions import STEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.transparency.conftest import Played

CROWDS = (
    ("none", "none"),
    ("all", "none"),
    ("all", "old", "none"),
    ("labels", "labels", "labels"),
    ("labels", "none", "all"),
)


@pytest.mark.parametrize("step", [0, STEP])
@pytest.mark.parametrize("kinds", CROWDS, ids="-".join)
@pytest.mark.parametrize("network", ["ngircd", "inspircd", "modern"])
def test_each_gets_its_own_answers(played: Played, network: str, kinds: Sequence[str], step: int) -> None:
    turns = [step * number for number in range(len(kinds))]
    done = played.run(played.on(network).together(kinds, turns))
    for kind, (direct, behind) in zip(kinds, done, strict=True):
        found = unexplained(network, kind, "together", direct, behind)
        assert not found, f"{kind}:\n" + "\n".join(found)
