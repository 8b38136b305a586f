"""Channels of a server: the list with joining, one channel with its people, leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import InvalidError
from web import channel_form, charts
from web.auth import flash, take_flash
from web.context import form, me, path_id, render, see_other, service
from web.merging import merged
from web.people import groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from bouncer.models.tenant import Channel
    from bouncer.service.servers import ServerView


async def index(request: web.Request) -> web.Response:
    """The channels of a server and the form to join one."""
    return await _index(request, {"name": "", "key": ""}, {})


async def _index(request: web.Request, values: dict[str, str], errors: dict[str, str]) -> web.Response:
    user, server_id = me(request), path_id(request)
    server = await service(request).servers.view(user.id, server_id)
    channels = await service(request).channels.list(user.id, server_id)
    context = {
        "row": server.row,
        "channels": channels,
        "states": {view.row.id: state_words(view.row, server) for view in channels},
        "conversations": await service(request).channels.conversations(user.id, server_id),
        "values": values,
        "errors": errors,
        "flash": await take_flash(request),
    }
    return render(request, "channels/index.html", context, status=422 if errors else 200)


async def join(request: web.Request) -> web.Response:
    """Join a channel now and at each connecting."""
    fields, server_id = await form(request), path_id(request)
    name = fields.get("name", "").strip()
    try:
        row = await service(request).channels.join(me(request).id, server_id, name, fields.get("key") or None)
    except InvalidError as error:
        return await _index(request, {"name": name, "key": ""}, error.fields)
    await flash(request, f"{row.name} is joined whenever this server is connected.")
    return see_other(f"/servers/{server_id}/channels")


async def show(request: web.Request) -> web.Response:
    """One channel: topic, people, and how clients are shown it."""
    fields = await service(request).channels.fields(me(request).id, path_id(request))
    return await _show(request, channel_form.stored(fields), {})


async def _show(request: web.Request, values: Mapping[str, str | bool], errors: Mapping[str, str]) -> web.Response:
    user, call = me(request).id, service(request)
    view = await call.channels.get(user, path_id(request))
    context = {
        "view": view,
        "state": state_words(view.row, await call.servers.view(user, view.row.server_id)),
        "days": charts.by_day(await call.figures.by_day(user, channel_id=view.row.id)),
        "groups": groups(view),
        "values": values,
        "errors": errors,
        "flash": await take_flash(request),
    }
    return render(request, "channels/show.html", context, status=422 if errors else 200)


def state_words(row: Channel, server: ServerView) -> str:
    """Whether one is in a channel, and if not, why."""
    if row.joined:
        return "Joined"
    if row.join_error:
        return f"Not let in: {row.join_error}"
    if not row.auto_join:
        return "Left"
    if server.state.state != "connected":
        return f"Not connected to {server.row.name}"
    return "Asked to be let in; no answer yet"


async def update(request: web.Request) -> web.Response:
    """Change how clients are shown a channel, and its key."""
    user, channel_id, call = me(request).id, path_id(request), service(request).channels
    fields = await call.fields(user, channel_id)
    posted, clashes = merged(await form(request), channel_form.settings(fields))
    if clashes:
        return await _show(request, channel_form.again(posted, fields), clashes)
    try:
        row = await call.update(user, channel_id, channel_form.raw(posted))
    except InvalidError as error:
        return await _show(request, channel_form.again(posted, fields), error.fields)
    await flash(request, f"{row.name} is saved.")
    return see_other(f"/channels/{row.id}")


async def part(request: web.Request) -> web.Response:
    """Leave a channel and do not join it again; the history stays."""
    await form(request)
    row = await service(request).channels.part(me(request).id, path_id(request))
    await flash(request, f"{row.name} is left. Its history stays here.")
    return see_other(f"/servers/{row.server_id}/channels")
