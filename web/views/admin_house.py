"""Administration of the house: health, listeners, broadcast, backups, the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.clock import now_ms
from bouncer.errors import CommandError, InvalidError
from bouncer.service.lifecycle import duration
from web import present
from web.auth import flash, take_flash
from web.context import form, render, see_other, service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

PAGE = 100


async def show(request: web.Request) -> web.Response:
    """How the house is."""
    return await _show(request, "", {})


async def _show(request: web.Request, words: str, errors: Mapping[str, str]) -> web.Response:
    call = service(request)
    health, certificate = await call.house.health(), await call.house.certificate()
    context = {
        "health": health,
        "up": duration((now_ms() - health.live.started_at) / 1000) if health.live else "",
        "listeners": call.house.listeners(),
        "panel": call.config.web,
        "certificate": certificate,
        "issuer": present.common_name(certificate.issuer) if certificate else "",
        "soon": certificate is not None and certificate.expires - now_ms() < present.EXPIRES_SOON_MS,
        "backups": await call.backups.list(),
        "folder": str(call.backups.folder),
        "work": call.backups.work,
        "values": {"words": words},
        "errors": errors,
        "flash": await take_flash(request),
    }
    return render(request, "admin/house.html", context, status=422 if errors else 200)


async def state(request: web.Request) -> web.Response:
    """How far a backup is, as a fragment."""
    call = service(request)
    context = {"work": call.backups.work, "backups": await call.backups.list(), "folder": str(call.backups.folder)}
    return render(request, "admin/_backups.html", context)


async def broadcast(request: web.Request) -> web.Response:
    """Tell every attached client."""
    words = (await form(request)).get("words", "")
    try:
        count = await service(request).house.broadcast(words)
    except CommandError as error:
        errors = error.fields if isinstance(error, InvalidError) else {"words": str(error)}
        return await _show(request, words[:2000], errors)
    await flash(request, "1 client was told." if count == 1 else f"{count} clients were told.")
    return see_other("/admin/house")


async def create_backup(request: web.Request) -> web.Response:
    """Begin a backup."""
    await form(request)
    await service(request).backups.run()
    return see_other("/admin/house#backups")


async def check_backup(request: web.Request) -> web.Response:
    """Begin to check one."""
    await form(request)
    await service(request).backups.check(request.match_info["name"])
    return see_other("/admin/house#backups")


async def audit(request: web.Request) -> web.Response:
    """The audit trail, a page at a time."""
    digits = request.query.get("before", "")
    before = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None
    rows = await service(request).audit.list(before=before, limit=PAGE)
    older = rows[-1].id if len(rows) == PAGE else None
    return render(request, "admin/audit.html", {"entries": rows, "older": older, "first": before is None})
