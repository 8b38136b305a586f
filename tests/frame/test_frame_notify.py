"""What systemd is told, read at the other end of a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bouncer.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end, as a path and in the abstract namespace."""
    monkeypatch.chdir(tmp_path)
    name = f"/tmp/{uuid.uuid4().hex}" if request.param == "path" else f"@{uuid.uuid4().hex}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
        receiver.bind("\0" + name[1:] if name.startswith("@") else name)
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield receiver
    if name.startswith("/"):
        os.unlink(name)  # noqa: PTH108  # a socket by the name it was bound to


def test_each_state_is_one_datagram_in_the_words_of_sd_notify(manager: socket.socket) -> None:
    with closing(Notifier.from_environment()) as notifier:
        assert notifier.enabled
        assert notifier.ready("2 listeners")
        assert manager.recv(4096) == b"READY=1\nSTATUS=2 listeners"
        assert notifier.watchdog()
        assert manager.recv(4096) == b"WATCHDOG=1"
        assert notifier.status("a\nREADY=1\r\n b")
        assert manager.recv(4096) == b"STATUS=a READY=1 b"
        assert notifier.stopping("bye")
        assert manager.recv(4096) == b"STOPPING=1\nSTATUS=bye"


def test_a_reload_carries_the_monotonic_time_in_microseconds(manager: socket.socket) -> None:
    with closing(Notifier.from_environment()) as notifier:
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        assert notifier.reloading()
        state, stamp = manager.recv(4096).decode().split("\n")
        assert state == "RELOADING=1"
        name, value = stamp.split("=")
        assert name == "MONOTONIC_USEC"
        assert before - 0.001 <= int(value) / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_wants_a_beat_twice_in_its_time(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier.from_environment(environ).watchdog_s == seconds


def test_without_a_socket_nothing_is_said_and_nothing_fails() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.enabled
    assert not any((notifier.ready(), notifier.reloading(), notifier.stopping(), notifier.watchdog()))
    notifier.close()


def test_a_manager_that_is_gone_does_not_stop_the_service(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Notifier(str(tmp_path / "nobody"))) as notifier:
        assert not notifier.ready()
    assert "systemd could not be told READY=1" in caplog.text


def test_a_full_socket_is_not_waited_for(manager: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Notifier.from_environment()) as notifier:
        sent = 0
        while notifier.watchdog():
            sent += 1
            assert sent < 100_000
        assert "could not be told WATCHDOG=1" in caplog.text
        assert manager.recv(4096) == b"WATCHDOG=1"
        assert notifier.watchdog()


def test_an_address_of_another_kind_is_said_once_and_let_be(caplog: pytest.LogCaptureFixture) -> None:
    assert not Notifier("vsock:2:1234").enabled
    assert "neither a path nor @name" in caplog.text
