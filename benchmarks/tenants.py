"""Measures the tenancy layer: tenants made per second, sessions, reads, the journal's hops, memory per open file.

python benchmarks/tenants.py [TENANTS]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from bouncer import vault
from bouncer.models.tenant import Server
from bouncer.tenant import Tenants

if TYPE_CHECKING:
    from bouncer.tenant import Lease

INSERT = "INSERT INTO messages (server_id, message_type, content, msgid, time) VALUES (1, 'privmsg', ?, '', ?)"
ROWS = [("a message of about the usual length, as people write them", number) for number in range(20)]


def report(what: str, count: int, wall: float, cpu: float) -> None:
    print(f"{what:<52} {count / wall:>9,.0f} /s {cpu / count * 1e6:>9,.0f} µs CPU each")


def resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


class Clock:
    def __init__(self, what: str, count: int) -> None:
        self.what, self.count = what, count

    def __enter__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        report(self.what, self.count, time.perf_counter() - self.wall, time.process_time() - self.cpu)


def write_all(leases: list[Lease]) -> None:
    for lease in leases:
        connection = lease.connection_sync()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, ROWS)
        connection.execute("COMMIT")


async def hops(tenants: Tenants, users: list[str]) -> None:
    """One round of the journal: every tenant writes one batch, as many tenants to a hop as there are leases."""

    async def one(worker: int) -> None:
        left = [user for user in users if tenants.worker_index(user) == worker]
        while left:
            leases = [lease for user in left if (lease := tenants.try_lease(user)) is not None]
            assert leases
            await tenants.call(worker, lambda leases=leases: write_all(leases))  # type: ignore[misc] # bound early
            done = {lease.tenant_id for lease in leases}
            for lease in leases:
                lease.release()
            left = [user for user in left if user not in done]

    await asyncio.gather(*(one(worker) for worker in range(tenants.workers)))


async def measure(root: Path, count: int, max_open: int) -> None:
    tenants = Tenants(root / f"tenants-{max_open}", max_open=max_open)
    await tenants.start()
    users = [str(number) for number in range(1, count + 1)]
    print(f"-- {count} tenants, {max_open} open at most")
    with Clock("create (from the template, fsync each)", count):
        for user in users:
            await tenants.create(user)
    for user in users:
        async with tenants.switch(user), tenants.session() as unit, unit.begin():
            unit.add(Server(name="net", address="irc.example.org", port=6697, nickname="ada"))
    for state in ("first time", "again"):
        with Clock(f"session with one select, {state}", count):
            for user in users:
                async with tenants.switch(user), tenants.session() as unit:
                    await unit.scalars(select(Server))
    with Clock("read() with one select", count):
        for user in users:
            async with tenants.switch(user):
                await tenants.read(lambda connection: connection.execute("SELECT * FROM servers").fetchall())
    for _ in range(2):
        with Clock(f"rows through hops, {len(ROWS)} a batch, indexed", count * len(ROWS)):
            await hops(tenants, users)
    with Clock("switch, nothing else", count * 10):
        for user in users * 10:
            async with tenants.switch(user):
                pass
    print(f"{'resident':<52} {resident_kb():>9,} kB")
    await tenants.close()


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        vault.install(vault.Vault(root / "secret.key"))
        for max_open in (count, max(1, count // 8)):
            await measure(root, count, max_open)


if __name__ == "__main__":
    asyncio.run(main())
