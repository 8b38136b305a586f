"""Conversations: what was said in a channel, with one nick or by a server, read and answered; and the list of all."""

from __future__ import annotations

import secrets
from datetime import date
from typing import TYPE_CHECKING

from aiohttp import web

from bouncer import browse, tenant
from bouncer.clock import now_ms
from bouncer.errors import InvalidError
from bouncer.history import Position
from bouncer.reactions import Marks, read_marks
from bouncer.service.talk import HELP, MAX_TEXT, is_bouncerserv
from web.auth import confirm_path, flash, is_fresh, take_flash
from web.context import form, me, render, see_other, service
from web.lines import items
from web.people import groups
from web.places import base_of, number, place_of, position, title_of
from web.sending import SENT
from web.standing import standing, trouble
from web.views import history
from web.zone import begin, zone_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from bouncer.browse import View
    from bouncer.history import StoredMessage
    from bouncer.service.talk import Outcome, Place

PAGE = 100
SITS_THERE = "BouncerServ may do all that you may, so give your password first"
MAX_FLASH = 1_500


async def index(request: web.Request) -> web.Response:
    """All channels and conversations with what waits in them: on a phone the way from one to the other."""
    states = service(request).live.server_states(me(request).id)
    context = {"standing": await standing(states), "here": "", "place": None}
    part = request.query.get("part") == "frame"
    return render(request, "chat/_frame.html" if part else "chat/index.html", context)


async def show_conversation(request: web.Request) -> web.Response:
    """A conversation is its messages."""
    return see_other(f"{base_of(await place_of(request))}/messages#newest")


async def show(request: web.Request) -> web.Response:
    """The newest lines, or those at a place (`before`, `after`, `around`, `day`).

    `part=lines` is the lines alone, `part=frame` what stands around them.
    """
    place, part = await place_of(request), request.query.get("part")
    if part == "frame":
        return render(request, "chat/_frame.html", await _frame(request, place))
    view, marks = await _view(request, place)
    if part == "lines":
        return render(request, "chat/_lines.html", _lines(request, place, view, marks))
    return await _page(request, place, view, marks)


async def _view(request: web.Request, place: Place) -> tuple[View, Marks]:
    before, after, around = (position(request, name) for name in ("before", "after", "around"))
    if (day := request.query.get("day")) is not None:
        after = Position.before_time(_day(request, day))

    def read(db: sqlite3.Connection) -> tuple[View, Marks]:
        view = browse.read_view(db, place.buffer, place.folded, PAGE, before=before, after=after, around=around)
        return view, read_marks(db, place.buffer, view.messages)

    return await tenant.read(read)


def _day(request: web.Request, day: str) -> int:
    try:
        return begin(date.fromisoformat(day[:10]), zone_of(request))
    except (ValueError, OverflowError) as error:
        raise web.HTTPBadRequest from error


def _at(message: StoredMessage) -> str:
    return f"{message.time}-{message.id}"


def _lines(request: web.Request, place: Place, view: View, marks: Marks) -> dict[str, object]:
    """What the lines of a view need, and where the pages on either side are."""
    base, messages = base_of(place), view.messages
    return {
        "items": items(messages, zone_of(request), calls=view.calls, marker=view.marker, marks=marks),
        "older": f"{base}/messages?before={_at(messages[0])}" if messages and view.older else "",
        "newer": f"{base}/messages?after={_at(messages[-1])}" if messages and view.newer else "",
        "upto": view.upto,
        "around": number(request.query.get("around", "").partition("-")[2]),
    }


async def _frame(request: web.Request, place: Place) -> dict[str, object]:
    """What the list of all, and the head of this one, need."""
    key, states = browse.key_of(place.buffer), service(request).live.server_states(me(request).id)
    return {
        "standing": await standing(states, key),
        "here": key,
        "key": key,
        "place": place,
        "trouble": trouble(place, states.get(place.server.id)),
        "topic": getattr(place.row, "topic", None) or "",
        "level": getattr(place.row, "notify", ""),
        "title": title_of(place),
        "base": base_of(place),
        "read": None,
    }


async def _page(
    request: web.Request,
    place: Place,
    view: View,
    marks: Marks,
    *,
    text: str = "",
    errors: Mapping[str, str] | None = None,
) -> web.Response:
    messages = view.messages
    waits = bool(messages) and not view.newer and place.name and messages[-1].time > (view.marker or -1)
    context = (
        _lines(request, place, view, marks)
        | await _frame(request, place)
        | {
            "people_open": request.cookies.get("people") != "0",
            "bouncerserv": is_bouncerserv(place.name),
            "placed": any(name in request.query for name in ("before", "after", "around", "day")),
            "read": messages[-1].time if waits else None,
            "nonce": secrets.token_urlsafe(9),
            "text": text,
            "errors": errors or {},
            "help": HELP,
            "max_text": MAX_TEXT,
            "flash": await take_flash(request),
        }
    )
    return render(request, "chat/show.html", context, status=422 if errors else 200)


