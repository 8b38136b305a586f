"""Owns the grammar of the nouns that are rows: user, server, channel, tenant."""

from __future__ import annotations

import argparse
from typing import Any

from bouncer.models.choices import DETACH_TRIGGERS, NOTIFY_LEVELS
from bouncer.service.argparser import Parser, Subparsers, on_server, verb
from bouncer.service.fields import CLEAR

EXPORT_FORMATS = ("jsonl", "text", "sqlite")


class _Auth(argparse.Action):
    """`--sasl-plain ACCOUNT` and its like: the method and the account in one."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        del parser
        namespace.auth_method = "none" if option_string == "--no-auth" else (option_string or "").removeprefix("--")
        if isinstance(values, str):
            namespace.auth_account = values


def users(verbs: Subparsers, *, irc: bool = False) -> None:
    """`user`: for the operator and admins."""
    add = verb(verbs, "add", "add a user; without a password a one-time one is made and shown", irc=irc)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--admin", action="store_true")
    listing = verb(verbs, "list", "all users", irc=irc)
    passwd = verb(verbs, "passwd", "set a password; without one a one-time one is made and shown", irc=irc)
    passwd.add_argument("name", metavar="NAME")
    words = "leave IRC clients attached that came in with the old one"
    passwd.add_argument("--keep-clients", action="store_true", help=words)
    for parser in (add, passwd):
        if irc:
            parser.add_argument("--password", metavar="VALUE")
        else:
            parser.add_argument("--password-stdin", action="store_true", help="the password is one line of stdin")
    for name, words in (
        ("disable", "disconnect a user and keep them out"),
        ("enable", "let a user in again"),
        ("promote", "make a user an admin"),
        ("demote", "make an admin a user"),
        ("no-totp", "end two-factor sign-in for who lost phone and recovery codes"),
    ):
        verb(verbs, name, words, irc=irc).add_argument("name", metavar="NAME")
    email = verb(verbs, "email", "set the address a user may sign in with in the panel; `none` for none", irc=irc)
    email.add_argument("name", metavar="NAME")
    email.add_argument("email", metavar="ADDRESS")
    add.add_argument("--email", metavar="ADDRESS")
    invite = verb(verbs, "invite", "make a link with which somebody makes an account", irc=irc)
    invite.add_argument("words", metavar="WORDS", nargs="*", help="whom it is for")
    verb(verbs, "invites", "links that can still be used, without themselves", irc=irc)
    verb(verbs, "uninvite", "take a link back", irc=irc).add_argument("invite", metavar="ID")
    delete = verb(verbs, "delete", "remove a user and all that is theirs", irc=irc)
    delete.add_argument("name", metavar="NAME")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    limits = verb(verbs, "limits", "bound what a user may have; `none` for the default", irc=irc)
    limits.add_argument("name", metavar="NAME")
    limits.add_argument("--servers", metavar="N")
    limits.add_argument("--disk", metavar="MB")
    if not irc:
        listing.add_argument("--json", action="store_true")


def servers(verbs: Subparsers, *, irc: bool = False) -> None:
    """`server`: a user's networks."""
    add = verb(verbs, "add", "add a network and connect to it", irc=irc, user=True)
    add.add_argument("name", metavar="NAME")
    add.add_argument("address", metavar="ADDRESS", nargs="?", help="not needed when NAME is a known network's")
    update = verb(verbs, "update", "change a network", irc=irc, user=True)
    update.add_argument("server", metavar="NAME")
    test = verb(verbs, "test", "connect, log in and leave, with these options, and store nothing", irc=irc, user=True)
    look = verb(verbs, "certificate", "show the certificate of a network's server, to pin it", irc=irc, user=True)
    for parser in (test, look):
        parser.add_argument("server", metavar="NAME", nargs="?", help="without it, --address says what to try")
        parser.add_argument("--address", metavar="ADDRESS", default=argparse.SUPPRESS)
    look.add_argument("--port", metavar="N", default=argparse.SUPPRESS)
    clone = verb(verbs, "clone", "add a network like another one, without its secrets", irc=irc, user=True)
    clone.add_argument("server", metavar="NAME")
    clone.add_argument("name", metavar="NEW")
    clone.add_argument("--address", metavar="ADDRESS", default=argparse.SUPPRESS)
    log = verb(verbs, "log", "what happened to a connection, the newest last", irc=irc, user=True)
    log.add_argument("server", metavar="NAME")
    log.add_argument("--limit", metavar="N", default="20")
    update.add_argument("--rename", dest="name", metavar="NAME", default=argparse.SUPPRESS)
    update.add_argument("--address", metavar="ADDRESS", default=argparse.SUPPRESS)
    for parser in (add, test, clone, update):
        _server_options(parser, irc=irc)
    for name, words in (
        ("delete", "remove a network and all its history"),
        ("connect", "connect now, and from now on"),
        ("disconnect", "disconnect and stay away"),
    ):
        parser = verb(verbs, name, words, irc=irc, user=True)
        parser.add_argument("server", metavar="NAME")
        if name == "delete":
            parser.add_argument("--yes", action="store_true", help="do not ask")
    listing = verb(verbs, "list", "networks and how they are doing", irc=irc)
    if irc:
        verb(verbs, "status", "one network, or all, in detail", irc=True).add_argument(
            "server", metavar="NAME", nargs="?"
        )
    else:
        listing.add_argument("user", metavar="USER", nargs="?")
        listing.add_argument("--json", action="store_true")


