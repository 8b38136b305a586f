"""Owns the commands of the nouns `client`, `token` and `browser`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import UsageError
from bouncer.service import show_personal as show

if TYPE_CHECKING:
    from bouncer.service.commands.request import Request, Table


def _name(request: Request) -> str:
    """The client's name; the list shows `-` for those that have none."""
    name: str = request.args.client
    return "" if name == "-" else name


async def _client_list(request: Request) -> None:
    user = await request.user()
    attached = request.service.clients.attached(user.id)
    known = await request.service.clients.known(user.id)
    if getattr(request.args, "json", False):
        request.say_json({"attached": show.clients_json(attached), "known": show.known_json(known)})
        return
    request.say(*(show.clients(attached) if attached else ["no client is attached"]))
    names = {one.name for one in attached}
    if gone := [one for one in known if one.name not in names or one.text_timestamps]:
        request.say(*show.known_clients(gone))


async def _client_disconnect(request: Request) -> None:
    user = await request.user()
    count = await request.service.clients.disconnect(user.id, _name(request))
    request.say("1 client disconnected" if count == 1 else f"{count} clients disconnected")


async def _client_forget(request: Request) -> None:
    user = await request.user()
    await request.service.clients.forget(user.id, _name(request))
    request.say(f"client {request.args.client} is forgotten: it is new when it comes again")


async def _client_timestamps(request: Request) -> None:
    user = await request.user()
    await request.service.clients.set_timestamps(user.id, _name(request), request.args.state == "on")
    request.say(f"timestamps in text are {request.args.state} for {request.args.client}, from its next connection on")


async def _token_list(request: Request) -> None:
    user = await request.user()
    tokens = await request.service.tokens.list(user.id)
    if getattr(request.args, "json", False):
        request.say_json([show.token_json(token) for token in tokens])
    else:
        request.say(*(show.tokens(tokens) if tokens else ["no app passwords yet: make one with `token create NAME`"]))


async def _token_create(request: Request) -> None:
    user = await request.user()
    token, secret = await request.service.tokens.create(user.id, request.args.name)
    whose = f"the client {token.name}" if token.name else "any client"
    request.say(f"app password for {whose}, shown this once: {secret}")
    request.say(f"log in as {user.name}/SERVER@{token.name or 'CLIENT'} with it; end it with `token revoke {token.id}`")


async def _token_revoke(request: Request) -> None:
    user = await request.user()
    which = request.args.token
    token = await request.service.tokens.revoke(user.id, int(which) if which.isdecimal() else which)
    request.say(f"app password {token.id}{f' of {token.name}' if token.name else ''} is revoked")


async def _browser_list(request: Request) -> None:
    user = await request.user()
    rows = await request.service.sessions.list(user.id)
    request.say(*(show.browsers(rows) if rows else [f"{user.name} is signed in nowhere"]))


async def _browser_end(request: Request) -> None:
    user, which = await request.user(), request.args.browser
    if which == "all":
        count = await request.service.sessions.end_all(user.id)
        request.say("1 browser is signed out" if count == 1 else f"{count} browsers are signed out")
        return
    if not which.isdecimal() or len(which) > 18:
        raise UsageError("which one? `browser list` shows their numbers; or say all")
    await request.service.sessions.end(user.id, int(which))
    request.say(f"browser {which} is signed out")


TABLE: Table = {
    ("client", "list"): _client_list,
    ("client", "disconnect"): _client_disconnect,
    ("client", "forget"): _client_forget,
    ("client", "timestamps"): _client_timestamps,
    ("token", "list"): _token_list,
    ("token", "create"): _token_create,
    ("token", "revoke"): _token_revoke,
    ("browser", "list"): _browser_list,
    ("browser", "end"): _browser_end,
}
