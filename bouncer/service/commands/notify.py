"""Owns the commands of the noun `notify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import UsageError
from bouncer.service import show_personal as show

if TYPE_CHECKING:
    from bouncer.service.commands.request import Request, Table


async def _notify_list(request: Request) -> None:
    user = await request.user()
    notices = await request.service.histories.notifications(user.id, all_of_them=request.args.all)
    request.say(*(show.notice(notice) for notice in notices))
    if not notices:
        request.say("nothing new")


async def _notify_read(request: Request) -> None:
    user = await request.user()
    which = request.args.which
    if which != "all" and not (which.isdecimal() and len(which) < 19):
        raise UsageError("which one? Say notify read ID, or notify read all")
    count = await request.service.histories.mark_read(user.id, None if which == "all" else int(which))
    request.say(f"{count} marked as read")


async def _notify_rules(request: Request) -> None:
    user, call, args = await request.user(), request.service.attention, request.args
    now = await call.rules(user.id)
    if args.nick is not None or args.words is not None:
        nick = now.nick if args.nick is None else args.nick
        words = now.words if args.words is None else args.words
        now = await call.set_rules(user.id, nick=nick, words="\n".join(words))
    request.say(*show.rules(now), *show.levels(await call.levels(user.id)))


TABLE: Table = {
    ("notify", "list"): _notify_list,
    ("notify", "read"): _notify_read,
    ("notify", "rules"): _notify_rules,
}
