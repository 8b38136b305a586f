"""Owns how clients, secrets' names, certificates, messages and the bouncer itself are shown; reads no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.clock import now_ms
from bouncer.service.show import duration, iso, printable, table, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.endpoints import Endpoint
    from bouncer.events import ClientInfo, LiveStatus
    from bouncer.history import StoredMessage
    from bouncer.models.main import AuditEntry, ClientCertificate, Session, Token
    from bouncer.models.tenant import Server
    from bouncer.network.settings import Highlights
    from bouncer.service.attention import Level
    from bouncer.service.backups import Backup
    from bouncer.service.clients import KnownClient
    from bouncer.service.histories import Notice
    from bouncer.service.house import ListenerCertificate
    from bouncer.service.servers import ServerView
    from bouncer.service.show import Json

MAX_AGENT = 60
"""Characters shown of what a browser says of itself."""


def clients(attached: Sequence[ClientInfo]) -> list[str]:
    """The table of `client list`."""
    rows = [
        [
            str(one.id),
            one.name or "-",
            one.server or "(none)",
            one.address or "local",
            "yes" if one.tls else "no",
            when(one.attached_since),
            one.credential or "-",
        ]
        for one in attached
    ]
    return table(["ID", "NAME", "SERVER", "ADDRESS", "TLS", "SINCE", "LOGIN"], rows)


def clients_json(attached: Sequence[ClientInfo]) -> list[Json]:
    """The same for scripts; `since` is ISO 8601 (UTC)."""
    return [
        {
            "id": one.id,
            "name": one.name,
            "server": one.server,
            "address": one.address,
            "tls": one.tls,
            "since": iso(one.attached_since),
            "login": one.credential,
            "caps": list(one.caps),
        }
        for one in attached
    ]


def known_clients(known: Sequence[KnownClient]) -> list[str]:
    """Client names that were here, or have settings."""
    rows = [[one.name or "-", when(one.last_seen_at), "on" if one.text_timestamps else "off"] for one in known]
    return table(["KNOWN", "LAST SEEN", "TIMESTAMPS"], rows)


def known_json(known: Sequence[KnownClient]) -> list[Json]:
    """The same for scripts."""
    return [
        {"name": one.name, "last_seen_at": iso(one.last_seen_at), "text_timestamps": one.text_timestamps}
        for one in known
    ]


def tokens(rows: Sequence[Token]) -> list[str]:
    """The table of `token list`."""
    shown = [
        [str(row.id), row.name or "(any)", when(row.created_at), when(row.last_used_at), row.last_address or "-"]
        for row in rows
    ]
    return table(["ID", "CLIENT", "MADE", "LAST USED", "FROM"], shown)


def token_json(row: Token) -> Json:
    """One app password for scripts, without itself."""
    return {
        "id": row.id,
        "name": row.name,
        "created_at": iso(row.created_at),
        "last_used_at": iso(row.last_used_at),
        "last_address": row.last_address or "",
    }


def browsers(rows: Sequence[Session]) -> list[str]:
    """The table of `browser list`."""
    shown = [
        [str(row.id), row.address or "local", when(row.created_at), when(row.last_used_at), row.agent[:MAX_AGENT]]
        for row in rows
    ]
    return table(["ID", "FROM", "SIGNED IN", "LAST USED", "BROWSER"], shown)


def rules(now: Highlights) -> list[str]:
    """What calls a person."""
    words = ", ".join(f"“{word}”" for word in now.words) or "no words"
    return [
        f"in channels {'your nick' if now.nick else 'not your nick'} calls you, and {words}; direct messages always do"
    ]


def levels(rows: Sequence[Level]) -> list[str]:
    """The channels that have a level of their own."""
    return [printable(f"{one.server}/{one.row.name}: {one.row.notify}") for one in rows]


def audit(rows: Sequence[AuditEntry]) -> list[str]:
    """Entries of the audit trail, the newest last."""
    return [
        printable(
            " ".join(part for part in (when(row.time), f"{row.actor}:", row.action, row.subject, row.detail) if part)
        )
        for row in reversed(rows)
    ]


def listeners(endpoints: Sequence[Endpoint], certificate: ListenerCertificate | None) -> list[str]:
    """Where clients come in, and what the encrypted ones show."""
    lines = [f"{one.uri}{'' if one.tls else ' (not encrypted)'}" for one in endpoints]
    if certificate is None:
        return [*lines, "no certificate is configured"]
    if certificate.error:
        return [*lines, f"certificate: {certificate.error}"]
    return [*lines, f"certificate for {certificate.names} by {certificate.issuer}, until {when(certificate.expires)}"]


def backups(rows: Sequence[Backup]) -> list[str]:
    """The table of `bouncer backups`."""
    return table(["NAME", "SIZE", "USERS"], [[row.name, size(row.size), str(row.files)] for row in rows])


def certificates(rows: Sequence[ClientCertificate]) -> list[str]:
    """The table of `certfp list`."""
    shown = [
        [
            str(row.id),
            row.name or "-",
            f"SHA-256 {row.fingerprint_sha256}" if row.fingerprint_sha256 else f"SHA-512 {row.fingerprint_sha512}",
            when(row.last_used_at),
        ]
        for row in rows
    ]
    return table(["ID", "NAME", "FINGERPRINT", "LAST USED"], shown)


def sasl(view: ServerView) -> str:
    """How one logs in to a network, and whether it worked."""
    row, state = view.row, view.state
    if row.auth_method == "none":
        return f"{row.name}: you do not log in"
    account = f" as {row.auth_account}" if row.auth_account else ""
    required = ", never connected without" if row.auth_required else ""
    how = state.identified or ("not connected" if state.state != "connected" else "not logged in")
    return printable(f"{row.name}: {row.auth_method}{account}{required}: {how}")


def away(row: Server) -> str:
    """What others see while no client is attached."""
    message = f"“{row.away_message}”" if row.away_message else "the usual message"
    return (
        f"{row.name}: away while no client is attached, with {message}" if row.auto_away else f"{row.name}: never away"
    )


def found(message: StoredMessage, server: str) -> str:
    """One message of a search."""
    nick = message.sender.partition("!")[0]
    said = f"* {nick} {message.content}" if message.message_type == "action" else f"<{nick}> {message.content}"
    where = f"{server}/{message.target}" if message.target else server
    return printable(f"{when(message.time)} {where} {said}".replace("\n", " / "))


def notice(one: Notice) -> str:
    """One notification with its number."""
    nick = one.message.sender.partition("!")[0]
    where = f"{one.server}/{one.message.target}" if one.message.target else one.server
    read = "" if one.row.read_at is None else " (read)"
    text = f"{one.row.id}: {when(one.row.created_at)} {where} <{nick}> {one.message.content}{read}"
    return printable(text.replace("\n", " / "))


def size(count: int) -> str:
    """Bytes for people."""
    for limit, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} bytes"


def status(now: LiveStatus) -> list[str]:
    """The lines of `bouncer status`."""
    up_s = max(1, (now_ms() - now.started_at) // 1000)
    rough = next((up_s - up_s % unit for unit in (86_400, 3600, 60) if up_s >= unit * 2), up_s)
    lost = f", {now.rows_lost} lost" if now.rows_lost else ""
    return [
        f"up for {duration(rough)}, since {when(now.started_at)}",
        f"users: {now.users}; clients attached: {now.clients}",
        f"networks: {now.servers_connected} connected of {now.servers_enabled} wanted",
        f"rows stored since the start: {now.rows_stored}{lost}",
        f"loop lag: {now.lag_ms} ms at worst in the last minute",
    ]
