"""Commands as processes forked off one that has imported the program: most of a command's time is importing."""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
STRICT = ("-W", "error", "-W", "ignore::UserWarning")
"""aiohttp-session keeps its session under a text key; aiohttp would rather have it typed (a UserWarning)."""
MOST_BYTES = 1_000_000  # what is too much for the system to send is an error there
END_S = 30.0


class Warm:
    """One process for commands, begun with the first; it ends when we do."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._socket: socket.socket | None = None

    def run(
        self, words: Sequence[str], stdin: str, env: Mapping[str, str], folder: Path, timeout_s: float
    ) -> tuple[int, str, str] | None:
        """Exit code, stdout and stderr of `bouncer` with these words; None when another command is under way."""
        if not self._busy.acquire(blocking=False):
            return None
        try:
            with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                given.write(stdin.encode())
                given.seek(0)
                code = self._exit_code(json.dumps([words, dict(env), str(folder)]), (given, out, err), timeout_s)
                return code, _text(out), _text(err)
        finally:
            self._busy.release()

    def _exit_code(self, told: str, files: Sequence[IO[bytes]], timeout_s: float) -> int:
        if self._socket is None:
            self._socket = _begin()
        socket.send_fds(self._socket, [told.encode()], [file.fileno() for file in files])
        self._socket.settimeout(timeout_s)
        process = int(self._socket.recv(32))
        try:
            return int(self._socket.recv(32))
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            self._socket.settimeout(timeout_s)
            self._socket.recv(32)
            raise subprocess.TimeoutExpired(told, timeout_s) from None


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _begin() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, *STRICT, "-m", "tests.support.warm", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    atexit.register(_end, ours, process)
    return ours


def _end(ours: socket.socket, process: subprocess.Popen[bytes]) -> None:
    ours.close()
    process.wait(END_S)


def _serve(asked: socket.socket) -> int:
    """Fork for each command; returns in the child, with what to exit with, and at the end."""
    from alembic import command  # noqa: PLC0415 - in the process for commands only, as the others
    from sqlalchemy.orm import configure_mappers  # noqa: PLC0415

    from bouncer.cli import main, parts, shell  # noqa: PLC0415
    from bouncer.service import commands  # noqa: PLC0415
    from bouncer.service.parser import command_line  # noqa: PLC0415

    del command, parts, shell, commands
    command_line()  # made once for a process
    configure_mappers()  # ditto
    gc.freeze()
    while True:
        told, files, _, _ = socket.recv_fds(asked, MOST_BYTES, 3)
        if not told:
            asked.close()
            return 0
        child = os.fork()
        if not child:
            asked.close()
            words, env, folder = json.loads(told)
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            os.environ.clear()
            os.environ.update(env)
            os.chdir(folder)
            return main.main(words)
        for file in files:
            os.close(file)
        with contextlib.suppress(BrokenPipeError):
            asked.send(str(child).encode())
            asked.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


if __name__ == "__main__":
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
