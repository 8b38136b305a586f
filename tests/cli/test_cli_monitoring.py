"""The listener for figures of `bouncer run`: by configuration, on a signal, and where its port is somebody else's."""

from __future__ import annotations

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from tests.cli.clikit import DEADLINE_S
from tests.support.daemon import prepare, process
from tests.support.ircd import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def fetched(port: int, path: str) -> str | None:
    """The answer, None where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE_S) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:  # of a busy machine: the loop was late
        return error.read().decode()
    except ConnectionError:
        return None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionError):
            return None
        raise


def until(what: Callable[[], Any]) -> Any:
    """What `what` gives once it is true."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def metrics(port: int) -> str:
    return f'[metrics]\nlisten = "http://127.0.0.1:{port}"\n'


def test_figures_are_told_where_the_configuration_says_and_move_with_it(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    made = prepare(tmp_path, more=metrics(first))
    config = made.cli.config
    with process(made) as running:
        text = until(lambda: fetched(first, "/metrics"))
        names = {family.name for family in text_string_to_metric_families(text)}
        assert {"bouncer_loop_lag_seconds", "bouncer_messages_stored", "process_open_fds"} <= names
        assert "alice" not in text
        until(lambda: json.loads(fetched(first, "/healthz") or "")["status"] == "ok")

        config.write_text(config.read_text(encoding="utf-8").replace(metrics(first), metrics(second)))
        running.send_signal(signal.SIGHUP)
        until(lambda: fetched(second, "/healthz"))
        assert fetched(first, "/healthz") is None

        with closing(socket.create_server(("127.0.0.1", first))):
            config.write_text(config.read_text(encoding="utf-8").replace(metrics(second), metrics(first)))
            running.send_signal(signal.SIGHUP)
            wanted = f"the metrics did not start: metrics.listen: http://127.0.0.1:{first} is in use"
            until(lambda: wanted in made.log.read_text(encoding="utf-8"))
            until(lambda: fetched(second, "/healthz"))

        config.write_text(config.read_text(encoding="utf-8").replace(metrics(first), ""))
        running.send_signal(signal.SIGHUP)
        until(lambda: fetched(second, "/healthz") is None)
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE_S) == 0


def test_a_port_in_use_stops_the_start_and_is_named(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        made = prepare(tmp_path, more=metrics(port))
        assert made.cli.ok("config", "check").err == ""
        done = made.cli("run")
        assert done.code == 2
        assert f"metrics.listen: http://127.0.0.1:{port} is in use" in done.err.splitlines()[-1]
