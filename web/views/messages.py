"""The readable history of a channel, of a conversation and of the server's own lines, a page at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from bouncer import history
from bouncer.history import Buffer, Position
from bouncer.replay import REDACTED
from web import irctext, present
from web.context import me, path_id, render, see_other, service

if TYPE_CHECKING:
    from markupsafe import Markup

    from bouncer.history import StoredMessage
    from bouncer.models.tenant import Server

PAGE = 100
EVENTS = {
    "join": "{nick} joined",
    "part": "{nick} left{why}",
    "quit": "{nick} quit{why}",
    "kick": "{nick} put {text} out{why}",
    "nick": "{nick} is now {text}",
    "topic": "{nick} set the topic: {text}",
    "mode": "{nick} set {text}",
    "invite": "{nick} invites to {target}",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A message as the page shows it; `day` is set on the first one of a day."""

    id: int
    time: int
    day: str
    nick: str
    nick_class: str
    kind: str
    html: Markup
    own: bool


async def channel(request: web.Request) -> web.Response:
    """The history of a channel."""
    view = await service(request).channels.get(me(request).id, path_id(request))
    buffer = Buffer(view.row.server_id, channel_id=view.row.id)
    return await _page(request, view.server, view.row.name, buffer, f"/channels/{view.row.id}")


async def conversation(request: web.Request) -> web.Response:
    """The direct messages with one nick."""
    view = await service(request).channels.conversation(me(request).id, path_id(request))
    buffer = Buffer(view.row.server_id, conversation_id=view.row.id)
    return await _page(request, view.server, view.row.nick, buffer, f"/conversations/{view.row.id}")


async def show_conversation(request: web.Request) -> web.Response:
    """A conversation is its messages."""
    view = await service(request).channels.conversation(me(request).id, path_id(request))
    return see_other(f"/conversations/{view.row.id}/messages#newest")


async def server(request: web.Request) -> web.Response:
    """What the server itself said: notices, the message of the day."""
    row = await service(request).servers.get(me(request).id, path_id(request))
    return await _page(request, row, "Server messages", Buffer(row.id), f"/servers/{row.id}")


async def _page(request: web.Request, row: Server, title: str, buffer: Buffer, base: str) -> web.Response:
    before, after = _place(request, "before"), _place(request, "after")
    limit = PAGE + 1  # one more tells whether there is another page
    if after is not None:
        found = await history.after(buffer, after, limit)
        more_newer, messages = len(found) == limit, found[:PAGE]
        more_older = True
    else:
        found = await (history.latest(buffer, limit) if before is None else history.before(buffer, before, limit))
        more_older, messages = len(found) == limit, found[-PAGE:]
        more_newer = before is not None
    context = {
        "row": row,
        "title": title,
        "base": base,
        "parent": base if base.startswith("/channels") else "",
        "lines": lines(messages),
        "older": f"{base}/messages?before={_at(messages[0])}" if messages and more_older else "",
        "newer": f"{base}/messages?after={_at(messages[-1])}" if messages and more_newer else "",
        "latest": f"{base}/messages#newest" if before or after else "",
    }
    return render(request, "messages/index.html", context)


def _place(request: web.Request, name: str) -> Position | None:
    """A place as links of ours write it, `TIME-ID`; what is not one is a 400."""
    value = request.query.get(name)
    if value is None:
        return None
    if not (match := re.fullmatch(r"([0-9]{1,16})-([0-9]{1,18})", value)):
        raise web.HTTPBadRequest
    return Position(int(match[1]), int(match[2]))


def _at(message: StoredMessage) -> str:
    return f"{message.time}-{message.id}"


def lines(messages: list[StoredMessage]) -> list[Line]:
    """The messages with a day on the first of each."""
    found, last = [], ""
    for message in messages:
        day = present.day(message.time)
        found.append(_line(message, day if day != last else ""))
        last = day
    return found


def _line(message: StoredMessage, day: str) -> Line:
    nick = message.sender.partition("!")[0]
    kind, text = message.message_type, message.content if message.redacted is None else REDACTED
    if kind in EVENTS:
        text, kind = _event(kind, nick, message.target, text), "event"
    return Line(
        id=message.id,
        time=message.time,
        day=day,
        nick=irctext.plain(nick),
        nick_class=present.nick_class(nick),
        kind=kind,
        html=irctext.html(text),
        own=message.own,
    )


def _event(kind: str, nick: str, target: str, text: str) -> str:
    """What happened in one sentence; `text` is as the write path stores it for that kind."""
    if kind == "kick":
        text, _, why = text.partition(" ")
    else:
        why = text
    return EVENTS[kind].format(nick=nick, text=text, target=target, why=f" ({why})" if why else "")
