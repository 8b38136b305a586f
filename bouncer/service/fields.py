"""Owns what a person may put into a row, as frozen records; touches no database.

Typed and posted values come in; out comes a record, or InvalidError with a sentence per field. The command line,
BouncerServ and the panel all come through here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, Final

from bouncer.errors import InvalidError, RefusedError
from bouncer.models.choices import AUTH_METHODS
from bouncer.service import checks


class Secret(Enum):
    """What to do with a stored secret when no new value is given."""

    KEEP = "keep"
    CLEAR = "clear"


KEEP: Final = Secret.KEEP
CLEAR: Final = Secret.CLEAR

WITH_PASSWORD = frozenset({"nickserv", "sasl-plain", "sasl-scram"})
TLS_PORT = 6697
PLAIN_PORT = 6667


@dataclass(frozen=True, slots=True)
class Join:
    """A channel to be in; `key` None leaves a key that is stored already as it is."""

    name: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFields:
    """All that a person decides about one server, checked. Secrets: a new value, KEEP or CLEAR.

    `tls_fingerprint` is 64 small hex digits; `alternatives` blank separated nicks; `connect_commands` IRC lines, one
    each, or `WAIT n` (seconds); `channels` those joined on connecting; `flood_burst` in lines and `flood_interval_ms`
    None for the default. `fallbacks` are more addresses, `host port` a line; `regain_command` is a line to services
    with `{nick}` in it; `encoding` is what bytes that are no UTF-8 are read as, "" for cp1252.
    """

    name: str = ""
    address: str = ""
    port: int = TLS_PORT
    fallbacks: str = ""
    tls: bool = True
    tls_verify: bool = True
    tls_fingerprint: str | None = None
    nickname: str = ""
    alternatives: str = ""
    username: str = ""
    realname: str = ""
    password: str | Secret = CLEAR
    auth_method: str = "none"
    auth_account: str | None = None
    auth_password: str | Secret = CLEAR
    auth_required: bool = False
    connect_commands: str = ""
    channels: tuple[Join, ...] = ()
    flood_burst: int | None = None
    flood_interval_ms: int | None = None
    keep_nick: bool = True
    regain_command: str = ""
    auto_away: bool = True
    away_message: str = ""
    encoding: str = ""
    quit_message: str = ""
    enabled: bool = True


def _optional(check: Callable[[str], Any]) -> Callable[[object], Any]:
    def run(value: object) -> Any:
        text = "" if value is None else str(value).strip(" \t")
        return check(text) if text else None

    return run


def _text(check: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: check(str(value).strip(" \t"))  # a line break is an error, not a blank


def _short(limit: int) -> Callable[[object], str]:
    return _text(lambda value: checks.one_line(value, limit))


def _whole(low: int, high: int) -> Callable[[str], int]:
    return lambda value: checks.number(value, low, high)


def _method(value: object) -> str:
    if value not in AUTH_METHODS:
        raise ValueError(f"one of {', '.join(AUTH_METHODS)}")
    return str(value)


def _secret(value: object) -> str | Secret:
    if isinstance(value, Secret):
        return value
    return checks.password(str(value))


def joins(value: object) -> tuple[Join, ...]:
    """Channels from `#a,#b key` or one a line; raises ValueError. A list of Join is checked in the same way."""
    items: list[tuple[str, str]] = []
    if isinstance(value, str):
        for part in re.split(r"[,\n]", value.replace("\r\n", "\n")):
            name, _, key = part.strip(" \t").partition(" ")
            if name or key:
                items.append((name, key.strip()))
    elif isinstance(value, Sequence):
        items = [(item.name, item.key or "") for item in value if isinstance(item, Join)]
    if len(items) > checks.MAX_CHANNELS:
        raise ValueError(f"at most {checks.MAX_CHANNELS} channels")
    found = (Join(checks.channel(name), checks.channel_key(key) if key else None) for name, key in items)
    return tuple({join.name.lower(): join for join in found}.values())


_SERVER: dict[str, Callable[[object], Any]] = {
    "name": _text(checks.server_name),
    "address": _text(checks.address),
    "port": lambda value: checks.number(value, 1, 65_535),
    "fallbacks": lambda value: checks.fallbacks(str(value)),
    "tls": checks.flag,
    "tls_verify": checks.flag,
    "tls_fingerprint": _optional(checks.fingerprint),
    "nickname": _text(checks.nickname),
    "alternatives": _text(checks.alternatives),
    "username": _text(checks.username),
    "realname": _short(checks.MAX_REALNAME),
    "password": _secret,
    "auth_method": _method,
    "auth_account": _optional(checks.account),
    "auth_password": _secret,
    "auth_required": checks.flag,
    "connect_commands": lambda value: checks.connect_commands(str(value)),
    "channels": joins,
    "flood_burst": _optional(_whole(0, 1000)),
    "flood_interval_ms": _optional(_whole(0, 60_000)),
    "keep_nick": checks.flag,
    "regain_command": _text(checks.regain_command),
    "auto_away": checks.flag,
    "away_message": _short(checks.MAX_AWAY),
    "encoding": _text(checks.encoding),
    "quit_message": _short(checks.MAX_QUIT_MESSAGE),
    "enabled": checks.flag,
}


def new_server(user_name: str) -> ServerFields:
    """What a server of this user is when nothing is said: the base for `server_fields`."""
    nick = user_name if user_name[:1].isalpha() else f"u{user_name}"
    return ServerFields(nickname=nick, username=nick[:10], realname=user_name)


def server_fields(raw: Mapping[str, object], base: ServerFields) -> ServerFields:
    """`base` with the values of `raw` (strings as typed, or proper types) in it; only those in `raw` are looked at.

    An empty secret leaves it as it is in `base`. A new port follows TLS when only `tls` is given for a new server.
    Raises InvalidError naming every field that is wrong, ValueError for none.
    """
    values, wrong = _checked(raw)
    if not base.name and "port" not in raw:
        values["port"] = TLS_PORT if values.get("tls", base.tls) else PLAIN_PORT
    for name in ("name", "address"):
        if not getattr(base, name) and name not in values:
            wrong.setdefault(name, "is needed")
    merged = replace(base, **values)
    wrong |= {name: words for name, words in _together(merged).items() if name not in wrong}
    if wrong:
        raise InvalidError(wrong)
    if merged.auth_method not in WITH_PASSWORD:
        account = merged.auth_account if merged.auth_method != "none" else None
        merged = replace(merged, auth_password=CLEAR, auth_account=account)
    return merged


def _checked(raw: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, str]]:
    known = {field.name for field in fields(ServerFields)}
    values: dict[str, Any] = {}
    wrong = {name: "there is no such field" for name in raw if name not in known}
    for name, check in _SERVER.items():
        if name not in raw or (name in {"password", "auth_password"} and raw[name] == ""):
            continue
        try:
            values[name] = check(raw[name])
        except ValueError as error:
            wrong[name] = str(error)
    return values, wrong


def _together(merged: ServerFields) -> dict[str, str]:
    """What is wrong between fields."""
    wrong = {}
    if merged.auth_method in WITH_PASSWORD:
        if merged.auth_account is None:
            wrong["auth_account"] = f"is needed for {merged.auth_method}"
        if merged.auth_password is CLEAR:
            wrong["auth_password"] = f"is needed for {merged.auth_method}"
    if merged.auth_method == "sasl-external" and not merged.tls:
        wrong["auth_method"] = "sasl-external needs TLS: the certificate is shown in it"
    return wrong


@dataclass(frozen=True, slots=True)
class UserFields:
    """A user's own fields, checked; `email` None for none."""

    name: str
    email: str | None = None


def user_fields(name: object, email: object = None) -> UserFields:
    """Check a new user's fields; raises InvalidError."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    pairs: tuple[tuple[str, Callable[[object], Any], object], ...] = (
        ("name", _text(checks.user_name), name),
        ("email", _optional(checks.email), email),
    )
    for field, check, value in pairs:
        try:
            values[field] = check(value)
        except ValueError as error:
            wrong[field] = str(error)
    if wrong:
        raise InvalidError(wrong)
    return UserFields(**values)


def one(field: str, check: Callable[[str], str], value: str) -> str:
    """`check(value)`, its complaint as an InvalidError about `field`."""
    try:
        return check(value)
    except ValueError as error:
        raise InvalidError({field: str(error)}) from error


def refuse(condition: object, words: str) -> None:
    """Raise RefusedError(words) when `condition` holds."""
    if condition:
        raise RefusedError(words)
