"""Owns how log records become lines on stderr; decides nothing about what is logged."""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_LINES = 10_000  # waiting to be written; more are dropped and counted: a stuck pipe must not stop the loop
_CLOSE_S = 2.0
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))}
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "tenant"}


def setup(level: str, form: str, *, filters: Sequence[logging.Filter] = (), stream: TextIO | None = None) -> None:
    """Send all records of `level` ("info") and above to `stream` (stderr) as `form`, "text" or "json".

    `filters` run in the thread and context that logged: bouncer.tenant.LogFilter sets `record.tenant` there. Lines are
    written by a thread of their own. May be called again, as a reload does: the last call counts.
    """
    target = sys.stderr if stream is None else stream
    handler = _ThreadedHandler(target)
    handler.setFormatter(_Json() if form == "json" else _Text(journal=_is_journal(target)))
    for each in filters:
        handler.addFilter(each)
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _ThreadedHandler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)


def _is_journal(stream: TextIO) -> bool:
    """Whether systemd's journal reads the stream (systemd.exec(5), $JOURNAL_STREAM): it adds the time itself."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Text(logging.Formatter):
    """`time level logger [tenant] message`; for the journal `<priority>` in place of the time (sd-daemon(3))."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self.journal = journal

    def format(self, record: logging.LogRecord) -> str:
        # What peers sent ends up in messages: a line feed or an escape in it must not forge a line.
        words = record.getMessage().translate(_CONTROLS).encode(errors="backslashreplace").decode()
        tenant = getattr(record, "tenant", None)
        line = f"{record.levelname.lower()} {record.name} {f'[{tenant}] ' if tenant else ''}{words}"
        lines = [line, *(f"    {part.translate(_CONTROLS)}" for part in _trace(self, record).splitlines())]
        if self.journal:
            return "\n".join(f"<{_PRIORITIES.get(record.levelno, 5)}>{line}" for line in lines)
        return "\n".join([f"{_stamp(record)} {lines[0]}", *lines[1:]])


class _Json(logging.Formatter):
    """One object a line: time, level, logger, message; tenant, exception and what `extra=` added where there is any."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if tenant := getattr(record, "tenant", None):
            fields["tenant"] = tenant
        if trace := _trace(self, record):
            fields["exception"] = trace
        fields |= {name: value for name, value in vars(record).items() if name not in _ORDINARY}
        return json.dumps(fields, default=str)


def _stamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""]
    parts.append(formatter.formatStack(record.stack_info) if record.stack_info else "")
    return "\n".join(part for part in parts if part)


class _ThreadedHandler(logging.Handler):
    """Formats where the record was made and writes in a thread, so that a slow reader of stderr holds nobody up."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.dropped = 0
        self._lines: queue.Queue[str | None] = queue.Queue(_MAX_LINES)
        self._writer = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self.dropped += 1
        except Exception:  # noqa: BLE001  # what logging.Handler promises: a bad record never reaches the caller
            self.handleError(record)

    def _write(self) -> None:
        reported = 0
        while (line := self._lines.get()) is not None:
            if (dropped := self.dropped) > reported:
                line += f"\nwarning bouncer.logs {dropped - reported} log lines were dropped: nobody read them"
                reported = dropped
            try:
                self.stream.write(line + "\n")
                if self._lines.empty():
                    self.stream.flush()
            except (OSError, ValueError):  # the pipe's reader is gone, or the stream closed: there is nobody to tell
                continue

    def close(self) -> None:
        """Write what waits, for at most two seconds."""
        try:
            self._lines.put(None, timeout=_CLOSE_S)
            self._writer.join(_CLOSE_S)
        except queue.Full:
            pass
        super().close()
