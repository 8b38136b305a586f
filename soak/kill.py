"""`kill -9` at chosen and at random moments under load, round after round on the same files.

After each kill every file is whole, every message that a client was shown is in its user's file, once and under its
msgid, and no receipt or read marker has gone back; at the next attaching nobody is skipped anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from sqlalchemy import create_engine, pool

from bouncer import database
from soak.witness import DEADLINE_S, Ledger, Witness
from soak.world import World

if TYPE_CHECKING:
    import argparse
    import subprocess
    from collections.abc import Awaitable, Callable

USERS = ("alice", "bella", "carol")
CLIENTS = ("desk", "phone")
OLD_SCHEMA = "0002"
"""What files are taken back to for a start that migrates; it has everything that is looked at here."""
STORED = "SELECT id, msgid, time, sender, content FROM messages WHERE message_type = 'privmsg' ORDER BY id"
RECEIPTS = "SELECT client, message_id FROM delivery_receipts"
MARKERS = "SELECT name, time FROM read_markers"
FTS = "INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)"


@dataclass
class Tally:
    """The figures of a run."""

    rounds: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    shown: int = 0
    """Messages that some client was shown, each counted once."""
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    before_stored: int = 0
    markers: int = 0
    receipts: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.rounds} rounds ({kinds})\n{self.stored} messages stored, {self.shown} shown to clients, "
            f"{self.lost} of these lost, {self.doubled} doubled, {self.before_stored} shown before they were stored\n"
            f"{self.receipts} receipts and {self.markers} read markers that had moved, {len(self.faults)} faults"
        )


# -- when to kill ----------------------------------------------------------------------------------------------------


async def _attached(world: World) -> list[Witness]:
    """Everybody is on the channel and talked to, with each of their clients; these may be behind."""
    await world.connected()
    world.talking()
    return [await world.attach(user, name) for user in USERS for name in CLIENTS]


async def _live(world: World) -> list[Witness]:
    """The same, once they are shown what is said now."""
    clients = await _attached(world)
    for client in clients:
        await client.until(lambda client: client.caught_up)
    return clients


async def _busy(world: World, clients: list[Witness], seconds: float) -> None:
    """Clients talk and mark what they have read as read, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client = world.dice.choice(clients)
        if world.dice.random() < 0.5:
            client.mark_read()
        else:
            client.say(f"{client.ledger.user} own {client.name} {time.monotonic_ns()}")
        await asyncio.sleep(min(0.02, max(0.0, end - time.monotonic())))  # people are no barrier


async def _when_busy(world: World, process: subprocess.Popen[str]) -> None:
    await world.listening(process)
    await _busy(world, await _live(world), world.dice.uniform(0.0, 1.2))


async def _when_shown(world: World, process: subprocess.Popen[str]) -> None:
    """Right as a client is shown something."""
    await _when_busy(world, process)
    client = world.dice.choice(world.clients)[0]
    count = len(client.shown) + world.dice.randint(1, 30)
    await client.until(lambda client: len(client.shown) >= count)


async def _when_marked(world: World, process: subprocess.Popen[str]) -> None:
    """Right as a client is told how far has been read."""
    await world.listening(process)
    clients = await _live(world)
    await _busy(world, clients, world.dice.uniform(0.1, 0.4))
    client = world.dice.choice(clients)
    before = dict(client.ledger.markers)
    await client.until(lambda client: bool(client.shown))

    def moved(client: Witness) -> bool:
        client.mark_read()  # with each line, as another client may have been further
        return client.ledger.markers != before

    await client.until(moved)


async def _when_starting(world: World, process: subprocess.Popen[str]) -> None:
    """Before it listens, while the files are opened, or as networks come in."""
    del process
    world.talking()
    await asyncio.sleep(world.dice.uniform(0.0, 1.4))


async def _when_played_back(world: World, process: subprocess.Popen[str]) -> None:
    await world.listening(process)
    await _attached(world)
    await asyncio.sleep(world.dice.uniform(0.0, 0.1))


async def _when_a_client_leaves(world: World, process: subprocess.Popen[str]) -> None:
    """Its receipt is saved then."""
    await world.listening(process)
    clients = await _live(world)
    await _busy(world, clients, world.dice.uniform(0.2, 0.6))
    for client in clients:
        if world.dice.random() < 0.5:
            client.close()
    await asyncio.sleep(world.dice.uniform(0.0, 0.02))


async def _when_stopping(world: World, process: subprocess.Popen[str]) -> None:
    await world.listening(process)
    await _busy(world, await _live(world), world.dice.uniform(0.1, 0.5))
    process.terminate()
    await asyncio.sleep(world.dice.uniform(0.0, 0.4))


