"""Servers: the list, one server's page, adding, changing, deleting, connecting and disconnecting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bouncer.clock import now_ms
from bouncer.errors import CommandError, ElsewhereError, InvalidError
from bouncer.service.figures import DAY_MS, HOUR_MS, latest
from bouncer.service.lifecycle import log_entries
from bouncer.service.presets import PRESETS
from web import charts, server_form
from web.auth import flash, is_fresh, prove, take_flash
from web.connecting import client_card, doors, socket_address
from web.context import form, me, path_id, render, see_other, service
from web.merging import marks, merged
from web.present import common_name, server_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from bouncer.service.trials import Report
    from web.present import ServerCard

LOG_ENTRIES = 12
LOG_PAGE = 60
WEEK = 7


async def home(_request: web.Request) -> web.Response:
    """The panel begins with the servers."""
    return see_other("/servers")


async def index(request: web.Request) -> web.Response:
    """All of one's servers with their state."""
    user, call = me(request), service(request)
    views = await call.servers.list(user.id)
    today, trouble = await call.figures.today(user.id), await call.figures.trouble(user.id)
    context = {
        "servers": [server_card(view, _today(today, view.row.id), trouble.get(view.row.id)) for view in views],
        "running": service(request).live.running,
        "flash": await take_flash(request),
    }
    return render(request, "servers/index.html", context)


def _today(counts: Mapping[int, int] | None, server_id: int) -> int | None:
    return None if counts is None else counts.get(server_id, 0)


async def show(request: web.Request) -> web.Response:
    """One server: state, lifecycle, channels, conversations, how to connect a client."""
    context, call = await _state(request), service(request)
    name = context["row"].name
    cards = [client_card(door, me(request).name, name) for door in doors(call.config, request)]
    return render(
        request,
        "servers/show.html",
        {**context, "cards": cards, "socket": socket_address(call.config, request), "flash": await take_flash(request)},
    )


async def state(request: web.Request) -> web.Response:
    """The live part of the list (a row), or with `?view=page` of a server's page, as a fragment."""
    if request.query.get("view") == "page":
        return render(request, "servers/_state.html", await _state(request))
    return render(request, "servers/_row.html", {"server": await _card(request)})


async def _card(request: web.Request) -> ServerCard:
    user, call = me(request), service(request)
    view = await call.servers.view(user.id, path_id(request))
    today, trouble = await call.figures.today(user.id), await call.figures.trouble(user.id)
    return server_card(view, _today(today, view.row.id), trouble.get(view.row.id))


async def _state(request: web.Request) -> dict[str, Any]:
    user, server_id, call = me(request), path_id(request), service(request)
    view = await call.servers.view(user.id, server_id)
    return {
        "server": await _card(request),
        "row": view.row,
        "fingerprint": view.fingerprint,
        "fingerprint_sha512": view.fingerprint_sha512,
        "channels": await call.channels.list(user.id, server_id),
        "conversations": await call.channels.conversations(user.id, server_id),
        "log": log_entries(await call.figures.events(user.id, server_id, limit=LOG_ENTRIES)),
    }


async def log(request: web.Request) -> web.Response:
    """The lifecycle log of a server, a page at a time, with pictures of when it was connected and of the lag."""
    user, server_id, call = me(request), path_id(request), service(request)
    view = await call.servers.view(user.id, server_id)
    digits = request.query.get("before", "")
    before = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None
    rows = await call.figures.events(user.id, server_id, before=before, limit=LOG_PAGE)
    now = now_ms()
    week = await call.figures.spans(user.id, server_id, now - WEEK * DAY_MS, now)
    context = {
        "server": await _card(request),
        "log": log_entries(rows),
        "older": rows[-1].id if len(rows) == LOG_PAGE else None,
        "first": before is None,
        "week": charts.timeline(week),
        "day": charts.timeline(latest(week, now - 24 * HOUR_MS), "%H:%M"),
        "lag": charts.lags(view.state.lags),
        "days": charts.by_day(await call.figures.by_day(user.id, server_id)),
        "hours": charts.by_hour(await call.figures.by_hour(user.id, server_id)),
    }
    return render(request, "servers/log.html", context)


async def new(request: web.Request) -> web.Response:
    """The form for another server, filled for a known network with `?preset=`."""
    values = server_form.fresh(me(request).name)
    preset = PRESETS.get(request.query.get("preset", ""))
    return await _form(request, values if preset is None else values.replaced(preset))


