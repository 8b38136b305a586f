"""Owns where a command is done: told to the running bouncer through its socket, or done here on the files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bouncer.cli.lock import StorageLock
from bouncer.control import ControlClient
from bouncer.errors import CommandError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from bouncer.cli.console import Console
    from bouncer.cli.parts import Parts
    from bouncer.config import Config

BUSY_S = 20.0
"""How long to wait for a bouncer that is starting or stopping, and for another command."""
RETRY_S = 0.05
STAGING = ".exchange-"


class Runner:
    """Does commands for one configuration. `close` when done; between commands nothing is locked."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._storage = config.storage.path
        self._lock = StorageLock(self._storage, "command")
        self._loop: asyncio.Runner | None = None
        self._parts: Parts | None = None

    def run(self, words: Sequence[str], args: argparse.Namespace, secrets: Mapping[str, str], console: Console) -> None:
        """Do one command that was parsed; raises CommandError and what else the parts raise, `Failed` when told so."""
        deadline = time.monotonic() + BUSY_S
        while True:
            if (client := ControlClient.connect(self._config.storage.control_socket)) is not None:
                return self._tell(client, words, args, secrets, console)
            if self._lock.try_acquire():
                try:
                    return self._here(args, secrets, console)
                finally:
                    self._lock.release()
            if time.monotonic() > deadline:
                role, pid = self._lock.holder()
                who = "a bouncer" if role == "daemon" else "another command"
                raise CommandError(f"{who} (process {pid}) uses {self._storage} and does not answer")
            time.sleep(RETRY_S)

    def _tell(
        self,
        client: ControlClient,
        words: Sequence[str],
        args: argparse.Namespace,
        secrets: Mapping[str, str],
        console: Console,
    ) -> None:
        with _exchange(self._storage, words, args) as told:
            code, error = client.call(told, secrets, console)
            if code:
                raise UsageError(error) if code == 2 else CommandError(error)

    def _here(self, args: argparse.Namespace, secrets: Mapping[str, str], console: Console) -> None:
        if self._loop is None:
            self._loop = asyncio.Runner()
        if self._parts is not None and not self._lock.undisturbed:
            parts, self._parts = self._parts, None
            self._loop.run(parts.close())
        self._loop.run(self._do(args, secrets, console))

    async def _do(self, args: argparse.Namespace, secrets: Mapping[str, str], console: Console) -> None:
        # SQLAlchemy and what hangs on it take longer to import than most commands to run.
        from bouncer.cli.parts import Parts  # noqa: PLC0415 - see above
        from bouncer.service.commands import Request, run  # noqa: PLC0415 - see above

        if self._parts is None:
            self._parts = await Parts.open(self._config)
        await run(Request(self._parts.service, args, console, secrets))

    def close(self) -> None:
        """Close the files."""
        if self._loop is None:
            return
        if self._parts is not None:
            self._loop.run(self._parts.close())
        self._loop.close()
        self._loop, self._parts = None, None


@contextlib.contextmanager
def _exchange(storage: Path, words: Sequence[str], args: argparse.Namespace) -> Iterator[Sequence[str]]:
    """The words with FILE replaced by one inside the storage folder, which is copied before or after.

    The running bouncer may be another user, in a sandbox that sees neither our folder nor our /tmp.
    """
    if args.noun != "tenant" or args.verb not in {"backup", "restore", "export"}:
        yield words
        return
    outside = Path(args.file).absolute()
    if args.verb != "restore" and not outside.parent.is_dir():
        raise CommandError(f"there is no folder {outside.parent}")
    folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=storage))
    try:
        inside = folder / "file"
        if args.verb == "restore":
            shutil.copyfile(outside, inside)
        owner = storage.stat()
        for path in (inside, folder):  # the folder last: what is in it cannot be exchanged before
            if os.geteuid() == 0 and path.exists():
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        options = ["--yes"] if args.verb == "restore" else [f"--format={args.format}"] if args.verb == "export" else []
        yield [args.noun, args.verb, *options, "--", args.user, str(inside)]
        if args.verb != "restore":
            _put(inside, outside)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(inside: Path, outside: Path) -> None:
    """Copy a file to where it was wanted (0600), whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=f".{outside.name}.", dir=outside.parent)
    try:
        with os.fdopen(descriptor, "wb") as target, inside.open("rb") as source:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        Path(name).replace(outside)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
