"""Owns what an admin may know and do about the whole installation; it opens nobody's file."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from bouncer.errors import InvalidError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bouncer.config import Config
    from bouncer.endpoints import Endpoint
    from bouncer.events import LiveStatus
    from bouncer.models.main import User
    from bouncer.service.audit import Audit
    from bouncer.service.live import Live
    from bouncer.service.second_factor import SecondFactors
    from bouncer.service.users import Users
    from bouncer.tenant import Tenants

MAX_BROADCAST = 1_000
COMPANIONS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A user from outside: `disk` in bytes; `servers` are those that are live, `factor` the second one."""

    row: User
    disk: int
    servers: int
    clients: int
    factor: bool
    max_servers: int


@dataclass(frozen=True, slots=True)
class ListenerCertificate:
    """What the ircs listeners show; `expires` in ms UTC, `error` why it cannot be read."""

    names: str = ""
    issuer: str = ""
    expires: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """How the house is; `live` None when no bouncer runs, sizes in bytes."""

    live: LiveStatus | None
    main_bytes: int
    tenants_bytes: int
    free_bytes: int


class House:
    """All for admins; whoever calls has checked that one asks."""

    def __init__(
        self, config: Config, users: Users, tenants: Tenants, live: Live, factors: SecondFactors, audit: Audit
    ) -> None:
        self.config = config
        self._users = users
        self._tenants = tenants
        self._live = live
        self._factors = factors
        self._audit = audit

    async def people(self) -> Sequence[Tenancy]:
        """Everybody, by name."""
        factors, rows = await self._factors.users(), await self._users.list()
        disks = await asyncio.to_thread(lambda: [size(self._tenants.path(row.id)) for row in rows])
        return [self._tenancy(row, disk, row.id in factors) for row, disk in zip(rows, disks, strict=True)]

    async def person(self, user_id: int) -> Tenancy:
        """One of them; raises NotFoundError."""
        row = await self._users.get(user_id)
        disk = await asyncio.to_thread(size, self._tenants.path(row.id))
        return self._tenancy(row, disk, await self._factors.on(user_id))

    def _tenancy(self, row: User, disk: int, factor: bool) -> Tenancy:
        limit = self.config.limits.servers_per_user if row.max_servers is None else row.max_servers
        servers, clients = len(self._live.server_states(row.id)), len(self._live.clients(row.id))
        return Tenancy(row, disk, servers, clients, factor, limit)

    async def health(self) -> Health:
        """Figures of the whole."""
        try:
            live: LiveStatus | None = self._live.status()
        except RefusedError:
            live = None
        return await asyncio.to_thread(self._health, live)

    def _health(self, live: LiveStatus | None) -> Health:
        storage = self.config.storage
        tenants = sum(file.stat().st_size for file in storage.tenants.glob("*") if file.is_file())
        free = shutil.disk_usage(storage.path).free
        return Health(live, size(storage.path / "main.sqlite3"), tenants, free)

    def listeners(self) -> Sequence[Endpoint]:
        """Where clients may come in."""
        return self.config.listen

    async def certificate(self) -> ListenerCertificate | None:
        """That of the ircs listeners, as its file is now; None without one."""
        path = self.config.tls.cert
        return None if path is None else await asyncio.to_thread(_read, path)

    async def broadcast(self, text: str) -> int:
        """Tell every attached client; gives how many. Raises InvalidError, RefusedError."""
        words = " ".join(text.split())
        if not words:
            raise InvalidError({"words": "say something"})
        if len(words) > MAX_BROADCAST:
            raise InvalidError({"words": f"at most {MAX_BROADCAST} characters"})
        count = self._live.broadcast(words)
        await self._audit.note("broadcast", detail=words)
        return count


def size(path: Path) -> int:
    """Bytes of an SQLite file with its companions; 0 for none. Blocking."""
    total = 0
    for suffix in COMPANIONS:
        try:
            total += path.with_name(path.name + suffix).stat().st_size
        except OSError:
            continue
    return total


def _read(path: Path) -> ListenerCertificate:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        return ListenerCertificate(error=f"{path}: {error.strerror}")
    except ValueError:
        return ListenerCertificate(error=f"{path} is no certificate")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = ", ".join(names.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError):
        shown = ""
    expires = int(certificate.not_valid_after_utc.timestamp() * 1000)
    subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    return ListenerCertificate(shown or subject, issuer, expires)
