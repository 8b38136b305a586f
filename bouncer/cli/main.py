"""Owns the command line's way from words to an exit code: 0 done, 1 could not be done, 2 wrongly written."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from bouncer import config as configuration
from bouncer.cli.console import Console
from bouncer.cli.runner import Runner
from bouncer.control import exit_code, in_words
from bouncer.errors import CommandError
from bouncer.service.parser import HelpRequest, command_line, parse, take_config

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from bouncer.config import Config

INTERRUPTED = 1
DELETIONS = {
    ("user", "delete"): "This deletes {name} and all that is theirs.",
    ("server", "delete"): "This deletes {server} of {user} and all its history.",
    ("tenant", "restore"): "This replaces all that {user} has by what is in {file}.",
}


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words (those after `bouncer`) say; gives the exit code and says errors in one line on stderr."""
    logging.getLogger().setLevel(logging.CRITICAL)  # what a command has to say, it says itself; `run` sets its own up
    try:
        return _main(sys.argv[1:] if words is None else words)
    except HelpRequest as help_:
        print(help_)  # noqa: T201 - this is the command line
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us is gone; what is left must not be written when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last place: one line for the person, not a trace
        print(f"bouncer: {in_words(error)}", file=sys.stderr)  # noqa: T201 - this is the command line
        return exit_code(error)


def _main(words: Sequence[str]) -> int:
    file, rest = take_config(words)
    args = parse(command_line(), rest)
    path = None if file is None else Path(file)
    if args.noun == "run":
        from bouncer.cli.daemon import run  # noqa: PLC0415 - aiohttp and pydle, which no other command needs

        return run(path)
    if args.noun == "shell":
        from bouncer.cli.shell import Shell  # noqa: PLC0415 - it needs this module

        return Shell(path).run()
    config = configuration.load(path, without_certificate=args.noun == "tls")
    with closing(Runner(config)) as runner:
        execute(config, runner, rest, args, Console())
    sys.stdout.flush()
    return 0


def execute(config: Config, runner: Runner, words: Sequence[str], args: argparse.Namespace, console: Console) -> None:
    """Do one command that was parsed from `words`; raises what could not be done."""
    if (local := LOCAL.get((args.noun, args.verb))) is not None:
        local(config, args, console)
        return
    if (question := DELETIONS.get((args.noun, args.verb))) is not None and not args.yes:
        if not console.confirm(question.format(**vars(args))):
            raise CommandError("nothing was changed")
        args.yes = True
        words = [*words[:2], "--yes", *words[2:]]
    runner.run(words, args, console.secrets(args), console)


def _config_check(config: Config, args: argparse.Namespace, console: Console) -> None:
    """Say which file counts and that it can be used; certificates are looked at, nothing is listened on."""
    del args
    from bouncer.tls import ServerTls  # noqa: PLC0415 - cryptography takes its time to import

    if config.tls.cert is not None and config.tls.key is not None:
        ServerTls(config.tls.cert, config.tls.key)
    console.line(f"{config.file or 'no file: the defaults'}: ok")


def _tls_self_signed(config: Config, args: argparse.Namespace, console: Console) -> None:
    """Make a certificate beside the storage's other secrets and say what to write into the configuration."""
    from bouncer.tls import self_signed, write_pair  # noqa: PLC0415 - cryptography takes its time to import

    folder = config.storage.path / "tls"
    cert, key = config.tls.cert or folder / "cert.pem", config.tls.key or folder / "key.pem"
    certificate = self_signed(args.host or ["localhost", "127.0.0.1", "::1"])
    write_pair(certificate, cert, key)
    console.line(f"made {cert} and {key}")
    console.line(f"SHA-256 fingerprint: {certificate.fingerprint}")
    if config.tls.cert is None:
        console.line("to use them, put this into bouncer.toml:")
        console.line(f'[[listen]]\nuri = "ircs://0.0.0.0:6697"\n[tls]\ncert = "{cert}"\nkey = "{key}"')


LOCAL: dict[tuple[str, str], Callable[[Config, argparse.Namespace, Console], None]] = {
    ("config", "check"): _config_check,
    ("tls", "self-signed"): _tls_self_signed,
}