async def say(request: web.Request) -> web.Response:
    """Send what was typed; script gets the answer as JSON, a form the page again."""
    posted, place, user = await form(request), await place_of(request), me(request)
    text, nonce = posted.get("text", ""), posted.get("nonce", "")
    if service(request).talk.is_for_bouncerserv(place, text) and not is_fresh(user):
        if _wants_json(request):
            return web.json_response({"error": SITS_THERE, "link": confirm_path(request)}, status=422)
        return see_other(confirm_path(request))
    if not request.app[SENT].first(user.id, nonce, text):
        return web.json_response({}) if _wants_json(request) else see_other(f"{base_of(place)}/messages#newest")
    try:
        outcome = await service(request).talk.say(user.id, place, text)
    except InvalidError as error:
        request.app[SENT].forget(user.id, nonce, text)
        if _wants_json(request):
            return web.json_response({"error": error.fields["text"]}, status=422)
        return await _page(request, place, *await _view(request, place), text=text, errors=error.fields)
    return await _answer(request, place, text, outcome)


def _wants_json(request: web.Request) -> bool:
    return "application/json" in request.headers.get("Accept", "")


async def _answer(request: web.Request, place: Place, text: str, outcome: Outcome) -> web.Response:
    """What came back: JSON, or the page with the reason why it was refused, or the next page with the words on it."""
    go = await _go(request, place, outcome)
    if _wants_json(request):
        answers = [{"words": reply.words, "refused": reply.refused} for reply in outcome.replies]
        return web.json_response({"answers": answers, "go": go})
    if outcome.refused:
        shown = outcome.refused
        return await _page(request, place, *await _view(request, place), text=text, errors={"text": shown})
    if outcome.replies:
        await flash(request, " · ".join(reply.words for reply in outcome.replies)[:MAX_FLASH])
    return see_other(f"{go or base_of(place)}/messages#newest")


async def _go(request: web.Request, place: Place, outcome: Outcome) -> str:
    """The address of the buffer that a command leads to, "" for none."""
    if not outcome.go:
        return ""
    found = await service(request).talk.open(me(request).id, place.server.id, outcome.go)
    return "" if found is None else f"/{found[0]}/{found[1]}"


async def mark_read(request: web.Request) -> web.Response:
    """All up to `time` (ms) has been read; the clients are told."""
    posted, place = await form(request), await place_of(request)
    time_ms = number(posted.get("time"), 10**16)
    await service(request).talk.mark_read(me(request).id, place, now_ms() if time_ms is None else time_ms)
    if _wants_json(request):
        return web.json_response({})
    return see_other(f"{base_of(place)}/messages#newest")


async def set_level(request: web.Request) -> web.Response:
    """What of a channel one is told of."""
    posted, place = await form(request), await place_of(request)
    assert place.row is not None  # noqa: S101 - the route is a channel's
    await service(request).channels.update(me(request).id, place.row.id, {"notify": posted.get("notify", "")})
    if posted.get("back") == "notifications":
        return see_other("/notifications")
    await flash(request, "Saved.")
    return see_other(f"{base_of(place)}/messages#newest")


async def people(request: web.Request) -> web.Response:
    """The nicks of a channel or conversation, for completion; `part=list` is a channel's people by rank."""
    place = await place_of(request)
    if request.query.get("part") == "list" and place.is_channel and place.row is not None:
        view = await service(request).channels.get(me(request).id, place.row.id)
        return render(request, "chat/_people.html", {"view": view, "groups": groups(view)})
    if place.is_channel and place.row is not None:
        return web.json_response(await browse.nicks(place.row.id))
    return web.json_response([place.name])


def routes(number: str) -> Iterator[web.RouteDef]:
    """The same of every kind of buffer; `number` is the pattern of an id."""
    for kind, folder in (("channel", "channels"), ("conversation", "conversations"), ("server", "servers")):
        base = f"/{folder}/{number}"
        yield web.get(f"{base}/messages", show, name=f"{kind}.messages")
        yield web.post(f"{base}/messages", say, name=f"{kind}.say")
        yield web.get(f"{base}/days", history.days, name=f"{kind}.days")
        if kind != "server":
            yield web.post(f"{base}/read", mark_read, name=f"{kind}.read")
            yield web.get(f"{base}/people", people, name=f"{kind}.people")
