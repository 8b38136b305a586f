"""Owns the wish: one server row with its channels, frozen, as the live half reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from bouncer import tenant
from bouncer.models.tenant import Channel, Server
from bouncer.upstream import ConnectParams

if TYPE_CHECKING:
    from bouncer.config import Config


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a network needs of its row; `joins` are (channel, key or None) to be joined after each registration."""

    server_id: int
    name: str
    enabled: bool
    trusted: bool
    params: ConnectParams
    connect_commands: tuple[str, ...]
    flood_burst: int | None
    flood_interval_ms: int | None
    keep_nick: bool
    quit_message: str
    joins: tuple[tuple[str, str | None], ...]
    known_nick: str
    known_isupport: str

    def needs_reconnect(self, other: ServerSettings) -> bool:
        """Whether going from these to `other` takes a new connection."""
        return self.trusted != other.trusted or _lasting(self.params) != _lasting(other.params)

    def isupport(self) -> dict[str, Any]:
        """ISUPPORT as last known, for `Isupport.load`."""
        try:
            known = json.loads(self.known_isupport)
        except ValueError:
            return {}
        return known if isinstance(known, dict) else {}


def _lasting(params: ConnectParams) -> ConnectParams:
    """Without what may change under a connection: the nick, and timeouts, which count for the next one."""
    return replace(params, nickname="", connect_s=0, register_s=0, ping_s=0)


async def load(config: Config) -> list[ServerSettings]:
    """All servers of the current tenant."""
    async with tenant.session() as session:
        servers = (await session.scalars(select(Server).order_by(Server.id))).all()
        channels = (await session.scalars(select(Channel).where(Channel.auto_join))).all()
        joins: dict[int, list[tuple[str, str | None]]] = {}
        for channel in channels:
            joins.setdefault(channel.server_id, []).append((channel.name, channel.key))
        return [_settings(row, joins.get(row.id, []), config) for row in servers]


def _settings(row: Server, joins: list[tuple[str, str | None]], config: Config) -> ServerSettings:
    params = ConnectParams(
        address=row.address,
        port=row.port,
        nickname=row.nickname,
        tls=row.tls,
        tls_verify=row.tls_verify,
        tls_fingerprint=row.tls_fingerprint,
        alternatives=tuple(row.alternatives.split()),
        username=row.username,
        realname=row.realname,
        password=row.password,
        auth_method=row.auth_method,  # type: ignore[arg-type]  # the column has a CHECK of these very words
        auth_account=row.auth_account,
        auth_password=row.auth_password,
        client_certificate=row.client_certificate,
        auth_required=row.auth_required,
        connect_s=config.timeouts.connect_s,
        register_s=config.timeouts.register_s,
        ping_s=config.timeouts.ping_s,
    )
    return ServerSettings(
        server_id=row.id,
        name=row.name,
        enabled=row.enabled,
        trusted=row.trusted,
        params=params,
        connect_commands=tuple(line for line in row.connect_commands.splitlines() if line.strip()),
        flood_burst=row.flood_burst,
        flood_interval_ms=row.flood_interval_ms,
        keep_nick=row.keep_nick,
        quit_message=row.quit_message,
        joins=tuple(joins),
        known_nick=row.known_nick,
        known_isupport=row.known_isupport,
    )
