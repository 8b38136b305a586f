"""How many lines per CPU-second the read path takes, and what an idle connection costs.

    python benchmarks/upstream.py [lines]

A process of its own plays the network; only our own CPU time is counted.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import socket
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import uvloop

from bouncer import tasks
from bouncer.upstream import ConnectParams, NoteKind, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from bouncer.irc.message import Message

WELCOME = b":irc.test 001 me :hi\r\n:irc.test 376 me :end\r\n"
PLAIN = [
    b":friend%d!user@host.example.org PRIVMSG #room :hello there, this is what people say on an ordinary day" % number
    for number in range(8)
] + [b":friend!user@host.example.org JOIN #room", b":friend!user@host.example.org QUIT :bye"]
TAGGED = [b"@time=2026-11-23T09:27:35.123Z;msgid=abcdefghijklmnopqrstuv;account=friend " + line for line in PLAIN]


class Counter:
    """Counts lines and registrations."""

    def __init__(self, expected: int = 1) -> None:
        self.count = 0
        self.expected = expected
        self.all_in = asyncio.Event()

    def lines(self, lines: list[Message]) -> int:
        self.count += len(lines)
        return len(lines)

    def registered(self) -> None:
        self.expected -= 1
        if not self.expected:
            self.all_in.set()

    def note(self, kind: NoteKind, text: str) -> None:
        pass


def serve(ports: Connection, data: bytes, connections: int, *, hold: bool) -> None:
    """Let each connection in, send it `data`, and close (or hold until the parent has measured)."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        ports.send(listener.getsockname()[1])
        taken = []
        for _ in range(connections):
            link, _ = listener.accept()
            taken.append(link)
            link.sendall(WELCOME + data)
            if not hold:
                link.shutdown(socket.SHUT_WR)
                while link.recv(65536):
                    pass
        ports.send("all")
        if hold:
            ports.recv()


def network(data: bytes, connections: int, *, hold: bool) -> tuple[multiprocessing.Process, Connection, int]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(
        target=serve, args=(theirs, data, connections), kwargs={"hold": hold}, daemon=True
    )
    process.start()
    return process, ours, ours.recv()


async def flood(port: int) -> tuple[int, float]:
    counter = Counter()
    upstream = Upstream(ConnectParams("127.0.0.1", port, "me", tls=False), counter)
    started = time.process_time()
    await upstream.run()
    return counter.count, time.process_time() - started


async def idle(port: int, connections: int) -> float:
    """KiB of Python memory per registered, idle connection."""
    group = tasks.Group()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    counter = Counter(connections)
    for _ in range(connections):
        group.spawn(Upstream(ConnectParams("127.0.0.1", port, "me", tls=False), counter).run(), name="upstream")
    await asyncio.wait_for(counter.all_in.wait(), 60)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    await group.cancel()
    return used / connections / 1024


def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 600_000
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop,
        "uvloop": uvloop.new_event_loop,
    }
    for what, mix in (("plain", PLAIN), ("with tags", TAGGED)):
        data = b"\r\n".join((mix * (lines // len(mix) + 1))[:lines]) + b"\r\n"
        for name, factory in loops.items():
            process, _, port = network(data, 1, hold=False)
            with asyncio.Runner(loop_factory=factory) as runner:
                count, used = runner.run(flood(port))
            process.join(10)
            print(f"{what:10} {name:8} {count / used:10,.0f} lines per CPU-second ({count} lines, {used:.2f} s)")
    for name, factory in loops.items():
        process, pipe, port = network(b"", 200, hold=True)
        with asyncio.Runner(loop_factory=factory) as runner:
            print(f"idle       {name:8} {runner.run(idle(port, 200)):10.1f} KiB per connection (Python's own)")
        pipe.send("done")
        process.join(10)


if __name__ == "__main__":
    main()