async def _when_checkpointing(world: World, process: subprocess.Popen[str]) -> None:
    """As the log is written back: only then does the database itself change."""
    await world.listening(process)
    await _attached(world)
    for talk in world.talks.values():
        talk.most = 150
    paths = [world.path(user) for user in USERS]
    await asyncio.to_thread(_until_changed, paths)
    for talk in world.talks.values():
        talk.most = 20


def _until_changed(paths: list[Path]) -> None:
    before = [path.stat().st_mtime_ns for path in paths]
    deadline = time.monotonic() + DEADLINE_S
    while [path.stat().st_mtime_ns for path in paths] == before:
        assert time.monotonic() < deadline, "nothing was written back"


async def _when_migrating(world: World, process: subprocess.Popen[str]) -> None:
    """As a file of an older schema is written to, which was there before the start."""
    del process
    world.talking()
    await asyncio.to_thread(until_written, world.path(world.dice.choice(USERS)))
    await asyncio.sleep(world.dice.choice((0.0, world.dice.uniform(0.0, 0.05))))


def until_written(database: Path) -> None:
    """Wait, in a thread, until somebody has written to the log of that database."""
    log, deadline = database.with_name(f"{database.name}-wal"), time.monotonic() + DEADLINE_S
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as watching:
        watching.execute("SELECT count(*) FROM sqlite_master").fetchone()  # while we read, nobody takes the log away
        while not _size(log):
            assert time.monotonic() < deadline, f"nobody wrote to {log}"


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):  # the last one to close a database takes its log away
        return path.stat().st_size
    return 0


KINDS: dict[str, Callable[[World, subprocess.Popen[str]], Awaitable[None]]] = {
    "busy": _when_busy,
    "shown": _when_shown,
    "marked": _when_marked,
    "starting": _when_starting,
    "played back": _when_played_back,
    "leaving": _when_a_client_leaves,
    "stopping": _when_stopping,
    "checkpointing": _when_checkpointing,
    "migrating": _when_migrating,
}


def _take_back(path: Path) -> None:
    """Give the file the schema of long ago, with all of its log in it."""
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path), poolclass=pool.NullPool)
    with engine.begin() as connection:
        config = database._config("tenant_migrations")  # noqa: SLF001 - as the schema tests do
        config.attributes["connection"] = connection
        command.downgrade(config, OLD_SCHEMA)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# -- what has to be so afterwards --------------------------------------------------------------------------------------


def check(world: World, ended: list[Witness], tally: Tally) -> None:
    """Hold the files, as they are on disk, against what was shown."""
    tally.stored = tally.lost = tally.doubled = tally.before_stored = 0
    for user, ledger in world.ledgers.items():
        with world.copy(world.path(user)) as connection:
            _whole(connection, user, tally)
            connection.execute(FTS)
            hold_against(connection, ledger, [client for client in ended if client.ledger is ledger], tally)
        tally.faults += [f"{user}: {fault}" for fault in ledger.faults]
        ledger.faults.clear()
    with world.copy(world.cli.storage / "main.sqlite3") as connection:
        _whole(connection, "main", tally)
    tally.faults += [line for line in world.said().splitlines() if " error " in line.lower() or "Traceback" in line]
    tally.shown = sum(len(ledger.said) for ledger in world.ledgers.values())


def _whole(connection: sqlite3.Connection, name: str, tally: Tally) -> None:
    found = connection.execute("PRAGMA integrity_check").fetchall()
    if found != [("ok",)]:
        tally.faults.append(f"{name}: {found}")


def hold_against(connection: sqlite3.Connection, ledger: Ledger, ended: list[Witness], tally: Tally) -> None:
    """A user's file against what its clients were shown; `ended` are those of this round."""
    rows = connection.execute(STORED).fetchall()
    ids = {msgid: number for number, msgid, *_ in rows}
    stored = {text: (msgid, time_ms, sender) for _, msgid, time_ms, sender, text in rows}
    texts = Counter(text for *_, text in rows)
    tally.doubled += sum(count - 1 for count in texts.values()) + len(rows) - len(ids)
    for text, said in ledger.said.items():
        if text not in stored:
            tally.before_stored += text in ledger.before_stored
            tally.lost += text not in ledger.before_stored
        elif stored[text] != (said.msgid, _ms(said.time), said.sender):
            tally.faults.append(f"{ledger.user}: {said} is stored as {stored[text]}")
    _receipts(connection, ledger, ids, ended, tally)
    _markers(dict(connection.execute(MARKERS).fetchall()), ledger, tally)
    tally.stored += len(rows)


