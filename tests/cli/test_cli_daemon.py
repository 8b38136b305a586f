"""`bouncer run` as a process, and every command beside it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import time
import urllib.request
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.clikit import DEADLINE_S, Shell, walk_as_both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.clikit import Cli


def wait_for(what: Callable[[], Any]) -> Any:
    """What `what` gives once it is true."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


class Notified:
    """systemd's end of the notify socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path.unlink(missing_ok=True)
        self.socket.bind(str(path))
        self.socket.settimeout(DEADLINE_S)
        self.path = path

    def until(self, state: str) -> str:
        """The message that holds `state`."""
        while state not in (message := self.socket.recv(4096).decode()).splitlines():
            pass
        return message


@contextmanager
def running(cli: Cli, folder: Path, *, watchdog: bool = False) -> Iterator[tuple[subprocess.Popen[str], Notified]]:
    """`bouncer run`, ready; ended in order."""
    notified = Notified(folder / "notify.sock")
    cli.environ["NOTIFY_SOCKET"] = str(notified.path)
    if watchdog:
        cli.environ["WATCHDOG_USEC"] = "400000"
    with closing(notified.socket), (folder / "log").open("w") as log:
        process = cli.start("run", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        cli.environ.clear()
        with process:
            try:
                notified.until("READY=1")
                yield process, notified
                process.send_signal(signal.SIGTERM)
                assert process.wait(DEADLINE_S) == 0
                notified.until("STOPPING=1")
            finally:
                process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


def log_of(folder: Path) -> str:
    return (folder / "log").read_text(encoding="utf-8")


def test_without_a_terminal_the_first_password_goes_to_a_file_and_is_not_logged(cli: Cli, folder: Path) -> None:
    with running(cli, folder) as (_, _):
        file = cli.storage / "first-password"
        name, password = wait_for(lambda: file.exists() and file.read_text(encoding="utf-8").split())
        assert name == "admin"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        wait_for(lambda: str(file) in log_of(folder))  # a thread of its own writes it
        assert re.search(r" IRC listens on irc\+insecure://127\.0\.0\.1:\d+$", log_of(folder), re.MULTILINE)
        assert re.search(r" the panel listens on http://127\.0\.0\.1:\d+$", log_of(folder), re.MULTILINE)
        assert password not in log_of(folder)
        cli.ok("user", "add", "bob")
        cli.ok("user", "passwd", "bob")
        assert file.exists(), "it is not bob's password"
        cli.ok("user", "passwd", "admin")
        assert not file.exists(), "the password in it does not count any more"


def test_on_a_terminal_the_first_start_prints_what_one_needs(cli: Cli) -> None:
    master, slave = pty.openpty()
    with cli.start("run", stdin=slave, stdout=slave, stderr=subprocess.DEVNULL) as process:
        os.close(slave)
        screen = ""
        while "/libera:" not in screen:
            screen += os.read(master, 4096).decode()
        password = next(line.split()[1] for line in screen.splitlines() if line.strip().startswith("password"))
        assert f"admin:{password}" in screen
        assert "/connect 127.0.0.1 " in screen
        assert "http://127.0.0.1:" in screen
        assert not (cli.storage / "first-password").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    os.close(master)


def test_commands_are_done_by_the_running_bouncer(people: Cli, folder: Path) -> None:
    with running(people, folder):
        people.ok("user", "add", "carol", "--password-stdin", stdin="pw\n")
        words = ["server", "add", "carol", "Net", "irc.example.org", "--disabled", "--nickserv", "c", "--secrets-stdin"]
        people.ok(*words, stdin="pw\n")
        assert people.ok("server", "list", "carol", "--json").json[0]["state"] == "disabled"
        people.ok("tenant", "backup", "carol", "carol.backup")
        with closing(sqlite3.connect(people.folder / "carol.backup")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        people.ok("server", "delete", "carol", "net", "--yes")
        people.ok("tenant", "restore", "carol", "carol.backup", "--yes")
        assert people.ok("server", "list", "carol", "--json").json[0]["name"] == "Net"
        people.ok("tenant", "export", "carol", "carol.txt", "--format", "text")
        people.ok("secrets", "rotate")
        people.ok("user", "delete", "carol", "--yes")
        assert people("server", "list", "carol").code == 1
        assert people("server", "add", "bob", "n", "irc.example.org", "--port", "0").code == 1
        assert people("server", "frobnicate").code == 2
        assert not list(people.storage.glob(".exchange-*"))
        walk_as_both(Shell(people))


def test_a_server_that_refuses_shows_why_and_when_next(people: Cli, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with running(people, folder):
            people.ok("server", "add", "bob", "closed", "127.0.0.1", "--port", str(port), "--no-tls")

            def refused() -> Any:
                servers = people.ok("server", "list", "bob", "--json").json
                server = next(server for server in servers if server["name"] == "closed")
                return server if server["error"] else None

            server = wait_for(refused)
            assert server["state"] in {"connecting", "disconnected", "failed"}
            assert server["attempt"] >= 1
            people.ok("server", "disconnect", "bob", "closed")


def test_a_second_bouncer_is_refused_by_name(cli: Cli, folder: Path) -> None:
    with running(cli, folder) as (process, _):
        done = cli("run")
        assert done.code == 1
        assert f"process {process.pid}" in done.err.splitlines()[-1]
        assert str(cli.storage) in done.err.splitlines()[-1]


def test_a_shell_goes_on_while_the_bouncer_comes_and_goes(people: Cli, folder: Path) -> None:
    shell = Shell(people)
    assert shell.do("server list bob")[1] == "OK"
    with running(people, folder):
        assert shell.do("user add carol")[1] == "OK"
    assert [user["name"] for user in json.loads(shell.do("user list --json")[0])] == ["alice", "bob", "carol"]
    assert shell.close() == 0


def test_a_command_beside_a_starting_bouncer_waits_for_it(cli: Cli, folder: Path) -> None:
    with (folder / "log").open("w") as log, cli.start("run", stdout=subprocess.DEVNULL, stderr=log) as process:
        wait_for((cli.storage / "lock").exists)
        cli.ok("user", "add", "bob")
        assert [user["name"] for user in cli.ok("user", "list", "--json").json][-1] == "bob"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_the_panel_answers_and_is_moved_by_a_reload(cli: Cli, folder: Path) -> None:
    with running(cli, folder) as (process, notified):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        text = cli.config.read_text(encoding="utf-8")
        cli.config.write_text(text.replace("http://127.0.0.1:0", f"http://127.0.0.1:{port}"), encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        notified.until("RELOADING=1")
        notified.until("READY=1")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/session/new", timeout=DEADLINE_S) as page:
            assert page.status == 200


def test_a_reload_names_what_counts_with_the_next_start_only(cli: Cli, folder: Path) -> None:
    with running(cli, folder) as (process, notified):
        text = cli.config.read_text(encoding="utf-8").replace(
            "[timeouts]", "[timeouts]\ncommit_live_ms = 400\nping_s = 50"
        )
        cli.config.write_text(text, encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        notified.until("RELOADING=1")
        notified.until("READY=1")
        said = wait_for(lambda: log_of(folder) if "was read again" in log_of(folder) else "")
    assert "timeouts.commit_live_ms: changes with the next start only" in said
    assert "timeouts.ping_s: changes" not in said


def test_a_configuration_that_cannot_be_used_changes_nothing_on_reload(cli: Cli, folder: Path) -> None:
    with running(cli, folder) as (process, notified):
        good = cli.config.read_text(encoding="utf-8")
        cli.config.write_text("[flod]\n", encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        notified.until("RELOADING=1")
        notified.until("READY=1")
        wait_for(lambda: "was not read again" in log_of(folder))
        cli.config.write_text(good, encoding="utf-8")
        cli.ok("user", "list")


def test_the_bouncer_itself_is_asked_told_and_made_to_read_its_configuration(people: Cli, folder: Path) -> None:
    for words in (["status"], ["broadcast", "hello"], ["reload"]):
        refused = people("bouncer", *words)
        assert (refused.code, refused.err) == (1, "bouncer: no bouncer is running\n")
    with running(people, folder) as (_, notified):
        status = people.ok("bouncer", "status", "--json").json
        assert (status["users"], status["clients"], status["servers_connected"]) == (2, 0, 0)
        assert people.ok("bouncer", "status").out.startswith("up for ")
        assert people.ok("bouncer", "broadcast", "hello", "all").out == "0 clients were told\n"
        assert people.ok("bouncer", "reload").out == "the configuration was read again\n"
        notified.until("RELOADING=1")
        good = people.config.read_text(encoding="utf-8")
        # The command reads it too; so what is wrong is what only the running bouncer can find.
        taken = socket.socket()
        with closing(taken):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = good + f'\n[[listen]]\nuri = "irc+insecure://127.0.0.1:{port}"\n'
            people.config.write_text(text, encoding="utf-8")
            refused = people("bouncer", "reload")
            people.config.write_text(good, encoding="utf-8")
        assert refused.code in {1, 2}
        assert str(port) in refused.err


def test_systemd_is_told_that_the_loop_turns(cli: Cli, folder: Path) -> None:
    with running(cli, folder, watchdog=True) as (_, notified):
        notified.until("WATCHDOG=1")
        notified.until("WATCHDOG=1")


def test_a_listener_that_is_taken_is_an_error_that_names_it(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = cli.config.read_text(encoding="utf-8")
        cli.config.write_text(text.replace("insecure://127.0.0.1:0", f"insecure://127.0.0.1:{port}"), encoding="utf-8")
        done = cli("run")
    assert done.code in {1, 2}
    assert str(port) in done.err.splitlines()[-1]
    assert done.err.splitlines()[-1].startswith("bouncer: ")
    assert not (cli.storage / "first-password").exists()
