"""Owns opening what commands on the files need: vault, main database, tenants, command layer; nothing is connected."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bouncer import tenant, vault
from bouncer.database import MainDatabase
from bouncer.service import Service
from bouncer.service.live import Offline
from bouncer.tenant import Tenants
from bouncer.tenant.handles import most_open

if TYPE_CHECKING:
    from bouncer.config import Config


@dataclass(frozen=True, slots=True)
class Parts:
    """The open parts and the command layer on them."""

    main: MainDatabase
    tenants: Tenants
    service: Service

    @classmethod
    async def open(cls, config: Config) -> Self:
        """Open all, migrating the main database; call only while holding the storage's lock."""
        main, tenants = await open_storage(config)
        service = Service(config, main, tenants, Offline())
        await service.users.repair()
        return cls(main, tenants, service)

    async def close(self) -> None:
        """Close all."""
        await self.service.upkeep.close()
        self.service.close()
        tenant.install(None)
        await self.tenants.close()
        await self.main.close()


async def open_storage(config: Config) -> tuple[MainDatabase, Tenants]:
    """The vault and the tenants installed, the main database migrated; the caller closes both."""
    folder = config.storage.path
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    vault.install(await asyncio.to_thread(vault.Vault, vault.key_path(folder)))
    main = MainDatabase(config.main_url, synchronous=config.storage.synchronous)
    await main.migrate()
    most = most_open(_descriptors())
    tenants = Tenants(config.storage.tenants, max_open=most, synchronous=config.storage.synchronous)
    await tenants.start()
    tenant.install(tenants)
    return main, tenants


def _descriptors() -> int:
    """How many descriptors we may have: as many as the system lets us ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 65_536
