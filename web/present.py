"""Owns how things look in words: server states, durations, nick colours; pure, for the templates."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from bouncer.clock import now_ms
from bouncer.service.lifecycle import duration, log_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bouncer.events import ServerState
    from bouncer.models.tenant import ServerEvent
    from bouncer.service.lifecycle import LogEntry
    from bouncer.service.servers import ServerView

NICK_COLOURS = 12


class Shown(NamedTuple):
    """A state as word, icon and style; never by colour alone."""

    kind: str
    word: str
    icon: str


STATES: Mapping[str, Shown] = {
    "connected": Shown("connected", "Connected", "check"),
    "connecting": Shown("connecting", "Connecting", "turn"),
    "disconnected": Shown("disconnected", "Not connected", "wait"),
    "failed": Shown("failed", "Failed", "alert"),
    "disabled": Shown("disabled", "Off", "off"),
}

CHECKED: Mapping[str, str] = {
    "authority": "by an authority this machine trusts",
    "fingerprint": "by the fingerprint pinned here",
    "not": "not checked",
}
EXPIRES_SOON_MS = 14 * 86_400_000


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a network showed us; `soon` for one that is about to expire, or has."""

    issuer: str
    expires: int
    soon: bool
    fingerprint: str
    checked: str


@dataclass(frozen=True, slots=True)
class ServerCard:
    """One server as the list and its page show it; times in ms UTC."""

    id: int
    name: str
    address: str
    tls: bool
    shown: Shown
    wanted: bool
    nick: str
    nick_wanted: str
    error: str
    waits: str
    next_at: int | None
    next_words: str
    connected_since: int | None
    lag: str
    clients: int
    channels: int
    tls_words: str
    identified: str
    unidentified: bool
    today: int | None
    certificate: Certificate | None
    trouble: LogEntry | None


def server_card(view: ServerView, today: int | None = None, trouble: ServerEvent | None = None) -> ServerCard:
    """What there is to show of a server right now; `trouble` is when and why it was last not connected."""
    row, state = view.row, view.state
    host = f"[{row.address}]" if ":" in row.address else row.address
    waiting = state.state in ("disconnected", "failed", "connecting") and state.next_attempt_s is not None
    next_s = max(0.0, state.next_attempt_s or 0.0)
    return ServerCard(
        id=row.id,
        name=row.name,
        address=f"{host}:{row.port}",
        tls=row.tls,
        shown=STATES[state.state],
        wanted=row.enabled,
        nick=(state.nickname or row.nickname) if state.state == "connected" else row.nickname,
        nick_wanted=row.nickname,
        error="" if state.state == "connected" else state.error,
        waits=_waits(state.attempt, waiting) if state.state not in ("connected", "disabled") else "",
        next_at=now_ms() + round(next_s * 1000) if waiting else None,
        next_words=duration(next_s) if waiting else "",
        connected_since=state.connected_since if state.state == "connected" else None,
        lag="" if state.lag_ms is None or state.state != "connected" else milliseconds(state.lag_ms),
        clients=state.clients,
        channels=len(view.channels),
        tls_words=_encryption(view),
        identified=state.identified if state.state == "connected" else "",
        unidentified=state.state == "connected" and row.auth_method != "none" and not state.identified,
        today=today,
        certificate=_certificate(state),
        trouble=log_entry(trouble) if trouble is not None else None,
    )


def _certificate(state: ServerState) -> Certificate | None:
    if not state.tls_fingerprint or state.tls_expires is None:
        return None
    soon = state.tls_expires - now_ms() < EXPIRES_SOON_MS
    checked = CHECKED.get(state.tls_checked, state.tls_checked)
    return Certificate(common_name(state.tls_issuer), state.tls_expires, soon, state.tls_fingerprint, checked)


def common_name(name: str) -> str:
    """The part of a certificate's name (RFC 4514) that people know it by; all of it when there is none."""
    parts = dict(part.partition("=")[::2] for part in re.split(r"(?<!\\),", name))
    found = [parts[key] for key in ("O", "CN") if parts.get(key)]
    return ", ".join(dict.fromkeys(found)) or name or "nobody"


def _waits(attempt: int, waiting: bool) -> str:
    if waiting:
        return f"attempt {attempt} failed, next in" if attempt else "next attempt in"
    return f"attempt {attempt}" if attempt > 1 else ""


def _encryption(view: ServerView) -> str:
    row = view.row
    if not row.tls:
        return "none"
    if view.state.state == "connected" and view.state.tls:
        return view.state.tls.partition(",")[0]
    if row.tls_fingerprint:
        return "TLS, checked by fingerprint"
    return "TLS, checked by authority" if row.tls_verify else "TLS, not checked"


def milliseconds(value: int) -> str:
    """A delay: `42 ms` or `1.5 s`."""
    return f"{value} ms" if value < 1000 else f"{value / 1000:.1f} s"


def size(number: int) -> str:
    """Bytes in words, by thousands."""
    if number < 1_000_000:
        return f"{max(1, round(number / 1000))} kB"
    return f"{number / 1e6:,.1f} MB" if number < 1_000_000_000 else f"{number / 1e9:,.2f} GB"


def iso(ms: int) -> str:
    """For `<time datetime>`."""
    return _moment(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def utc(ms: int) -> str:
    """A moment for a reader without script."""
    return _moment(ms).strftime("%-d %b %Y, %H:%M UTC")


def clock(ms: int) -> str:
    """The time of day, UTC."""
    return _moment(ms).strftime("%H:%M")


def date(ms: int) -> str:
    """The day, UTC, for a reader without script."""
    return _moment(ms).strftime("%-d %b %Y")


def day(ms: int) -> str:
    """The day, UTC, as a separator in a conversation."""
    return _moment(ms).strftime("%A, %-d %B %Y")


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def sentence(words: str) -> str:
    """With a capital and a full stop: the command layer's words for fields begin small."""
    words = words[:1].upper() + words[1:]
    return words if words.endswith((".", "!", "?", ")")) else f"{words}."


def nick_class(nick: str) -> str:
    """The style of a nick's colour: the same nick always has the same."""
    return f"n{zlib.crc32(nick.lower().encode('utf-8', 'replace')) % NICK_COLOURS}"
