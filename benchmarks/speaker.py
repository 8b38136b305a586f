"""Owns somebody on the network who says what is wanted, in a process of its own: all at once, or so many a second."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

from benchmarks.process import DEADLINE_S, connect

if TYPE_CHECKING:
    import socket
    from multiprocessing.connection import Connection

CHANNEL = "#bench0"
CHUNK = 16_384


class Speaker:
    """A person on the channel of a real ircd."""

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_speak, args=(theirs, port), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def wait_for(self, people: int) -> None:
        """Until so many are on the channel, the speaker among them."""
        self._pipe.send(("names", people))
        self._answer()

    def load(self, texts: list[str]) -> None:
        """Have it ready to be said, before anything is measured."""
        self._pipe.send(("load", texts))
        self._answer()

    def flood(self) -> None:
        """Say what was loaded, as fast as it is taken; returns at once."""
        self._pipe.send(("flood", None))

    def every(self, interval_s: float, count: int) -> None:
        """Say `at <ns of perf_counter>` so often, so far apart; returns at once."""
        self._pipe.send(("every", (interval_s, count)))

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()

    def _answer(self) -> None:
        assert self._pipe.poll(DEADLINE_S), "the speaker does not answer"
        self._pipe.recv()


def _speak(pipe: Connection, port: int) -> None:
    link = connect(port)
    link.sendall(f"NICK speaker\r\nUSER s 0 * :s\r\nJOIN {CHANNEL}\r\n".encode())
    came = b""
    while b" 366 " not in came:
        came += link.recv(65536)
    pipe.send(0)
    loaded = b""
    while True:
        what, given = pipe.recv()
        if what == "names":
            while _people(link) < given:
                time.sleep(0.05)
            pipe.send(0)
        elif what == "load":
            loaded = "".join(f"PRIVMSG {CHANNEL} :{text}\r\n" for text in given).encode()
            pipe.send(0)
        elif what == "flood":
            link.sendall(loaded)
        else:
            interval_s, count = given
            due = time.perf_counter()
            for _ in range(count):
                due += interval_s
                time.sleep(max(0.0, due - time.perf_counter()))
                link.sendall(f"PRIVMSG {CHANNEL} :at {time.perf_counter_ns()}\r\n".encode())


def _people(link: socket.socket) -> int:
    link.sendall(f"NAMES {CHANNEL}\r\n".encode())
    came = b""
    while f" 366 speaker {CHANNEL} ".encode() not in came:
        came += link.recv(65536)
    return sum(len(line.partition(b" :")[2].split()) for line in came.split(b"\r\n") if b" 353 " in line)
