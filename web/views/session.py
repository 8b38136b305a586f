"""Signing in and out, with a code where the account asks for one."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from bouncer import vault
from bouncer.clock import now_ms
from bouncer.errors import NotFoundError, RefusedError, VaultError
from web.auth import local_path, sign_in, sign_out
from web.context import form, render, see_other, service
from web.sessions import ADDRESS, SIGNED_IN

if TYPE_CHECKING:
    from aiohttp import web

    from bouncer.models.main import User

WRONG = "Name or password is not right."
"""Whatever was wrong: an unknown name, a disabled account and a bad password look alike."""
WRONG_CODE = "This code is not right, or was used already."
PROOF_MS = 300_000
"""How long after the password the code may come."""


async def new(request: web.Request) -> web.Response:
    """The sign-in form."""
    wanted = local_path(request.query.get("next", ""))
    if SIGNED_IN in request:
        return see_other(wanted)
    return render(request, "session/new.html", {"next": wanted, "name": "", "problem": ""})


async def create(request: web.Request) -> web.Response:
    """Sign in, then on to where one wanted to go; the code comes with the password, or in a form of its own after."""
    fields = await form(request)
    name, wanted = fields.get("name", "").strip()[:254], local_path(fields.get("next", ""))
    problem: str | None = WRONG
    try:
        user = await _proved(request, fields["proof"]) if fields.get("proof") else await _known(request, name, fields)
    except RefusedError as refused:
        user, problem = None, str(refused)
    if user is None:
        context = {"next": wanted, "name": name, "problem": problem}
        return render(request, "session/new.html", context, status=422 if problem == WRONG else 429)
    if await service(request).second_factors.on(user.id):
        problem = await _code_problem(request, user.id, fields.get("code", ""))
        if problem is not None:
            context = {"next": wanted, "proof": _proof(user), "problem": problem}
            return render(request, "session/code.html", context, status=422 if problem else 200)
    await sign_in(request, user.id)
    return see_other("/account/password" if user.password_temporary else wanted)


async def _known(request: web.Request, name: str, fields: dict[str, str]) -> User | None:
    password = fields.get("password", "")[:1000]
    return await service(request).users.authenticate(name, password, address=request[ADDRESS])


async def _code_problem(request: web.Request, user_id: int, code: str) -> str | None:
    """None for a right code, "" for none at all, else what to say."""
    if not code.strip():
        return ""
    try:
        right = await service(request).second_factors.check(user_id, code, address=request[ADDRESS])
    except RefusedError as refused:
        return str(refused)
    return None if right else WRONG_CODE


def _proof(user: User) -> str:
    """That the password was right a moment ago, for the form of the code; it ends with that password."""
    return vault.encrypt(json.dumps([user.id, now_ms() + PROOF_MS, _mark(user)]))


async def _proved(request: web.Request, proof: str) -> User | None:
    try:
        user_id, until, mark = json.loads(vault.decrypt(proof[:1000]))
        user = await service(request).users.get(user_id)
    except (VaultError, ValueError, NotFoundError, TypeError):
        return None
    good = user.enabled and until > now_ms() and hmac.compare_digest(mark, _mark(user))
    return user if good else None


def _mark(user: User) -> str:
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:32]


async def delete(request: web.Request) -> web.Response:
    """Sign out of this browser."""
    await sign_out(request)
    return see_other("/session/new")
