"""Owns both ends of the flood: a network in a process of its own, clients that read and look afterwards; no bouncer."""

from __future__ import annotations

import multiprocessing
import random
import re
import selectors
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

DEADLINE_S = 120.0
READ_BYTES = 1 << 20
SHOWN = re.compile(rb"@time=\S*;msgid=(\S+) :\S+ PRIVMSG #bench :(.*)\r\n")
PING = re.compile(rb"^PING (.*)\r\n", re.MULTILINE)
NICKS = [f"nick{number:02}" for number in range(40)]
LETTERS = ("bcdfghklmnprstvw", "aeiou")


def words(count: int = 5_000) -> list[str]:
    """Made-up words, always the same; the usual ones come first and are short."""
    chance = random.Random(1)  # noqa: S311 - nothing secret, and the same in each run
    made: dict[str, None] = {}
    while len(made) < count:
        length = 2 + len(made) * 7 // count + chance.randrange(3)
        made["".join(chance.choice(LETTERS[place % 2]) for place in range(length))] = None
    return list(made)


def texts(count: int, run: int) -> list[str]:
    """What is said in a run: 60 to 80 bytes each; `run3 n17` and words, a few of them often and most of them rarely."""
    chance = random.Random(run)  # noqa: S311 - as above
    vocabulary = words()
    said = []
    for number in range(count):
        text, length = f"run{run} n{number}", chance.randrange(60, 72)
        while len(text) < length:
            text = f"{text} {vocabulary[int(len(vocabulary) * chance.random() ** 4)]}"
        said.append(text[:80].rstrip())
    return said


class Network:
    """The other side of one connection of the bouncer; it floods on request."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.port: int = self._answer()

    def wait_joined(self) -> None:
        """Until the bouncer is on the channel."""
        self._answer()

    def load(self, said: list[str]) -> None:
        """Have the lines ready there, before anything is measured."""
        lines = [
            f":{NICKS[number % len(NICKS)]}!user@host{number % 7}.example PRIVMSG #bench :{text}\r\n"
            for number, text in enumerate(said)
        ]
        self._pipe.send("".join(lines).encode())
        self._answer()

    def flood(self) -> None:
        """Send what was loaded, as fast as it is taken; returns at once."""
        self._pipe.send(b"")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()

    def _answer(self) -> int:
        assert self._pipe.poll(DEADLINE_S), "the network's process does not answer"
        return int(self._pipe.recv())


def _serve(pipe: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send(listener.getsockname()[1])
        link, _ = listener.accept()
    ready = selectors.DefaultSelector()
    ready.register(link, selectors.EVENT_READ)
    ready.register(pipe, selectors.EVENT_READ)
    rest = loaded = b""
    while True:
        for key, _ in ready.select():
            if key.fileobj is pipe:
                data = pipe.recv()
                if data:
                    loaded = data
                    pipe.send(0)
                else:
                    link.sendall(loaded)
                continue
            if not (read := link.recv(65536)):
                return
            *lines, rest = (rest + read).split(b"\r\n")
            for line in lines:
                _reply(link, line.decode(), pipe)


def _reply(link: socket.socket, line: str, pipe: Connection) -> None:
    command, _, rest = line.partition(" ")
    if command == "USER":
        known = "CHANTYPES=# PREFIX=(ov)@+ :are supported by this server"
        link.sendall(f":s 001 alice :hi\r\n:s 005 alice {known}\r\n:s 376 alice :end\r\n".encode())
    elif command == "JOIN":
        names = f":s 353 alice = #bench :alice {' '.join(NICKS)}\r\n:s 366 alice #bench :end\r\n"
        link.sendall(f":alice!u@h JOIN #bench\r\n{names}".encode())
        pipe.send(0)
    elif command == "PING":
        link.sendall(f":s PONG s {rest}\r\n".encode())


class Client:
    """One attached client. It answers PINGs, counts lines, and keeps what it was sent for `shown`."""

    def __init__(self, port: int, login: str, password: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.lines = 0
        self._rest = b""
        self._chunks: list[bytes] = []
        hello = f"PASS {login}:{password}\r\nNICK a\r\nUSER a 0 * :a\r\nCAP END\r\n"
        self.socket.sendall(f"CAP LS 302\r\nCAP REQ :server-time message-tags batch\r\n{hello}".encode())
        while b" 366 " not in b"".join(self._chunks):
            self.read()

    def read(self) -> None:
        """One read. Counting is all that is done here: what is measured is the bouncer."""
        chunk = self.socket.recv(READ_BYTES)
        assert chunk, "the bouncer closed the connection"
        self._chunks.append(chunk)
        self.lines += chunk.count(b"\n")
        if b"PING " in chunk or b"PING " in self._rest + chunk[:64]:
            pings = PING.findall(self._rest + chunk)
            self.lines -= len(pings)
            self.socket.sendall(b"".join(b"PONG %b\r\n" % token for token in pings))
        self._rest = chunk[chunk.rfind(b"\n") + 1 :] if b"\n" in chunk else self._rest + chunk

    def reset(self) -> None:
        """Forget what was read so far; the next run begins."""
        self.lines = 0
        self._chunks.clear()

    def shown(self) -> list[tuple[str, str]]:
        """(msgid, text) of each message since `reset`, in order."""
        found = SHOWN.findall(b"".join(self._chunks))
        return [(msgid.decode(), text.decode()) for msgid, text in found]


def read_all(clients: list[Client], lines: int) -> float:
    """Read until every client has so many lines; the moment (`perf_counter`) the last one came."""
    waiting = selectors.DefaultSelector()
    for client in clients:
        waiting.register(client.socket, selectors.EVENT_READ, client)
    while waiting.get_map():
        ready = waiting.select(DEADLINE_S)
        assert ready, f"no message for {DEADLINE_S:.0f} s"
        for key, _ in ready:
            reader: Client = key.data
            reader.read()
            if reader.lines >= lines:
                waiting.unregister(reader.socket)
    return time.perf_counter()
