"""Owns what the command line reads from and writes to a person or a pipe: answers, progress, questions, secrets."""

from __future__ import annotations

import getpass
import io
import sys
from typing import TYPE_CHECKING

from bouncer.errors import UsageError
from bouncer.service.parser import secrets_of

if TYPE_CHECKING:
    import argparse

BAR = 30
"""Characters of a progress bar."""
PROMPTS = {"password": "Password", "auth_password": "Account password"}


class Console:
    """stdin, stdout and stderr. `lines_follow`: in the shell, secrets are the lines after their command."""

    def __init__(self, *, lines_follow: bool = False) -> None:
        self.lines_follow = lines_follow
        self.interactive = sys.stdin is not None and sys.stdin.isatty()
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(newline="\n")  # a CR inside a line ends neither a command nor a password

    def line(self, text: str) -> None:
        """One line of an answer."""
        # A name that is not UTF-8 must not end the command.
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")

    def progress(self, done: int, total: int, what: str) -> None:
        """A bar on a terminal, which failures are written above; plain lines elsewhere, or for a single thing."""
        if total < 2 or not sys.stderr.isatty():
            self.line(what)
            return
        if not what.endswith(": ok"):
            sys.stderr.write(f"\r\x1b[K{what}\n")
        filled = BAR * done // total
        sys.stderr.write(f"\r\x1b[K[{'#' * filled}{'.' * (BAR - filled)}] {done}/{total}")
        sys.stderr.write("\n" if done == total else "")
        sys.stderr.flush()

    def read(self) -> str | None:
        """The next line of stdin without its end; None when there is no more."""
        text = sys.stdin.readline()
        return text.removesuffix("\n").removesuffix("\r") if text else None

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; anything but yes is no. Raises UsageError where there is none."""
        if not self.interactive:
            raise UsageError(f"{question} Say --yes")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return (self.read() or "").strip().lower() in {"y", "yes"}

    def secrets(self, args: argparse.Namespace) -> dict[str, str]:
        """The secrets a command takes, by field; raises UsageError when they are nowhere to be had."""
        names = secrets_of(args)
        if not names:
            return {}
        if args.noun == "user":
            if args.password_stdin:
                return {"password": self._line("password")}
            return self._new_password() if self.interactive else {}
        if args.secrets_stdin or (self.lines_follow and not self.interactive):
            return {name: self._line(name) for name in names}
        if not self.interactive:
            raise UsageError("the passwords are missing: say --secrets-stdin and write them to stdin, one a line")
        return {name: _ask("Server password" if name == "password" else PROMPTS[name]) for name in names}

    def _line(self, name: str) -> str:
        text = self.read()
        if text is None:
            raise UsageError(f"stdin ended before the line with the {PROMPTS[name].lower()}")
        return text

    def _new_password(self) -> dict[str, str]:
        first = _ask("Password (empty: a one-time one is made)")
        if not first:
            return {}
        if _ask("Again") != first:
            raise UsageError("these are two different passwords")
        return {"password": first}


def _ask(prompt: str) -> str:
    try:
        return getpass.getpass(f"{prompt}: ")
    except EOFError:
        raise UsageError("no password was typed") from None
