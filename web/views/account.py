"""One's own account: password and other sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import InvalidError, RefusedError
from web.auth import flash, sign_in, take_flash
from web.context import SESSIONS, form, me, render, see_other, service
from web.sessions import ADDRESS

if TYPE_CHECKING:
    from aiohttp import web

MIN_PASSWORD = 8


async def show(request: web.Request) -> web.Response:
    """The account page."""
    user = me(request)
    row = await service(request).users.get(user.id)
    others = await request.app[SESSIONS].others(user)
    return render(
        request, "account/show.html", {"email": row.email, "others": others, "flash": await take_flash(request)}
    )


async def password(request: web.Request) -> web.Response:
    """The form for a new password; the only page while the password is a one-time one."""
    return render(request, "account/password.html", {"errors": {}, "min_length": MIN_PASSWORD})


async def update_password(request: web.Request) -> web.Response:
    """Set the new password; every session ends and this browser gets a new one."""
    user, fields = me(request), await form(request)
    current, new = fields.get("current", "")[:1000], fields.get("password", "")
    errors = _wrong(current, new, fields.get("repeat", ""))
    try:
        if (
            not errors
            and await service(request).users.authenticate(user.name, current, address=request[ADDRESS]) is None
        ):
            errors = {"current": "is not right"}
        if not errors:
            await service(request).users.set_password(user.id, new)
    except RefusedError as refused:
        errors = {"current": str(refused)}
    except InvalidError as invalid:
        errors = invalid.fields
    if errors:
        return render(request, "account/password.html", {"errors": errors, "min_length": MIN_PASSWORD}, status=422)
    await sign_in(request, user.id)
    await flash(request, "Your password is set. Give it to your IRC clients too.")
    return see_other("/servers" if user.password_temporary else "/account")


def _wrong(current: str, new: str, repeat: str) -> dict[str, str]:
    errors = {}
    if len(new) < MIN_PASSWORD:
        errors["password"] = f"at least {MIN_PASSWORD} characters"
    elif new == current:
        errors |= {"password": "is the one you have; choose another"}
    elif new != repeat:
        errors["repeat"] = "is not the same"
    return errors


async def end_other_sessions(request: web.Request) -> web.Response:
    """Sign out every other browser."""
    await form(request)
    await request.app[SESSIONS].end_others(me(request))
    await flash(request, "Every other browser is signed out.")
    return see_other("/account")
