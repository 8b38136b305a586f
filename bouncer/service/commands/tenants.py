"""Owns the commands on users' files: the nouns `tenant` and `secrets`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bouncer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.service.commands.request import Request, Table


async def _tenant_each(request: Request) -> None:
    users = await request.service.users.list() if request.args.all else [await request.user()]
    files = request.service.tenants
    act = files.migrate if request.args.verb == "migrate" else files.check
    await act(users, _progress(request))


def _progress(request: Request) -> Callable[[int, int, str, str], None]:
    def show_one(done: int, total: int, name: str, failure: str) -> None:
        request.output.progress(done, total, f"{name}: {failure or 'ok'}")

    return show_one


async def _tenant_backup(request: Request) -> None:
    user = await request.user()
    await request.service.tenants.backup(user.id, Path(request.args.file))
    request.say(f"backup of {user.name} written")


async def _tenant_restore(request: Request) -> None:
    user = await request.user()
    if not request.args.yes:
        raise UsageError(f"this replaces all that {user.name} has: say --yes")
    await request.service.tenants.restore(user.id, Path(request.args.file))
    request.say(f"{user.name} restored")


async def _tenant_export(request: Request) -> None:
    user = await request.user()
    await request.service.tenants.export(user.id, Path(request.args.file), request.args.format)
    request.say(f"{user.name} exported")


async def _secrets_rotate(request: Request) -> None:
    await request.service.tenants.rotate_secrets(_progress(request))
    request.say("all secrets are encrypted with a new key; secrets in backups made before cannot be read any more")


TABLE: Table = {
    ("tenant", "migrate"): _tenant_each,
    ("tenant", "check"): _tenant_each,
    ("tenant", "backup"): _tenant_backup,
    ("tenant", "restore"): _tenant_restore,
    ("tenant", "export"): _tenant_export,
    ("secrets", "rotate"): _secrets_rotate,
}
