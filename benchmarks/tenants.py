"""The journal with 1,000 users who each write now and then, of whom 128 files are open at most; in this process."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.house import Figure, folder
from bouncer import vault
from bouncer.journal import Batch, Journal, MessageRow
from bouncer.tenant import Tenants

if TYPE_CHECKING:
    from pathlib import Path

TENANTS, OPEN, ROUNDS, ROWS = 1_000, 128, 5, 20
MADE = "INSERT INTO servers (name, address, port, nickname, created_at, updated_at) VALUES ('n', '', 1, '', 0, 0)"


def tenants(runs: int) -> list[Figure]:
    """Rows a second, and how long one user's messages waited at most, while all the others wrote too."""
    rates, waits = [], []
    for run in range(runs + 1):
        with folder() as place:
            vault.install(vault.Vault(place / "secret.key"))
            rate, wait = asyncio.run(_write(place / "tenants"))
            for tenant in range(1, TENANTS + 1):
                _check(place / "tenants" / f"{tenant}.sqlite3", str(tenant))
        if run:
            rates.append(rate)
            waits.append(wait)
    what = f"{TENANTS:,} users write now and then, {OPEN} open files"
    return [
        Figure(f"{what}: rows/s", ">= 6,000", rates, ",.0f"),
        Figure("  the longest that one user waited, by the mean of all", "<= 2", waits),
    ]


async def _write(root: Path) -> tuple[float, float]:
    """Everybody writes 20 rows, and again when they are stored: rows a second, the longest wait by the mean one."""
    known = Tenants(root, max_open=OPEN)
    await known.start()
    ids = [str(number) for number in range(1, TENANTS + 1)]
    for tenant in ids:
        await known.create(tenant)
        with contextlib.closing(sqlite3.connect(known.path(tenant))) as database, database:
            database.execute(MADE)
    journal = Journal(known, live_ms=60_000)
    journal.start()
    waits: list[float] = []

    def write(tenant: str, number: int) -> None:
        """The next 20 rows, and when they are stored those after them."""
        submitted = time.perf_counter()

        def released(_batch: Batch, stored: bool) -> None:
            assert stored, "a batch was released before it was stored"
            waits.append(time.perf_counter() - submitted)
            if number + 1 < ROUNDS:
                write(tenant, number + 1)

        rows = [_message(tenant, number * ROWS + place) for place in range(ROWS)]
        journal.submit(tenant, Batch(released, rows=rows))

    began = time.perf_counter()
    for tenant in ids:
        write(tenant, 0)
    while len(waits) < TENANTS * ROUNDS:
        await asyncio.gather(*(journal.flush(tenant) for tenant in ids))
    took_s = time.perf_counter() - began
    await journal.close()
    await known.close()
    return TENANTS * ROUNDS * ROWS / took_s, max(waits) / statistics.mean(waits)


def _message(tenant: str, number: int) -> MessageRow:
    text = f"user{tenant} n{number} a message of about the usual length, as people write them"
    msgid = f"{tenant}-{number}"
    return MessageRow(1, "channel", "#room", "#room", "a!b@c", "privmsg", text, None, msgid, number, own=False)


def _check(path: Path, tenant: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        stored = [row[0].split()[:2] for row in database.execute("SELECT content FROM messages ORDER BY id")]
        wanted = [[f"user{tenant}", f"n{number}"] for number in range(ROUNDS * ROWS)]
        assert stored == wanted, f"the file of user {tenant} has lost, reordered or somebody else's messages"
        found = database.execute("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH ?", (f"user{tenant}",))
        assert found.fetchone() == (len(wanted),), "not all are in the index"
