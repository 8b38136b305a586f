"""Signing in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import RefusedError
from web.auth import local_path, sign_in, sign_out
from web.context import form, render, see_other, service
from web.sessions import ADDRESS, SIGNED_IN

if TYPE_CHECKING:
    from aiohttp import web

WRONG = "Name or password is not right."
"""Whatever was wrong: an unknown name, a disabled account and a bad password look alike."""


async def new(request: web.Request) -> web.Response:
    """The sign-in form."""
    wanted = local_path(request.query.get("next", ""))
    if SIGNED_IN in request:
        return see_other(wanted)
    return render(request, "session/new.html", {"next": wanted, "name": "", "problem": ""})


async def create(request: web.Request) -> web.Response:
    """Sign in, then on to where one wanted to go."""
    fields = await form(request)
    name, wanted = fields.get("name", "").strip()[:254], local_path(fields.get("next", ""))
    problem = WRONG
    try:
        user = await service(request).users.authenticate(
            name, fields.get("password", "")[:1000], address=request[ADDRESS]
        )
    except RefusedError as refused:
        user, problem = None, str(refused)
    if user is None:
        context = {"next": wanted, "name": name, "problem": problem}
        return render(request, "session/new.html", context, status=422 if problem == WRONG else 429)
    await sign_in(request, user.id)
    return see_other("/account/password" if user.password_temporary else wanted)


async def delete(request: web.Request) -> web.Response:
    """Sign out of this browser."""
    await sign_out(request)
    return see_other("/session/new")
