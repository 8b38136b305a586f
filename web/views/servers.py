"""Servers: the list, one server's page, adding, changing, deleting, connecting and disconnecting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from bouncer import tenant
from bouncer.errors import CommandError, InvalidError
from bouncer.models.tenant import ServerEvent
from web import server_form
from web.auth import flash, take_flash
from web.connecting import client_card, doors
from web.context import form, me, path_id, render, see_other, service
from web.present import log_entry, server_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from web.present import LogEntry

LOG_ENTRIES = 25


async def home(_request: web.Request) -> web.Response:
    """The panel begins with the servers."""
    return see_other("/servers")


async def index(request: web.Request) -> web.Response:
    """All of one's servers with their state."""
    views = await service(request).servers.list(me(request).id)
    context = {
        "servers": [server_card(view) for view in views],
        "running": service(request).live.running,
        "flash": await take_flash(request),
    }
    return render(request, "servers/index.html", context)


async def show(request: web.Request) -> web.Response:
    """One server: state, lifecycle, channels, conversations, how to connect a client."""
    context = await _state(request)
    name = context["row"].name
    cards = [client_card(door, me(request).name, name) for door in doors(service(request).config, request)]
    return render(request, "servers/show.html", {**context, "cards": cards, "flash": await take_flash(request)})


async def state(request: web.Request) -> web.Response:
    """The live part of the list (a row), or with `?view=page` of a server's page, as a fragment."""
    if request.query.get("view") == "page":
        return render(request, "servers/_state.html", await _state(request))
    view = await service(request).servers.view(me(request).id, path_id(request))
    return render(request, "servers/_row.html", {"server": server_card(view)})


async def _state(request: web.Request) -> dict[str, Any]:
    user, server_id, call = me(request), path_id(request), service(request)
    view = await call.servers.view(user.id, server_id)
    return {
        "server": server_card(view),
        "row": view.row,
        "fingerprint": view.fingerprint,
        "fingerprint_sha512": view.fingerprint_sha512,
        "channels": await call.channels.list(user.id, server_id),
        "conversations": await call.channels.conversations(user.id, server_id),
        "log": await _log(server_id),
    }


async def _log(server_id: int) -> list[LogEntry]:
    query = select(ServerEvent).where(ServerEvent.server_id == server_id)
    newest = query.order_by(ServerEvent.time.desc(), ServerEvent.id.desc()).limit(LOG_ENTRIES)
    async with tenant.session() as session:
        return [log_entry(row) for row in await session.scalars(newest)]


async def new(request: web.Request) -> web.Response:
    """The form for another server."""
    return _form(request, server_form.fresh(me(request).name))


async def create(request: web.Request) -> web.Response:
    """Add a server; it connects at once unless told otherwise."""
    user, posted = me(request), await form(request)
    try:
        row = await service(request).servers.add(user.id, server_form.raw(posted), trusted=user.admin)
    except CommandError as error:
        return _form(request, server_form.again(posted), _errors(error))
    await flash(request, f"{row.name} is added.")
    return see_other(f"/servers/{row.id}")


async def edit(request: web.Request) -> web.Response:
    """The form with what is stored, but no secrets."""
    fields = await service(request).servers.fields(me(request).id, path_id(request))
    return _form(request, server_form.stored(fields))


async def update(request: web.Request) -> web.Response:
    """Change a server; its connection is made anew only if it has to be."""
    user, server_id, posted = me(request), path_id(request), await form(request)
    fields = await service(request).servers.fields(user.id, server_id)
    try:
        row = await service(request).servers.update(user.id, server_id, server_form.raw(posted), trusted=user.admin)
    except InvalidError as error:
        return _form(request, server_form.again(posted, fields), error.fields)
    await flash(request, f"{row.name} is saved.")
    return see_other(f"/servers/{row.id}")


def _form(request: web.Request, values: server_form.Values, errors: Mapping[str, str] | None = None) -> web.Response:
    server_id = path_id(request) if "id" in request.match_info else None
    context = {"values": values, "errors": errors or {}, "server_id": server_id, "known": server_form.SHOWN}
    return render(request, "servers/form.html", context, status=422 if errors else 200)


def _errors(error: CommandError) -> Mapping[str, str]:
    return error.fields if isinstance(error, InvalidError) else {"form": str(error)}


async def confirm_delete(request: web.Request) -> web.Response:
    """Ask before a server and its history go."""
    view = await service(request).servers.view(me(request).id, path_id(request))
    channels = await service(request).channels.list(me(request).id, view.row.id)
    return render(request, "servers/delete.html", {"server": server_card(view), "channels": len(channels)})


async def delete(request: web.Request) -> web.Response:
    """Delete a server with all its history."""
    row = await service(request).servers.get(me(request).id, path_id(request))
    await service(request).servers.delete(me(request).id, row.id)
    await flash(request, f"{row.name} and its history are deleted.")
    return see_other("/servers")


async def connect(request: web.Request) -> web.Response:
    """Be connected from now on."""
    fields, server_id = await form(request), path_id(request)
    await service(request).servers.connect(me(request).id, server_id)
    return see_other(_back(fields, server_id))


async def disconnect(request: web.Request) -> web.Response:
    """Leave the network and stay away."""
    fields, server_id = await form(request), path_id(request)
    await service(request).servers.disconnect(me(request).id, server_id)
    return see_other(_back(fields, server_id))


async def make_certificate(request: web.Request) -> web.Response:
    """Make a certificate for the network to know one by, in place of one that is there."""
    await form(request)
    server_id = path_id(request)
    await service(request).servers.make_certificate(me(request).id, server_id, anew=True)
    await flash(request, "The certificate is made. Tell the network's services about it, once you are connected.")
    return see_other(f"/servers/{server_id}")


async def remove_certificate(request: web.Request) -> web.Response:
    """Show the network no certificate any more."""
    await form(request)
    server_id = path_id(request)
    await service(request).servers.remove_certificate(me(request).id, server_id)
    await flash(request, "The network is shown no certificate any more.")
    return see_other(f"/servers/{server_id}")


def _back(fields: Mapping[str, str], server_id: int) -> str:
    return "/servers" if fields.get("back") == "list" else f"/servers/{server_id}"
