"""Owns what happens around every handler: headers, error pages, deadline, cross-origin refusal, sign-in, turn."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp_session
from aiohttp import web

from bouncer import browse, tenant
from bouncer.database import storage_failure
from bouncer.errors import CommandError, NotFoundError, TenantBusyError
from bouncer.gate import neighbours
from bouncer.service.audit import ACTOR, Actor
from web.auth import confirm_path, is_fresh, sign_in_path
from web.context import CONFIG, NOTICES, SESSIONS, TURN, Page, see_other
from web.origin import from_here
from web.serving import CONNECTIONS
from web.sessions import ADDRESS, SIGNED_IN
from web.turns import DOOR, PAGES
from web.visitors import visitor

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from web.sessions import SignedIn

log = logging.getLogger(__name__)

DEADLINE_S = 30.0
"""A request that has no answer by then is given up; streams are exempt and have deadlines of their own."""
LONG_S = 600.0
"""The same for what takes long with much history."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = frozenset({"session.new", "session.create", "invite", "invite.accept"})
OPEN = frozenset({"static", "socket"})
"""What asks for no session at all; IRC clients log in in their own way."""
STREAMS = frozenset({"events", "socket"})
LONG = frozenset({"server.delete", "server.trial", "server.trial.create"})
LOGINS = frozenset({"session.create", "invite.accept"})
"""These wait for nobody's turn: what they cost has bounds of its own."""
UNTURNED = OPEN | STREAMS | LONG | LOGINS
"""What has no place among the pages, as it lasts; a stream takes one for its beginning."""
FRAGMENTS = frozenset(
    {
        "events",
        "server.state",
        "account.export.state",
        "admin.house.state",
        "history.work.state",
        "channel.people",
        "conversation.people",
        "notifications.count",
    }
)
PASSWORD_FIRST = frozenset({"account.password", "account.password.update", "session.delete"})
OUTSIDE = STREAMS | {"account.delete"}
"""Streams live for hours and read nothing: they must not keep the tenant's file in use; the other does away with it."""
FRESH = frozenset(
    {
        "token.create",
        "certificate.create",
        "account.email",
        "account.totp",
        "account.totp.create",
        "account.totp.delete",
        "account.codes.create",
        "account.export.create",
        "account.export.file",
        "history.deletion",
        "history.deletion.create",
        "history.rules",
        "history.rules.update",
        "account.delete",
        "admin.user.create",
        "admin.user.update",
        "admin.user.password",
        "admin.user.access",
        "admin.user.factor.delete",
        "admin.user.delete",
        "admin.invite.create",
    }
)
"""What changes who is let in, or takes everything along: only for who gave the password a short while ago."""

WITHOUT_DATA = ("account", "admin")
"""Names of pages begin so that one whose own file is gone still needs: a password, an admin's others to look after."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not no-referrer: browsers would then send `Origin: null` with our forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

KEPT_HEADERS = frozenset({"Allow", "Retry-After"})
"""Of an error that is shown as a page."""

NO_STORAGE = (
    "The storage of the bouncer does not do its part ({}). What people say on IRC is shown all the same, and kept as "
    "soon as that is possible. Try again in a moment."
)

FOREVER = "public, max-age=31536000, immutable"
"""For static files whose address names their content."""

ERRORS = {
    400: ("That did not arrive whole", "The request could not be read. Go back and try again."),
    403: ("Not from here", "The request came from another site, so it was refused."),
    404: ("Nothing here", "There is no such page, or it is not yours."),
    405: ("Not like that", "This address does not take that kind of request."),
    413: ("Too much at once", "What was sent is larger than this page takes."),
    415: ("Not a form", "This address takes forms only."),
    429: ("Too many at once", "Wait a little, then try again."),
    500: ("Something broke", "The error is in the bouncer's log. Your IRC connections are not affected by it."),
    503: ("That took too long", "The bouncer is busy or its storage does not answer. Try again in a moment."),
}


async def security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: every response carries the same protections, and no page is kept by a cache."""
    response.headers.update(HEADERS)
    response.headers.pop("Server", None)  # which version of what serves it is nobody's business
    static = request.match_info.route.name == "static" and response.status < HTTPStatus.BAD_REQUEST
    response.headers["Cache-Control"] = FOREVER if static and "v" in request.query else "no-store"


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes a page in the panel's own look; the only place of the panel that catches everything."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        page = await _error_page(request, error.status)
        for name in KEPT_HEADERS & error.headers.keys():
            page.headers[name] = error.headers[name]
        return page
    except NotFoundError:
        return await _error_page(request, 404)
    except CommandError as error:
        return await _error_page(request, 409, str(error))
    except (TimeoutError, TenantBusyError):
        log.warning("%s %s took too long", request.method, request.path)
        return await _error_page(request, 503)
    except ConnectionError:
        raise
    except Exception as error:
        reason = storage_failure(error)
        if reason is None:
            log.exception("%s %s failed", request.method, request.path)
        else:
            log.warning("%s %s: %s", request.method, request.path, reason)
        words = "" if reason is None else NO_STORAGE.format(reason)
        return await _error_page(request, 500 if reason is None else 503, words)


