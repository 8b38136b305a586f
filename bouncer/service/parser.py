"""Owns the grammar of every command, for the command line and for BouncerServ; runs nothing and prints nothing."""

from __future__ import annotations

import argparse
import difflib
from typing import TYPE_CHECKING, Any, NoReturn

from bouncer.errors import UsageError
from bouncer.service.fields import CLEAR, WITH_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_USAGE = 160
"""Characters of a usage line that still help inside a one-line error."""
EXPORT_FORMATS = ("jsonl", "text", "sqlite")
Subparsers = Any  # argparse's own class is private


class HelpRequest(Exception):  # noqa: N818 - not an error: `-h` was among the words
    """`--help` was asked for; `str()` is the help."""


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError and HelpRequest in place of printing and exiting; options are not abbreviated."""

    def __init__(self, *, irc: bool = False, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False, "add_help": not irc})

    def choices_of(self, name: str) -> dict[str, Parser]:
        """The parsers of this one's sub-commands; `name` is where the choice is kept (`noun` or `verb`)."""
        return next(dict(action.choices or {}) for action in self._actions if action.dest == name)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with what was wrong and what to type instead, on one line."""
        usage = " ".join(self.format_usage().split())
        if len(usage) > LONGEST_USAGE:
            usage = f"{self.prog} --help tells more" if self.add_help else f"help {self.prog.split()[0]} tells more"
        raise UsageError(f"{message}; {usage}")

    def print_help(self, file: object = None) -> None:
        """Raise HelpRequest."""
        del file
        raise HelpRequest(self.format_help().rstrip())

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Say unknown nouns and verbs in few words, with the nearest one."""
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        close = difflib.get_close_matches(str(value), names, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        where = self.prog.removeprefix("bouncer").removeprefix("BouncerServ").strip()
        raise UsageError(f"{where + ': ' if where else ''}{value!r} is unknown; {hint}")


class _Auth(argparse.Action):
    """`--sasl-plain ACCOUNT` and its like: the method and the account in one."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        del parser
        namespace.auth_method = "none" if option_string == "--no-auth" else (option_string or "").removeprefix("--")
        if isinstance(values, str):
            namespace.auth_account = values


def command_line() -> Parser:
    """The grammar after the word `bouncer`, without `--config`, which may stand anywhere and is taken out before."""
    parser = Parser(prog="bouncer", description="An IRC bouncer. --config FILE may stand anywhere on the line.")
    nouns = parser.add_subparsers(dest="noun", required=True, metavar="COMMAND", parser_class=Parser)
    nouns.add_parser("run", help="run the bouncer")
    _users(_verbs(nouns, "user", "users of this bouncer"))
    _servers(_verbs(nouns, "server", "IRC networks of a user"))
    _channels(_verbs(nouns, "channel", "channels of a user's server"))
    _tenants(_verbs(nouns, "tenant", "the users' files"))
    _verbs(nouns, "config", "the configuration").add_parser("check", help="say whether the configuration can be used")
    tls = _verbs(nouns, "tls", "certificates").add_parser(
        "self-signed", help="make a certificate for ircs:// listeners"
    )
    tls.add_argument("--host", action="append", default=[], metavar="H", help="a name or address of this machine")
    secrets = _verbs(nouns, "secrets", "the key of stored secrets")
    secrets.add_parser("rotate", help="encrypt all stored secrets with a new key")
    nouns.add_parser("shell", help="read commands from stdin, one a line, and answer each with OK or ERR")
    return parser


def irc_commands(*, admin: bool) -> Parser:
    """The grammar of BouncerServ: the user is who asks, secrets are options; `user` for admins only."""
    parser = Parser(prog="BouncerServ", irc=True)
    nouns = parser.add_subparsers(dest="noun", required=True, metavar="COMMAND", parser_class=Parser)
    _servers(_verbs(nouns, "server", "your IRC networks", irc=True), irc=True)
    _channels(_verbs(nouns, "channel", "channels of a server", irc=True), irc=True)
    if admin:
        _users(_verbs(nouns, "user", "users of this bouncer", irc=True), irc=True)
    return parser


def _verbs(nouns: Subparsers, noun: str, words: str, *, irc: bool = False) -> Subparsers:
    # The prefix of usage lines: people type these words to BouncerServ, not "BouncerServ server".
    parser = nouns.add_parser(noun, help=words, irc=irc, **({"prog": noun} if irc else {}))
    return parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)


def _verb(verbs: Subparsers, name: str, words: str, *, irc: bool, user: bool = False) -> Parser:
    parser: Parser = verbs.add_parser(name, help=words, description=words, irc=irc)
    if user and not irc:
        parser.add_argument("user", metavar="USER")
    return parser


def _users(verbs: Subparsers, *, irc: bool = False) -> None:
    add = _verb(verbs, "add", "add a user; without a password a one-time one is made and shown", irc=irc)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--admin", action="store_true")
    listing = _verb(verbs, "list", "all users", irc=irc)
    passwd = _verb(verbs, "passwd", "set a password; without one a one-time one is made and shown", irc=irc)
    passwd.add_argument("name", metavar="NAME")
    for parser in (add, passwd):
        if irc:
            parser.add_argument("--password", metavar="VALUE")
        else:
            parser.add_argument("--password-stdin", action="store_true", help="the password is one line of stdin")
    for name, words in (("disable", "disconnect a user and keep them out"), ("enable", "let a user in again")):
        _verb(verbs, name, words, irc=irc).add_argument("name", metavar="NAME")
    delete = _verb(verbs, "delete", "remove a user and all that is theirs", irc=irc)
    delete.add_argument("name", metavar="NAME")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    limits = _verb(verbs, "limits", "bound what a user may have; `none` for the default", irc=irc)
    limits.add_argument("name", metavar="NAME")
    limits.add_argument("--servers", metavar="N")
    limits.add_argument("--disk", metavar="MB")
    if not irc:
        listing.add_argument("--json", action="store_true")


def _servers(verbs: Subparsers, *, irc: bool = False) -> None:
    add = _verb(verbs, "add", "add a network and connect to it", irc=irc, user=True)
    add.add_argument("name", metavar="NAME")
    add.add_argument("address", metavar="ADDRESS")
    update = _verb(verbs, "update", "change a network", irc=irc, user=True)
    update.add_argument("server", metavar="NAME")
    update.add_argument("--rename", dest="name", metavar="NAME", default=argparse.SUPPRESS)
    update.add_argument("--address", metavar="ADDRESS", default=argparse.SUPPRESS)
    for parser in (add, update):
        _server_options(parser, irc=irc)
    for name, words in (
        ("delete", "remove a network and all its history"),
        ("connect", "connect now, and from now on"),
        ("disconnect", "disconnect and stay away"),
    ):
        parser = _verb(verbs, name, words, irc=irc, user=True)
        parser.add_argument("server", metavar="NAME")
        if name == "delete":
            parser.add_argument("--yes", action="store_true", help="do not ask")
    listing = _verb(verbs, "list", "networks and how they are doing", irc=irc)
    if irc:
        _verb(verbs, "status", "one network, or all, in detail", irc=True).add_argument(
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
    ):
        option(f"--{name}", action=argparse.BooleanOptionalAction, help=words)
    option("--tls-fingerprint", metavar="SHA256", help="accept exactly this certificate")
    option("--nick", dest="nickname", metavar="N")
    option("--alternatives", metavar="NICKS", help="nicks to try when it is in use, blank separated")
    option("--username", metavar="U")
    option("--realname", metavar="R")
    option("--join", dest="channels", metavar="'#a,#b key'", help="channels to join on connecting, with their keys")
    option("--connect-command", dest="connect_commands", action="append", metavar="LINE", help="sent after connecting")
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


def _channels(verbs: Subparsers, *, irc: bool = False) -> None:
    listing = _verb(verbs, "list", "channels of a server", irc=irc, user=True)
    join = _verb(verbs, "join", "join a channel, now and after each connecting", irc=irc, user=True)
    part = _verb(verbs, "part", "leave a channel and do not join it again", irc=irc, user=True)
    for parser in (listing, join, part):
        if irc:
            parser.add_argument("--server", metavar="NAME", help="where the client is not attached to the server")
        else:
            parser.add_argument("server", metavar="SERVER")
    join.add_argument("channel", metavar="CHANNEL")
    join.add_argument("key", metavar="KEY", nargs="?")
    part.add_argument("channel", metavar="CHANNEL")
    part.add_argument("reason", metavar="REASON", nargs="?", default="")
    if not irc:
        listing.add_argument("--json", action="store_true")


def _tenants(verbs: Subparsers) -> None:
    for name, words in (("migrate", "bring files to this version's schema"), ("check", "look for damage in files")):
        parser = _verb(verbs, name, words, irc=False)
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("user", metavar="USER", nargs="?")
        who.add_argument("--all", action="store_true")
    backup = _verb(verbs, "backup", "copy a user's file, consistent, also while messages arrive", irc=False, user=True)
    restore = _verb(verbs, "restore", "put a backup in place of a user's file", irc=False, user=True)
    export = _verb(verbs, "export", "write a user's history to a file", irc=False, user=True)
    for parser in (backup, restore, export):
        parser.add_argument("file", metavar="FILE")
    restore.add_argument("--yes", action="store_true", help="do not ask")
    export.add_argument("--format", choices=EXPORT_FORMATS, default=EXPORT_FORMATS[0])


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The words as names and values; raises UsageError or HelpRequest."""
    try:
        return parser.parse_args(list(words))
    except argparse.ArgumentError as error:
        raise UsageError(str(error)) from error


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
    if args.noun != "server" or args.verb not in {"add", "update"}:
        return []
    needed = ["password"] if getattr(args, "ask_password", False) else []
    return [*needed, "auth_password"] if getattr(args, "auth_method", "") in WITH_PASSWORD else needed
