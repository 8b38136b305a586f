"""Owns what each command does with the command layer's functions and what it answers; parses nothing, opens nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bouncer.errors import InvalidError, NotFoundError, UsageError
from bouncer.passwords import one_time_password
from bouncer.service import show
from bouncer.service.users import UNSET, Unset

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Mapping

    from bouncer.models.main import User
    from bouncer.service.facade import Service

FIELDS = (
    "name", "address", "port", "tls", "tls_verify", "tls_fingerprint", "nickname", "alternatives", "username",
    "realname", "password", "auth_method", "auth_account", "auth_password", "auth_required", "channels",
    "flood_burst", "flood_interval_ms", "keep_nick", "quit_message", "enabled",
)  # fmt: skip


class Output(Protocol):
    """Where answers go."""

    def line(self, text: str) -> None:
        """One line, shown when it comes."""

    def progress(self, done: int, total: int, what: str) -> None:
        """`done` of `total` things, the last being `what`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command: its words, its secrets by field, where it answers, and whether an admin or the operator asks."""

    service: Service
    args: argparse.Namespace
    output: Output
    secrets: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = True

    async def user(self) -> User:
        """The user that is named."""
        return await self.service.users.get(str(self.args.user))

    async def server(self) -> tuple[User, int]:
        """The user and the id of the server that are named."""
        user = await self.user()
        return user, (await self.service.servers.by_name(user.id, self.args.server)).id

    def say(self, *lines: str) -> None:
        """Answer."""
        for line in lines:
            self.output.line(line)

    def say_json(self, value: object) -> None:
        """Answer a script."""
        self.output.line(json.dumps(value, ensure_ascii=False, indent=2))


async def run(request: Request) -> None:
    """Do one command that `parser` parsed; raises CommandError and other BouncerErrors with words for who asked."""
    await COMMANDS[request.args.noun, request.args.verb](request)


async def _user_add(request: Request) -> None:
    given = request.secrets.get("password")
    password = one_time_password() if given is None else given
    user = await request.service.users.add(
        request.args.name, password=password, admin=request.args.admin, temporary=given is None
    )
    request.say(f"user {user.name} added")
    if given is None:
        request.say(f"one-time password: {password}")


async def _user_list(request: Request) -> None:
    users = await request.service.users.list()
    if getattr(request.args, "json", False):
        request.say_json([show.user_json(user) for user in users])
    else:
        request.say(*show.users(users))


async def _user_passwd(request: Request) -> None:
    given = request.secrets.get("password")
    password = one_time_password() if given is None else given
    user = await request.service.users.get(str(request.args.name))
    await request.service.users.set_password(user.id, password, temporary=given is None)
    request.say(f"password of {user.name} changed")
    if given is None:
        request.say(f"one-time password: {password}")


async def _user_enabled(request: Request) -> None:
    enabled = request.args.verb == "enable"
    user = await request.service.users.get(str(request.args.name))
    await request.service.users.set_enabled(user.id, enabled)
    request.say(f"user {user.name} {request.args.verb}d")


async def _user_delete(request: Request) -> None:
    user = await request.service.users.get(str(request.args.name))
    if not request.args.yes:
        raise UsageError(f"this deletes {user.name} and all that is theirs: say --yes")
    await request.service.users.delete(user.id)
    request.say(f"user {user.name} deleted")


async def _user_limits(request: Request) -> None:
    user = await request.service.users.get(str(request.args.name))
    user = await request.service.users.set_limits(
        user.id, max_servers=_limit("servers", request.args.servers), max_disk_mb=_limit("disk", request.args.disk)
    )
    request.say(f"{user.name}: servers {show.limit(user.max_servers)}, disk {show.limit(user.max_disk_mb)} MB")


def _limit(name: str, text: str | None) -> int | Unset | None:
    if text is None:
        return UNSET
    if text == "none":
        return None
    if not text.isdecimal() or len(text) > 9:
        raise InvalidError({name: "a whole number, or none for the default"})
    return int(text)


def server_values(request: Request) -> dict[str, object]:
    """The fields that were given, by name, for `fields.server_fields`."""
    given = vars(request.args)
    values = {name: given[name] for name in FIELDS if given.get(name) is not None}
    if given.get("connect_commands") is not None:
        values["connect_commands"] = "\n".join(given["connect_commands"])
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
    row = await request.service.servers.update(user.id, server_id, values, trusted=request.trusted)
    request.say(f"server {row.name} updated")
    if "auth_method" in values:
        await _say_certificate(request, user, row.id)


async def _say_certificate(request: Request, user: User, server_id: int) -> None:
    view = await request.service.servers.view(user.id, server_id)
    if view.row.auth_method == "sasl-external":
        request.say(f"client certificate, SHA-256: {view.fingerprint}", "tell the network: /msg NickServ CERT ADD")


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


async def _tenant_each(request: Request) -> None:
    users = await request.service.users.list() if request.args.all else [await request.user()]
    files = request.service.tenants
    act = files.migrate if request.args.verb == "migrate" else files.check
    await act(users, _progress(request))


def _progress(request: Request) -> Callable[[int, int, str, str], None]:
    def show_one(done: int, total: int, name: str, failure: str) -> None:
        request.output.progress(done, total, f"{name}: {failure or 'ok'}")

    return show_one


async def _tenant_backup(request: Request) -> None:
    user = await request.user()
    await request.service.tenants.backup(user.id, Path(request.args.file))
    request.say(f"backup of {user.name} written")


async def _tenant_restore(request: Request) -> None:
    user = await request.user()
    if not request.args.yes:
        raise UsageError(f"this replaces all that {user.name} has: say --yes")
    await request.service.tenants.restore(user.id, Path(request.args.file))
    request.say(f"{user.name} restored")


async def _tenant_export(request: Request) -> None:
    user = await request.user()
    await request.service.tenants.export(user.id, Path(request.args.file), request.args.format)
    request.say(f"{user.name} exported")


async def _secrets_rotate(request: Request) -> None:
    await request.service.tenants.rotate_secrets(_progress(request))
    request.say("all secrets are encrypted with a new key; secrets in backups made before cannot be read any more")


COMMANDS: dict[tuple[str, str], Callable[[Request], Awaitable[None]]] = {
    ("user", "add"): _user_add,
    ("user", "list"): _user_list,
    ("user", "passwd"): _user_passwd,
    ("user", "enable"): _user_enabled,
    ("user", "disable"): _user_enabled,
    ("user", "delete"): _user_delete,
    ("user", "limits"): _user_limits,
    ("server", "add"): _server_add,
    ("server", "update"): _server_update,
    ("server", "delete"): _server_delete,
    ("server", "connect"): _server_connect,
    ("server", "disconnect"): _server_disconnect,
    ("server", "list"): _server_list,
    ("server", "status"): _server_status,
    ("channel", "list"): _channel_list,
    ("channel", "join"): _channel_join,
    ("channel", "part"): _channel_part,
    ("tenant", "migrate"): _tenant_each,
    ("tenant", "check"): _tenant_each,
    ("tenant", "backup"): _tenant_backup,
    ("tenant", "restore"): _tenant_restore,
    ("tenant", "export"): _tenant_export,
    ("secrets", "rotate"): _secrets_rotate,
}
