"""Owns the attributes of a network in soju.im/bouncer-networks: what is told of a server row, and what may be set.

Standard ones have their names from the specification (soju's doc/ext/bouncer-networks.md); what a row has beyond them
begins with `bouncer/`. Attributes of ours that are as in a new row are left out. Secrets are taken, never told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bouncer.irc.message import as_text, escape_tag, unescape_tag, wire
from bouncer.service.fields import CLEAR, ServerFields, new_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bouncer.errors import InvalidError
    from bouncer.events import ServerState
    from bouncer.network.settings import ServerSettings

READ_ONLY = frozenset({"state", "error"})
SECRETS = {"pass": "password", "bouncer/auth-password": "auth_password"}
FIELDS = {
    "name": "name",
    "host": "address",
    "port": "port",
    "tls": "tls",
    "nickname": "nickname",
    "username": "username",
    "realname": "realname",
    "bouncer/enabled": "enabled",
    "bouncer/auth-method": "auth_method",
    "bouncer/auth-account": "auth_account",
    "bouncer/auth-required": "auth_required",
    "bouncer/tls-verify": "tls_verify",
    "bouncer/tls-fingerprint": "tls_fingerprint",
    "bouncer/alternatives": "alternatives",
    "bouncer/keep-nick": "keep_nick",
    "bouncer/auto-away": "auto_away",
    "bouncer/away-message": "away_message",
    "bouncer/encoding": "encoding",
    "bouncer/flood-burst": "flood_burst",
    "bouncer/flood-interval-ms": "flood_interval_ms",
    "bouncer/quit-message": "quit_message",
    "bouncer/regain-command": "regain_command",
    "bouncer/fallbacks": "fallbacks",
    "bouncer/channels": "channels",
    "bouncer/connect-commands": "connect_commands",
    **SECRETS,
}
"""The field of a server by the attribute's name, in the order in which attributes are told."""
ATTRIBUTES = {field: attribute for attribute, field in FIELDS.items()}
STANDARD = tuple(name for name in FIELDS if "/" not in name and name not in SECRETS)
MAX_LINE = 510
"""Bytes of a line without its CR LF; an attribute that fits no line is not told."""
MAX_ERROR = 200

_PARAMS = frozenset({
    "address", "port", "tls", "nickname", "username", "realname", "auth_method", "auth_account", "auth_required",
    "tls_verify", "tls_fingerprint",
})  # fmt: skip
_USUAL = ServerFields()


class AttributeRefused(Exception):  # noqa: N818 - an answer, not a fault
    """`args`: the FAIL's code, the attribute, words."""


def _value(settings: ServerSettings, field: str) -> object:
    special: dict[str, Callable[[], object]] = {
        "alternatives": lambda: " ".join(settings.params.alternatives),
        "fallbacks": lambda: "\n".join(f"{host} {port}" for host, port in settings.fallbacks),
        "channels": lambda: ",".join(name for name, _ in settings.joins),
        "connect_commands": lambda: "\n".join(settings.connect_commands),
    }
    if field in special:
        return special[field]()
    return getattr(settings.params if field in _PARAMS else settings, field)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def told(settings: ServerSettings, state: ServerState) -> dict[str, str]:
    """All there is to tell of a network now, by attribute."""
    attributes = {name: _text(_value(settings, FIELDS[name])) for name in STANDARD}
    attributes["state"] = state.state if state.state in {"connected", "connecting"} else "disconnected"
    attributes["error"] = as_text(state.error)[:MAX_ERROR] if state.state not in {"connected", "disabled"} else ""
    for name, field in FIELDS.items():
        if "/" in name and name not in SECRETS:
            value = _value(settings, field)
            usual = "" if field == "channels" else getattr(_USUAL, field)
            attributes[name] = "" if value == usual else _text(value)
    return {name: value for name, value in attributes.items() if value or name in STANDARD}


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """What leads from one to the other; "" for an attribute that is there no more."""
    gone = dict.fromkeys((name for name in old if name not in new), "")
    return gone | {name: value for name, value in new.items() if old.get(name) != value}


def network_lines(number: int, attributes: Mapping[str, str], source: str, tag: str = "") -> list[bytes]:
    """BOUNCER NETWORK with the attributes, on as many lines of at most 510 bytes as they take; `tag` is `key=value`."""
    head = f":{source} BOUNCER NETWORK {number} "
    room = MAX_LINE - len(head.encode())
    lines: list[list[str]] = [[]]
    left = room
    for name, value in attributes.items():
        word = f"{name}={escape_tag(value)}" if value else name
        size = len(word.encode("utf-8", "surrogateescape")) + 1
        if size > room:
            continue
        if size > left:
            lines.append([])
            left = room
        lines[-1].append(word)
        left -= size
    prefix = f"@{tag} ".encode() if tag else b""
    return [prefix + wire("BOUNCER", ["NETWORK", str(number), ";".join(line)], source) for line in lines if line]


def parse(text: str) -> dict[str, str]:
    """Attributes as a client writes them; the last of one name counts."""
    pairs = (item.partition("=") for item in text.split(";") if item)
    return {name: as_text(unescape_tag(value)) for name, _, value in pairs}


def fields(attributes: Mapping[str, str], user_name: str, *, host: str) -> dict[str, Any]:
    """What to give to the command layer; raises AttributeRefused for what is not to be set.

    An attribute without a value goes back to what it is in a new row. A name is made into one that a login can carry;
    `host` gives it where there is none.
    """
    raw: dict[str, Any] = {}
    usual = new_server(user_name)
    for attribute, value in attributes.items():
        if attribute in READ_ONLY:
            raise AttributeRefused("READ_ONLY_ATTRIBUTE", attribute, "Read-only attribute")
        field = FIELDS.get(attribute)
        if field is None:
            raise AttributeRefused("UNKNOWN_ATTRIBUTE", attribute, "Unknown attribute")
        if field == "name":
            raw[field] = name_of(value or host)
        elif value or field == "address":
            raw[field] = value
        elif attribute in SECRETS:
            raw[field] = CLEAR
        elif field != "port":
            raw[field] = "" if field == "channels" else getattr(usual, field)
    return raw


def name_of(text: str) -> str:
    """A server's name from any words: what cannot stand in one becomes `-`; what has none of it stays to be refused."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:32].rstrip("-._") or text


def refusal(error: InvalidError) -> AttributeRefused:
    """The first complaint of the command layer as one about an attribute."""
    field, words = next(iter(error.fields.items()))
    return AttributeRefused("INVALID_ATTRIBUTE", ATTRIBUTES.get(field, field), f"Invalid attribute value: {words}")
