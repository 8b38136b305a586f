"""Owns which addresses users' servers may have ([outbound]): pure, asked for typed and for resolved addresses."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from bouncer.errors import InvalidError

if TYPE_CHECKING:
    from bouncer.config import Config


NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""https://www.rfc-editor.org/rfc/rfc6052 : the last 32 bits are the IPv4 address it leads to."""
NOT_GLOBAL = (
    ipaddress.IPv6Network("fec0::/10"),  # site-local, which `is_global` takes for global
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 of one's own network, RFC 8215
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible
    ipaddress.IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated
    ipaddress.IPv6Network("5f00::/16"),
    ipaddress.IPv6Network("3fff::/20"),
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _leads_to(address: Address) -> Address:
    """The IPv4 address in an IPv6 one that a gateway, or the system, turns into it; else the address itself."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if any(address in network for network in NOT_GLOBAL if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def _at_home(config: Config) -> bool:
    """Whether only people of this machine can come in: through no listener, and not by the panel's public address."""
    panel = config.web.listen is None or (config.web.listen.loopback and not config.web.public_url)
    return panel and all(listener.loopback for listener in config.listen)


def refusal(config: Config, address: str, *, trusted: bool) -> str:
    """Why this IP address may not be connected to, "" when it may. `allow` goes before `deny`.

    `trusted`: the server was added by an admin or the command line, to whom `private = "auto"` allows all.
    """
    rules = config.outbound
    literal = ipaddress.ip_address(address)
    leads_to = _leads_to(literal)
    if any(one in network for network in rules.allow for one in (literal, leads_to)):
        return ""
    if any(one in network for network in rules.deny for one in (literal, leads_to)):
        return "this bouncer may not connect there ([outbound] deny)"
    auto = rules.private == "auto" and (trusted or _at_home(config))
    if _is_public(leads_to):
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
