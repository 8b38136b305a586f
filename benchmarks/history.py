"""CHATHISTORY LATEST of 1,000 messages out of 10,000: read from the file and put into lines; milliseconds.

    python -m benchmarks.history [RUNS]

The bouncer's part of an answer: from the command to the bytes for the socket, the file already open.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bouncer import replay
from bouncer.commands.history import Cuts, Reference, read_subcommand
from bouncer.database import tenant_template
from bouncer.history import CONVERSATION, Buffer, NamedBuffer

STORED, ASKED = 10_000, 1_000
START_MS = 1_767_323_045_000
ROOM = NamedBuffer(Buffer(1, channel_id=1), "#bench", "#bench")
CAPS = frozenset({"batch", "draft/chathistory", "message-tags", "server-time", "account-tag"})


def fill(connection: sqlite3.Connection) -> None:
    """A channel with 10,000 messages a second apart, every other one with a tag."""
    connection.execute(
        "INSERT INTO servers (name, address, port, nickname, created_at, updated_at) VALUES ('n', '', 1, '', 0, 0)"
    )
    connection.execute("INSERT INTO channels (server_id, name, folded) VALUES (1, '#bench', '#bench')")
    tags = json.dumps({"account": "somebody"})
    connection.executemany(
        "INSERT INTO messages (server_id, channel_id, target, sender, message_type, content, tags, msgid, time) "
        "VALUES (1, 1, '#bench', 'somebody!user@host.example.org', 'privmsg', ?, ?, ?, ?)",
        [
            (f"message {number} of a long talk about nothing in particular", tags if number % 2 else None,
             f"{number:033x}", START_MS + number * 1000)
            for number in range(STORED)
        ],
    )  # fmt: skip
    connection.commit()


def answer(connection: sqlite3.Connection) -> float:
    """Milliseconds for one answer."""
    start = time.perf_counter()
    found = read_subcommand(connection, ROOM, "LATEST", [Reference()], ASKED, CONVERSATION, Cuts()) or []
    data = replay.batch("chathistory", ["#bench"], found, CAPS, "me", source="bouncer")
    took = (time.perf_counter() - start) * 1000
    assert data.count(b" PRIVMSG ") == ASKED
    return took


def main(runs: int) -> None:
    """Print the median and the worst of `runs`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.sqlite3"
        path.write_bytes(tenant_template())
        with contextlib.closing(sqlite3.connect(path)) as connection:
            fill(connection)
            times = [answer(connection) for _ in range(runs)]
    print(f"CHATHISTORY LATEST {ASKED} of {STORED}: {statistics.median(times):.1f} ms, worst {max(times):.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
