"""Notifications: what called for attention, marked as read, and the rules by which something does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from bouncer import browse
from bouncer.errors import InvalidError
from bouncer.history import Buffer
from web import irctext
from web.auth import flash, take_flash
from web.context import form, me, path_id, render, see_other, service
from web.merging import SEEN, marks, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from bouncer.network.settings import Highlights
    from bouncer.service.histories import Notice

WHY = {"highlight": "called you", "dm": "wrote to you", "invite": "invited you", "message": "wrote"}


@dataclass(frozen=True, slots=True)
class Call:
    """A notification as the page shows it."""

    id: int
    time: int
    nick: str
    why: str
    where: str
    server: str
    html: Markup
    href: str
    read: bool


async def index(request: web.Request) -> web.Response:
    """The unread ones, or all; and the rules."""
    return await _index(request)


async def _index(
    request: web.Request, *, posted: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
) -> web.Response:
    user, everything = me(request), "all" in request.query
    found = await service(request).histories.notifications(user.id, all_of_them=everything)
    stored = _settings(await service(request).attention.rules(user.id))
    values = {**stored, SEEN: marks(stored)}
    if posted is not None:
        values |= {"nick": bool(posted.get("nick")), "words": posted.get("words", "")}
    context = {
        "calls": [_call(notice) for notice in reversed(found)],
        "everything": everything,
        "values": values,
        "errors": errors or {},
        "levels": await service(request).attention.levels(user.id),
        "flash": await take_flash(request),
    }
    return render(request, "notifications/index.html", context, status=422 if errors else 200)


def _settings(rules: Highlights) -> dict[str, str | bool]:
    return {"nick": rules.nick, "words": "\n".join(rules.words)}


def _call(notice: Notice) -> Call:
    message, row = notice.message, notice.row
    base = browse.path_of(Buffer(message.server_id, message.channel_id, message.conversation_id))
    direct = message.conversation_id is not None
    return Call(
        id=row.id,
        time=message.time,
        nick=irctext.plain(message.sender.partition("!")[0]),
        why=WHY.get(row.reason, row.reason),
        where="" if direct else irctext.plain(message.target or message.content),
        server=notice.server,
        html=irctext.html(message.content),
        href=f"{base}/messages?around={message.time}-{message.id}#m{message.id}",
        read=row.read_at is not None,
    )


async def count(request: web.Request) -> web.Response:
    """How many are unread, for a title that nobody looks at."""
    del request
    return web.json_response({"notices": await browse.notices()})


async def mark_all_read(request: web.Request) -> web.Response:
    """Every one has been seen."""
    await form(request)
    await service(request).histories.mark_read(me(request).id)
    return see_other("/notifications")


async def mark_read(request: web.Request) -> web.Response:
    """One has been seen."""
    posted = await form(request)
    await service(request).histories.mark_read(me(request).id, path_id(request))
    return see_other("/notifications?all=1" if posted.get("all") else "/notifications")


async def set_rules(request: web.Request) -> web.Response:
    """What counts as a call from now on."""
    user, call = me(request).id, service(request).attention
    posted, clashes = merged(await form(request), _settings(await call.rules(user)))
    if clashes:
        return await _index(request, posted=posted, errors=clashes)
    try:
        await call.set_rules(user, nick=bool(posted.get("nick")), words=posted.get("words", ""))
    except InvalidError as error:
        return await _index(request, posted=posted, errors=error.fields)
    await flash(request, "Saved. It counts for what is said from now on.")
    return see_other("/notifications")
