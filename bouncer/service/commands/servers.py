"""Owns the commands of the noun `server`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bouncer.errors import CommandError, NotFoundError, UsageError
from bouncer.service import show
from bouncer.service.fields import CLEAR, server_fields
from bouncer.service.lifecycle import log_entries
from bouncer.service.presets import PRESETS

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
MAX_LOG = 1000


def server_values(request: Request) -> dict[str, object]:
    """The fields that were given, by name, for `fields.server_fields`."""
    given = vars(request.args)
    values = {name: given[name] for name in FIELDS if given.get(name) is not None}
    values |= {name: "\n".join(given[name]) for name in LINES if given.get(name) is not None}
    return values | dict(request.secrets)


async def _server_add(request: Request) -> None:
    user, values = await request.user(), server_values(request)
    if "address" not in values:
        preset = PRESETS.get(request.args.name.lower())
        if preset is None:
            raise UsageError(f"at which ADDRESS? By name I know {', '.join(PRESETS)}")
        values = {**preset, **values}
    row = await request.service.servers.add(user.id, values, trusted=request.trusted)
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


async def _server_clone(request: Request) -> None:
    user, server_id = await request.server()
    like = await request.service.servers.fields(user.id, server_id)
    bare = replace(like, password=CLEAR, auth_password=CLEAR, name=request.args.name)
    wanted = server_fields(server_values(request), bare)
    row = await request.service.servers.add(user.id, wanted, trusted=request.trusted)
    request.say(f"server {row.name} added, like {request.args.server} but without its secrets")
    await _say_certificate(request, user, row.id)


async def _place(request: Request) -> tuple[User, int | None]:
    """Whose, and the stored server that is meant; None for one that the options describe."""
    if request.args.server is not None:
        return await request.server()
    if getattr(request.args, "address", None) is None:
        raise UsageError("which network? Say its NAME, or --address ADDRESS")
    return await request.user(), None


async def _server_test(request: Request) -> None:
    user, server_id = await _place(request)
    report = await request.service.trials.run(
        user.id, server_values(request), server_id=server_id, trusted=request.trusted, confirmed=request.confirmed
    )
    request.say(*show.steps(report))
    if not report.worked:
        raise CommandError("it does not work; nothing was stored")
    request.say("it works; nothing was stored")


async def _server_certificate(request: Request) -> None:
    user, server_id = await _place(request)
    report = await request.service.trials.certificate(
        user.id, server_values(request), server_id=server_id, trusted=request.trusted
    )
    if report.facts is None:
        raise CommandError("; ".join(step.words for step in report.steps) or "it shows no certificate")
    request.say(*show.shown_certificate(report.facts))
    if server_id is not None:
        pin = f"server update {request.args.server} --tls-fingerprint {report.facts.fingerprint}"
        request.say(f"to accept exactly this one from now on: {pin}")


async def _server_log(request: Request) -> None:
    user, server_id = await request.server()
    limit = request.number("limit", MAX_LOG)
    rows = await request.service.figures.events(user.id, server_id, limit=limit)
    request.say(*(show.event(entry) for entry in reversed(log_entries(rows))))
    if not rows:
        request.say("nothing yet")


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
    ("server", "clone"): _server_clone,
    ("server", "test"): _server_test,
    ("server", "certificate"): _server_certificate,
    ("server", "log"): _server_log,
    ("server", "update"): _server_update,
    ("server", "delete"): _server_delete,
    ("server", "connect"): _server_connect,
    ("server", "disconnect"): _server_disconnect,
    ("server", "list"): _server_list,
    ("server", "status"): _server_status,
}