def _markers(kept: dict[str, int], ledger: Ledger, tally: Tally) -> None:
    for name, told in ledger.markers.items():
        if _ms(told) > kept.get(name, 0):
            tally.faults.append(f"{ledger.user}: the marker of {name} went back from {told} to {kept.get(name)}")
    for name, time_ms in kept.items():
        before = ledger.markers.get(name, "")
        ledger.markers[name] = max(before, _iso(time_ms))
        tally.markers += ledger.markers[name] != ledger.kept_markers.get(name)
        ledger.kept_markers[name] = ledger.markers[name]


def _receipts(
    connection: sqlite3.Connection, ledger: Ledger, ids: dict[str, int], ended: list[Witness], tally: Tally
) -> None:
    """Receipts stand between what was acknowledged and what was shown, and the next playback goes on there."""
    now = dict(connection.execute(RECEIPTS).fetchall())
    for client in ended:
        before, seen = ledger.receipts.get(client.name), {ids.get(said.msgid, 0) for said in client.shown}
        if (
            client.caught_up
            and client.old
            and now.get(client.name, 0) < (old := ids[client.shown[client.old - 1].msgid])
        ):
            tally.faults.append(f"{ledger.user}@{client.name}: {old} was shown long ago, its receipt is {now}")
        if before is None or not client.caught_up or not seen:
            continue
        due = {number for number in ids.values() if before < number <= max(seen)}
        if seen != due:
            what = f"skipped {sorted(due - seen)[:5]}, shown again {sorted(seen - due)[:5]}"
            tally.faults.append(f"{ledger.user}@{client.name}, receipt {before}: {what}")
    for client, receipt in now.items():
        before = ledger.receipts.get(client, -1)
        tally.receipts += receipt > before >= 0
        least = max(before, ids.get(ledger.settled.get(client, ""), -1))
        if receipt < least:
            tally.faults.append(f"{ledger.user}@{client}: the receipt went back from {least} to {receipt}")
        seen = {ids[msgid] for msgid in ledger.seen.get(client, ()) if msgid in ids}
        if skipped := [number for number in ids.values() if number <= receipt and number not in seen]:
            tally.faults.append(f"{ledger.user}@{client}: receipt {receipt}, but never shown {skipped[:5]}")
    ledger.receipts |= now


def _ms(time_: str) -> int:
    moment = datetime.strptime(time_, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


# -- rounds ------------------------------------------------------------------------------------------------------------


async def rounds(folder: Path, kinds: list[str], seed: int, told: Callable[[str], None] = lambda _: None) -> Tally:
    """One kill of each of `kinds` in that order, then an ordered stop. `told` hears of each."""
    tally = Tally()
    async with World.made(folder, USERS, seed=seed) as world:
        await first(world)
        for number, kind in enumerate(kinds, 1):
            begin = time.monotonic()
            if kind == "migrating":
                for user in USERS:
                    await asyncio.to_thread(_take_back, world.path(user))
            await _round(world, kind, tally)
            took = time.monotonic() - begin
            told(f"{number} {kind}, {took:.1f} s: {tally.shown} shown, {tally.lost} lost, {len(tally.faults)} faults")
        with world.process() as process:
            await world.listening(process)
            clients = await _live(world)
            await _busy(world, clients, 0.2)
            await world.stopped(process)
            ended = await world.ended()
        await asyncio.to_thread(check, world, ended, tally)
    return tally


async def first(world: World) -> None:
    """Every client has been there, before anything was said: there is nothing that it need not be shown."""
    with world.process() as process:
        await world.listening(process)
        await world.connected()
        for client in [await world.attach(user, name) for user in USERS for name in CLIENTS]:
            await client.until(lambda client: client.caught_up)
        await world.stopped(process)
        await world.ended()


async def _round(world: World, kind: str, tally: Tally) -> None:
    world.log.unlink(missing_ok=True)
    with world.process() as process:
        try:
            await KINDS[kind](world, process)
        finally:
            process.kill()
        ended = await world.ended()
        await asyncio.to_thread(process.wait, DEADLINE_S)
    world.quiet()
    tally.rounds += 1
    tally.kinds[kind] += 1
    await asyncio.to_thread(check, world, ended, tally)


def options(parser: argparse.ArgumentParser) -> None:
    """What can be said behind `kill`."""
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=sorted(KINDS), help="one kind of moment, instead of all in turn")


def run(args: argparse.Namespace) -> int:
    """The long form; prints its figures, 1 when something was lost, doubled or went back."""
    turn = [args.only] if args.only else list(KINDS)
    kinds = [turn[number % len(turn)] for number in range(args.rounds)]
    print(f"seed {args.seed}")
    with tempfile.TemporaryDirectory(prefix="bouncer-kill-") as folder:
        tally = asyncio.run(rounds(Path(folder), kinds, args.seed, functools.partial(print, flush=True)))
    print(tally)
    print(*tally.faults[:50], sep="\n")
    return 1 if tally.lost or tally.doubled or tally.faults else 0
