"""`kill -9` under load, the short form of `python -m soak kill`: nothing shown is lost, nothing goes back."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from bouncer.database import tenant_template
from soak import kill
from soak.witness import Ledger, Said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOMENTS = ("shown", "marked", "starting", "stopping", "migrating")
"""Some of what the long form takes in turn."""


async def test_killed_at_many_moments_nothing_shown_is_lost_doubled_or_taken_back(tmp_path: Path) -> None:
    seed = int(time.time())
    tally = await kill.rounds(tmp_path, list(MOMENTS), seed)
    assert (tally.lost, tally.doubled, tally.before_stored, tally.faults) == (0, 0, 0, []), f"seed {seed}"
    assert tally.rounds == len(MOMENTS)
    assert tally.shown > 1_000
    assert tally.receipts > len(MOMENTS)
    assert tally.markers > 0


SERVER = (
    "INSERT INTO servers (id, name, address, port, nickname, created_at, updated_at) VALUES (1, 'n', '', 1, '', 0, 0)"
)
MESSAGE = (
    "INSERT INTO messages (server_id, message_type, content, msgid, time, sender) VALUES (1, 'privmsg', ?, ?, 5, 'bob')"
)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A user's file with three messages, a receipt for the second, and a marker."""
    path = tmp_path / "1.sqlite3"
    path.write_bytes(tenant_template())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(SERVER)
        connection.executemany(MESSAGE, [(word, f"id-{word}") for word in ("one", "two", "three")])
        connection.execute("INSERT INTO delivery_receipts VALUES (1, 'desk', 2, 0)")
        connection.execute("INSERT INTO read_markers VALUES (1, '#den', '#den', 5, 0)")
        connection.commit()
        yield connection


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("SELECT 1", ""),
        ("DELETE FROM messages WHERE content = 'two'", "1 lost"),
        (f"{MESSAGE.replace('?, ?', repr('two') + ', ' + repr('other'))}", "1 doubled"),
        ("UPDATE messages SET msgid = 'other' WHERE content = 'two'", "is stored as"),
        ("UPDATE delivery_receipts SET message_id = 1", "the receipt went back from 2 to 1"),
        ("UPDATE delivery_receipts SET message_id = 3", "never shown [3]"),
        ("UPDATE read_markers SET time = 4", "the marker of #den went back"),
        ("DELETE FROM read_markers", "the marker of #den went back"),
    ],
)
def test_what_went_wrong_with_a_file_is_found(file: sqlite3.Connection, harm: str, found: str) -> None:
    ledger, tally = Ledger("alice"), kill.Tally()
    for word in ("one", "two"):
        ledger.shown("desk", Said(f"id-{word}", "1970-01-01T00:00:00.005Z", "bob", word), stored=True)
    ledger.settled["desk"] = "id-two"
    ledger.marked("#den", "1970-01-01T00:00:00.005Z")
    file.execute(harm)
    kill.hold_against(file, ledger, [], tally)
    told = f"{tally.lost} lost, {tally.doubled} doubled, {tally.faults}"
    assert found in told
    assert (told == "0 lost, 0 doubled, []") == (not found)
