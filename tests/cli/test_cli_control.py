"""The control socket and the storage's lock, on real sockets and files."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest

from bouncer import control
from bouncer.cli.lock import StorageLock
from bouncer.control import ControlClient, ControlServer
from bouncer.errors import CommandError, ConfigError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from bouncer.service.commands import Output


class Screen:
    """The `Output` of a client."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def line(self, text: str) -> None:
        self.seen.append(text)

    def progress(self, done: int, total: int, what: str) -> None:
        self.seen.append((done, total, what))


async def handle(words: Sequence[str], secrets: Mapping[str, str], output: Output) -> None:
    match words[0]:
        case "echo":
            output.line(" ".join(words[1:]))
            output.line(json.dumps(dict(secrets)))
            output.progress(1, 2, "half")
        case "much":
            for number in range(20_000):
                output.line(f"{number} {'x' * 100}")
        case "usage":
            raise UsageError("say it otherwise")
        case "missing":
            raise NotFoundError("it is not there\nnor here")
        case "bug":
            raise ZeroDivisionError("oops")


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """The socket of a server, deeper in the file system than a socket's address can say."""
    folder = tmp_path / ("d" * 100)
    folder.mkdir(mode=0o700)
    server = ControlServer(folder / "control.sock", handle)
    await server.start()
    yield server.path
    await server.close()
    assert not server.path.exists()


async def call(path: Path, *words: str, **secrets: str) -> tuple[int, str, list[Any]]:
    def run() -> tuple[int, str, list[Any]]:
        client = ControlClient.connect(path)
        assert client is not None
        screen = Screen()
        return *client.call(words, secrets, screen), screen.seen

    return await asyncio.to_thread(run)


async def test_a_command_is_answered_line_by_line(path: Path) -> None:
    code, error, seen = await call(path, "echo", "a b", "ü", password="pw")
    assert (code, error) == (0, "")
    assert seen == ["a b ü", '{"password": "pw"}', (1, 2, "half")]
    assert len((await call(path, "much"))[2]) == 20_000


async def test_errors_come_with_their_exit_code_and_in_one_line(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert (await call(path, "usage"))[:2] == (2, "say it otherwise")
    assert (await call(path, "missing"))[:2] == (1, "it is not there nor here")
    assert (await call(path, "bug"))[:2] == (1, "internal error: ZeroDivisionError: oops")
    assert "oops" in caplog.text


async def test_the_socket_is_for_its_owner_only(path: Path) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116 - a moment, in a test


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\n", b"hello\n", b"[]\n", b'{"words": "user list", "secrets": {}}\n',
        b'{"words": [1], "secrets": {}}\n', b'{"words": [], "secrets": {"a": 1}}\n',
        b"x" * (control.REQUEST_LIMIT + 10) + b"\n",
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused(path: Path, raw: bytes) -> None:
    def run() -> bytes:
        client = ControlClient.connect(path)
        assert client is not None
        connection: socket.socket = client._connection
        with connection:
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                return connection.recv(65_536)
            except ConnectionError:
                return b""

    answer = await asyncio.to_thread(run)
    assert not answer or json.loads(answer.splitlines()[-1])["exit"] == 2
    assert (await call(path, "echo"))[0] == 0, "others are still served"


async def test_a_client_that_goes_away_ends_nothing(path: Path) -> None:
    client = await asyncio.to_thread(ControlClient.connect, path)
    assert client is not None
    client._connection.sendall(b'{"words": ["much"], "secrets": {}}\n')
    client.close()
    assert (await call(path, "echo", "still here"))[2][0] == "still here"


async def test_nobody_listening_is_told_from_not_being_allowed(tmp_path: Path) -> None:
    assert ControlClient.connect(tmp_path / "control.sock") is None
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead.sock"))
    dead.close()
    assert ControlClient.connect(tmp_path / "dead.sock") is None


async def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    server = ControlServer(tmp_path / "control.sock", handle)
    await server.start()
    assert (await call(server.path, "echo", "new"))[2][0] == "new"
    await server.close()


def test_exit_codes_tell_wrong_words_from_what_cannot_be_done() -> None:
    assert [control.exit_code(error) for error in (UsageError(""), ConfigError(""), CommandError(""), OSError())] == [
        2, 2, 1, 1,
    ]  # fmt: skip


def test_the_lock_is_one_persons_and_tells_whose(tmp_path: Path) -> None:
    first, second = StorageLock(tmp_path / "s", "daemon"), StorageLock(tmp_path / "s", "command")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.holder()[0] == "daemon"
    first.release()
    assert second.try_acquire()
    assert second.holder()[0] == "command"
    second.release()


def test_the_lock_tells_whether_anybody_else_had_it_since(tmp_path: Path) -> None:
    mine, other = StorageLock(tmp_path, "command"), StorageLock(tmp_path, "command")
    seen = []
    for disturb in (False, False, True, False):
        if disturb:
            assert other.try_acquire()
            other.release()
        assert mine.try_acquire()
        seen.append(mine.undisturbed)
        mine.release()
    assert seen == [False, True, False, True]
