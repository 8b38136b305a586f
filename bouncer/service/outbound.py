"""Owns which addresses users' servers may have ([outbound]): pure, asked for typed and for resolved addresses."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from bouncer.errors import InvalidError

if TYPE_CHECKING:
    from bouncer.config import Config


def refusal(config: Config, address: str, *, trusted: bool) -> str:
    """Why this IP address may not be connected to, "" when it may. `allow` goes before `deny`.

    `trusted`: the server was added by an admin or the command line, to whom `private = "auto"` allows all.
    """
    rules = config.outbound
    literal = ipaddress.ip_address(address)
    literal = getattr(literal, "ipv4_mapped", None) or literal
    if any(literal in network for network in rules.allow):
        return ""
    if any(literal in network for network in rules.deny):
        return "this bouncer may not connect there ([outbound] deny)"
    auto = rules.private == "auto" and (trusted or all(listener.loopback for listener in config.listen))
    if literal.is_global and not literal.is_multicast:
        return ""
    return "" if rules.private == "allow" or auto else "this bouncer may not connect to private addresses ([outbound])"


def check_address(config: Config, address: str, *, trusted: bool, field: str = "address") -> None:
    """Refuse a literal (or localhost) in a form; what a name stands for is asked again when it is resolved.

    Raises InvalidError for `field`.
    """
    if address == "localhost" or address.endswith(".localhost"):
        address = "127.0.0.1"
    try:
        words = refusal(config, address, trusted=trusted)
    except ValueError:
        return
    if words:
        raise InvalidError({field: words})
