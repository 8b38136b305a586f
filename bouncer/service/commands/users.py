"""Owns the commands of the noun `user`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import InvalidError, UsageError
from bouncer.passwords import one_time_password
from bouncer.service import show
from bouncer.service.users import UNSET, Unset

if TYPE_CHECKING:
    from bouncer.service.commands.request import Request, Table


async def _user_add(request: Request) -> None:
    given = request.secrets.get("password")
    password = one_time_password() if given is None else given
    user = await request.service.users.add(
        request.args.name,
        password=password,
        email=request.args.email,
        admin=request.args.admin,
        temporary=given is None,
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
    keep = request.args.keep_clients
    await request.service.users.set_password(user.id, password, temporary=given is None, keep_clients=keep)
    request.say(f"password of {user.name} changed")
    if given is None:
        request.say(f"one-time password: {password}")


async def _user_enabled(request: Request) -> None:
    enabled = request.args.verb == "enable"
    user = await request.service.users.get(str(request.args.name))
    await request.service.users.set_enabled(user.id, enabled)
    request.say(f"user {user.name} {request.args.verb}d")


async def _user_admin(request: Request) -> None:
    admin = request.args.verb == "promote"
    user = await request.service.users.get(str(request.args.name))
    await request.service.users.set_admin(user.id, admin)
    request.say(f"{user.name} is an admin" if admin else f"{user.name} is no admin")


async def _user_no_totp(request: Request) -> None:
    user = await request.service.users.get(str(request.args.name))
    await request.service.second_factors.disable(user)
    request.say(f"{user.name} signs in by the password alone")


async def _user_invite(request: Request) -> None:
    _, token = await request.service.invites.create(" ".join(request.args.words))
    base = request.service.config.web.public_url
    request.say(
        f"{base}/invite/{token}" if base else f"/invite/{token} at the panel's address", "It is valid for a week."
    )


async def _user_invites(request: Request) -> None:
    rows = await request.service.invites.list()
    request.say(*(show.invites(rows) if rows else ["no invitations: make one with `user invite`"]))


async def _user_uninvite(request: Request) -> None:
    which = request.args.invite
    if not which.isdecimal() or len(which) > 18:
        raise UsageError("which one? `user invites` shows their numbers")
    await request.service.invites.delete(int(which))
    request.say(f"invitation {which} is taken back")


async def _user_email(request: Request) -> None:
    user = await request.service.users.get(str(request.args.name))
    wanted = None if request.args.email == "none" else request.args.email
    await request.service.users.set_email(user.id, wanted)
    request.say(f"{user.name} can sign in to the panel as {wanted}" if wanted else f"{user.name} signs in by name only")


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


TABLE: Table = {
    ("user", "add"): _user_add,
    ("user", "list"): _user_list,
    ("user", "passwd"): _user_passwd,
    ("user", "enable"): _user_enabled,
    ("user", "disable"): _user_enabled,
    ("user", "promote"): _user_admin,
    ("user", "demote"): _user_admin,
    ("user", "no-totp"): _user_no_totp,
    ("user", "invite"): _user_invite,
    ("user", "invites"): _user_invites,
    ("user", "uninvite"): _user_uninvite,
    ("user", "email"): _user_email,
    ("user", "delete"): _user_delete,
    ("user", "limits"): _user_limits,
}
