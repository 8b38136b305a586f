"""Owns argparse in our manners: it raises and explains where it would print and exit; knows no command."""

from __future__ import annotations

import argparse
import difflib
from typing import TYPE_CHECKING, Any, NoReturn

from bouncer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_USAGE = 160
"""Characters of a usage line that still help inside a one-line error."""
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


def verbs_of(nouns: Subparsers, noun: str, words: str, *, irc: bool = False) -> Subparsers:
    """A new noun; its verbs are added to what comes back."""
    # The prefix of usage lines: people type these words to BouncerServ, not "BouncerServ server".
    parser = nouns.add_parser(noun, help=words, irc=irc, **({"prog": noun} if irc else {}))
    return parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)


def verb(verbs: Subparsers, name: str, words: str, *, irc: bool, user: bool = False) -> Parser:
    """A new verb; with `user` the command line names whose it is, on IRC it is who asks."""
    parser: Parser = verbs.add_parser(name, help=words, description=words, irc=irc)
    if user and not irc:
        parser.add_argument("user", metavar="USER")
    return parser


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The words as names and values; raises UsageError or HelpRequest."""
    try:
        args = parser.parse_args(list(words))
    except argparse.ArgumentError as error:
        raise UsageError(str(error)) from error
    for name, value in vars(args).items():
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str) and not _can_be_written(word, path=name == "file"):
                raise UsageError(f"{name}: holds characters that are no text")
    return args


def _can_be_written(word: str, *, path: bool) -> bool:
    """No NUL, and nothing that is not UTF-8 but in the name of a file."""
    try:
        word.encode("utf-8", "surrogateescape" if path else "strict")
    except UnicodeEncodeError:
        return False
    return "\0" not in word


def on_server(parser: Parser, *, irc: bool, needed: bool = True) -> None:
    """Which server is meant: on the command line a word (an option where all may be meant), on IRC an option.

    On IRC the one that the client is attached to is meant where none is named.
    """
    parser.set_defaults(needs_server=needed)
    if irc or not needed:
        parser.add_argument("--server", metavar="NAME", help="another network than the one you are attached to")
    else:
        parser.add_argument("server", metavar="SERVER")