def _server_options(parser: Parser, *, irc: bool) -> None:
    def option(*names: str, **options: Any) -> None:
        parser.add_argument(*names, default=argparse.SUPPRESS, **options)

    option("--port", metavar="N")
    for name, words in (
        ("tls", "speak TLS"),
        ("tls-verify", "check the certificate"),
        ("keep-nick", "regain the nick"),
        ("auto-away", "be away while no client is attached"),
    ):
        option(f"--{name}", action=argparse.BooleanOptionalAction, help=words)
    option("--fallback", dest="fallbacks", action="append", metavar="'HOST PORT'", help="tried when the first fails")
    option("--no-fallbacks", dest="fallbacks", action="store_const", const=[])
    option("--tls-fingerprint", metavar="SHA256", help="accept exactly this certificate")
    option("--nick", dest="nickname", metavar="N")
    option("--alternatives", metavar="NICKS", help="nicks to try when it is in use, blank separated")
    option("--username", metavar="U")
    option("--realname", metavar="R")
    option("--join", dest="channels", metavar="'#a,#b key'", help="channels to join on connecting, with their keys")
    option(
        "--connect-command",
        dest="connect_commands",
        action="append",
        metavar="LINE",
        help="sent after connecting; or `WAIT n`",
    )
    option("--no-connect-commands", dest="connect_commands", action="store_const", const=[])
    option("--regain-command", metavar="LINE", help="said to services to get the nick back; {nick} stands for it")
    option("--away-message", metavar="WORDS", help="what others see while no client is attached")
    option("--encoding", metavar="NAME", help="of what is not UTF-8, cp1252 unless said otherwise")
    option("--quit-message", metavar="WORDS")
    option("--flood-burst", metavar="LINES")
    option("--flood-interval-ms", metavar="MS")
    methods = parser.add_mutually_exclusive_group()
    for name in ("sasl-plain", "sasl-scram", "nickserv"):
        methods.add_argument(f"--{name}", action=_Auth, metavar="ACCOUNT", dest="_auth", default=argparse.SUPPRESS)
    for name in ("sasl-external", "no-auth"):
        methods.add_argument(f"--{name}", action=_Auth, nargs=0, dest="_auth", default=argparse.SUPPRESS)
    option("--auth-required", action=argparse.BooleanOptionalAction, help="do not stay connected without the account")
    option("--disabled", dest="enabled", action="store_false", help="do not connect")
    option("--enabled", dest="enabled", action="store_true")
    password = parser.add_mutually_exclusive_group()
    if irc:
        password.add_argument("--password", metavar="VALUE", default=argparse.SUPPRESS)
        option("--account-password", dest="auth_password", metavar="VALUE")
    else:
        password.add_argument("--password", dest="ask_password", action="store_true", help="there is a server password")
        parser.add_argument(
            "--secrets-stdin",
            action="store_true",
            help="one line of stdin each: the server password (with --password), the account password",
        )
    password.add_argument(
        "--no-password", dest="password", action="store_const", const=CLEAR, default=argparse.SUPPRESS
    )


def channels(verbs: Subparsers, *, irc: bool = False) -> None:
    """`channel`: the channels of a server."""
    listing = verb(verbs, "list", "channels of a server", irc=irc, user=True)
    join = verb(verbs, "join", "join a channel, now and after each connecting", irc=irc, user=True)
    part = verb(verbs, "part", "leave a channel and do not join it again", irc=irc, user=True)
    update = verb(verbs, "update", "how a channel is shown: detached or not, and its key", irc=irc, user=True)
    for parser in (listing, join, part, update):
        on_server(parser, irc=irc)
    join.add_argument("channel", metavar="CHANNEL")
    join.add_argument("key", metavar="KEY", nargs="?")
    part.add_argument("channel", metavar="CHANNEL")
    part.add_argument("reason", metavar="REASON", nargs="?", default="")
    update.add_argument("channel", metavar="CHANNEL")
    _channel_options(update)
    if not irc:
        listing.add_argument("--json", action="store_true")


def _channel_options(parser: Parser) -> None:
    def option(*names: str, **options: Any) -> None:
        parser.add_argument(*names, default=argparse.SUPPRESS, **options)

    option("--detached", action=argparse.BooleanOptionalAction, help="stay joined, but hide it from clients")
    rules = (
        ("relay-detached", "what of a detached channel is told all the same"),
        ("reattach-on", "what shows it again"),
        ("detach-on", "what hides it again"),
    )
    for name, words in rules:
        option(f"--{name}", metavar="|".join(DETACH_TRIGGERS), help=words)
    option("--detach-after", dest="detach_after_s", metavar="30m", help="hide it after silence; `never` for never")
    option("--notify", metavar="|".join(NOTIFY_LEVELS), help="what of it calls you")
    option("--auto-join", action=argparse.BooleanOptionalAction, help="join it on connecting")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key", metavar="KEY", default=argparse.SUPPRESS)
    keys.add_argument("--no-key", dest="key", action="store_const", const=CLEAR, default=argparse.SUPPRESS)


def tenants(verbs: Subparsers) -> None:
    """`tenant`: users' files, on the command line only."""
    for name, words in (("migrate", "bring files to this version's schema"), ("check", "look for damage in files")):
        parser = verb(verbs, name, words, irc=False)
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("user", metavar="USER", nargs="?")
        who.add_argument("--all", action="store_true")
    backup = verb(verbs, "backup", "copy a user's file, consistent, also while messages arrive", irc=False, user=True)
    restore = verb(verbs, "restore", "put a backup in place of a user's file", irc=False, user=True)
    export = verb(verbs, "export", "write a user's history to a file", irc=False, user=True)
    for parser in (backup, restore, export):
        parser.add_argument("file", metavar="FILE")
    restore.add_argument("--yes", action="store_true", help="do not ask")
    export.add_argument("--format", choices=EXPORT_FORMATS, default=EXPORT_FORMATS[0])
