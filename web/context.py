"""Owns what handlers share: the application's keys, rendering, redirecting, reading forms and ids."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import aiohttp_jinja2
from aiohttp import web

from bouncer.config import Config
from bouncer.service import Service
from web.sessions import SIGNED_IN, SessionRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.sessions import SignedIn

CONFIG = web.AppKey("config", Config)
SERVICE = web.AppKey("service", Service)
SESSIONS = web.AppKey("sessions", SessionRows)
TURN = web.AppKey("turn", asyncio.Lock)
"""Of pages that are written out."""

NOTICES = web.RequestKey("notices", int)
"""How many notifications wait unread, for the header of every page."""

SLICE_S = 0.003
"""A page is written out for so long, then others have a turn: IRC does not wait for a whole one."""

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FIELDS = 200
STRANGERS_BYTES = 16_384
"""A form of somebody who has not signed in: to read it may cost next to nothing."""


def service(request: web.Request) -> Service:
    """The command layer."""
    return request.app[SERVICE]


def me(request: web.Request) -> SignedIn:
    """Who is signed in; only for routes behind the sign-in (the middleware holds the others off)."""
    return request[SIGNED_IN]


class Page(web.Response):
    """A page or fragment that is yet to be written out, which a middleware does, one after another."""

    def __init__(self, request: web.Request, template: str, context: Mapping[str, Any], status: int) -> None:
        super().__init__(status=status, content_type="text/html", charset="utf-8")
        user = request.get(SIGNED_IN)
        warning = service(request).caretaker.warning(user.id) if user is not None else ""
        health = service(request).live.hub(user.id).health if user is not None else None
        here = {
            "user": user,
            "path": request.path,
            "notices": request.get(NOTICES, 0),
            "storage": warning,
            "trouble": health.words() if health is not None else "",
            "not_kept": health.lost if health is not None else 0,
        }
        env = request.app[aiohttp_jinja2.APP_KEY]
        self._pieces = env.get_template(template).generate({**here, **context})

    async def write_out(self) -> None:
        """Make the text, some milliseconds of the loop's time at once."""
        loop = asyncio.get_running_loop()
        done, began = list[str](), loop.time()
        for piece in self._pieces:
            done.append(piece)
            if loop.time() - began > SLICE_S:
                await asyncio.sleep(0)
                began = loop.time()
        self.text = "".join(done)


def render(
    request: web.Request, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> web.Response:
    """A page or fragment from a template, which also gets `user` (`SignedIn` or None) and `path`."""
    return Page(request, template, context or {}, status)


def see_other(location: str) -> web.Response:
    """303: what the browser does after a form, returned (not raised) so that no open block is rolled back."""
    return web.Response(status=303, headers={"Location": location})


def path_id(request: web.Request, name: str = "id") -> int:
    """The id in the path; one that no row can have is a 404 like any unknown one."""
    digits = request.match_info[name]
    if len(digits) > 18:
        raise web.HTTPNotFound
    return int(digits)


async def form(request: web.Request) -> dict[str, str]:
    """The posted text fields, the last of each name; files are refused.

    Read here and not by aiohttp: no bound on the number of fields, and any codec of Python's that the request names,
    would let one request stop the event loop for seconds.

    Raises:
        web.HTTPUnsupportedMediaType: the body is no form.
        web.HTTPRequestEntityTooLarge: it is over the application's limit, or a stranger's.
        web.HTTPBadRequest: it cannot be decoded, or has too many fields.
    """
    if not request.body_exists:
        return {}
    if request.content_type != FORM_TYPE or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise web.HTTPUnsupportedMediaType
    return fields_of(await request.read() if SIGNED_IN in request else await _strangers_body(request))


async def _strangers_body(request: web.Request) -> bytes:
    """No more of it is kept than may be read: strangers have many connections."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > STRANGERS_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=STRANGERS_BYTES, actual_size=len(body))
    return bytes(body)


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form's body; HTTPBadRequest where it cannot be decoded or has too many."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise web.HTTPBadRequest from error
