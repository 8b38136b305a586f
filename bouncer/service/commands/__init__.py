"""Owns what each command does with the command layer and what it answers, a module a noun; parses and opens nothing."""

from __future__ import annotations

from bouncer.service.commands import channels, clients, history, house, identity, notify, servers, tenants, users
from bouncer.service.commands.request import Output, Request, Table

__all__ = ["COMMANDS", "Output", "Request", "run"]

COMMANDS: Table = {
    **users.TABLE,
    **servers.TABLE,
    **channels.TABLE,
    **clients.TABLE,
    **identity.TABLE,
    **history.TABLE,
    **notify.TABLE,
    **house.TABLE,
    **tenants.TABLE,
}


async def run(request: Request) -> None:
    """Do one command that `parser` parsed; raises CommandError and other BouncerErrors with words for who asked."""
    await COMMANDS[request.args.noun, request.args.verb](request)
