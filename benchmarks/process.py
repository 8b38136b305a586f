"""Owns a running program to be measured: what it has used of the machine, from the kernel's own accounting."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 120.0
START_S = 20.0
QUIET_S = 0.2


class Process:
    """A process with all its threads, by its id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_s(self) -> float:
        """User and system seconds of all its threads so far, by the kernel's CPU clock of that process.

        The clock's number is what clock_getcpuclockid(3) gives, for which Python has no name.
        """
        return time.clock_gettime(~self.pid << 3 | 2)

    def quiet_cpu_s(self) -> float:
        """`cpu_s` once it has as good as stopped growing: work put off is work, too."""
        used = -1.0
        while used + 0.002 < (now := self.cpu_s()):
            used = now
            time.sleep(QUIET_S)
        return now

    def written(self) -> int:
        """Bytes it has sent to disk so far."""
        lines = Path(f"/proc/{self.pid}/io").read_text(encoding="ascii").splitlines()
        return int(dict(line.split(": ") for line in lines)["write_bytes"])

    def resident_mib(self) -> float:
        """Memory it has now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def descriptors(self) -> int:
        """How many files and sockets it has open now."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self) -> int:
        """How many it has now."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], log: Path, *, user: str | None = None) -> Iterator[Process]:
    """The program until the block ends; what it says is in `log`, and shown when a check fails."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, user=user)
    try:
        yield Process(process.pid)
    except AssertionError:
        print(log.read_text(encoding="utf-8", errors="replace")[-5000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def connect(port: int) -> socket.socket:
    """A connection to that port of loopback, tried until somebody listens."""
    until = time.monotonic() + START_S
    while True:
        try:
            link = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        except ConnectionRefusedError:
            assert time.monotonic() < until, f"nobody listens on port {port}"
            time.sleep(0.02)
        else:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return link
