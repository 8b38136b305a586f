"""Owns the bouncer as a process to be measured, with one user or many, and the figures of a run."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.peers import Client, Network, hello
from benchmarks.process import Process, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct-horse"
SETTINGS = """[[listen]]
uri = "irc+insecure://127.0.0.1:{port}"
[web]
listen = ""
[flood]
burst = 0
[limits]
registering_per_address = 10000
registering_total = 10000
"""


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


class House(Process):
    """A running bouncer in a folder that is thrown away; its users are alice, or u0, u1 and so on."""

    def __init__(self, folder: Path, port: int, pid: int) -> None:
        super().__init__(pid)
        self.folder = folder
        self.port = port

    def file_of(self, user: int) -> Path:
        """The database of a user by number, from 0."""
        return self.folder / "storage" / "tenants" / f"{user + 1}.sqlite3"

    def files(self) -> list[Path]:
        """The databases of all users, the first user's first."""
        return sorted((self.folder / "storage" / "tenants").glob("*.sqlite3"), key=lambda path: int(path.stem))


class Home(House):
    """The bouncer of alice, who is on a network of her own."""

    def __init__(self, folder: Path, network: Network, port: int, pid: int) -> None:
        super().__init__(folder, port, pid)
        self.file = self.file_of(0)
        self.network = network

    def client(self, name: str, *caps: str) -> Client:
        """Attach a client of that name; back when it has been shown every channel."""
        last = f" 366 alice #bench{self.network.channels - 1} "
        return Client(self.port, hello(f"alice/net@{name}", PASSWORD, caps), last)


@contextlib.contextmanager
def house(channels: int = 1, people: int = 40) -> Iterator[Home]:
    """A bouncer whose user is on so many channels of so many people; flood limits are off."""
    network = Network(channels, people)
    names = [f"#bench{number}" for number in range(channels)]
    with contextlib.closing(network), folder() as place:
        furnish(place, ["alice"], network.port, names)
        with opened(place) as bouncer:
            network.wait_joined()
            yield Home(place, network, bouncer.port, bouncer.pid)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A new folder, removed in the end."""
    with tempfile.TemporaryDirectory(prefix="bouncer-bench-") as name:
        yield Path(name)


def furnish(place: Path, users: list[str], port: int, channels: list[str], *, tls: bool = False) -> None:
    """Settings, users and their server `net` at that port, to be on those channels.

    The first user is made by commands; the others are copies of the first, with the same password.
    """
    settings = place / "bouncer.toml"
    settings.write_text(SETTINGS.format(port=free_port()), encoding="utf-8")
    first, *others = users
    server = ["server", "add", first, "net", "127.0.0.1", "--port", str(port), "--nick", first, "--username", first]
    server += ["--join", ",".join(channels), "--no-tls-verify" if tls else "--no-tls"]
    for words in (["user", "add", first, "--password-stdin"], server):
        done = subprocess.run(_command(place, *words), input=f"{PASSWORD}\n".encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
    if others:
        _copy_users(place / "storage", others)


def _copy_users(storage: Path, names: list[str]) -> None:
    first = storage / "tenants" / "1.sqlite3"
    with contextlib.closing(sqlite3.connect(storage / "main.sqlite3")) as main, main:
        columns = [row[1] for row in main.execute("PRAGMA table_info(users)") if row[1] not in ("id", "name")]
        kept = ", ".join(columns)
        sql = f"INSERT INTO users (id, name, {kept}) SELECT ?, ?, {kept} FROM users WHERE id = 1"  # noqa: S608
        main.executemany(sql, list(enumerate(names, 2)))
    with contextlib.closing(sqlite3.connect(first)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = first.read_bytes()
    for number, name in enumerate(names, 2):
        path = first.with_name(f"{number}.sqlite3")
        path.touch(0o600)
        path.write_bytes(content)
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("PRAGMA synchronous=OFF")
            database.execute("UPDATE servers SET nickname = ?, username = ?", (name, name))


@contextlib.contextmanager
def opened(place: Path) -> Iterator[House]:
    """The bouncer of that folder, until the block ends."""
    port = int((place / "bouncer.toml").read_text(encoding="utf-8").partition("127.0.0.1:")[2].partition('"')[0])
    with running(_command(place, "run"), place / "log") as process:
        yield House(place, port, process.pid)


def _command(place: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "bouncer", "--config", str(place / "bouncer.toml"), *words]