async def clone(request: web.Request) -> web.Response:
    """The form for another server like this one, under another name and without its secrets."""
    fields = await service(request).servers.fields(me(request).id, path_id(request))
    values = server_form.copied(fields)
    return await _form(request, values.replaced({"name": f"{fields.name[:30]}-2"}), new=True)


async def try_new(request: web.Request) -> web.Response:
    """Test the settings in the form for another server, or look at its certificate; nothing is stored."""
    return await _try(request, None)


async def try_changed(request: web.Request) -> web.Response:
    """The same for a server that is there: what the form leaves empty is as it is stored."""
    return await _try(request, path_id(request))


async def _try(request: web.Request, server_id: int | None) -> web.Response:
    user, posted, call = me(request), await form(request), service(request)
    fields = await call.servers.fields(user.id, server_id) if server_id is not None else None
    values, raw = server_form.again(posted, fields), server_form.raw(posted)
    look = posted.get("do") == "certificate"
    try:
        if look:
            report = await call.trials.certificate(user.id, raw, server_id=server_id, trusted=user.admin)
        else:
            sure = await _sure(request, posted)
            report = await call.trials.run(user.id, raw, server_id=server_id, trusted=user.admin, confirmed=sure)
    except CommandError as error:
        return await _form(request, values, error)
    if look and report.facts is not None:
        values = values.replaced({"tls_fingerprint": report.facts.fingerprint})
    return await _form(request, values, report=report, looked=look)


async def _sure(request: web.Request, posted: Mapping[str, str]) -> bool:
    """Whether stored secrets may go to another place: for who gave the password a short while ago, or in this form.

    Raises ElsewhereError when what was given there is wrong.
    """
    if is_fresh(me(request)) or not posted.get("confirm_password"):
        return is_fresh(me(request))
    if errors := await prove(request, posted["confirm_password"], posted.get("confirm_code", "")):
        raise ElsewhereError({f"confirm_{name}": words for name, words in errors.items()})
    return True


async def create(request: web.Request) -> web.Response:
    """Add a server; it connects at once unless told otherwise."""
    user, posted = me(request), await form(request)
    try:
        row = await service(request).servers.add(user.id, server_form.raw(posted), trusted=user.admin)
    except CommandError as error:
        return await _form(request, server_form.again(posted), error)
    await flash(request, f"{row.name} is added.")
    return see_other(f"/servers/{row.id}")


async def edit(request: web.Request) -> web.Response:
    """The form with what is stored, but no secrets."""
    fields = await service(request).servers.fields(me(request).id, path_id(request))
    return await _form(request, server_form.stored(fields))


async def update(request: web.Request) -> web.Response:
    """Change a server; its connection is made anew only if it has to be."""
    user, server_id, call = me(request), path_id(request), service(request)
    fields = await call.servers.fields(user.id, server_id)
    posted, clashes = merged(await form(request), server_form.settings(fields))
    values = replace(server_form.again(posted, fields), seen=marks(server_form.settings(fields)))
    if clashes:
        return await _form(request, values, InvalidError(clashes))
    try:
        sure, raw = await _sure(request, posted), server_form.raw(posted)
        row = await call.servers.update(user.id, server_id, raw, trusted=user.admin, confirmed=sure)
    except InvalidError as error:
        return await _form(request, values, error)
    await flash(request, f"{row.name} is saved.")
    return see_other(f"/servers/{row.id}")


async def _form(
    request: web.Request,
    values: server_form.Values,
    error: CommandError | None = None,
    *,
    report: Report | None = None,
    looked: bool = False,
    new: bool = False,
) -> web.Response:
    """`report` is that of a test, or with `looked` of a look at the certificate; `new` for a form that adds."""
    server_id = path_id(request) if "id" in request.match_info and not new else None
    facts = report.facts if report is not None else None
    confirm = isinstance(error, ElsewhereError)
    context = {
        "values": values,
        "errors": _errors(error),
        "server_id": server_id,
        "known": server_form.SHOWN,
        "presets": PRESETS if server_id is None else {},
        "report": report,
        "looked": looked,
        "issuer": common_name(facts.issuer) if facts is not None else "",
        "subject": common_name(facts.subject) if facts is not None else "",
        "confirm": confirm,
        "factor": confirm and await service(request).second_factors.on(me(request).id),
    }
    return render(request, "servers/form.html", context, status=422 if error else 200)


def _errors(error: CommandError | None) -> Mapping[str, str]:
    if error is None:
        return {}
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
    service(request).figures.forget(me(request).id)
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
