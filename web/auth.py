"""Owns signing in and out of the panel, and where one may be sent afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import aiohttp_session

from bouncer.clock import now_ms
from bouncer.errors import RefusedError
from web.context import me, service
from web.sessions import ADDRESS, SIGNED_IN

if TYPE_CHECKING:
    from aiohttp import web

    from web.sessions import SignedIn

HOME = "/servers"
FRESH_MS = 15 * 60_000
"""How long a password that was given counts for what asks for one."""


async def sign_in(request: web.Request, user_id: int) -> None:
    """Start a session with a new token for this user; the one the browser had ends."""
    session = await aiohttp_session.new_session(request)
    session["user_id"] = user_id
    session["confirmed_at"] = now_ms()


async def confirmed(request: web.Request) -> None:
    """This browser has just given the password again."""
    (await aiohttp_session.get_session(request))["confirmed_at"] = now_ms()


def is_fresh(user: SignedIn) -> bool:
    """Whether the password was given in this browser a short while ago."""
    return now_ms() - user.confirmed_at <= FRESH_MS


async def prove(request: web.Request, password: str, code: str) -> dict[str, str]:
    """Check that the one who is signed in sits there; gives what is wrong, by `password` or `code`, {} when they do."""
    user, call = me(request), service(request)
    try:
        if await call.users.authenticate(user.name, password[:1000], address=request[ADDRESS]) is None:
            return {"password": "is not right"}
        if await call.second_factors.on(user.id) and not await call.second_factors.check(
            user.id, code, address=request[ADDRESS]
        ):
            return {"code": "is not right, or was used already"}
    except RefusedError as refused:
        return {"password": str(refused)}
    await confirmed(request)
    return {}


def confirm_path(request: web.Request) -> str:
    """The page that asks for the password, and leads on to what was wanted: after a form, to the page it is on."""
    wanted = request.raw_path
    if request.method not in ("GET", "HEAD"):
        try:
            wanted = urlsplit(request.headers.get("Referer", "")).path
        except ValueError:
            wanted = HOME
    return f"/account/confirm?next={quote(local_path(wanted), safe='')}"


async def sign_out(request: web.Request) -> None:
    """End this browser's session."""
    (await aiohttp_session.get_session(request)).invalidate()
    request.pop(SIGNED_IN, None)


async def flash(request: web.Request, words: str) -> None:
    """Say `words` on the next page this user sees."""
    (await aiohttp_session.get_session(request))["flash"] = words


async def take_flash(request: web.Request) -> str:
    """What `flash` left for this page, once."""
    session = await aiohttp_session.get_session(request)
    return str(session.pop("flash")) if "flash" in session else ""


def local_path(wanted: str) -> str:
    """`wanted` when it is a path of this site, else the home page: nobody is sent elsewhere after the sign-in."""
    if not wanted.startswith("/") or wanted.startswith("//") or len(wanted) > 2000:
        return HOME
    if "\\" in wanted or not wanted.isprintable() or not wanted.isascii():
        return HOME
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return HOME
    return wanted if not parts.scheme and not parts.netloc else HOME


def sign_in_path(request: web.Request) -> str:
    """The sign-in page that leads back to what this request wanted to see."""
    wanted = request.raw_path if request.method in ("GET", "HEAD") else HOME
    return "/session/new" if wanted in ("/", HOME) else f"/session/new?next={quote(local_path(wanted), safe='')}"
