"""Owns the commands of the noun `history`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from bouncer.errors import CommandError, InvalidError, UsageError
from bouncer.service import show_history
from bouncer.service import show_personal as show
from bouncer.service.histories import MAX_FOUND
from bouncer.service.retention import EVERYTHING, Scope, days_field

if TYPE_CHECKING:
    from bouncer.models.main import User
    from bouncer.service.commands.request import Request, Table
    from bouncer.service.upkeep import Job

PROGRESS_S = 0.5
"""How often somebody who waits is told how far it is."""


async def _search(request: Request) -> None:
    user, server_id = await _perhaps_server(request)
    args = request.args
    since, until = _days(args.since, args.until)
    found = await request.service.histories.search(
        user.id,
        " ".join(args.words),
        server_id=server_id,
        name=args.buffer,
        sender=args.sender,
        since_ms=since,
        until_ms=until,
        limit=request.number("limit", MAX_FOUND),
    )
    names = {view.row.id: view.row.name for view in await request.service.servers.list(user.id)}
    request.say(*(show.found(message, names.get(message.server_id, "?")) for message in found.messages))
    if found.below is not None:
        request.say("there was not time to look at all of it: say where, or between which days")
    elif not found.messages:
        request.say("nothing found")


async def _perhaps_server(request: Request) -> tuple[User, int | None]:
    if request.args.server is None:
        return await request.user(), None
    return await request.server()


async def _scope(request: Request) -> tuple[User, Scope]:
    """What is named: a channel or person (of the network one is attached to where none is named), a network, or all."""
    args = request.args
    if args.server is None and args.buffer is not None:
        args.server = getattr(args, "attached", None)
    user, server_id = await _perhaps_server(request)
    if args.buffer is None:
        return user, EVERYTHING if server_id is None else Scope(server_id)
    if server_id is None:
        raise UsageError(f"on which network is {args.buffer}? Say --server NAME")
    return user, await request.service.histories.scope(user.id, server_id, args.buffer)


async def _clear(request: Request) -> None:
    args = request.args
    if bool(args.everything) is bool(args.buffer):
        raise UsageError("say what: a channel or nick, or --everything")
    user, scope = await _scope(request)
    after, before = _days(args.since, args.until)
    service = request.service
    if not args.yes:
        going = await service.retention.preview_range(user.id, scope, after, before)
        request.say(*show_history.going(going))
        if going:
            raise UsageError("nothing was deleted: say --yes to delete that for good")
        return
    await _wait(request, user, await service.upkeep.delete(user.id, scope, after, before))


def _days(first: str | None, last: str | None) -> tuple[int | None, int | None]:
    """Two days (UTC) as moments in ms, the second exclusive; raises InvalidError."""
    after = None if first is None else _day("since", first)
    before = None if last is None else _day("until", last) + timedelta(days=1)
    if after is not None and before is not None and before <= after:
        raise InvalidError({"until": "it is before the first day"})
    moments = [
        None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        for day in (after, before)
    ]
    return moments[0], moments[1]


def _day(field: str, text: str) -> date:
    try:
        found = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII) else None
    except ValueError:
        found = None
    if found is None or not 1980 <= found.year <= 2200:
        raise InvalidError({field: "a day like 2026-01-31"})
    return found


async def _keep(request: Request) -> None:
    args, service = request.args, request.service
    user, scope = await _scope(request)
    days = days_field(args.days)
    if not args.yes:
        going = await service.retention.preview_rule(user.id, scope, days)
        request.say(*show_history.going(going))
        raise UsageError("nothing has changed: say --yes to keep it so from now on")
    await service.retention.set_rule(user.id, scope, days)
    request.say(*show_history.rules(await service.retention.rules(user.id)))
    job = await service.upkeep.apply_rules(user.id)
    if job is not None:
        await _wait(request, user, job)


async def _compact(request: Request) -> None:
    user = await request.user()
    await _wait(request, user, await request.service.upkeep.give_space_back(user.id))


async def _wait(request: Request, user: User, job: Job) -> None:
    """Say how far it is until it is done; on IRC only for a moment: it goes on by itself."""
    upkeep, patience = request.service.upkeep, request.args.patience_s
    if patience is not None:
        await upkeep.finished(user.id, patience)
    else:
        while not await upkeep.finished(user.id, PROGRESS_S):
            now = await upkeep.job(user.id, job.id)
            if now.running and now.note:
                break
            request.output.progress(now.done, max(now.total, now.done), show_history.PHASES[now.phase])
    now = await upkeep.job(user.id, job.id)
    if now.running and now.note:
        raise CommandError(f"it does not go on now, and is tried again later: {now.note}")
    if now.running:
        request.say(f"{now.done} of {now.total} messages deleted; it goes on: `history work` tells how far it is")
    else:
        request.say(*show_history.ended(now))


async def _work(request: Request) -> None:
    user = await request.user()
    retention = request.service.retention
    jobs = await request.service.upkeep.jobs(user.id)
    if getattr(request.args, "json", False):
        request.say_json([show_history.job_json(job) for job in jobs])
        return
    names = await retention.names(user.id, [job.scope for job in jobs])
    request.say(*(show_history.job(job, name) for job, name in zip(jobs, names, strict=True)))
    if not jobs:
        request.say("nothing is being deleted, and nothing was")


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise UsageError("which one? `history work` shows their numbers")
    return int(text)


async def _stop(request: Request) -> None:
    user, number = await request.user(), _number(request.args.job)
    await request.service.upkeep.stop(user.id, number)
    request.say(f"stopped; what is left stays. history resume {number} goes on")


async def _resume(request: Request) -> None:
    user, number = await request.user(), _number(request.args.job)
    await request.service.upkeep.resume(user.id, number)
    request.say("it goes on: `history work` tells how far it is")


async def _sizes(request: Request) -> None:
    request.say(*show_history.sizes(await request.service.histories.sizes((await request.user()).id)))


async def _retention(request: Request) -> None:
    request.say(*show_history.rules(await request.service.retention.rules((await request.user()).id)))


TABLE: Table = {
    ("history", "search"): _search,
    ("history", "sizes"): _sizes,
    ("history", "retention"): _retention,
    ("history", "keep"): _keep,
    ("history", "clear"): _clear,
    ("history", "work"): _work,
    ("history", "stop"): _stop,
    ("history", "resume"): _resume,
    ("history", "compact"): _compact,
}
