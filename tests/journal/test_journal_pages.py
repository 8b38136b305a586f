"""Pages of history put together are the whole, whatever their size and whatever the client goes on by."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bouncer.commands.history import Cuts, Reference, read_subcommand
from bouncer.database import tenant_template
from bouncer.history import Buffer, Filter, NamedBuffer, Position, read_around, read_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bouncer.history import StoredMessage

ROOM = NamedBuffer(Buffer(1, channel_id=1), "#Room", "#room")
KINDS = ("privmsg", "action", "notice", "join", "tagmsg", "topic")
# Few milliseconds for many messages, and not in the order of arrival.
messages = st.lists(st.tuples(st.integers(1, 6), st.sampled_from(KINDS)), max_size=30)
filters = st.sampled_from([Filter(), Filter(events=True, tagmsg=False), Filter(events=False, tagmsg=False)])
thorough = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the fixture is emptied for each example


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "1.sqlite3"
    path.write_bytes(tenant_template())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            "INSERT INTO servers (name, address, port, nickname, created_at, updated_at) VALUES ('n', '', 1, '', 0, 0)"
        )
        connection.execute("INSERT INTO channels (server_id, name, folded) VALUES (1, '#Room', '#room')")
        yield connection


def fill(connection: sqlite3.Connection, rows: list[tuple[int, str]], counts: Filter) -> list[str]:
    """Store them with msgids of their own; those that count, in their order."""
    connection.execute("BEGIN")
    connection.execute("DELETE FROM messages")
    connection.executemany(
        "INSERT INTO messages (server_id, channel_id, target, sender, message_type, content, msgid, time) "
        "VALUES (1, 1, '#Room', 'a!b@c', ?, 'words', ?, ?)",
        [(kind, str(number), time) for number, (time, kind) in enumerate(rows)],
    )
    connection.execute("COMMIT")
    seen = [(time, number) for number, (time, kind) in enumerate(rows) if counted(kind, counts)]
    return [str(number) for _, number in sorted(seen)]


def counted(kind: str, counts: Filter) -> bool:
    return kind in ("privmsg", "action", "notice") or (counts.events and (counts.tagmsg or kind != "tagmsg"))


def ids(found: list[StoredMessage] | None) -> list[str]:
    assert found is not None
    return [message.msgid for message in found]


@thorough
@given(rows=messages, counts=filters, size=st.integers(1, 8), older=st.booleans())
def test_pages_by_place_are_the_whole(
    file: sqlite3.Connection, rows: list[tuple[int, str]], counts: Filter, size: int, *, older: bool
) -> None:
    whole = fill(file, rows, counts)
    seen: list[str] = []
    place = Position.after_time(99) if older else Position.before_time(0)
    while True:
        if older:
            found = read_page(file, ROOM.buffer, size, before=place, counts=counts)
            seen = ids(found) + seen
        else:
            found = read_page(file, ROOM.buffer, size, after=place, newest=False, counts=counts)
            seen += ids(found)
        if not found:
            break
        place = found[0 if older else -1].position
    assert seen == whole


@thorough
@given(
    rows=messages,
    counts=filters,
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    way=st.sampled_from(["LATEST", "BEFORE", "AFTER", "forwards", "backwards"]),
    by_time=st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_a_client_that_goes_on_by_msgid_or_by_time_gets_the_whole(
    file: sqlite3.Connection,
    rows: list[tuple[int, str]],
    counts: Filter,
    sizes: list[int],
    way: str,
    by_time: list[bool],
) -> None:
    whole = fill(file, rows, counts)
    cuts = Cuts()
    seen: list[str] = []
    edge: Reference | None = None
    low, high = Reference(time=0), Reference(time=99)
    older = way in ("LATEST", "BEFORE", "backwards")
    for turn in range(100):
        at = edge or (high if older else low)
        if way == "LATEST" and edge is None:
            subcommand, references = "LATEST", [Reference()]
        elif way in ("LATEST", "BEFORE"):
            subcommand, references = "BEFORE", [at]
        elif way == "AFTER":
            subcommand, references = "AFTER", [at]
        else:
            subcommand, references = "BETWEEN", [at, low if older else high]
        limit = sizes[turn % len(sizes)]
        found = read_subcommand(file, ROOM, subcommand, references, limit, counts, cuts) or []
        assert len(found) <= limit
        if not found:
            break
        seen = ids(found) + seen if older else seen + ids(found)
        last = found[0 if older else -1]
        edge = Reference(time=last.time) if by_time[turn % len(by_time)] else Reference(msgid=last.msgid)
    assert seen == whole


@thorough
@given(rows=messages, counts=filters, size=st.integers(1, 12), at=st.integers(0, 40))
def test_around_is_a_stretch_of_the_whole_with_its_message_in_it(
    file: sqlite3.Connection, rows: list[tuple[int, str]], counts: Filter, size: int, at: int
) -> None:
    whole = fill(file, rows, counts)
    if not whole:
        return
    centre = whole[at % len(whole)]
    place = Position._make(file.execute("SELECT time, id FROM messages WHERE msgid = ?", (centre,)).fetchone())
    found = ids(read_around(file, ROOM.buffer, place, size, counts))
    assert centre in found
    assert len(found) == min(size, len(whole))
    start = whole.index(found[0])
    assert found == whole[start : start + len(found)]
