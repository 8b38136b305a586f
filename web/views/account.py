"""One's own account: name, e-mail, password, the browsers that are signed in, and confirming who one is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bouncer.errors import ConflictError, InvalidError, RefusedError
from web.auth import flash, local_path, prove, sign_in, take_flash
from web.context import form, me, path_id, render, see_other, service
from web.sessions import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from bouncer.models.main import User

MIN_PASSWORD = 8
BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Macintosh", "CrOS", "Linux")


async def show(request: web.Request) -> web.Response:
    """The account page."""
    return await _show(request, None, {})


async def _show(request: web.Request, email: str | None, errors: Mapping[str, str]) -> web.Response:
    user, call = me(request), service(request)
    row = await call.users.get(user.id)
    context = {
        "values": {"email": row.email or "" if email is None else email},
        "errors": errors,
        "sessions": await call.sessions.list(user.id),
        "browser": browser,
        "factor": await call.second_factors.on(user.id),
        "codes_left": await call.second_factors.codes_left(user.id),
        "flash": await take_flash(request),
    }
    return render(request, "account/show.html", context, status=422 if errors else 200)


def browser(agent: str) -> str:
    """A browser in words, from what it says of itself."""
    name = next((name for mark, name in BROWSERS if mark in agent), "")
    system = next((system for system in SYSTEMS if system in agent), "")
    plain = re.sub(r"[^ -~]", "?", agent)[:40]
    return f"{name or 'A browser'} on {system}" if system else name or plain or "Unknown"


async def update_email(request: web.Request) -> web.Response:
    """Another address to sign in with, or none."""
    email = (await form(request)).get("email", "").strip()
    try:
        await service(request).users.set_email(me(request).id, email or None)
    except InvalidError as error:
        return await _show(request, email, error.fields)
    except ConflictError as error:
        return await _show(request, email, {"email": str(error)})
    await flash(request, "Your e-mail address is saved." if email else "You sign in by name only now.")
    return see_other("/account")


async def password(request: web.Request) -> web.Response:
    """The form for a new password; the only page while the password is a one-time one."""
    return render(request, "account/password.html", {"errors": {}, "min_length": MIN_PASSWORD})


async def update_password(request: web.Request) -> web.Response:
    """Set the new password; every session ends and this browser gets a new one, clients that used it are sent away."""
    user, fields = me(request), await form(request)
    current, new = fields.get("current", "")[:1000], fields.get("password", "")
    errors = wrong_password(new, fields.get("repeat", ""), current)
    try:
        if not errors and await _authenticated(request, current) is None:
            errors = {"current": "is not right"}
        if not errors:
            keep = bool(fields.get("keep_clients"))
            await service(request).users.set_password(user.id, new, keep_clients=keep)
    except RefusedError as refused:
        errors = {"current": str(refused)}
    except InvalidError as invalid:
        errors = invalid.fields
    if errors:
        return render(request, "account/password.html", {"errors": errors, "min_length": MIN_PASSWORD}, status=422)
    await sign_in(request, user.id)
    await flash(request, "Your password is set. Give it to your IRC clients too.")
    return see_other("/servers" if user.password_temporary else "/account")


async def _authenticated(request: web.Request, current: str) -> User | None:
    return await service(request).users.authenticate(me(request).name, current, address=request[ADDRESS])


def wrong_password(new: str, repeat: str, current: str = "") -> dict[str, str]:
    """What is wrong with a new password that was typed twice."""
    errors = {}
    if len(new) < MIN_PASSWORD:
        errors["password"] = f"at least {MIN_PASSWORD} characters"
    elif new == current:
        errors |= {"password": "is the one you have; choose another"}
    elif new != repeat:
        errors["repeat"] = "is not the same"
    return errors


# -- confirming


async def confirm(request: web.Request) -> web.Response:
    """Ask for the password again."""
    return await _confirm(request, local_path(request.query.get("next", "")), {})


async def _confirm(request: web.Request, wanted: str, errors: Mapping[str, str]) -> web.Response:
    factor = await service(request).second_factors.on(me(request).id)
    context = {"next": wanted, "errors": errors, "factor": factor}
    return render(request, "account/confirm.html", context, status=422 if errors else 200)


async def create_confirmation(request: web.Request) -> web.Response:
    """Check it, then on to what was wanted."""
    fields = await form(request)
    wanted = local_path(fields.get("next", ""))
    if errors := await prove(request, fields.get("password", ""), fields.get("code", "")):
        return await _confirm(request, wanted, errors)
    return see_other(wanted)


# -- browsers


async def end_session(request: web.Request) -> web.Response:
    """Sign out one other browser."""
    await form(request)
    await service(request).sessions.end(me(request).id, path_id(request))
    if path_id(request) == me(request).session_id:
        return see_other("/session/new")
    await flash(request, "That browser is signed out.")
    return see_other("/account")


async def end_other_sessions(request: web.Request) -> web.Response:
    """Sign out every other browser."""
    await form(request)
    await service(request).sessions.end_all(me(request).id, but=me(request).session_id)
    await flash(request, "Every other browser is signed out.")
    return see_other("/account")
