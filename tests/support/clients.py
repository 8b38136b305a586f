"""Runs real IRC clients as people do: irssi in a terminal of tmux, weechat-headless told through its fifo.

Each has its settings in a folder that stays when it is quit and started again. A missing program is a failure that
says what to install, never a skip.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING, Protocol

from tests.support.ircd import program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEADLINE_S = 20.0
POLL_S = 0.05
COLUMNS, LINES = 200, 60


class Shown(Protocol):
    """A client one can look at."""

    name: str

    def start(self) -> None:
        """Start it; it connects by itself."""

    def do(self, command: str) -> None:
        """Type a command."""

    def shown(self) -> str:
        """All a person could read there since the first start."""

    def running(self) -> bool:
        """Whether the process is there."""

    def kill(self) -> None:
        """End it without a word, if it runs."""


async def until(what: Callable[[], object], why: Callable[[], str]) -> None:
    """Wait until `what` is true; AssertionError with `why` after the deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while not what():
        assert loop.time() < deadline, why()
        await asyncio.sleep(POLL_S)


async def sees(client: Shown, text: str) -> None:
    """Wait until the client shows `text`."""
    await until(lambda: text in client.shown(), lambda: f"{client.name} does not show {text!r}: {client.shown()}")


async def quits(client: Shown) -> None:
    """/quit, and wait for the end of the process."""
    client.do("/quit")
    await until(lambda: not client.running(), lambda: f"{client.name} does not quit: {client.shown()}")


def logs(folder: Path, pattern: str) -> str:
    """All that a client has written down, each file under its name."""
    files = sorted(folder.glob(pattern))
    return "\n".join(f"{file.name}:\n{file.read_text(encoding='utf-8')}" for file in files)


class Terminal:
    """A terminal of tmux with one program in it, which has a home of its own."""

    def __init__(self, home: Path) -> None:
        socket = f"bouncer-{os.getpid()}-{home.parent.name}-{home.name}"[-60:]
        self._tmux = [program("tmux"), "-L", socket, "-f", "/dev/null"]
        self._environ = {**os.environ, "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        for name in ("TMUX", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            self._environ.pop(name, None)

    def start(self, *words: str) -> None:
        self._run("new-session", "-d", "-s", "client", "-x", str(COLUMNS), "-y", str(LINES), *words)

    def type(self, command: str) -> None:
        self._run("send-keys", "-t", "client", "-l", command)
        self._run("send-keys", "-t", "client", "Enter")

    def running(self) -> bool:
        return "client" in self._run("list-sessions", "-F", "#{session_name}", check=False)

    def kill(self) -> None:
        self._run("kill-server", check=False)

    def _run(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [*self._tmux, *words], env=self._environ, capture_output=True, timeout=DEADLINE_S, check=False
        )
        assert done.returncode == 0 or not check, (words, done.stderr)
        return done.stdout.decode()


class Irssi:
    """irssi as it comes; `shown` is what its autolog has written of all windows, since the first start.

    Only its own flood protection is off, as for any network one trusts: with it, what is typed right after connecting
    waits its turn for ten seconds, behind what irssi itself asks about each channel.
    """

    name = "irssi"

    def __init__(self, folder: Path, port: int, password: str) -> None:
        self._home = folder / "irssi"
        self._home.mkdir()
        (self._home / "config").write_text(
            f"""servers = ({{ address = "127.0.0.1"; chatnet = "net"; port = "{port}"; password = "{password}";
  use_tls = "no"; autoconnect = "yes"; }});
chatnets = {{ net = {{ type = "IRC"; nick = "al"; cmdmax = "1000"; }}; }};
""",
            encoding="utf-8",
        )
        (self._home / "startup").write_text("SET autolog on\n", encoding="utf-8")
        self._terminal = Terminal(self._home)
        self.do, self.running, self.kill = self._terminal.type, self._terminal.running, self._terminal.kill

    def start(self) -> None:
        self._terminal.start(program("irssi"), f"--home={self._home}", f"--config={self._home / 'config'}")

    def shown(self) -> str:
        return logs(self._home / "irclogs" / "net", "*.log")


class Catgirl:
    """catgirl, which speaks TLS only; `shown` is what it has logged of all windows.

    `login` is its user name. It trusts the one certificate in the file `trusted`, and shows one that it has made for
    itself (`make_certificate`): that logs it in by SASL EXTERNAL unless there is a `password` for SASL PLAIN.
    """

    name = "catgirl"

    def __init__(self, folder: Path, port: int, trusted: Path, login: str, password: str = "") -> None:
        self._home = folder / "catgirl"
        (self._home / ".local/share").mkdir(parents=True)
        self._login = login
        self.password = password
        self._certificate = self._home / "client.pem"
        self._words = ["-h", "localhost", "-p", str(port), "-t", str(trusted), "-n", "al", "-u", login, "-l"]
        self._terminal = Terminal(self._home)
        self.do, self.running, self.kill = self._terminal.type, self._terminal.running, self._terminal.kill

    def make_certificate(self) -> None:
        """As its manual says."""
        words = [program("catgirl"), "-g", str(self._certificate)]
        subprocess.run(words, cwd=self._home, capture_output=True, timeout=DEADLINE_S, check=True)

    def start(self) -> None:
        by = ["-a", f"{self._login}:{self.password}"] if self.password else ["-e"]
        self._terminal.start(program("catgirl"), *self._words, *by, "-c", str(self._certificate))

    def shown(self) -> str:
        return logs(self._home / ".local/share/catgirl/log", "*/*/*.log")


class WeeChat:
    """weechat-headless, its flood protection off too; `shown` is what its logger has written since the first start.

    `settings` are typed before it connects, at each start.
    """

    name = "weechat"

    def __init__(self, folder: Path, port: int, password: str, *settings: str) -> None:
        self._home = folder / "weechat"
        self._home.mkdir()
        self._fifo = self._home / "fifo"
        self._process: subprocess.Popen[bytes] | None = None
        self._address = f"127.0.0.1/{port} -password={password} -nicks=al"
        self.settings = list(settings)

    def start(self) -> None:
        words = [program("weechat-headless"), "-d", str(self._home)]
        for command in (
            "/set logger.file.flush_delay 0",
            "/set fifo.file.path ${weechat_runtime_dir}/fifo",
            "/fifo enable",
            f"/server add net {self._address}",
            "/set irc.server.net.tls off",  # the default before 4.0, which does not know the option
            "/set irc.server.net.anti_flood_prio_high 0",  # as for irssi; `anti_flood` from 4.0 on
            "/set irc.server.net.anti_flood 0",
            *self.settings,
            "/connect net",
        ):
            words += ["-r", command]
        with (self._home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": str(self._home), "LC_ALL": "C.UTF-8"},
            )

    def do(self, command: str) -> None:
        descriptor = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)  # nobody reads: an error, not a wait
        try:
            os.write(descriptor, f"irc.server.net *{command}\n".encode())
        finally:
            os.close(descriptor)

    def shown(self) -> str:
        return logs(self._home / "logs", "irc.*.weechatlog")

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_S)
