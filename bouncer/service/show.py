"""Owns how records are shown to people and to scripts: tables, words for states, JSON; reads no database."""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.events import ServerState
    from bouncer.models.main import Invite, User
    from bouncer.models.tenant import Channel, Server
    from bouncer.service.channels import ChannelView
    from bouncer.service.lifecycle import LogEntry
    from bouncer.service.servers import ServerView
    from bouncer.service.trials import Report
    from bouncer.upstream import TlsFacts

Json = dict[str, object]


def iso(time_ms: int | None) -> str | None:
    """ISO 8601 in UTC with milliseconds, as in `2026-11-23T09:27:35.123Z`."""
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(time_ms: int | None) -> str:
    """A time for people, in UTC to the minute."""
    return "never" if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


_NOT_PRINTED = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters : they would turn round what follows."""


def printable(text: str) -> str:
    """`text` without controls and line ends: what came from IRC must not speak to a terminal, nor be two lines."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _NOT_PRINTED or char in _TURNS else char
        for char in text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the columns aligned, `head` first."""
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def state_words(state: ServerState) -> str:
    """How a server is doing, in words."""
    if state.state == "connected":
        return f"connected since {when(state.connected_since)}"
    if state.state == "disabled":
        return "disabled"
    attempt = f", attempt {state.attempt}" if state.attempt else ""
    following = "" if state.next_attempt_s is None else f", next in {math.ceil(state.next_attempt_s)} s"
    return f"{state.state}{attempt}{following}{': ' + state.error if state.error else ''}"


def server_json(user: User, view: ServerView) -> Json:
    """What `server list --json` says of a server.

    `nickname` is the one wanted; `error` is "" without one; `attempt` counts from 1 since the last health, 0 before;
    `next_attempt_s` is seconds from now or null; `connected_since` is ISO 8601 (UTC) or null; `channels` are the names
    of those joined or to be joined, sorted.
    """
    row, state = view.row, view.state
    return {
        "user": user.name,
        "name": row.name,
        "address": row.address,
        "port": row.port,
        "tls": row.tls,
        "nickname": row.nickname,
        "enabled": row.enabled,
        "state": state.state,
        "error": state.error,
        "attempt": state.attempt,
        "next_attempt_s": None if state.next_attempt_s is None else round(state.next_attempt_s, 3),
        "connected_since": iso(state.connected_since),
        "channels": list(view.channels),
    }


def place(row: Server) -> str:
    """Where a server is, as one would write it."""
    host = f"[{row.address}]" if ":" in row.address else row.address
    return f"{host}:{row.port}{'' if row.tls else ' (no TLS)'}"


def servers(views: Sequence[tuple[User, ServerView]], *, with_user: bool) -> list[str]:
    """The table of `server list`."""
    rows = [
        [
            *([user.name] if with_user else []),
            view.row.name,
            place(view.row),
            view.state.nickname or view.row.nickname,
            state_words(view.state),
            " ".join(view.channels),
        ]
        for user, view in views
    ]
    return table([*(["USER"] if with_user else []), "NAME", "ADDRESS", "NICK", "STATE", "CHANNELS"], rows)


def server_details(view: ServerView) -> list[str]:
    """One server in several lines."""
    row, state = view.row, view.state
    lines = [f"{row.name}: {state_words(state)}", f"  address: {place(row)}{', ' + state.tls if state.tls else ''}"]
    had = state.nickname or row.nickname
    lines.append(f"  nick: {had}{'' if had == row.nickname else f' (wanted: {row.nickname})'}")
    if row.auth_method != "none":
        identified = f", {state.identified}" if state.identified else ""
        lines.append(f"  account: {row.auth_account or '-'} by {row.auth_method}{identified}")
    if view.fingerprint:
        lines.append(f"  client certificate: SHA-256 {view.fingerprint}")
    if row.fallbacks:
        lines.append(f"  else at: {', '.join(row.fallbacks.splitlines())}")
    if row.auth_required:
        lines.append("  without the account: disconnected")
    if state.lag_ms is not None:
        lines.append(f"  lag: {state.lag_ms} ms")
    lines.append(f"  channels: {' '.join(view.channels) or 'none'}")
    return [printable(line) for line in lines]


def certificate(view: ServerView) -> list[str]:
    """How to make the network know the certificate that we show it."""
    return [
        f"client certificate, SHA-256: {view.fingerprint}",
        f"client certificate, SHA-512: {view.fingerprint_sha512}",
        f"tell the network: /msg NickServ CERT ADD {view.fingerprint}",
        "(some networks want the SHA-512 one; while connected with it, CERT ADD alone does)",
    ]


def steps(report: Report) -> list[str]:
    """What a test of a connection did, one after the other; what went wrong is marked."""
    marks = {"ok": "ok", "warn": "careful", "bad": "failed"}
    return [printable(f"{marks.get(step.tone, '-')}: {step.words}") for step in report.steps]


def shown_certificate(facts: TlsFacts) -> list[str]:
    """What a network's server shows us."""
    lines = [
        f"of: {facts.subject or 'nobody'}",
        f"made by: {facts.issuer or 'nobody'}",
        f"until: {when(facts.expires_ms)}",
        f"SHA-256: {facts.fingerprint}",
    ]
    return [printable(line) for line in lines]


