"""One's own data: how much there is, taking it away, deleting the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bouncer.errors import CommandError, RefusedError
from web import charts, present
from web.auth import flash, sign_out, take_flash
from web.context import form, me, render, see_other, service

if TYPE_CHECKING:
    from bouncer.service.downloads import Download
    from bouncer.service.histories import Sizes

FORMS = (
    ("text", "Text logs", "One readable file, a part for each channel and person."),
    ("jsonl", "JSON lines", "A line of JSON for each message, for programs."),
    ("sqlite", "SQLite file", "Everything, settings too, as a database; passwords and keys are left out."),
)
MEGABYTE = 1_000_000


async def show(request: web.Request) -> web.Response:
    """Usage and downloads."""
    user, call = me(request), service(request)
    row, sizes = await call.users.get(user.id), await call.histories.sizes(user.id)
    limit = (row.max_disk_mb or 0) * MEGABYTE
    context = {
        "sizes": sizes,
        "servers": _by_server(sizes),
        "limit": limit,
        "quota": charts.part(sizes.file_bytes, limit, "space used") if limit else None,
        "days": charts.by_day(await call.figures.by_day(user.id)),
        "hours": charts.by_hour(await call.figures.by_hour(user.id)),
        "forms": FORMS,
        "download": call.downloads.of(user.id),
        "bar": _bar(call.downloads.of(user.id)),
        "flash": await take_flash(request),
    }
    return render(request, "account/data.html", context)


def _by_server(sizes: Sizes) -> list[charts.Share]:
    """Each server with its part of the file, by messages: the file does not say what a message takes."""
    counts: dict[str, int] = {}
    for size in sizes.buffers:
        counts[size.server] = counts.get(size.server, 0) + size.messages
    total = sum(counts.values()) or 1
    shares = []
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        part = f"about {present.size(sizes.file_bytes * count // total)}"
        bar = charts.part(count, total, f"{count / total:.0%} of all messages")
        shares.append(charts.Share(name, f"{count:,} messages, {part}", bar))
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
