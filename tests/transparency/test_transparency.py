"""Behind the bouncer every client sees what it would see on the network itself, and so does everybody else there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transparency.differences import DIFFERENCES, unexplained
from tests.transparency.sessions import SESSIONS
from tests.transparency.stage import KINDS

if TYPE_CHECKING:
    from tests.transparency.conftest import Played

WHERE = [
    *(("ngircd", kind) for kind in ("all", "old", "none")),
    *((name, kind) for name in ("inspircd", "modern") for kind in ("all", "labels", "old", "none")),
]
"""Networks and the kinds of clients on them; labels only where the network has them."""


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize(("network", "kind"), WHERE)
def test_as_if_direct(played: Played, network: str, kind: str, session: str) -> None:
    done = played.run(played.on(network).play(kind, SESSIONS[session]))
    assert not any(line.startswith("SILENCE") for line in done.direct), done.direct[-3:]
    found = unexplained(network, kind, session, done.direct, done.behind)
    assert not found, "\n" + "\n".join(found)


def test_each_difference_has_a_place_and_a_reason() -> None:
    for one in DIFFERENCES:
        assert len(one.why.split()) > 8, one
        assert set(one.sessions.split()) <= set(SESSIONS), one
        assert set(one.kinds.split()) <= set(KINDS), one
