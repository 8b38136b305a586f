"""One's IRC clients: who is attached, app passwords and certificates that let them in, and their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import CommandError, InvalidError
from web.auth import flash, take_flash
from web.connecting import client_card, doors, socket_address
from web.context import form, me, path_id, render, see_other, service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

FIELDS = ("token_name", "fingerprint", "certificate_name")


async def index(request: web.Request) -> web.Response:
    """Clients, app passwords, certificates."""
    return await _index(request)


async def _index(
    request: web.Request,
    *,
    posted: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    made: tuple[str, str] | None = None,
) -> web.Response:
    """`made` is the client name of a new app password and itself, which is on this page only."""
    user, call = me(request), service(request)
    views = await call.servers.list(user.id)
    wanted = request.query.get("server", "")
    chosen = next((view.row for view in views if str(view.row.id) == wanted), views[0].row if views else None)
    cards = [client_card(door, user.name, chosen.name) for door in doors(call.config, request)] if chosen else []
    context = {
        "servers": [view.row for view in views],
        "chosen": chosen,
        "cards": cards,
        "socket": socket_address(call.config, request),
        "factor": await call.second_factors.on(user.id),
        "attached": call.clients.attached(user.id),
        "known": await call.clients.known(user.id),
        "tokens": await call.tokens.list(user.id),
        "certificates": await call.certificates.list(user.id),
        "values": {name: (posted or {}).get(name, "") for name in FIELDS},
        "errors": errors or {},
        "made": made,
        "flash": await take_flash(request),
    }
    return render(request, "clients/index.html", context, status=422 if errors else 200)


async def disconnect(request: web.Request) -> web.Response:
    """Send one client away."""
    await form(request)
    await service(request).clients.disconnect(me(request).id, path_id(request))
    await flash(request, "The client is disconnected.")
    return see_other("/clients")


async def update(request: web.Request) -> web.Response:
    """What is set for a client name: times in text; or forget it."""
    posted, user = await form(request), me(request)
    name = posted.get("name", "")
    if posted.get("forget"):
        await service(request).clients.forget(user.id, name)
        await flash(request, f"{name or 'The client without a name'} is forgotten: it is new when it comes again.")
    else:
        await service(request).clients.set_timestamps(user.id, name, bool(posted.get("text_timestamps")))
        await flash(request, "Saved; it counts from the client's next connection on.")
    return see_other("/clients")


async def create_token(request: web.Request) -> web.Response:
    """Make an app password; the answer is the one page that shows it, so it is no redirect."""
    posted = await form(request)
    try:
        token, secret = await service(request).tokens.create(me(request).id, posted.get("token_name", "").strip())
    except CommandError as error:
        words = error.fields.get("name", str(error)) if isinstance(error, InvalidError) else str(error)
        return await _index(request, posted=posted, errors={"token_name": words})
    return await _index(request, made=(token.name, secret))


async def revoke_token(request: web.Request) -> web.Response:
    """End an app password and who came in with it."""
    await form(request)
    token = await service(request).tokens.revoke(me(request).id, path_id(request))
    await flash(request, f"The app password{f' of {token.name}' if token.name else ''} counts no more.")
    return see_other("/clients")


async def enrol(request: web.Request) -> web.Response:
    """Let a client in by its certificate."""
    posted = await form(request)
    fingerprint, name = posted.get("fingerprint", "").strip(), posted.get("certificate_name", "")
    try:
        await service(request).certificates.enrol(me(request).id, fingerprint, name)
    except CommandError as error:
        words = error.fields.get("fingerprint", str(error)) if isinstance(error, InvalidError) else str(error)
        return await _index(request, posted=posted, errors={"fingerprint": words})
    await flash(request, "The certificate lets a client in with SASL EXTERNAL.")
    return see_other("/clients")


async def remove_certificate(request: web.Request) -> web.Response:
    """Let nobody in by that certificate any more."""
    await form(request)
    await service(request).certificates.remove(me(request).id, path_id(request))
    await flash(request, "The certificate lets nobody in any more.")
    return see_other("/clients")
