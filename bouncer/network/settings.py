"""Owns the wish: one server row with its channels, frozen, as the live half reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from bouncer import journal_sql as sql
from bouncer.irc.message import as_text
from bouncer.journal import Change
from bouncer.models.tenant import Preference
from bouncer.network import known
from bouncer.upstream import ConnectParams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.config import Config
    from bouncer.models.tenant import Channel, Server

HIGHLIGHT_NICK, HIGHLIGHT_WORDS = "highlight_nick", "highlight_words"
"""Preferences: 1 or 0; a word or phrase a line."""
HIGHLIGHTS = (HIGHLIGHT_NICK, HIGHLIGHT_WORDS)


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """A channel's row as far as attached clients notice it.

    While `detached` it is joined but hidden. `relay_detached`, `reattach_on`, `detach_on` are message, highlight, none
    or default; `detach_after_s` is None for never.
    """

    name: str
    folded: str
    detached: bool
    relay_detached: str
    reattach_on: str
    detach_on: str
    detach_after_s: int | None
    notify: str = "mentions"
    """Which messages want the person's attention: all, mentions or none."""


class Highlights(NamedTuple):
    """What calls the person: the own nick, and words (as typed) that count like it."""

    nick: bool = True
    words: tuple[str, ...] = ()


BY_NICK = Highlights()


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a network needs of its row; `joins` are (channel, key or None) to be joined after each registration.

    `connect_commands` are lines of IRC, and `WAIT n` (seconds) between them. `fallbacks` are (host, port) to be tried
    in turn after the first address failed. `regain_command` has `{nick}` in it, "" for none. `encoding` is "" or one
    that Python knows. `rules` are those of channels that are joined or wanted, or detached, by name.
    """

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
    fallbacks: tuple[tuple[str, int], ...] = ()
    auto_away: bool = True
    away_message: str = ""
    regain_command: str = ""
    encoding: str = ""
    known_caps: str = "{}"
    known_server: str = ""
    rules: tuple[ChannelRules, ...] = ()
    highlights: Highlights = BY_NICK

    def needs_reconnect(self, other: ServerSettings) -> bool:
        """Whether going from these to `other` takes a new connection."""
        return self.trusted != other.trusted or _lasting(self.params) != _lasting(other.params)

    def isupport(self) -> dict[str, Any]:
        """ISUPPORT as last known, for `Isupport.load`."""
        return _object(self.known_isupport)

    def caps(self) -> dict[str, str]:
        """Capabilities as last granted by the network, with their values."""
        return {name: str(value) for name, value in _object(self.known_caps).items()}


def remembered(server_id: int, nick: str, isupport: object, caps: object, server_name: str) -> Change:
    """What clients that attach before the next connection is up are told of the network."""
    values = (as_text(nick), as_text(json.dumps(isupport)), as_text(json.dumps(caps)), server_name, server_id)
    return Change(sql.SERVER_KNOWN, values)


def _object(text: str) -> dict[str, Any]:
    try:
        known = json.loads(text)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _lasting(params: ConnectParams) -> ConnectParams:
    """Without what may change under a connection: the nick, and timeouts, which count for the next one."""
    return replace(params, nickname="", connect_s=0, register_s=0, ping_s=0)


async def load(config: Config) -> list[ServerSettings]:
    """All servers of the current tenant."""
    found = await known.rows()
    channels: dict[int, list[Channel]] = {}
    for channel in found.channels:
        channels.setdefault(channel.server_id, []).append(channel)
    called = _highlights(found.preferences)
    return [_settings(row, channels.get(row.id, []), called, config) for row in found.servers]


async def highlights(session: AsyncSession) -> Highlights:
    """What the user of this session wants to be called by."""
    rows = await session.execute(select(Preference.name, Preference.value).where(Preference.name.in_(HIGHLIGHTS)))
    stored = {name: value for name, value in rows}  # noqa: C416 - rows are not pairs to mypy
    return _highlights(stored)


def _highlights(stored: Mapping[str, str]) -> Highlights:
    return Highlights(stored.get(HIGHLIGHT_NICK, "1") == "1", tuple(stored.get(HIGHLIGHT_WORDS, "").splitlines()))


def _rules(row: Channel) -> ChannelRules:
    return ChannelRules(
        name=row.name,
        folded=row.folded,
        detached=row.detached,
        relay_detached=row.relay_detached,
        reattach_on=row.reattach_on,
        detach_on=row.detach_on,
        detach_after_s=row.detach_after_s,
        notify=row.notify,
    )


def _fallbacks(text: str) -> tuple[tuple[str, int], ...]:
    places = (line.split() for line in text.splitlines())
    return tuple((place[0], int(place[1])) for place in places if len(place) == 2 and place[1].isdecimal())


def params_of(row: Server, config: Config) -> ConnectParams:
    """How to connect to the first address of a row, which need not be stored."""
    return ConnectParams(
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


def _settings(row: Server, channels: list[Channel], called: Highlights, config: Config) -> ServerSettings:
    return ServerSettings(
        server_id=row.id,
        name=row.name,
        enabled=row.enabled,
        trusted=row.trusted,
        params=params_of(row, config),
        connect_commands=tuple(line for line in row.connect_commands.splitlines() if line.strip()),
        flood_burst=row.flood_burst,
        flood_interval_ms=row.flood_interval_ms,
        keep_nick=row.keep_nick,
        quit_message=row.quit_message,
        joins=tuple((channel.name, channel.key) for channel in channels if channel.auto_join),
        known_nick=row.known_nick,
        known_isupport=row.known_isupport,
        fallbacks=_fallbacks(row.fallbacks),
        auto_away=row.auto_away,
        away_message=row.away_message,
        regain_command=row.regain_command,
        encoding=row.encoding,
        known_caps=row.known_caps,
        known_server=row.known_server,
        rules=tuple(map(_rules, channels)),
        highlights=called,
    )
