"""One's own data: how much there is, taking it away, deleting the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bouncer.errors import CommandError, RefusedError
from bouncer.service import show_history
from bouncer.service.caretaker import Fill
from web import charts, present
from web.auth import flash, sign_out, take_flash
from web.context import form, me, render, see_other, service

if TYPE_CHECKING:
    from bouncer.counts import Size
    from bouncer.service.downloads import Download
    from bouncer.service.histories import Sizes

FORMS = (
    ("text", "Text logs", "One readable file, a part for each channel and person."),
    ("jsonl", "JSON lines", "A line of JSON for each message, for programs."),
    ("sqlite", "SQLite file", "Everything, settings too, as a database; passwords and keys are left out."),
)


async def show(request: web.Request) -> web.Response:
    """Usage and downloads."""
    user, call = me(request), service(request)
    row, sizes = await call.users.get(user.id), await call.histories.sizes(user.id)
    limit = call.caretaker.limit_of(row)
    context = {
        "sizes": sizes,
        "servers": _by_server(sizes),
        "limit": limit,
        "quota": charts.part(sizes.disk.used, limit, "space used") if limit else None,
        "warning": Fill(sizes.disk.used, limit).words,
        "kept": show_history.kept((await call.retention.rules(user.id)).kept),
        "deleting": any(job.running for job in await call.upkeep.jobs(user.id)),
        "days": charts.by_day(await call.figures.by_day(user.id)),
        "hours": charts.by_hour(await call.figures.by_hour(user.id)),
        "forms": FORMS,
        "download": call.downloads.of(user.id),
        "bar": _bar(call.downloads.of(user.id)),
        "flash": await take_flash(request),
    }
    return render(request, "account/data.html", context)


def _by_server(sizes: Sizes) -> list[charts.Share]:
    """Each server with its part of the file, by what its messages weigh."""
    servers: dict[str, list[Size]] = {}
    for size in sizes.buffers:
        servers.setdefault(size.server, []).append(size)
    total = sizes.takes(*sizes.buffers) or 1
    shares = []
    for name, held in sorted(servers.items(), key=lambda item: -sizes.takes(*item[1])):
        part, count = sizes.takes(*held), sum(size.messages for size in held)
        bar = charts.part(part, total, f"{part / total:.0%} of all history")
        shares.append(charts.Share(name, f"{count:,} messages, about {present.size(part)}", bar))
    return shares


def _bar(download: Download | None) -> dict[str, int] | None:
    if download is None or not download.running or not download.total:
        return None
    return {"done": download.done, "total": download.total}


async def state(request: web.Request) -> web.Response:
    """How far the file is, as a fragment."""
    download = service(request).downloads.of(me(request).id)
    return render(request, "account/_download.html", {"download": download, "bar": _bar(download)})


async def create(request: web.Request) -> web.Response:
    """Begin to make a file."""
    posted = await form(request)
    try:
        await service(request).downloads.start(me(request).id, posted.get("format", ""))
    except RefusedError as refused:
        await flash(request, f"Not now: {refused}.")
    return see_other("/account/data#download")


async def file(request: web.Request) -> web.StreamResponse:
    """The file itself, of whoever is signed in."""
    path, suffix = service(request).downloads.file(me(request).id)
    name = f"bouncer-{me(request).name}.{suffix}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Type": "application/octet-stream"}
    return web.FileResponse(path, headers=disposition)


async def confirm_delete(request: web.Request) -> web.Response:
    """Ask for the name before an account goes."""
    return render(request, "account/delete.html", {"values": {"name": ""}, "errors": {}})


async def delete(request: web.Request) -> web.Response:
    """Delete the account with everything in it."""
    posted, user, call = await form(request), me(request), service(request)
    words = "" if posted.get("name", "").strip() == user.name else f"type {user.name} to delete it"
    try:
        if not words:
            await call.users.delete(user.id)
    except CommandError as error:
        words = str(error)
    if words:
        context = {"values": {"name": posted.get("name", "")}, "errors": {"name": words}}
        return render(request, "account/delete.html", context, status=422)
    await call.downloads.forget(user.id)
    await sign_out(request)
    return see_other("/session/new")
