"""Owns both ends of a run: a network in a process of its own, clients that read and look afterwards; no bouncer."""

from __future__ import annotations

import multiprocessing
import random
import re
import selectors
import socket
import time
from typing import TYPE_CHECKING

from benchmarks.process import DEADLINE_S, connect

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

READ_BYTES = 1 << 20
CAPS = ("server-time", "message-tags", "batch")
SHOWN = re.compile(rb"@(?:batch=\S*;)?time=\S*;msgid=(\S+) :\S+ PRIVMSG #bench0 :(.*)\r\n")
PING = re.compile(rb"^PING (.*)\r\n", re.MULTILINE)
NICKS = [f"nick{number:03}" for number in range(1000)]
SPEAKERS = 40
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


def spoken(said: list[str]) -> list[str]:
    """The lines of people who say that, in turn."""
    return [f":{_mask(number)} PRIVMSG #bench0 :{text}" for number, text in enumerate(said)]


def tagged(said: list[str], run: int) -> list[str]:
    """The same from a network that gives tags, as most do."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    return [
        f"@time={stamp}.{number % 1000:03}Z;msgid=r{run}n{number:07};account=somebody {line}"
        for number, line in enumerate(spoken(said))
    ]


def typing(count: int) -> list[str]:
    """News that somebody is typing: nothing to store."""
    return [f"@+typing=active :{_mask(number)} TAGMSG #bench0" for number in range(count)]


def who_replies(count: int) -> list[str]:
    """Answers to a WHO that nobody asked: nothing to store, everybody's."""
    return [f":s 352 alice #bench0 user host s {NICKS[number % SPEAKERS]} H :0 a name" for number in range(count)]


def _mask(number: int) -> str:
    return f"{NICKS[number % SPEAKERS]}!user@host{number % SPEAKERS}.example"


class Network:
    """The other side of one connection of the bouncer; it floods on request."""

    def __init__(self, channels: int = 1, people: int = SPEAKERS) -> None:
        self.channels = channels
        self.names = [f"#bench{number}" for number in range(channels)]
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, channels, people), daemon=True)
        self._process.start()
        theirs.close()
        self.port: int = self._answer()

    def wait_joined(self) -> None:
        """Until the bouncer is on every channel."""
        self._answer()

    def load(self, lines: list[str]) -> None:
        """Have the lines ready there, before anything is measured."""
        self._pipe.send("".join(f"{line}\r\n" for line in lines).encode())
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


class _Served:
    def __init__(self, link: socket.socket, pipe: Connection, channels: int, people: int) -> None:
        self.link, self.pipe, self.people = link, pipe, people
        self.missing = channels

    def line(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        if command == "USER":
            known = "CHANTYPES=# PREFIX=(ov)@+ CHANLIMIT=#:500 :are supported by this server"
            self.link.sendall(f":s 001 alice :hi\r\n:s 005 alice {known}\r\n:s 376 alice :end\r\n".encode())
        elif command == "JOIN":
            for name in rest.split(" ")[0].split(","):
                self.join(name)
        elif command == "QUIT":
            self.link.shutdown(socket.SHUT_RDWR)
        elif command == "PING":
            self.link.sendall(f":s PONG s {rest}\r\n".encode())

    def join(self, name: str) -> None:
        lines = [f":alice!u@h JOIN {name}"]
        here = ["alice", *NICKS[: self.people]]
        lines += [f":s 353 alice = {name} :{' '.join(here[at : at + 40])}" for at in range(0, len(here), 40)]
        lines.append(f":s 366 alice {name} :end\r\n")
        self.link.sendall("\r\n".join(lines).encode())
        self.missing -= 1
        if not self.missing:
            self.pipe.send(0)


def _serve(pipe: Connection, channels: int, people: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send(listener.getsockname()[1])
        link, _ = listener.accept()
    served = _Served(link, pipe, channels, people)
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
                served.line(line.decode())


def hello(login: str, password: str, caps: tuple[str, ...] = ()) -> bytes:
    """What a client of a bouncer says first; capabilities one by one, as one that is refused takes others along."""
    wanted = "".join(f"CAP REQ :{name}\r\n" for name in (*CAPS, *caps))
    return f"CAP LS 302\r\n{wanted}PASS {login}:{password}\r\nNICK a\r\nUSER a 0 * :a\r\nCAP END\r\n".encode()


class Client:
    """One attached client. It answers PINGs, counts lines, and keeps what it was sent for `shown`.

    `greeting` is what it says first, `last` what it is shown last of all before it is attached.
    """

    def __init__(self, port: int, greeting: bytes, last: str) -> None:
        self.socket = connect(port)
        self.lines = 0
        self.asked = 0
        self._rest = b""
        self._chunks: list[bytes] = []
        self.socket.sendall(greeting)
        self.read_until(b" 001 ")
        self.let_in_at = time.perf_counter()
        self.read_until(last.encode())
        self.attached_at = time.perf_counter()

    def read(self) -> None:
        """One read. Counting is all that is done here: what is measured is the bouncer."""
        chunk = self.socket.recv(READ_BYTES)
        assert chunk, "the bouncer closed the connection"
        self._chunks.append(chunk)
        self.lines += chunk.count(b"\n")
        if b"PING " in chunk or b"PING " in self._rest + chunk[:64]:
            pings = PING.findall(self._rest + chunk)
            self.lines -= len(pings)
            self.asked += len(pings)
            self.socket.sendall(b"".join(b"PONG %b\r\n" % token for token in pings))
        self._rest = chunk[chunk.rfind(b"\n") + 1 :] if b"\n" in chunk else self._rest + chunk

    def read_until(self, mark: bytes) -> None:
        """Read until these bytes have come, perhaps before."""
        seen = self.seen
        while mark not in seen:
            self.read()
            seen = seen[-len(mark) :] + self._chunks[-1]

    def reset(self) -> None:
        """Forget what was read so far; the next run begins."""
        self.lines = 0
        self._chunks.clear()

    @property
    def seen(self) -> bytes:
        """All that came since `reset`."""
        return b"".join(self._chunks)

    @property
    def newest(self) -> bytes:
        """What the last read brought."""
        return self._chunks[-1]

    def shown(self) -> list[tuple[str, str]]:
        """(msgid, text) of each message since `reset`, in order."""
        found = SHOWN.findall(self.seen)
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


class Watch:
    """A client of no network, in a process of its own, that asks PING all the time: when the bouncer's loop turns."""

    def __init__(self, port: int, login: str, password: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_watch, args=(theirs, port, login, password), daemon=True)
        self._process.start()
        theirs.close()
        self.worst_ms()

    def worst_ms(self) -> float:
        """The longest wait for an answer since the last call, in ms; what the machine adds is in it."""
        self._pipe.send(b"")
        assert self._pipe.poll(DEADLINE_S), "the bouncer does not answer PING"
        return float(self._pipe.recv())

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _watch(pipe: Connection, port: int, login: str, password: str) -> None:
    worst = 0.0
    link = connect(port)
    link.sendall(f"PASS {login}:{password}\r\nNICK a\r\nUSER a 0 * :a\r\n".encode())
    came = b""
    while b" 422 " not in came and b" 376 " not in came:
        read = link.recv(4096)
        assert read, f"the bouncer let nobody in: {came!r}"
        came += read
    while True:
        began = time.perf_counter()
        link.sendall(b"PING x\r\n")
        assert link.recv(4096), "the bouncer closed the connection"
        worst = max(worst, time.perf_counter() - began)
        if pipe.poll(0.0005):
            pipe.recv()
            pipe.send(worst * 1000)
            worst = 0.0
