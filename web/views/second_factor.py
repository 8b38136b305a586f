"""The second factor: set up with a QR code, turned off, its recovery codes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import segno
from markupsafe import Markup

from bouncer import vault
from bouncer.errors import InvalidError, VaultError
from bouncer.service.second_factor import address_of, new_secret
from web.auth import flash
from web.context import form, me, render, see_other, service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web


async def new(request: web.Request) -> web.Response:
    """The secret as a QR code and in letters, and a field for the first code."""
    if await service(request).second_factors.on(me(request).id):
        return see_other("/account")
    return _new(request, new_secret(), {})


def _new(request: web.Request, secret: str, errors: Mapping[str, str]) -> web.Response:
    context = {
        "picture": picture(address_of(secret, me(request).name)),
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "sealed": vault.encrypt(_mark(request) + secret),
        "errors": errors,
    }
    return render(request, "account/totp.html", context, status=422 if errors else 200)


def _mark(request: web.Request) -> str:
    """What a sealed secret begins with: nothing else that the vault encrypted is opened and shown here."""
    return f"totp {me(request).id} "


def picture(text: str) -> Markup:
    """A QR code as inline SVG, coloured by the stylesheet."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=False, svgclass="qr", lineclass=None, omitsize=True, border=4
    )
    return Markup(out.getvalue().decode())  # noqa: S704 - made by the library from modules, no text is in it


async def create(request: web.Request) -> web.Response:
    """Turn it on; the answer is the one page that shows the recovery codes, so it is no redirect."""
    fields, call = await form(request), service(request)
    try:
        sealed = vault.decrypt(fields.get("sealed", "")[:500])
    except VaultError:
        sealed = ""
    if not sealed.startswith(_mark(request)):
        return see_other("/account/totp")
    secret = sealed.removeprefix(_mark(request))
    try:
        codes = await call.second_factors.enable(await call.users.get(me(request).id), secret, fields.get("code", ""))
    except InvalidError as error:
        return _new(request, secret, error.fields)
    return _codes(request, codes, begun=True)


async def create_codes(request: web.Request) -> web.Response:
    """New recovery codes in place of the old ones."""
    await form(request)
    call = service(request)
    if not await call.second_factors.on(me(request).id):
        return see_other("/account")
    return _codes(request, await call.second_factors.renew_codes(await call.users.get(me(request).id)), begun=False)


def _codes(request: web.Request, codes: Sequence[str], *, begun: bool) -> web.Response:
    return render(request, "account/codes.html", {"codes": codes, "begun": begun})


async def delete(request: web.Request) -> web.Response:
    """Turn it off."""
    await form(request)
    call = service(request)
    await call.second_factors.disable(await call.users.get(me(request).id))
    await flash(request, "Your password alone signs you in again.")
    return see_other("/account")
