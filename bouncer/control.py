"""Owns the control socket, through which commands reach a running bouncer; knows no command.

A connection carries one command. The client sends one JSON object on a line, `{"words": […], "secrets": {…}}`; the
server answers with objects, one a line: `{"line": "…"}` and `{"progress": [done, total, "what"]}` as they come, `{}`
as a sign of life, and at the end `{"exit": 0|1|2, "error": "…"}`. The socket is 0600 in a folder that is 0700.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from bouncer import tasks
from bouncer.errors import BouncerError, CommandError, ConfigError, UsageError
from bouncer.service.show import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bouncer.service.commands import Output

log = logging.getLogger(__name__)

REQUEST_LIMIT = 256 * 1024
"""Bytes of a request: the fields of a server are bounded far below."""
REPLY_LINE_LIMIT = 1024 * 1024
"""Bytes of one line of a reply, as the client accepts it."""
OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes that may wait for a client that does not read; over it, the rest is not sent."""
REQUEST_S = 10.0
ALIVE_S = 5.0
"""A sign of life is sent this often while a command works; the client gives up after `SILENCE_S` without any."""
SILENCE_S = 30.0
CONNECT_S = 2.0
MAX_CONNECTIONS = 32


def exit_code(error: BaseException) -> int:
    """2 for what is written wrongly (a command, the configuration), 1 for what could not be done."""
    return 2 if isinstance(error, (UsageError, ConfigError)) else 1


def in_words(error: BaseException) -> str:
    """One printable line for who asked; errors we did not foresee are logged with their trace and named only."""
    return printable(_words(error))


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if not isinstance(error, (BouncerError, OSError)):
        log.error("a command failed", exc_info=error)
        return f"internal error: {type(error).__name__}: {' '.join(str(error).split())}"
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket address (107 bytes), however deep the folder is."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class _Reply:
    """The `Output` of one command: objects to the client; never waits, sends nothing once the client is gone."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def line(self, text: str) -> None:
        for part in text.split("\n"):
            self.send({"line": part})

    def progress(self, done: int, total: int, what: str) -> None:
        self.send({"progress": [done, total, what]})

    def send(self, message: Mapping[str, object]) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > OUTPUT_LIMIT:
            transport.abort()
            return
        self._writer.write(json.dumps(message).encode() + b"\n")


class ControlServer:
    """Listens on `path` and gives each command to `handler(words, secrets by field, output)`.

    The handler raises for what cannot be done; see `exit_code` and `in_words`. A command goes on when its client
    disappears: half of a change would be worse.
    """

    def __init__(
        self, path: Path, handler: Callable[[Sequence[str], Mapping[str, str], Output], Awaitable[None]]
    ) -> None:
        self.path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._commands = tasks.Group()

    async def start(self) -> None:
        """Listen. Call only while holding the storage's lock: a socket that is there is a dead one and is replaced."""
        self._server = await asyncio.start_unix_server(
            self._accept, sock=await asyncio.to_thread(self._bind), limit=REQUEST_LIMIT
        )

    def _bind(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self.path.unlink(missing_ok=True)
            with _short_path(self.path) as name:
                listening.bind(name)
            self.path.chmod(0o600)  # before anybody can connect: it does not listen yet
            listening.setblocking(False)  # a positional-only parameter
        except BaseException:
            listening.close()
            raise
        return listening

    async def close(self, timeout_s: float = 5.0) -> None:
        """Stop listening and end what is being done after `timeout_s` at the latest."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self.path.unlink, missing_ok=True)
        await self._commands.cancel(timeout_s)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._commands) >= 2 * MAX_CONNECTIONS:  # each has a task for its signs of life beside it
            _Reply(writer).send({"exit": 1, "error": "too many commands at once; try again in a moment"})
            writer.close()
            return
        self._commands.spawn(self._serve(reader, writer), name="control command")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = _Reply(writer)
        alive = self._commands.spawn(_signs_of_life(reply), name="control signs of life")
        code, words = 1, "the bouncer is stopping"
        try:
            request = await _read_request(reader)
            await self._handler(request["words"], request["secrets"], reply)
            code, words = 0, ""
        except Exception as error:  # noqa: BLE001  # one command must not end the others; `in_words` logs it
            code, words = exit_code(error), in_words(error)
        finally:
            alive.cancel()
            reply.send({"exit": code, "error": words})
            await _finish(writer)


async def _signs_of_life(reply: _Reply) -> None:
    while True:
        await asyncio.sleep(ALIVE_S)
        reply.send({})


async def _finish(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(SILENCE_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        async with asyncio.timeout(REQUEST_S):
            raw = await reader.readline()
        request = json.loads(raw)
        words, secrets = request["words"], request["secrets"]
    except (TimeoutError, ValueError, KeyError, TypeError) as error:
        raise UsageError("not a request") from error
    right = isinstance(words, list) and isinstance(secrets, dict)
    if not right or not all(isinstance(item, str) for item in (*words, *secrets, *secrets.values())):
        raise UsageError("not a request")
    return {"words": words, "secrets": secrets}


class ControlClient:
    """One connection to a running bouncer; blocking, for the command line only."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, path: Path) -> ControlClient | None:
        """A connection, or None when nobody listens there. Raises CommandError when we are not allowed to."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.settimeout(CONNECT_S)
        try:
            with _short_path(path) as name:
                connection.connect(name)
        except PermissionError as error:
            connection.close()
            raise CommandError(f"{path}: only the bouncer's own user (or root) may give commands") from error
        except OSError:
            connection.close()
            return None
        connection.settimeout(SILENCE_S)
        return cls(connection)

    def close(self) -> None:
        """Hang up without a command."""
        self._connection.close()

    def call(self, words: Sequence[str], secrets: Mapping[str, str], output: Output) -> tuple[int, str]:
        """Give one command and pass its answers to `output`; returns (exit code, words of failure or "")."""
        with self._connection, self._connection.makefile("rb") as replies:
            try:
                self._connection.sendall(json.dumps({"words": list(words), "secrets": dict(secrets)}).encode() + b"\n")
                while raw := replies.readline(REPLY_LINE_LIMIT):
                    message = json.loads(raw)
                    if "line" in message:
                        output.line(message["line"])
                    elif "progress" in message:
                        output.progress(*message["progress"])
                    elif "exit" in message:
                        return int(message["exit"]), str(message["error"])
            except (OSError, ValueError) as error:
                raise CommandError(f"the bouncer stopped answering: {error}") from error
        raise CommandError("the bouncer ended the connection before it had answered")
