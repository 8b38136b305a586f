"""Owns the grammar of every command, for the command line and for BouncerServ; runs nothing and prints nothing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from bouncer.errors import UsageError
from bouncer.service import grammar
from bouncer.service import grammar_personal as personal
from bouncer.service.argparser import HelpRequest, Parser, parse, verbs_of
from bouncer.service.fields import WITH_PASSWORD

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bouncer.service.argparser import Subparsers

__all__ = ["HelpRequest", "Parser", "command_line", "irc_commands", "parse", "secrets_of", "take_config"]


@functools.cache
def command_line() -> Parser:
    """The grammar after the word `bouncer`, without `--config`, which may stand anywhere and is taken out before."""
    parser = Parser(prog="bouncer", description="An IRC bouncer. --config FILE may stand anywhere on the line.")
    nouns = parser.add_subparsers(dest="noun", required=True, metavar="COMMAND", parser_class=Parser)
    nouns.add_parser("run", help="run the bouncer")
    grammar.users(verbs_of(nouns, "user", "users of this bouncer"))
    grammar.servers(verbs_of(nouns, "server", "IRC networks of a user"))
    grammar.channels(verbs_of(nouns, "channel", "channels of a user's server"))
    _personal(nouns)
    personal.bouncer(verbs_of(nouns, "bouncer", "the running bouncer"))
    grammar.tenants(verbs_of(nouns, "tenant", "the users' files"))
    verbs_of(nouns, "config", "the configuration").add_parser("check", help="say whether the configuration can be used")
    tls = verbs_of(nouns, "tls", "certificates").add_parser(
        "self-signed", help="make a certificate for ircs:// listeners"
    )
    tls.add_argument("--host", action="append", default=[], metavar="H", help="a name or address of this machine")
    secrets = verbs_of(nouns, "secrets", "the key of stored secrets")
    secrets.add_parser("rotate", help="encrypt all stored secrets with a new key")
    nouns.add_parser("shell", help="read commands from stdin, one a line, and answer each with OK or ERR")
    return parser


def irc_commands(*, admin: bool) -> Parser:
    """The grammar of BouncerServ: the user is who asks, secrets are options; `user` for admins only."""
    parser = Parser(prog="BouncerServ", irc=True)
    nouns = parser.add_subparsers(dest="noun", required=True, metavar="COMMAND", parser_class=Parser)
    grammar.servers(verbs_of(nouns, "server", "your IRC networks", irc=True), irc=True)
    grammar.channels(verbs_of(nouns, "channel", "channels of a server", irc=True), irc=True)
    _personal(nouns, irc=True)
    if admin:
        grammar.users(verbs_of(nouns, "user", "users of this bouncer", irc=True), irc=True)
        personal.bouncer(verbs_of(nouns, "bouncer", "the running bouncer", irc=True), irc=True)
    return parser


def _personal(nouns: Subparsers, *, irc: bool = False) -> None:
    for noun, words, add in (
        ("client", "programs that attach", personal.clients),
        ("token", "app passwords of clients", personal.tokens),
        ("browser", "where one is signed in to the panel", personal.browsers),
        ("certfp", "certificates, shown to networks and by clients", personal.certfp),
        ("sasl", "logging in to a network", personal.sasl),
        ("history", "what is stored", personal.history),
        ("notify", "highlights, direct messages, invitations", personal.notify),
        ("away", "while no client is attached", personal.away),
    ):
        add(verbs_of(nouns, noun, words, irc=irc), irc=irc)


def take_config(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The FILE of the last `--config FILE`, and the other words; raises UsageError when FILE is missing."""
    file: str | None = None
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return file, [*rest, word, *waiting]
        if word == "--config" and not waiting:
            raise UsageError("--config needs a FILE")
        if word == "--config":
            file = waiting.pop(0)
        elif word.startswith("--config="):
            file = word.removeprefix("--config=")
        else:
            rest.append(word)
    return file, rest


def secrets_of(args: argparse.Namespace) -> list[str]:
    """The names of the secrets this command takes, in the order in which they are asked for."""
    if args.noun == "user" and args.verb in {"add", "passwd"}:
        return ["password"]
    if args.noun == "sasl" and args.verb == "set":
        return [] if args.method == "external" else ["auth_password"]
    if args.noun != "server" or args.verb not in {"add", "clone", "test", "update"}:
        return []
    needed = ["password"] if getattr(args, "ask_password", False) else []
    return [*needed, "auth_password"] if getattr(args, "auth_method", "") in WITH_PASSWORD else needed
