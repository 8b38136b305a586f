"""Owns the commands of the noun `channel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import UsageError
from bouncer.service import show

if TYPE_CHECKING:
    from bouncer.service.commands.request import Request, Table

FIELDS = ("auto_join", "detached", "relay_detached", "reattach_on", "detach_on", "detach_after_s", "notify", "key")


async def _channel_list(request: Request) -> None:
    user, server_id = await request.server()
    views = await request.service.channels.list(user.id, server_id)
    if getattr(request.args, "json", False):
        request.say_json([show.channel_json(view) for view in views])
    else:
        request.say(*(show.channels(views) if views else ["no channels yet"]))


async def _channel_join(request: Request) -> None:
    user, server_id = await request.server()
    row = await request.service.channels.join(user.id, server_id, request.args.channel, request.args.key)
    request.say(f"{row.name} will be joined")


async def _channel_part(request: Request) -> None:
    user, server_id = await request.server()
    row = await request.service.channels.by_name(user.id, server_id, request.args.channel)
    await request.service.channels.part(user.id, row.id, request.args.reason)
    request.say(f"{row.name} left")


async def _channel_update(request: Request) -> None:
    user, server_id = await request.server()
    given = vars(request.args)
    values = {name: given[name] for name in FIELDS if name in given}
    if not values:
        raise UsageError("nothing to change: give at least one option, such as --detached")
    row = await request.service.channels.by_name(user.id, server_id, request.args.channel)
    row = await request.service.channels.update(user.id, row.id, values)
    request.say(f"{row.name}: {show.channel_rules(row)}")


TABLE: Table = {
    ("channel", "list"): _channel_list,
    ("channel", "join"): _channel_join,
    ("channel", "part"): _channel_part,
    ("channel", "update"): _channel_update,
}
