"""Rules, ranges and work on the history by the command line: with a bouncer, without one, and with one killed."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING

from bouncer.clock import now_ms
from tests.cli.clikit import DEADLINE_S
from tests.support import daemon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.daemon import Bouncer

DAY_MS = 86_400_000


def fill(bouncer: Bouncer, number: int) -> None:
    """Messages of alice's, evenly over the last ten days, on a network that is off."""
    bouncer.cli.ok("server", "add", "alice", "net", "irc.example.org", "--join", "#room", "--disabled")
    (path,) = (bouncer.cli.storage / "tenants").glob("*.sqlite3")
    begin = now_ms() - 10 * DAY_MS
    rows = [(f"n{place} words of long ago", begin + place * (10 * DAY_MS // number)) for place in range(number)]
    sql = (
        "INSERT INTO messages (server_id, channel_id, message_type, content, msgid, time) "
        "VALUES (1, 1, 'privmsg', ?, 'm', ?)"
    )
    with contextlib.closing(sqlite3.connect(path)) as base, base:
        base.executemany(sql, rows)


def jobs(bouncer: Bouncer) -> list[tuple[str, str, int, int]]:
    """(kind, state, done, total) of the work, newest first."""
    return bouncer.rows("SELECT kind, state, done, total FROM upkeep_jobs ORDER BY id DESC")


def until_done(bouncer: Bouncer) -> tuple[str, str, int, int]:
    deadline = time.monotonic() + DEADLINE_S
    while not (found := jobs(bouncer)) or found[0][1] == "running":
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found[0]


def test_a_start_goes_by_the_operators_rule_and_commands_are_told_of_it(tmp_path: Path) -> None:
    bouncer = daemon.prepare(tmp_path, more='[history]\nretention = "3d"\n')
    fill(bouncer, 1_000)
    with daemon.process(bouncer) as process:
        kind, state, done, total = until_done(bouncer)
        assert (kind, state, done) == ("rules", "done", total)
        assert 590 <= done <= 710
        assert "for 3 days, as long as this bouncer keeps any" in bouncer.cli.ok("history", "retention", "alice").out
        wrong = bouncer.cli("history", "keep", "alice", "forever", "--yes")
        assert (wrong.code, "at most 3" in wrong.err) == (1, True)
        shown = bouncer.cli("history", "clear", "alice", "net", "#room")
        assert shown.code == 2
        assert f"{1_000 - done} messages would go" in shown.out
        assert "say --yes" in shown.err
        cleared = bouncer.cli.ok("history", "clear", "alice", "net", "#room", "--yes")
        assert f"{1_000 - done} messages deleted" in cleared.out
        assert [one["state"] for one in bouncer.cli.ok("history", "work", "alice", "--json").json] == ["done", "done"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_without_a_bouncer_a_command_does_its_work_to_the_end(tmp_path: Path) -> None:
    bouncer = daemon.prepare(tmp_path)
    fill(bouncer, 2_000)
    done = bouncer.cli.ok("history", "keep", "alice", "3d", "--yes")
    assert "messages are kept for 3 days" in done.out
    kind, state, deleted, total = jobs(bouncer)[0]
    assert (kind, state, deleted) == ("rules", "done", total)
    assert f"{deleted} messages deleted" in done.out
    assert bouncer.rows("SELECT count(*) FROM messages") == [(2_000 - deleted,)]
    wrong = bouncer.cli("history", "clear", "alice", "--everything", "--since", "2026-13-01", "--yes")
    assert (wrong.code, wrong.out, "a day like" in wrong.err) == (1, "", True)


def test_work_goes_on_after_the_bouncer_was_killed(tmp_path: Path) -> None:
    bouncer = daemon.prepare(tmp_path)
    fill(bouncer, 20_000)
    with daemon.process(bouncer) as process:
        asking = bouncer.cli.start("history", "clear", "alice", "--everything", "--yes", stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE_S
        while not (found := jobs(bouncer)) or found[0][2] == 0:
            assert time.monotonic() < deadline, found
        process.kill()
        process.wait(DEADLINE_S)
        asking.wait(DEADLINE_S)
    kind, state, done, total = jobs(bouncer)[0]
    assert (kind, state, total) == ("range", "running", 20_000)
    assert 0 < done < 20_000
    assert bouncer.rows("SELECT count(*) FROM messages") == [(20_000 - done,)]
    with daemon.process(bouncer) as process:
        assert until_done(bouncer) == ("range", "done", 20_000, 20_000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert bouncer.rows("SELECT count(*) FROM messages") == [(0,)]
    (path,) = (bouncer.cli.storage / "tenants").glob("*.sqlite3")
    assert path.read_bytes().count(b"words of long ago") == 0
    bouncer.cli.ok("tenant", "check", "alice")
