"""One user, 20,000 messages flooding a channel: stored, indexed and delivered; messages/s, CPU and bytes written.

    python -m benchmarks [RUNS] [--clients N] [--messages N]

Bouncer, network and clients are processes of their own, with flood limits off; CPU is that of the bouncer alone, to the
moment it has nothing left to do. A run ends with an error when a message was not on disk as the last one was shown, or
is lost, doubled, reordered, under another msgid, or not in the index.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.peers import DEADLINE_S, Client, Network, read_all, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct-horse"
TICKS = os.sysconf("SC_CLK_TCK")
QUIET_S = 0.2


class Result(NamedTuple):
    """One run: wall seconds from the first byte sent to the last one read, CPU seconds, bytes written to disk."""

    wall_s: float
    cpu_s: float
    written: int


def bouncer_command(folder: Path, *words: str) -> list[str]:
    """A command line of the bouncer."""
    return [sys.executable, "-m", "bouncer", "--config", str(folder / "bouncer.toml"), *words]


@contextlib.contextmanager
def running(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A bouncer with one user on a network at `port`: its process and the port it listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        listener = free.getsockname()[1]
    listen = f'[[listen]]\nuri = "irc+insecure://127.0.0.1:{listener}"\n[web]\nlisten = ""\n[flood]\nburst = 0\n'
    (folder / "bouncer.toml").write_text(listen, encoding="utf-8")
    server = ["server", "add", "alice", "net", "127.0.0.1", "--port", str(port), "--no-tls", "--join", "#bench"]
    for words in (["user", "add", "alice", "--password-stdin"], server):
        subprocess.run(
            bouncer_command(folder, *words), input=f"{PASSWORD}\n".encode(), stdout=subprocess.DEVNULL, check=True
        )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(bouncer_command(folder, "run"), stderr=log)
    try:
        yield process, listener
    except AssertionError:
        print((folder / "log").read_text(encoding="utf-8"), file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def cpu_s(pid: int) -> float:
    """User and system seconds of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written(pid: int) -> int:
    """Bytes a process has sent to disk so far."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines())
    return int(fields["write_bytes"])


def quiet_cpu_s(pid: int) -> float:
    """`cpu_s` once it has stopped growing: work put off is work, too."""
    used = -1.0
    while used < (now := cpu_s(pid)):
        used = now
        time.sleep(QUIET_S)
    return used


def measure(pid: int, network: Network, clients: list[Client], file: Path, messages: int, run: int) -> Result:
    """One flood, and a look at everything it left."""
    said = texts(messages, run)
    network.load(said)
    for client in clients:
        client.reset()
    cpu, disk, began = quiet_cpu_s(pid), written(pid), time.perf_counter()
    network.flood()
    ended = read_all(clients, messages)
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        newest = database.execute("SELECT content FROM messages ORDER BY id DESC LIMIT 1").fetchone()[0]
        assert newest == said[-1], "shown, but not stored"
        result = Result(ended - began, quiet_cpu_s(pid) - cpu, written(pid) - disk)
        stored = database.execute("SELECT id, msgid, content FROM messages ORDER BY id DESC LIMIT ?", (messages,))
        ids, *rest = zip(*reversed(stored.fetchall()), strict=True)
        assert rest[1] == tuple(said), "the file has lost, doubled or reordered messages"
        assert len(set(rest[0])) == messages, "a msgid is there twice"
        for client in clients:
            assert client.shown() == list(zip(*rest, strict=True)), "a client was shown something else than is stored"
        sql = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ? ORDER BY rowid"
        assert [row[0] for row in database.execute(sql, (f"run{run}",))] == list(ids), "not all are in the index"
    return result


def check_file(file: Path, messages: int) -> None:
    """Nothing is there twice, over all runs, and every word of every message is in the index; the bouncer has ended."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        sql = "SELECT count(*), count(DISTINCT msgid) FROM messages WHERE message_type = 'privmsg'"
        assert database.execute(sql).fetchone() == (messages, messages)
        database.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")


def report(name: str, values: list[float], form: str) -> None:
    """One line: the median and what it lies between."""
    low, middle, high = (format(value, form) for value in (min(values), statistics.median(values), max(values)))
    print(f"{name:16} median {middle}  ({low} to {high})")


def main() -> None:
    """Run in a folder that is thrown away, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--messages", type=int, default=20_000)
    args = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="bouncer-bench-") as name:
        folder = Path(name)
        file = folder / "storage" / "tenants" / "1.sqlite3"
        network = Network()
        with contextlib.closing(network), running(folder, network.port) as (process, port):
            network.wait_joined()
            clients = [Client(port, f"alice/net@bench{number}", PASSWORD) for number in range(args.clients)]
            for run in range(args.runs + 1):
                result = measure(process.pid, network, clients, file, args.messages, run)
                if run:  # the first one warms up
                    results.append(result)
        check_file(file, args.messages * (args.runs + 1))
    print(f"{args.messages} messages to {args.clients} client(s), {args.runs} runs,", end=" ")
    print("every one stored, indexed, then delivered, once and in order")
    report("messages/s", [args.messages / one.wall_s for one in results], ",.0f")
    report("deliveries/s", [args.messages * args.clients / one.wall_s for one in results], ",.0f")
    report("CPU us/message", [one.cpu_s / args.messages * 1e6 for one in results], ".1f")
    report("MB written", [one.written / 1e6 for one in results], ".1f")


if __name__ == "__main__":
    main()
