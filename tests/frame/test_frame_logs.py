"""Log lines: one a record, in the form asked for, never in the way of who logs."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from typing import TYPE_CHECKING

import pytest

from bouncer import logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger("bouncer.test")


class AddTenant(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.tenant = "42"
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [each for each in root.handlers if each not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def written(stream: io.StringIO) -> list[str]:
    """The lines, once the writer has written all it had."""
    logs.setup("info", "text", stream=io.StringIO())
    return stream.getvalue().splitlines()


def test_a_text_line_has_time_level_logger_tenant_and_words() -> None:
    stream = io.StringIO()
    logs.setup("info", "text", filters=[AddTenant()], stream=stream)
    log.info("hello %s", "there")
    log.debug("unheard")
    (line,) = written(stream)
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert rest == "info bouncer.test [42] hello there"


def test_what_a_peer_sent_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    logs.setup("info", "text", stream=stream)
    log.warning("they said %s", "a\r\n2026-01-01 error root forged\x1b[2J\x85\udcff")
    (line,) = written(stream)
    assert line.endswith(r"they said a\x0d\x0a2026-01-01 error root forged\x1b[2J\x85\udcff")


def test_a_json_line_is_one_object_with_the_trace_inside() -> None:
    stream = io.StringIO()
    logs.setup("debug", "json", filters=[AddTenant()], stream=stream)
    log.debug("one\ntwo", extra={"server": "libera"})
    try:
        raise ValueError("broken")  # noqa: TRY301  # a trace to log
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, written(stream))
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "debug",
        "logger": "bouncer.test",
        "message": "one\ntwo",
        "tenant": "42",
        "server": "libera",
    }
    assert second["exception"].endswith("ValueError: broken")


def test_a_trace_in_text_is_indented_below_its_line() -> None:
    stream = io.StringIO()
    logs.setup("info", "text", stream=stream)
    try:
        raise ValueError("bro\x1bken")  # noqa: TRY301  # a trace to log
    except ValueError:
        log.exception("failed")
    first, *rest = written(stream)
    assert first.endswith("error bouncer.test failed")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == r"    ValueError: bro\x1bken"


def test_the_journal_gets_priorities_and_no_second_time_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        logs.setup("info", "text", stream=stream)
        log.error("bad")
        log.info("good")
        logs.setup("info", "text", stream=io.StringIO())
        stream.seek(0)
        assert stream.read() == "<3>error bouncer.test bad\n<6>info bouncer.test good\n"


def test_a_reader_that_has_stopped_holds_nobody_up_and_the_loss_is_told() -> None:
    class Stuck(io.StringIO):
        go = threading.Event()

        def write(self, text: str) -> int:
            self.go.wait(30)
            return super().write(text)

    stream = Stuck()
    logs.setup("info", "text", stream=stream)
    for number in range(12_000):
        log.info("line %s", number)
    Stuck.go.set()
    lines = written(stream)
    assert 10_000 <= len(lines) < 12_000
    dropped = [line for line in lines if "log lines were dropped" in line]
    assert len(dropped) == 1
    assert int(dropped[0].split()[2]) == 12_000 - (len(lines) - 1)


def test_a_closed_stream_is_no_reason_to_fail() -> None:
    stream = io.StringIO()
    logs.setup("info", "text", stream=stream)
    stream.close()
    log.info("nobody hears this")
    logs.setup("info", "text", stream=io.StringIO())


def test_a_second_setup_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.setup("info", "text", stream=first)
    logs.setup("warning", "json", stream=second)
    log.info("unheard")
    log.warning("heard")
    assert len(written(second)) == 1
    assert first.getvalue() == ""


def test_a_record_that_cannot_be_formatted_does_not_reach_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.setup("info", "text", stream=stream)
    handler = logging.getLogger().handlers[-1]
    handler.handle(logging.LogRecord("x", logging.INFO, __file__, 1, "%d", ("no number",), None))
    assert "--- Logging error ---" in capsys.readouterr().err
