"""Owns which buffer a request is about: its row, its address, its name in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from bouncer import browse
from bouncer.history import Position
from web.context import me, path_id, service

if TYPE_CHECKING:
    from bouncer.service.talk import Place

KINDS = {"c": "channel", "p": "conversation", "s": "server"}


async def place_of(request: web.Request) -> Place:
    """The channel, conversation or server whose id is in the path; the route's name says which."""
    kind = str(request.match_info.route.name).partition(".")[0]
    return await service(request).talk.place(me(request).id, kind, path_id(request))


async def place_by_key(request: web.Request, key: str) -> Place:
    """The buffer of a key as in `browse.key_of`; what is none of the user's is a 404."""
    if not (match := re.fullmatch(r"([cps])([0-9]{1,18})", key)):
        raise web.HTTPNotFound
    return await service(request).talk.place(me(request).id, KINDS[match[1]], int(match[2]))


def base_of(place: Place) -> str:
    """The buffer's address."""
    return browse.path_of(place.buffer)


def title_of(place: Place) -> str:
    """What it is called."""
    return place.name or "Server messages"


def number(value: str | None, most: int = 10**18) -> int | None:
    """A whole number in a query, None where there is none; anything else is a 400."""
    if value is None or value == "":
        return None
    if not re.fullmatch(r"[0-9]{1,18}", value) or int(value) > most:
        raise web.HTTPBadRequest
    return int(value)


def position(request: web.Request, name: str) -> Position | None:
    """A place in the order as links of ours write it, `TIME-ID`; what is not one is a 400."""
    value = request.query.get(name)
    if value is None:
        return None
    if not (match := re.fullmatch(r"([0-9]{1,16})-([0-9]{1,18})", value)):
        raise web.HTTPBadRequest
    return Position(int(match[1]), int(match[2]))
