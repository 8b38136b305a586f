"""Administration of users: adding, inviting, limits, access, deleting; nothing of what they keep is opened here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from bouncer.errors import CommandError, InvalidError
from bouncer.passwords import one_time_password
from bouncer.service.users import UNSET
from web import charts, present
from web.auth import flash, take_flash
from web.context import CONFIG, form, me, path_id, render, see_other, service
from web.merging import SEEN, marks, merged
from web.views.account import wrong_password

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from bouncer.models.main import User
    from bouncer.service.house import Tenancy
    from bouncer.service.users import Unset

MEGABYTE = 1_000_000
NEW = {"name": "", "email": "", "admin": False, "note": ""}


async def home(_request: web.Request) -> web.Response:
    """Administration begins with the people."""
    return see_other("/admin/users")


async def index(request: web.Request) -> web.Response:
    """Everybody, and invitations."""
    return await _index(request)


async def _index(
    request: web.Request,
    *,
    values: Mapping[str, str | bool] | None = None,
    errors: Mapping[str, str] | None = None,
    made: tuple[str, str] | None = None,
    link: str = "",
) -> web.Response:
    """`made` is a new user's name and one-time password, `link` a new invitation: each is on this page only."""
    call = service(request)
    people = await call.house.people()
    context = {
        "people": people,
        "bars": {one.row.id: bars(one) for one in people},
        "invites": await call.invites.list(),
        "values": {**NEW, **(values or {})},
        "errors": errors or {},
        "made": made,
        "link": link,
        "flash": await take_flash(request),
    }
    return render(request, "admin/users.html", context, status=422 if errors else 200)


def bars(one: Tenancy) -> dict[str, Markup | str]:
    """How full a user's quotas are, as pictures and words; a disk without a limit has no picture."""
    limit = (one.row.max_disk_mb or 0) * MEGABYTE
    disk = present.size(one.disk)
    return {
        "servers": charts.part(one.servers, one.max_servers, f"{one.servers} of {one.max_servers} servers"),
        "servers_words": f"{one.servers} of {one.max_servers} servers",
        "disk": charts.part(one.disk, limit, f"{disk} of {present.size(limit)}") if limit else "",
        "disk_words": f"{disk} of {present.size(limit)}" if limit else f"{disk}, no limit",
    }


async def create(request: web.Request) -> web.Response:
    """Add a user; the answer is the one page with their one-time password, so it is no redirect."""
    posted = await form(request)
    name, email = posted.get("name", "").strip(), posted.get("email", "").strip()
    values: dict[str, str | bool] = {"name": name, "email": email, "admin": bool(posted.get("admin"))}
    password = one_time_password()
    try:
        user = await service(request).users.add(
            name, password=password, email=email or None, admin=bool(posted.get("admin")), temporary=True
        )
    except CommandError as error:
        return await _index(request, values=values, errors=_errors(error))
    return await _index(request, made=(user.name, password))


def _errors(error: CommandError) -> Mapping[str, str]:
    return error.fields if isinstance(error, InvalidError) else {"name": str(error)}


# -- one of them


async def show(request: web.Request) -> web.Response:
    """One user from outside."""
    return await _show(request)


async def _show(
    request: web.Request,
    *,
    values: Mapping[str, str | bool] | None = None,
    errors: Mapping[str, str] | None = None,
    made: str = "",
) -> web.Response:
    one = await service(request).house.person(path_id(request))
    row, stored = one.row, _settings(one.row)
    context: dict[str, Any] = {
        "one": one,
        "row": row,
        "bars": bars(one),
        "values": {**stored, "name": "", **(values or {}), SEEN: marks(stored)},
        "errors": errors or {},
        "made": made,
        "flash": await take_flash(request),
    }
    return render(request, "admin/user.html", context, status=422 if errors else 200)


def _settings(row: User) -> dict[str, str | bool]:
    limits = {name: getattr(row, name) for name in ("max_servers", "max_disk_mb")}
    return {name: "" if value is None else str(value) for name, value in limits.items()} | {"admin": row.admin}


async def update(request: web.Request) -> web.Response:
    """Limits, and whether the user is an admin."""
    user_id, call = path_id(request), service(request)
    row = await call.users.get(user_id)
    posted, clashes = merged(await form(request), _settings(row))
    admin = bool(posted.get("admin"))
    if clashes:
        return await _show(request, values={**posted, "admin": admin}, errors=clashes)
    try:
        limits = {name: _limit(name, posted.get(name)) for name in ("max_servers", "max_disk_mb")}
        await call.users.set_limits(user_id, **limits)
        if admin != row.admin:
            await call.users.set_admin(user_id, admin)
    except CommandError as error:
        errors = error.fields if isinstance(error, InvalidError) else {"admin": str(error)}
        return await _show(request, values={**posted, "admin": admin}, errors=errors)
    await flash(request, f"{row.name} is saved.")
    return see_other(f"/admin/users/{user_id}")


