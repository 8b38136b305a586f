"""`bouncer run` as a process with one user, alice, for tests that look at it from outside only."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cli.clikit import DEADLINE_S, Cli
from tests.support.ircd import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
[[listen]]
uri = "irc+insecure://127.0.0.1:{irc}"
[web]
listen = "http://127.0.0.1:{panel}"
{web}
[timeouts]
backoff_min_s = 0.2
[flood]
burst = 0
"""


@dataclass(frozen=True, slots=True)
class Bouncer:
    """A running bouncer; `port` is where clients connect, `panel` where browsers do, `log` what it says."""

    cli: Cli
    port: int
    panel: str
    log: Path

    def login(self, client: str) -> str:
        """What a client of that name gives as its password to be on alice's server `net`."""
        return f"alice/net@{client}:pw"

    def rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """What SQLite itself reads in alice's file, the only one there, while it is being written."""
        (path,) = (self.cli.storage / "tenants").glob("*.sqlite3")
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, params).fetchall()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Bouncer]:
    """Listening; at the end it has to stop in order."""
    made = prepare(folder)
    with process(made) as running:
        yield made
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE_S) == 0


def prepare(folder: Path, *, web: str = "", more: str = "") -> Bouncer:
    """Configured, with its user; not running yet. `web` is added to that table of the file, `more` to its end."""
    port, panel = free_port(), free_port()
    cli = Cli.make(folder, CONFIG.format(irc=port, panel=panel, web=web) + more)
    cli.ok("user", "add", "alice", "--password-stdin", stdin="pw\n")
    return Bouncer(cli, port, f"http://127.0.0.1:{panel}", folder / "log")


@contextlib.contextmanager
def process(bouncer: Bouncer) -> Iterator[subprocess.Popen[str]]:
    """Listening; killed at the end, unless it has ended."""
    with bouncer.log.open("ab") as log:
        started = bouncer.cli.start("run", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _listening(started, bouncer)
        yield started
    finally:
        started.kill()
        started.wait(DEADLINE_S)


def _listening(process: subprocess.Popen[str], bouncer: Bouncer) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", bouncer.port)):
            return
        assert process.poll() is None, bouncer.log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, bouncer.log.read_text(encoding="utf-8")
        time.sleep(0.02)