async def _error_page(request: web.Request, status: int, words: str = "") -> web.Response:
    title, sentence = ERRORS.get(status, ("That cannot be done", "Go back and try again."))
    context = {"status": status, "title": title, "sentence": words or sentence}
    page = Page(request, "error.html", context, status)
    await page.write_out()
    return page


@web.middleware
async def deadline(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No request occupies the panel for longer than `DEADLINE_S`, or `LONG_S` for the few that may."""
    if request.match_info.route.name in STREAMS:
        return await handler(request)
    async with asyncio.timeout(LONG_S if request.match_info.route.name in LONG else DEADLINE_S):
        return await handler(request)


@web.middleware
async def same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse unsafe requests that another site made a browser send; see `from_here`."""
    if request.method not in SAFE_METHODS and not from_here(request, request.app[CONFIG]):
        raise web.HTTPForbidden
    return await handler(request)


@web.middleware
async def client_address(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Set `request[ADDRESS]`: who asks, for the throttle; nobody has too many requests at work at once."""
    forwarded = request.headers.getall("X-Forwarded-For", ())
    request[ADDRESS] = visitor(request.remote or "", forwarded, request.app[CONFIG].web.trusted_proxies)
    with request.app[CONNECTIONS].request(request[ADDRESS]) as room:
        if not room:
            raise web.HTTPTooManyRequests
        return await handler(request)


@web.middleware
async def signed_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Set `request[SIGNED_IN]`; only the signed-in pass, but to what is public."""
    route = request.match_info.route.name or ""
    if route in OPEN:
        return await handler(request)
    await _look_up(request)
    ACTOR.set(Actor(None, "panel", request[ADDRESS]))  # for who has no account yet
    user = request.get(SIGNED_IN)
    if request.match_info.http_exception is not None or (user is None and route in PUBLIC):
        return await handler(request)
    if user is None:
        return _elsewhere(request, sign_in_path(request))
    if (instead := _first(request, user)) is not None:
        return instead
    ACTOR.set(Actor(user.id, user.name, request[ADDRESS]))
    return await handler(request)


async def _look_up(request: web.Request) -> None:
    """Whose session it is: a few at once ask the main database, so that logins find it free."""
    if request.match_info.route.name in LOGINS or request.app[SESSIONS].load_cookie(request) is None:
        await aiohttp_session.get_session(request)
        return
    async with request.app[DOOR].turn(neighbours(request[ADDRESS])):
        await aiohttp_session.get_session(request)


@web.middleware
async def in_turn(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only so many pages are begun at once, of one person and in all."""
    if request.match_info.route.name in UNTURNED:
        return await handler(request)
    user = request.get(SIGNED_IN)
    if user is None:
        async with request.app[DOOR].turn(neighbours(request[ADDRESS])):
            return await handler(request)
    if request.method not in SAFE_METHODS:
        await request.read()  # who sends it slowly waits outside
    async with request.app[PAGES].turn(str(user.id)):
        return await handler(request)


@web.middleware
async def in_tenant(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Each request inside the tenant of the session's user; the id never comes from the request."""
    route, user = request.match_info.route.name or "", request.get(SIGNED_IN)
    if user is None or request.match_info.http_exception is not None or route in OUTSIDE:
        return await handler(request)
    if route.startswith(WITHOUT_DATA) and not await tenant.exists(user.id):
        return await handler(request)
    async with tenant.switch(user.id):
        if request.method == "GET":
            request[NOTICES] = await _notices()
        return await handler(request)


@web.middleware
async def written_out(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pages are written out one at a time, and the loop turns between."""
    response = await handler(request)
    if isinstance(response, Page):
        async with request.app[TURN]:
            await response.write_out()
            await asyncio.sleep(0)
    return response


async def _notices() -> int:
    try:
        return await browse.notices()
    except Exception as error:
        if storage_failure(error) is None:
            raise
        return 0  # a page that needs the file will say so


def _first(request: web.Request, user: SignedIn) -> web.Response | None:
    """What this user has to do before; what only admins may is not there for others."""
    route = request.match_info.route.name or ""
    if user.password_temporary and route not in PASSWORD_FIRST:
        return _elsewhere(request, "/account/password")
    if route.startswith("admin") and not user.admin:
        raise web.HTTPNotFound
    return see_other(confirm_path(request)) if route in FRESH and not is_fresh(user) else None


def _elsewhere(request: web.Request, location: str) -> web.Response:
    """A page sends its reader on; a part of one, which script asked for, can only be refused."""
    if request.match_info.route.name in FRAGMENTS:
        return web.Response(status=401, text="sign in first\n")
    return see_other(location)