def event(entry: LogEntry) -> str:
    """A line of the lifecycle log."""
    return printable(f"{when(entry.time)} {entry.words}")


def user_json(user: User) -> Json:
    """What `user list --json` says of a user; times are ISO 8601 (UTC), limits null for the default."""
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "admin": user.admin,
        "enabled": user.enabled,
        "max_servers": user.max_servers,
        "max_disk_mb": user.max_disk_mb,
        "created_at": iso(user.created_at),
        "last_seen_at": iso(user.last_seen_at),
    }


def limit(value: int | None) -> str:
    """A limit, or that the installation's default counts."""
    return "default" if value is None else str(value)


def users(rows: Sequence[User]) -> list[str]:
    """The table of `user list`."""
    head = ["NAME", "ADMIN", "ENABLED", "SERVERS", "DISK MB", "LAST SEEN"]
    return table(
        head,
        [
            [
                user.name,
                "yes" if user.admin else "no",
                "yes" if user.enabled else "no",
                limit(user.max_servers),
                limit(user.max_disk_mb),
                when(user.last_seen_at),
            ]
            for user in rows
        ],
    )


def invites(rows: Sequence[Invite]) -> list[str]:
    """The table of `user invites`."""
    return table(["ID", "FOR", "UNTIL"], [[str(row.id), row.note or "-", when(row.expires_at)] for row in rows])


def channel_json(view: ChannelView) -> Json:
    """What `channel list --json` says of a channel; `topic` and `error` are "" without one."""
    row = view.row
    return {
        "name": row.name,
        "joined": row.joined,
        "auto_join": row.auto_join,
        "people": view.people,
        "detached": row.detached,
        "topic": row.topic or "",
        "error": row.join_error or "",
    }


def duration(seconds: int) -> str:
    """A length of time as it may be typed: `90s`, `30m`, `2h`, `7d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def channel_rules(row: Channel) -> str:
    """How a channel is shown to clients, in words; only what is not as usual."""
    words = ["detached" if row.detached else "shown"]
    rules = ((name, getattr(row, name)) for name in ("relay_detached", "reattach_on", "detach_on"))
    words += [f"{name.replace('_', '-')} {value}" for name, value in rules if value != "default"]
    if row.detach_after_s is not None:
        words.append(f"detach after {duration(row.detach_after_s)}")
    if row.notify != "mentions":
        words.append(f"notify {row.notify}")
    if row.key is not None:
        words.append("with a key")
    return ", ".join(words if row.auto_join else [*words, "not joined on connecting"])


def channels(views: Sequence[ChannelView]) -> list[str]:
    """The table of `channel list`."""
    rows = []
    for view in views:
        row = view.row
        state = "joined" if row.joined else "wanted" if row.auto_join else "left"
        state += ", detached" if row.detached else ""
        state += f": {row.join_error}" if row.join_error and not row.joined else ""
        rows.append([row.name, state, str(view.people), row.topic or ""])
    return table(["CHANNEL", "STATE", "PEOPLE", "TOPIC"], rows)
