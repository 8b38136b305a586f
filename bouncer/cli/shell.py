"""Owns `bouncer shell`: commands on stdin, one a line, each answered by its output and a line OK or ERR <words>."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from bouncer import config as configuration
from bouncer.cli.console import Console
from bouncer.cli.main import execute
from bouncer.cli.runner import Runner
from bouncer.control import in_words
from bouncer.errors import UsageError
from bouncer.service.parser import HelpRequest, command_line, parse, take_config


class Shell:
    """One process, many commands. Blank lines and lines that begin with # are passed over without an answer.

    A command may name another `--config`; each is read again for each command.
    """

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._parser = command_line()
        self._console = Console(lines_follow=True)
        self._runner: tuple[configuration.Config, Runner] | None = None

    def run(self) -> int:
        """Answer until stdin ends; gives the exit code 0, whatever the commands came to."""
        try:
            while (line := self._next()) is not None:
                if line.strip() and not line.lstrip().startswith("#"):
                    self._console.line(self._answer(line))
                    sys.stdout.flush()
        finally:
            self._close()
        return 0

    def _next(self) -> str | None:
        if self._console.interactive:
            sys.stderr.write("bouncer> ")
            sys.stderr.flush()
        return self._console.read()

    def _answer(self, line: str) -> str:
        try:
            self._do(line)
        except HelpRequest as help_:
            self._console.line(str(help_))
        except Exception as error:  # noqa: BLE001 - one command must not end the others
            return f"ERR {in_words(error)}"
        return "OK"

    def _do(self, line: str) -> None:
        try:
            file, words = take_config(shlex.split(line))
        except ValueError as error:
            raise UsageError(f"{str(error).lower()} in the line") from error
        args = parse(self._parser, words)
        if args.noun in {"run", "shell"}:
            raise UsageError(f"{args.noun} is not for the shell")
        config = configuration.load(
            self._config if file is None else Path(file), without_certificate=args.noun == "tls"
        )
        if self._runner is None or self._runner[0] != config:
            self._close()
            self._runner = (config, Runner(config))
        execute(config, self._runner[1], words, args, self._console)

    def _close(self) -> None:
        if self._runner is not None:
            self._runner[1].close()
            self._runner = None
