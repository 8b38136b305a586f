"""One SQLite file per user: `async with tenant.switch(user):`, then every query goes to that user's file or nowhere.

The functions here act on the registry that `install` was given; the parts that own several make `Tenants` themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bouncer.errors import TenantError
from bouncer.tenant.exports import FORMATS
from bouncer.tenant.handles import Lease
from bouncer.tenant.registry import Tenants
from bouncer.tenant.scope import LogFilter, Scope, UserOrId, current, current_or_none, tenant_id
from bouncer.tenant.sessions import TenantAsyncSession

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

__all__ = [
    "FORMATS",
    "Lease",
    "LogFilter",
    "Scope",
    "TenantAsyncSession",
    "Tenants",
    "UserOrId",
    "backup",
    "check",
    "create",
    "current",
    "current_or_none",
    "destroy",
    "exists",
    "export",
    "ids",
    "install",
    "installed",
    "migrate",
    "path",
    "read",
    "rebuild",
    "restore",
    "session",
    "switch",
    "tenant_id",
    "write",
]

T = TypeVar("T")

_installed: list[Tenants] = []


def install(tenants: Tenants | None) -> None:
    """Make `tenants` (started) the registry of this process; None takes it away."""
    _installed[:] = [] if tenants is None else [tenants]


def installed() -> Tenants:
    """The registry of this process; raises TenantError before `install`."""
    if not _installed:
        raise TenantError("no tenants are installed")
    return _installed[0]


def switch(user: UserOrId) -> Scope:
    """`Tenants.switch` of the installed registry."""
    return installed().switch(user)


def session() -> AbstractAsyncContextManager[TenantAsyncSession]:
    """`Tenants.session` of the installed registry."""
    return installed().session()


async def read(function: Callable[[sqlite3.Connection], T]) -> T:
    """`Tenants.read` of the installed registry."""
    return await installed().read(function)


async def write(function: Callable[[sqlite3.Connection], T]) -> T:
    """`Tenants.write` of the installed registry."""
    return await installed().write(function)


def path(user: UserOrId) -> Path:
    """`Tenants.path` of the installed registry."""
    return installed().path(user)


async def exists(user: UserOrId) -> bool:
    """`Tenants.exists` of the installed registry."""
    return await installed().exists(user)


async def ids() -> list[str]:
    """`Tenants.ids` of the installed registry."""
    return await installed().ids()


async def create(user: UserOrId) -> str:
    """`Tenants.create` of the installed registry."""
    return await installed().create(user)


async def destroy(user: UserOrId, timeout_s: float = 5.0) -> None:
    """`Tenants.destroy` of the installed registry."""
    await installed().destroy(user, timeout_s)


async def backup(user: UserOrId, dest: Path) -> None:
    """`Tenants.backup` of the installed registry."""
    await installed().backup(user, dest)


async def restore(user: UserOrId, src: Path) -> None:
    """`Tenants.restore` of the installed registry."""
    await installed().restore(user, src)


async def check(user: UserOrId) -> list[str]:
    """`Tenants.check` of the installed registry."""
    return await installed().check(user)


async def export(user: UserOrId, dest: Path, form: str, progress: Callable[[int, int], None] | None = None) -> None:
    """`Tenants.export` of the installed registry."""
    await installed().export(user, dest, form, progress)


async def rebuild(user: UserOrId, function: Callable[[sqlite3.Connection], T]) -> T:
    """`Tenants.rebuild` of the installed registry."""
    return await installed().rebuild(user, function)


async def migrate(user: UserOrId) -> bool:
    """`Tenants.migrate` of the installed registry."""
    return await installed().migrate(user)
