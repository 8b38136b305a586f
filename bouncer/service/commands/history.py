"""Owns the commands of the nouns `history` and `notify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import UsageError
from bouncer.service import show_personal as show
from bouncer.service.histories import MAX_FOUND

if TYPE_CHECKING:
    from bouncer.models.main import User
    from bouncer.service.commands.request import Request, Table


async def _search(request: Request) -> None:
    user, server_id = await _perhaps_server(request)
    args = request.args
    if not args.limit.isdecimal() or not 1 <= int(args.limit[:9]) <= MAX_FOUND:
        raise UsageError(f"--limit is a number from 1 to {MAX_FOUND}")
    found = await request.service.histories.search(
        user.id, " ".join(args.words), server_id=server_id, name=args.buffer, sender=args.sender, limit=int(args.limit)
    )
    names = {view.row.id: view.row.name for view in await request.service.servers.list(user.id)}
    request.say(*(show.found(message, names.get(message.server_id, "?")) for message in found))
    if not found:
        request.say("nothing found")


async def _perhaps_server(request: Request) -> tuple[User, int | None]:
    if request.args.server is None:
        return await request.user(), None
    return await request.server()


async def _clear(request: Request) -> None:
    user, server_id = await request.server()
    if not request.args.yes:
        raise UsageError(f"this deletes all that was said in {request.args.buffer}: say --yes")
    count = await request.service.histories.clear(user.id, server_id, request.args.buffer)
    request.say(f"{count} messages deleted")


async def _sizes(request: Request) -> None:
    request.say(*show.sizes(await request.service.histories.sizes((await request.user()).id)))


async def _retention(request: Request) -> None:
    kept = request.service.config.history.retention
    days = f"for {kept // 86_400_000} days" if kept else "until you clear them (`history clear`) or delete the server"
    request.say(f"messages are kept {days}")


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


TABLE: Table = {
    ("history", "search"): _search,
    ("history", "clear"): _clear,
    ("history", "sizes"): _sizes,
    ("history", "retention"): _retention,
    ("notify", "list"): _notify_list,
    ("notify", "read"): _notify_read,
}
