"""Most of a large history deleted while messages go on arriving: how long it takes, and how long anybody waits for it.

    python -m benchmarks.deleting [MESSAGES] [PER_SECOND]

The user's own messages and another user's (on the same worker thread) are stored one at a time, PER_SECOND of each;
what is measured is from handing one over to its commit. No network and no client take part.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.panel import APART_MS, fill
from bouncer import tasks, tenant, vault
from bouncer.cli.daemon import SWITCH_S
from bouncer.clock import now_ms
from bouncer.config import Config, Storage
from bouncer.database import MainDatabase
from bouncer.journal import Batch, Journal, MessageRow, ignore_release
from bouncer.looplag import LoopLag
from bouncer.service import Service
from bouncer.service.live import Offline
from bouncer.service.retention import EVERYTHING

if TYPE_CHECKING:
    from bouncer.tenant import Tenants

QUIET_S = 5.0
"""How long is measured before anything is deleted, for comparing."""


class Writer:
    """Stores one message after another for a user, and notes how long each took (ms)."""

    def __init__(self, journal: Journal, user_id: int, every_s: float) -> None:
        self._journal = journal
        self._user = str(user_id)
        self._every_s = every_s
        self._number = 0
        self.waits: list[float] = []

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            began = time.perf_counter()
            self._number += 1
            words = f"message {self._number} of many that go on arriving"
            row = MessageRow(
                1, "channel", "#room1", "#room1", "n!u@h", "privmsg", words, None, f"new{self._number}", now_ms(),
                own=False,
            )  # fmt: skip
            self._journal.submit(self._user, Batch(ignore_release, rows=[row]))
            await self._journal.flush(self._user)
            self.waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(max(0.0, self._every_s - (time.perf_counter() - began)))


def figures(what: str, waits: list[float]) -> None:
    """One line: median, 99th of a hundred, worst."""
    high = statistics.quantiles(waits, n=100)[98]
    print(f"{what:44} {statistics.median(waits):7.1f} {high:7.1f} {max(waits):7.1f}   of {len(waits)}")


async def measure(service: Service, tenants: Tenants, count: int, rate: int) -> None:
    """Two users on one worker thread; the first one's history goes but for a tenth."""
    users = [await service.users.add(f"user{number}", password="correct horse battery") for number in range(3)]
    own = users[0]
    other = next(one for one in users[1:] if tenants.worker_index(str(one.id)) == tenants.worker_index(str(own.id)))
    await asyncio.to_thread(fill, tenant.path(own.id), count)
    await asyncio.to_thread(fill, tenant.path(other.id), 1_000)
    journal, lag, group = Journal(tenants), LoopLag(), tasks.Group()
    journal.start()
    lag.start()
    writers = {"one's own": Writer(journal, own.id, 1 / rate), "another user's": Writer(journal, other.id, 1 / rate)}
    for writer in writers.values():
        group.spawn(writer.run(), name="writer")
    await asyncio.sleep(QUIET_S)
    print("ms from handing over to commit: median, 99th, worst")
    for name, writer in writers.items():
        figures(f"{name} messages, nothing being deleted", writer.waits)
        writer.waits.clear()
    size, began = tenant.path(own.id).stat().st_size, time.monotonic()
    await service.upkeep.delete(own.id, EVERYTHING, None, now_ms() - count // 10 * APART_MS)
    await service.upkeep.finished(own.id)
    took = time.monotonic() - began
    for name, writer in writers.items():
        figures(f"{name} messages, while it is deleted", writer.waits)
    job = (await service.upkeep.jobs(own.id))[0]
    trouble = journal.stats.sent_before_stored
    await group.cancel()
    await journal.close()
    print(f"loop lag at worst: {lag.worst_ms} ms; messages shown before they were stored: {trouble}")
    print(
        f"{job.done:,} of {count:,} messages deleted in {took:.1f} s ({job.state}); "
        f"the file had {size / 1e6:.0f} MB and gave {job.freed / 1e6:.0f} MB back"
    )
    lag.stop()


async def main(count: int, rate: int) -> None:
    """Measure in a folder of its own."""
    sys.setswitchinterval(SWITCH_S)
    with tempfile.TemporaryDirectory(prefix="bouncer-deleting-") as name:
        folder = Path(name)
        vault.install(vault.Vault(folder / vault.KEY_NAME))
        config = Config(storage=Storage(folder))
        main_db, tenants = MainDatabase(config.main_url), tenant.Tenants(folder / "tenants")
        await main_db.migrate()
        await tenants.start()
        tenant.install(tenants)
        service = Service(config, main_db, tenants, Offline())
        try:
            await measure(service, tenants, count, rate)
        finally:
            await service.caretaker.close()
            service.close()
            tenant.install(None)
            await tenants.close()
            await main_db.close()
            vault.install(None)


if __name__ == "__main__":
    asyncio.run(
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    )
