"""Who has not signed in yet takes little, however many addresses they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.config import Config, Storage
from bouncer.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants
    from bouncer.transport import Transport


class Caller:
    """A connection of which only the address is looked at, and whether it is ended."""

    tls = external = False
    certificate: bytes | None = None
    waiting = 0

    def __init__(self, address: str) -> None:
        self.address = address
        self.ended = False

    def write(self, data: bytes) -> None:
        del data

    def close(self) -> None:
        self.ended = True

    abort = close

    async def read(self) -> list[bytes]:
        return []

    async def drain(self) -> None:
        return

    async def closed(self) -> None:
        return


async def test_the_addresses_of_one_ipv6_network_count_as_one(
    storage: Path, main_db: MainDatabase, tenants: Tenants
) -> None:
    config = Config(storage=Storage(storage))
    supervisor = Supervisor(config, main_db, tenants)
    most = config.limits.registering_per_address

    def let_in(address: str) -> bool:
        transport: Transport = Caller(address)
        return supervisor._accept(transport) is not None

    assert all(let_in(f"2001:db8::{number:x}") for number in range(1, most + 1))
    assert not let_in("2001:db8::ffff")
    assert let_in("2001:db8:0:1::1")
    assert all(let_in("192.0.2.1") for _ in range(most))
    assert not let_in("192.0.2.1")
    assert let_in("192.0.2.2")
    supervisor.service.close()
