"""Owns the bouncer as a process to be measured: starting it, what it used of the machine, and the figures of a run."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.peers import DEADLINE_S, Client, Network

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct-horse"
TICKS = os.sysconf("SC_CLK_TCK")
QUIET_S = 0.2


class Figure(NamedTuple):
    """One line of the table: what was measured, what it should be, and one value a run."""

    what: str
    target: str
    values: list[float]
    form: str = ",.1f"

    def line(self) -> str:
        """The median, and what all runs lie between."""
        low, middle, high = (
            format(value, self.form) for value in (min(self.values), statistics.median(self.values), max(self.values))
        )
        return f"{self.what:<66} {self.target:>12} {middle:>10}   {low} to {high}"


class House:
    """A running bouncer of one user on one network, in a folder that is thrown away."""

    def __init__(self, folder: Path, network: Network, port: int, pid: int) -> None:
        self.file = folder / "storage" / "tenants" / "1.sqlite3"
        self.network = network
        self.port = port
        self.pid = pid

    def client(self, name: str, *caps: str) -> Client:
        """Attach a client of that name; back when it has been shown every channel."""
        return Client(self.port, f"alice/net@{name}", PASSWORD, self.network.channels, caps)

    def cpu_s(self) -> float:
        """User and system seconds of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def quiet_cpu_s(self) -> float:
        """`cpu_s` once it has stopped growing: work put off is work, too."""
        used = -1.0
        while used < (now := self.cpu_s()):
            used = now
            time.sleep(QUIET_S)
        return used

    def written(self) -> int:
        """Bytes it has sent to disk so far."""
        lines = Path(f"/proc/{self.pid}/io").read_text(encoding="ascii").splitlines()
        return int(dict(line.split(": ") for line in lines)["write_bytes"])

    def resident_mib(self) -> float:
        """Memory it has now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@contextlib.contextmanager
def house(channels: int = 1, people: int = 40) -> Iterator[House]:
    """A bouncer whose user is on so many channels of so many people; flood limits are off."""
    with tempfile.TemporaryDirectory(prefix="bouncer-bench-") as name:
        folder = Path(name)
        network = Network(channels, people)
        with contextlib.closing(network), _running(folder, network) as (process, port):
            network.wait_joined()
            yield House(folder, network, port, process.pid)


@contextlib.contextmanager
def _running(folder: Path, network: Network) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        listener = free.getsockname()[1]
    listen = f'[[listen]]\nuri = "irc+insecure://127.0.0.1:{listener}"\n[web]\nlisten = ""\n[flood]\nburst = 0\n'
    (folder / "bouncer.toml").write_text(listen, encoding="utf-8")
    server = ["server", "add", "alice", "net", "127.0.0.1", "--port", str(network.port), "--no-tls"]
    for words in (["user", "add", "alice", "--password-stdin"], [*server, "--join", ",".join(network.names)]):
        subprocess.run(_command(folder, *words), input=f"{PASSWORD}\n".encode(), stdout=subprocess.DEVNULL, check=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_command(folder, "run"), stderr=log)
    try:
        yield process, listener
    except AssertionError:
        print((folder / "log").read_text(encoding="utf-8"), file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def _command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "bouncer", "--config", str(folder / "bouncer.toml"), *words]
