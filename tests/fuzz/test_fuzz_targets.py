"""The targets of `make fuzz`, in a short form: what is in the corpus, changed in places, crashes none of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS

if TYPE_CHECKING:
    import random

FUZZ = Path(__file__).parents[2] / "fuzz"
CORPUS = {name: [path.read_bytes() for path in sorted((FUZZ / "corpus" / name).iterdir())] for name in TARGETS}
WORDS = [
    word.encode().decode("unicode_escape").encode("latin-1")
    for word in re.findall(r'^"(.*)"$', (FUZZ / "irc.dict").read_text(encoding="ascii"), re.MULTILINE)
]
SESSIONS = frozenset({"session"})
"""Targets that cost milliseconds."""
LINE_ENDS = [b"\r\n", b"\n", b" ", b" :", b",", b"\0"]


def test_the_corpus_holds_something_for_every_target_and_nothing_else() -> None:
    assert {path.name for path in (FUZZ / "corpus").iterdir()} == set(TARGETS)
    assert all(CORPUS.values())


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_in_the_corpus_crashes_nothing(name: str) -> None:
    for data in CORPUS[name]:
        TARGETS[name].run(data)


def changed(data: bytes, dice: random.Random) -> bytes:
    """Here and there some bytes are replaced by words that mean something, line ends, or anything."""
    for _ in range(dice.randrange(8)):
        start = dice.randrange(len(data) + 1)
        put = b"".join(dice.choice([*WORDS, *LINE_ENDS, dice.randbytes(3)]) for _ in range(dice.randrange(4)))
        data = data[:start] + put + data[start + dice.randrange(40) :]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_nearly_sensible_crashes_nothing(name: str) -> None:
    @settings(max_examples=30 if name in SESSIONS else 80)
    @given(st.sampled_from(CORPUS[name]), st.randoms(use_true_random=True))
    def holds(seed: bytes, dice: random.Random) -> None:
        data = changed(seed, dice)
        note(f"the input: {data!r}")
        TARGETS[name].run(data)

    holds()
