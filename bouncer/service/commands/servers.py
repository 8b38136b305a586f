"""Owns the commands of the noun `server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import NotFoundError, UsageError
from bouncer.service import show

if TYPE_CHECKING:
    from bouncer.models.main import User
    from bouncer.service.commands.request import Request, Table

FIELDS = (
    "name", "address", "port", "tls", "tls_verify", "tls_fingerprint", "nickname", "alternatives", "username",
    "realname", "password", "auth_method", "auth_account", "auth_password", "auth_required", "channels",
    "flood_burst", "flood_interval_ms", "keep_nick", "regain_command", "auto_away", "away_message", "encoding",
    "quit_message", "enabled",
)  # fmt: skip
LINES = ("connect_commands", "fallbacks")
"""Fields that are given a line at a time."""


def server_values(request: Request) -> dict[str, object]:
    """The fields that were given, by name, for `fields.server_fields`."""
    given = vars(request.args)
    values = {name: given[name] for name in FIELDS if given.get(name) is not None}
    values |= {name: "\n".join(given[name]) for name in LINES if given.get(name) is not None}
    return values | dict(request.secrets)


async def _server_add(request: Request) -> None:
    user = await request.user()
    row = await request.service.servers.add(user.id, server_values(request), trusted=request.trusted)
    request.say(f"server {row.name} added")
    await _say_certificate(request, user, row.id)


async def _server_update(request: Request) -> None:
    user, server_id = await request.server()
    values = server_values(request)
    if not values:
        raise UsageError("nothing to change: give at least one option")
    if "auth_method" in values and "auth_account" not in values:
        values["auth_account"] = ""
    row = await request.service.servers.update(
        user.id, server_id, values, trusted=request.trusted, confirmed=request.confirmed
    )
    request.say(f"server {row.name} updated")
    if "auth_method" in values:
        await _say_certificate(request, user, row.id)


async def _say_certificate(request: Request, user: User, server_id: int) -> None:
    view = await request.service.servers.view(user.id, server_id)
    if view.row.auth_method == "sasl-external":
        request.say(*show.certificate(view))


async def _server_delete(request: Request) -> None:
    user, server_id = await request.server()
    if not request.args.yes:
        raise UsageError(f"this deletes {request.args.server} and all its history: say --yes")
    await request.service.servers.delete(user.id, server_id)
    request.say(f"server {request.args.server} deleted")


async def _server_connect(request: Request) -> None:
    user, server_id = await request.server()
    await request.service.servers.connect(user.id, server_id)
    later = "" if request.service.live.running else " when the bouncer starts"
    request.say(f"server {request.args.server} connects{later}")


async def _server_disconnect(request: Request) -> None:
    user, server_id = await request.server()
    await request.service.servers.disconnect(user.id, server_id)
    request.say(f"server {request.args.server} stays disconnected")


async def _server_list(request: Request) -> None:
    named = request.args.user is not None
    users = [await request.user()] if named else await request.service.users.list()
    views = [(user, view) for user in users for view in await request.service.servers.list(user.id)]
    if getattr(request.args, "json", False):
        request.say_json([show.server_json(user, view) for user, view in views])
    elif views:
        request.say(*show.servers(views, with_user=not named))
    else:
        request.say("no servers yet: add one with `server add`")


async def _server_status(request: Request) -> None:
    user = await request.user()
    views = await request.service.servers.list(user.id)
    wanted = request.args.server
    if wanted is not None:
        views = [view for view in views if view.row.name.lower() == wanted.lower()]
        if not views:
            raise NotFoundError(f"there is no server {wanted!r}: `server list` shows yours")
    for view in views:
        request.say(*show.server_details(view))
    if not views:
        request.say("no servers yet: add one with `server add NAME ADDRESS`")


TABLE: Table = {
    ("server", "add"): _server_add,
    ("server", "update"): _server_update,
    ("server", "delete"): _server_delete,
    ("server", "connect"): _server_connect,
    ("server", "disconnect"): _server_disconnect,
    ("server", "list"): _server_list,
    ("server", "status"): _server_status,
}