def _limit(name: str, text: str | None) -> int | Unset | None:
    if text is None:
        return UNSET
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise InvalidError({name: "a whole number, or empty for the default"})
    return int(text)


async def reset_password(request: web.Request) -> web.Response:
    """A one-time password, shown on the answer only."""
    await form(request)
    user_id, password = path_id(request), one_time_password()
    await service(request).users.set_password(user_id, password, temporary=True)
    if user_id == me(request).id:
        return see_other("/session/new")
    return await _show(request, made=password)


async def enable(request: web.Request) -> web.Response:
    """Let a user in again."""
    return await _set_enabled(request, enabled=True)


async def disable(request: web.Request) -> web.Response:
    """Keep a user out; what is theirs stays."""
    return await _set_enabled(request, enabled=False)


async def _set_enabled(request: web.Request, *, enabled: bool) -> web.Response:
    await form(request)
    user_id, call = path_id(request), service(request)
    row = await call.users.get(user_id)
    try:
        await call.users.set_enabled(user_id, enabled)
    except CommandError as error:
        return await _show(request, errors={"admin": str(error)})
    await flash(request, f"{row.name} can come in again." if enabled else f"{row.name} is kept out.")
    return see_other(f"/admin/users/{user_id}")


async def end_factor(request: web.Request) -> web.Response:
    """For somebody who lost phone and recovery codes: the password alone is enough again."""
    await form(request)
    user_id, call = path_id(request), service(request)
    await call.second_factors.disable(await call.users.get(user_id))
    await flash(request, "Two-factor sign-in is off for this user.")
    return see_other(f"/admin/users/{user_id}")


async def delete(request: web.Request) -> web.Response:
    """Delete a user with everything of theirs, once their name was typed."""
    posted, user_id, call = await form(request), path_id(request), service(request)
    row = await call.users.get(user_id)
    words = "" if posted.get("name", "").strip() == row.name else f"type {row.name} to delete this account"
    if user_id == me(request).id:
        words = "is you: delete your own account on its own page"
    try:
        if not words:
            await call.users.delete(user_id)
    except CommandError as error:
        words = str(error)
    if words:
        return await _show(request, values={"name": posted.get("name", "")}, errors={"name": words})
    await call.downloads.forget(user_id)
    await flash(request, f"{row.name} and all that was theirs is deleted.")
    return see_other("/admin/users")


# -- invitations


async def create_invite(request: web.Request) -> web.Response:
    """A link for one person; the answer is the one page that shows it."""
    posted = await form(request)
    _, token = await service(request).invites.create(" ".join(posted.get("note", "").split()))
    base = request.app[CONFIG].web.public_url or f"http://{request.host}"
    return await _index(request, link=f"{base}/invite/{token}")


async def delete_invite(request: web.Request) -> web.Response:
    """Take one back."""
    await form(request)
    await service(request).invites.delete(path_id(request))
    await flash(request, "The invitation is taken back.")
    return see_other("/admin/users")


async def invitation(request: web.Request) -> web.Response:
    """What somebody sees who was given a link."""
    if not await service(request).invites.valid(request.match_info["token"]):
        raise web.HTTPNotFound
    return _invitation(request, "", {})


def _invitation(request: web.Request, name: str, errors: Mapping[str, str]) -> web.Response:
    context = {"values": {"name": name}, "errors": errors, "token": request.match_info["token"]}
    return render(request, "session/invite.html", context, status=422 if errors else 200)


async def accept(request: web.Request) -> web.Response:
    """Make the account; then one signs in."""
    posted, token = await form(request), request.match_info["token"]
    name, password = posted.get("name", "").strip(), posted.get("password", "")
    if not await service(request).invites.valid(token):
        raise web.HTTPNotFound
    errors: Mapping[str, str] = wrong_password(password, posted.get("repeat", ""))
    try:
        if not errors:
            await service(request).invites.accept(token, name, password)
    except InvalidError as error:
        errors = error.fields
    except CommandError as error:
        errors = {"name": str(error)}
    return _invitation(request, name, errors) if errors else see_other("/session/new")
