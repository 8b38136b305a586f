"""One user, one client, 20,000 messages flooding a channel: stored, indexed and delivered, messages/s and CPU.

`python -m benchmarks [RUNS]`. The bouncer is a process of its own with flood limits off; the network is a raw socket in
this one. A run in which a message is lost, doubled, reordered or cannot be found ends it with an error.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

MESSAGES = 20_000
DEADLINE_S = 120.0
PASSWORD = "correct-horse"
TICKS = os.sysconf("SC_CLK_TCK")


class Network:
    """Lets one client in and floods it."""

    def __init__(self) -> None:
        self.joined = asyncio.Event()
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        nick = "alice"
        while line := (await reader.readline()).decode():
            command, _, rest = line.strip().partition(" ")
            if command == "USER":
                words = "CHANTYPES=# PREFIX=(ov)@+ :are supported by this server"
                writer.write(f":s 001 {nick} :hi\r\n:s 005 {nick} {words}\r\n:s 376 {nick} :end\r\n".encode())
            elif command == "JOIN":
                names = f":s 353 {nick} = #a :{nick} bob\r\n:s 366 {nick} #a :end\r\n"
                writer.write(f":{nick}!u@h JOIN #a\r\n{names}".encode())
                self.joined.set()
            elif command == "PING":
                writer.write(f":s PONG s {rest}\r\n".encode())
        writer.close()


async def command(folder: Path, *words: str, stdin: str = "") -> None:
    """One command line of the bouncer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bouncer", "--config", str(folder / "bouncer.toml"), *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await process.communicate(stdin.encode())
    assert process.returncode == 0, words


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def attach(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has been shown the channel."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    login = f"PASS alice/net@bench:{PASSWORD}\r\nNICK a\r\nUSER a 0 * :a\r\nCAP END\r\n"
    writer.write(f"CAP LS 302\r\nCAP REQ :server-time message-tags batch\r\n{login}".encode())
    while b" 366 " not in (line := await reader.readline()):
        assert line, "the bouncer closed the connection"
    return reader, writer


async def flood(network: Network, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: int) -> float:
    """Seconds from the first byte sent to the last message received; checks that all came once, in order."""
    text = "is a message of the usual length for a channel where people talk"
    lines = [f":bob!b@host.example PRIVMSG #a :run{run} n{number} {text}\r\n" for number in range(MESSAGES)]
    data = "".join(lines).encode()
    assert network.writer is not None
    began = time.perf_counter()
    network.writer.write(data)
    chunks: list[bytes] = []
    count = 0
    while count < MESSAGES:  # counted here, looked at afterwards: what is measured is the bouncer
        got = await reader.read(1 << 18)
        assert got, "the bouncer closed the connection"
        chunks.append(got)
        count += got.count(b" PRIVMSG #a :run")
        if b"PING" in got:
            writer.writelines(b"PONG " + token + b"\r\n" for token in re.findall(rb"PING (:bouncer\S+)\r", got))
    took = time.perf_counter() - began
    numbers = [int(number) for number in re.findall(rb"PRIVMSG #a :run%d n(\d+) " % run, b"".join(chunks))]
    assert numbers == list(range(MESSAGES)), "lost, doubled or reordered"
    return took


def check(file: Path, run: int) -> None:
    """Every message of the run is in the user's file and in its index."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        sql = "SELECT count(*), count(DISTINCT msgid) FROM messages WHERE content LIKE ?"
        found = database.execute(sql, (f"run{run} n%",)).fetchone()
        assert found == (MESSAGES, MESSAGES), found
        sql = "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH ?"
        assert database.execute(sql, (f"run{run}",)).fetchone() == (MESSAGES,)
    database.close()


async def measure(folder: Path, runs: int) -> None:
    """Start everything, flood, print."""
    network = Network()
    server = await asyncio.start_server(network.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as free:
        listener = free.getsockname()[1]
    listen = f'[[listen]]\nuri = "irc+insecure://127.0.0.1:{listener}"\n[web]\nlisten = ""\n[flood]\nburst = 0\n'
    (folder / "bouncer.toml").write_text(listen, encoding="utf-8")
    await command(folder, "user", "add", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
    await command(folder, "server", "add", "alice", "net", "127.0.0.1", "--port", str(port), "--no-tls", "--join", "#a")
    bouncer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bouncer",
        "run",
        "--config",
        str(folder / "bouncer.toml"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            await network.joined.wait()
            reader, writer = await attach(listener)
            rates, costs = [], []
            for run in range(runs + 1):
                before = cpu_s(bouncer.pid)
                took = await flood(network, reader, writer, run)
                cost = (cpu_s(bouncer.pid) - before) / MESSAGES * 1e6
                await asyncio.to_thread(check, folder / "storage" / "tenants" / "1.sqlite3", run)
                if run:  # the first one warms up
                    rates.append(MESSAGES / took)
                    costs.append(cost)
            writer.close()
    finally:
        bouncer.terminate()
        await bouncer.wait()
        server.close()
    print(f"{MESSAGES} messages to one client, {runs} runs, every one stored, indexed, delivered once and in order")
    print(f"messages/s       median {statistics.median(rates):,.0f}  ({min(rates):,.0f} to {max(rates):,.0f})")
    print(f"CPU us/message   median {statistics.median(costs):,.1f}  ({min(costs):,.1f} to {max(costs):,.1f})")


def main() -> None:
    """Run in a folder that is thrown away."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="bouncer-bench-") as folder:
        asyncio.run(measure(Path(folder), runs))


if __name__ == "__main__":
    main()
