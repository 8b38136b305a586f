"""Owns the words for what happened to a connection: a row of the lifecycle log becomes a sentence; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bouncer.models.tenant import ServerEvent

FINGERPRINT = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")

TONES: Mapping[str, str] = {
    "connected": "ok",
    "registered": "ok",
    "identified": "ok",
    "joined": "ok",
    "disconnected": "warn",
    "backoff": "warn",
    "failed": "bad",
    "error": "bad",
    "refused": "bad",
}

LABELS: Mapping[str, str] = {
    "tls": "TLS",
    "sasl": "SASL",
    "auth": "Identification",
    "caps": "Capabilities",
    "line": "Line",
    "motd": "Message of the day",
}
"""Kinds of the lifecycle log whose name is not its own word."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the lifecycle log."""

    time: int
    tone: str
    words: str


def log_entry(row: ServerEvent) -> LogEntry:
    """One event in words."""
    kind = row.kind.replace("_", " ").replace("-", " ")
    if row.kind == "backoff":
        number, _, seconds = row.detail.partition(" ")
        return LogEntry(row.time, "", f"Attempt {number} failed; the next one {duration(_number(seconds))} later")
    if row.kind == "joining":
        return LogEntry(row.time, "", f"Joining {row.detail}")
    if row.kind == "registered":
        return LogEntry(row.time, "ok", f"Connected {row.detail}".strip())
    detail = FINGERPRINT.sub(r"\1…", row.detail) if row.kind == "tls" else row.detail
    label = LABELS.get(row.kind, f"{kind[:1].upper()}{kind[1:]}")
    tone = "bad" if row.detail.startswith("failed") else TONES.get(row.kind, "")
    return LogEntry(row.time, tone, f"{label}: {detail}" if detail else label)


def log_entries(rows: Sequence[ServerEvent]) -> list[LogEntry]:
    """A stretch of the log, newest first; the end of a connection says how long it was up, where that can be seen."""
    entries = [log_entry(row) for row in rows]
    for place, row in enumerate(rows):
        began = next((one.time for one in rows[place:] if one.kind == "registered"), None)
        if row.kind == "disconnected" and began is not None:
            words = f"{entries[place].words}; it had been up for {duration((row.time - began) / 1000)}"
            entries[place] = replace(entries[place], words=words)
    return entries


def _number(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0


def duration(seconds: float) -> str:
    """A rough length of time: `42 s`, `3 min`, `2 h`, `5 days`."""
    if seconds < 100:
        return f"{max(0, round(seconds))} s"
    for size, unit in ((60, "min"), (3600, "h")):
        if seconds < size * 100:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 86_400)} days"
