"""Owns BouncerServ, the command layer as a user on IRC: a line of text in, lines of answer out; knows no connection."""

from __future__ import annotations

import logging
import shlex
import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from bouncer.errors import BouncerError, CommandError, InvalidError, TenantBusyError, UsageError
from bouncer.irc.lines import split_text
from bouncer.service import commands
from bouncer.service.audit import ACTOR, Actor
from bouncer.service.commands import Request
from bouncer.service.help import ADMIN, HELP
from bouncer.service.parser import Parser, irc_commands, parse

if TYPE_CHECKING:
    import argparse

    from bouncer.models.main import User
    from bouncer.service.facade import Service

log = logging.getLogger(__name__)

ROOM = 400
"""Bytes of text in one line to the client: 512 less what stands around it."""
MAX_LINES = 200
"""Lines of one answer; the command line and the panel show the rest."""
OPTIONS = {
    "auth_password": "--account-password",
    "auth_account": "account",
    "nickname": "--nick",
    "tls_fingerprint": "--tls-fingerprint",
    "channels": "--join",
    "connect_commands": "--connect-command",
    "fallbacks": "--fallback",
    "detach_after_s": "--detach-after",
}
"""What a field is called here where it is not by its own name."""
SECRETS = {"user": "password", "sasl": "auth_password"}
"""Which secret `--password` is; `server` has one of that name of its own."""
IMPLIED = frozenset({"update", "connect", "disconnect", "status", "test", "certificate", "log"})
"""Verbs of `server` that mean the server one is attached to when none is named."""


class BouncerServ:
    """Answers what a user's clients say to the nick BouncerServ."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._parsers = {admin: irc_commands(admin=admin) for admin in (False, True)}

    async def handle(
        self, user_id: int, text: str, *, server: str | None, certificate: bytes | None = None
    ) -> list[str]:
        """The answer to one line: lines without CR LF, at most 400 bytes each, at least one; raises nothing expected.

        `server` is the name of the server the asking client is attached to, None on the control connection;
        `certificate` the TLS certificate (DER) it shows.
        """
        answer = _Answer()
        try:
            await self._handle(user_id, text, server, certificate, answer)
        except UsageError as error:
            words = str(error)
            answer.line(words if "say " in words.lower() or "help" in words else f"{words}. Say: help")
        except InvalidError as error:
            for field, words in error.fields.items():
                answer.line(f"Error: {OPTIONS.get(field, field)}: {words}")
        except (CommandError, TenantBusyError) as error:
            answer.line(f"Error: {' '.join(str(error).split())}")
        except (BouncerError, OSError, sqlite3.Error, SQLAlchemyError):
            log.exception("a command to BouncerServ failed")  # paths and SQL are for the operator
            answer.line("Error: that could not be done; the reason is in the bouncer's log")
        return answer.lines or ["Done."]

    async def _handle(
        self, user_id: int, text: str, server: str | None, certificate: bytes | None, answer: _Answer
    ) -> None:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"{str(error).lower()}: quotes come in pairs") from error
        user = await self.service.users.get(user_id)
        nouns = [noun for noun in HELP if noun not in ADMIN or user.admin]
        if not words or "help".startswith(words[0].lower()):
            _help([_expand(word, nouns) for word in words[1:2]], nouns, answer)
            return
        args = self._parse(words, nouns, user, server)
        secret = SECRETS.get(args.noun)
        secrets = {secret: args.password} if secret and getattr(args, "password", None) else {}
        actor = ACTOR.set(Actor(user.id, user.name))
        try:
            request = Request(
                self.service, args, answer, secrets, trusted=user.admin, confirmed=False, certificate=certificate
            )
            await commands.run(request)
        finally:
            ACTOR.reset(actor)

    def _parse(self, words: list[str], nouns: list[str], user: User, server: str | None) -> argparse.Namespace:
        """The command, with prefixes of noun and verb written out, and who and where added."""
        noun = _expand(words[0], nouns)
        parser = self._parsers[user.admin]
        verbs = _verbs(parser, noun)
        if len(words) < 2:
            raise UsageError(f"{noun} what? There are {', '.join(verbs)}")
        verb = _expand(words[1], verbs)
        rest = words[2:]
        elsewhere = verb in {"test", "certificate"} and "--address" in rest
        if noun == "server" and verb in IMPLIED and verb != "status" and server and not (_named(rest) or elsewhere):
            rest = [server, *rest]
        args = parse(parser, [noun, verb, *rest])
        if noun in ADMIN:
            return args
        args.user, args.attached = user.name, server
        if (needed := getattr(args, "needs_server", None)) is not None:
            args.server = args.server or server
            if needed and args.server is None:
                raise UsageError("on which network? Say --server NAME")
        return args


def _named(rest: list[str]) -> bool:
    """Whether the words of `server update …` begin with a name."""
    return bool(rest) and not rest[0].startswith("-")


def _verbs(parser: Parser, noun: str) -> list[str]:
    verbs = parser.choices_of("noun")[noun].choices_of("verb")
    return list(verbs)


def _expand(word: str, names: list[str]) -> str:
    """The one name that begins with `word`; raises UsageError when there is none, or more than one."""
    word = word.lower()
    if word in names:
        return word
    found = [name for name in names if name.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{word!r} could be {' or '.join(found)}")
    raise UsageError(f"{word!r} is unknown; there are {', '.join(names)}")


def _help(noun: list[str], nouns: list[str], answer: _Answer) -> None:
    if noun:
        for line in HELP[noun[0]]:
            answer.line(line)
        return
    answer.line("I am your bouncer. Words may be shortened while they stay clear: `se st` is `server status`.")
    answer.line(f"help {' | '.join(nouns)} - what there is to say about each")
    answer.line("server status - how your networks are doing; server add NAME ADDRESS - a new one")


class _Answer:
    """The `Output` of one command: lines that fit."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        for part in text.splitlines() or [""]:
            for piece in split_text(part, ROOM) or [" "]:
                if len(self.lines) < MAX_LINES:
                    self.lines.append(piece)
                elif len(self.lines) == MAX_LINES:
                    self.lines.append("… and more: the panel shows all of it")

    def progress(self, done: int, total: int, what: str) -> None:
        self.line(f"{done}/{total} {what}")
