"""Power cuts, as the system calls of the process tell what a disk would have by then, and a disk that is really full.

`strace` records what is written, synced and sent to clients. With `synchronous = "full"` nothing is sent before it is
synced. With either setting every file that a cut leaves opens, is whole, and has what was stored up to some message.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bouncer.database import open_tenant
from soak import kill, trace
from soak.world import World

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from soak.trace import Disk, Happened
    from soak.witness import Witness

USERS = ("alice", "bella")
SPOKEN = re.compile(rb"(alice|bella) e(\d+) n(\d+)\.")
STORED = "SELECT content FROM messages WHERE content LIKE '% e% n%' ORDER BY id"
DISK_MB = 12


@dataclass
class Cuts:
    """The figures of a run with power cuts."""

    synchronous: str
    sent: int = 0
    """Messages sent to clients."""
    most_at_risk: int = 0
    """Of these, how many were not synced at the worst moment."""
    cuts: int = 0
    most_lost: int = 0
    """Messages that clients had and the file did not, after the worst cut."""
    syncs: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"synchronous = {self.synchronous}: {self.sent} messages sent, {self.syncs} syncs, at most "
            f"{self.most_at_risk} sent but not synced; {self.cuts} cuts, at most {self.most_lost} messages lost, "
            f"{len(self.faults)} faults"
        )


async def power_cuts(folder: Path, synchronous: str, seconds: float, cuts: int, seed: int) -> Cuts:
    """Talk for so long, then look at the disk as it was at so many moments of it."""
    out, tally = folder / "trace", Cuts(synchronous)
    async with World.made(folder, USERS, seed=seed, more=f'[storage]\nsynchronous = "{synchronous}"') as world:
        logs = [path.with_name(f"{path.name}-wal") for path in map(world.path, USERS)]
        with world.process() as process:
            await world.listening(process)
            await world.connected()
            clients = [await world.attach(user, "desk") for user in USERS]
            for client in clients:
                await client.until(lambda one: one.caught_up)
            async with trace.traced(process.pid, out):
                disk = trace.Disk.of([*map(world.path, USERS), *logs])
                world.talking()
                await asyncio.sleep(seconds)
                world.quiet()
            process.kill()
            await world.ended()
        calls = await asyncio.to_thread(lambda: list(trace.read(out)))
        await asyncio.to_thread(_look, calls, disk, world, tally, cuts)
    return tally


def _look(calls: list[Happened], disk: Disk, world: World, tally: Cuts, cuts: int) -> None:
    dice = random.Random(world.dice.random())  # noqa: S311 - chance that can be had again
    moments = set(dice.sample(range(len(calls)), min(cuts, len(calls))))
    sent: set[bytes] = set()
    synced: set[bytes] = set()
    waiting: dict[str, set[bytes]] = {}
    for number, call in enumerate(calls):
        disk.happen(call)
        words = {found[0] for found in SPOKEN.finditer(call.data)}
        if call.kind == "write":
            waiting.setdefault(call.path, set()).update(words)
        elif call.kind == "sync":
            tally.syncs += 1
            synced |= waiting.pop(call.path, set())
        elif call.kind == "send":
            sent |= words
            tally.most_at_risk = max(tally.most_at_risk, len(sent - synced))
        if number in moments:
            tally.cuts += 1
            _cut(disk.after_a_cut(dice), sent, world, tally)
    tally.sent = len(sent)


def _cut(files: dict[str, bytes], sent: set[bytes], world: World, tally: Cuts) -> None:
    """The power went: the files are whole, have a beginning of what was said, and (full) all that was sent."""
    folder = world.cli.folder / "cut"
    folder.mkdir(exist_ok=True)
    lost = 0
    for user in USERS:
        path = world.path(user)
        for leftover in folder.iterdir():
            leftover.unlink()
        for name in (path, path.with_name(f"{path.name}-wal")):
            if str(name) in files:
                (folder / name.name).write_bytes(files[str(name)])
        with contextlib.closing(open_tenant(folder / path.name, "rw")) as connection:
            try:
                stored = _stored(connection)
            except sqlite3.Error as error:
                tally.faults.append(f"{user}: {error}")
                continue
        numbers = [int(text.rpartition(b" n")[2].rstrip(b".")) for text in stored]
        if numbers != list(range(len(numbers))):
            tally.faults.append(f"{user}: a hole in what is left: {numbers[:3]}…{numbers[-3:]}")
        lost += len({text for text in sent if text.startswith(user.encode())} - set(stored))
    tally.most_lost = max(tally.most_lost, lost)
    if lost and tally.synchronous == "full":
        tally.faults.append(f"{lost} messages that clients had are lost")


def _stored(connection: sqlite3.Connection) -> list[bytes]:
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.execute(kill.FTS)
    return [text.encode() for (text,) in connection.execute(STORED)]


# -- a full disk -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(at: Path) -> Iterator[Path]:
    """A file system of `DISK_MB` there; AssertionError where this user may not mount one."""
    at.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", str(at)], capture_output=True, check=False
    )
    assert mounted.returncode == 0, f"no file system of its own, run it as root: {mounted.stderr.decode()}"
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=False)


async def full_disk(folder: Path, seconds: float, seed: int) -> kill.Tally:
    """A disk that fills up under load and has room again later: all that was shown is there then."""
    tally = kill.Tally()
    with small_disk(folder / "storage" / "tenants") as disk:
        async with World.made(folder, USERS, seed=seed, live_ms=500) as world:
            with world.process() as process:
                await world.listening(process)
                await world.connected()
                clients = [await world.attach(user, "desk") for user in USERS]
                for client in clients:
                    await client.until(lambda one: one.caught_up)
                world.talking()
                _fill(disk / "filler")
                for client in clients:
                    await client.until(lambda one: _told(one, "database or disk is full"))
                await asyncio.sleep(seconds)
                (disk / "filler").unlink()
                for client in clients:
                    await client.until(lambda one: _told(one, "Storage works again"))
                world.quiet()
                await world.stopped(process)
                await world.ended()
            tally.rounds = 1
            world.log.write_text("")  # it tells of the disk, and may
            # No receipt moves past what is not stored, so theirs are behind, and nobody is asked how far.
            await asyncio.to_thread(kill.check, world, [], tally)
            # What was shown meanwhile counts as shown before it was stored, and all of it was stored afterwards.
            tally.lost += tally.before_stored
    return tally


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def _told(client: Witness, words: str) -> bool:
    return any(words in notice for notice in client.notices)


def options(parser: argparse.ArgumentParser) -> None:
    """What can be said behind `storage`."""
    parser.add_argument("--seconds", type=float, default=4.0, help="of talk in each part")
    parser.add_argument("--cuts", type=int, default=200, help="moments at which the power goes")
    parser.add_argument("--seed", type=int, default=int(time.time()))


def run(args: argparse.Namespace) -> int:
    """The long form; prints its figures, 1 when a promise was broken."""
    print(f"seed {args.seed}")
    faults: list[str] = []
    for synchronous in ("full", "normal"):
        with tempfile.TemporaryDirectory(prefix="bouncer-cuts-") as folder:
            cuts = asyncio.run(power_cuts(Path(folder), synchronous, args.seconds, args.cuts, args.seed))
        print(cuts, flush=True)
        faults += cuts.faults
    with tempfile.TemporaryDirectory(prefix="bouncer-full-") as folder:
        tally = asyncio.run(full_disk(Path(folder), args.seconds, args.seed))
    print(f"full disk: {tally}")
    faults += tally.faults
    if tally.lost or tally.doubled:
        faults.append(f"{tally.lost} messages lost, {tally.doubled} doubled, when the disk was full")
    print(*faults[:50], sep="\n")
    return int(bool(faults))
