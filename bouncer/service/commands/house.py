"""Owns the commands of the nouns `away`, of one server, and `bouncer`, of the whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from bouncer.errors import CommandError, UsageError
from bouncer.service import show_personal as show

if TYPE_CHECKING:
    from bouncer.service.commands.request import Request, Table

MAX_ENTRIES = 1000


async def _away_show(request: Request) -> None:
    user = await request.user()
    views = await request.service.servers.list(user.id)
    if request.args.server is not None:
        _, server_id = await request.server()
        views = [view for view in views if view.row.id == server_id]
    request.say(*(show.away(view.row) for view in views))
    if not views:
        request.say("no servers yet: add one with `server add NAME ADDRESS`")


async def _away_message(request: Request) -> None:
    await _away_update(request, {"away_message": " ".join(request.args.words)})


async def _away_auto(request: Request) -> None:
    await _away_update(request, {"auto_away": request.args.state == "on"})


async def _away_update(request: Request, values: dict[str, object]) -> None:
    user, server_id = await request.server()
    request.say(show.away(await request.service.servers.update(user.id, server_id, values, trusted=request.trusted)))


async def _status(request: Request) -> None:
    status = request.service.live.status()
    if getattr(request.args, "json", False):
        request.say_json(asdict(status))
    else:
        request.say(*show.status(status))


async def _broadcast(request: Request) -> None:
    text = " ".join(request.args.words)
    if not text.strip():
        raise UsageError("tell them what? Say bouncer broadcast WORDS")
    count = await request.service.house.broadcast(text)
    request.say("1 client was told" if count == 1 else f"{count} clients were told")


async def _reload(request: Request) -> None:
    await request.service.live.reload_configuration()
    request.say("the configuration was read again")


async def _backup(request: Request) -> None:
    backups = request.service.backups
    work = await backups.run()
    await backups.finished()
    if work.problems:
        raise CommandError("; ".join(work.problems[:3]))
    request.say(f"everything is in {backups.folder / work.name}, and whole")


async def _backups(request: Request) -> None:
    rows = await request.service.backups.list()
    request.say(*(show.backups(rows) if rows else ["there is none yet: make one with `bouncer backup`"]))


async def _verify(request: Request) -> None:
    backups = request.service.backups
    work = await backups.check(request.args.backup)
    await backups.finished()
    if work.problems:
        raise CommandError("; ".join(work.problems[:3]))
    request.say(f"{work.name} is whole")


async def _audit(request: Request) -> None:
    rows = await request.service.audit.list(limit=request.number("limit", MAX_ENTRIES))
    request.say(*(show.audit(rows) if rows else ["nothing yet"]))


async def _listeners(request: Request) -> None:
    house = request.service.house
    request.say(*show.listeners(house.listeners(), await house.certificate()))


TABLE: Table = {
    ("away", "show"): _away_show,
    ("away", "message"): _away_message,
    ("away", "auto"): _away_auto,
    ("bouncer", "status"): _status,
    ("bouncer", "broadcast"): _broadcast,
    ("bouncer", "reload"): _reload,
    ("bouncer", "backup"): _backup,
    ("bouncer", "backups"): _backups,
    ("bouncer", "verify"): _verify,
    ("bouncer", "audit"): _audit,
    ("bouncer", "listeners"): _listeners,
}
