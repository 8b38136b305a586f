"""Owns where a request comes from: the address of the connection, or the one that a trusted proxy says it is for."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from bouncer.gate import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bouncer.config import Network

_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.%\w]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
MOST_HOPS = 20
"""Of one request; nobody has more proxies one behind the other."""


def is_proxy(address: str, proxies: tuple[Network, ...]) -> bool:
    """Whether what comes from there says for whom it comes: a trusted proxy, or one on a unix socket ("")."""
    if not address:
        return True
    try:
        ip = ipaddress.ip_address(plain(address))
    except ValueError:
        return False
    return any(ip in network for network in proxies)


def visitor(peer: str, forwarded: Iterable[str], proxies: tuple[Network, ...]) -> str:
    """The IP address a request comes from, "" where that is not known.

    `forwarded` are the values of X-Forwarded-For. Each proxy puts who spoke to it at the end, so it is read from there:
    the first address that is no trusted proxy's is the visitor's, and what stands before that anybody may have made up.
    Where a proxy says no address, it is the proxy that we know.
    """
    address = plain(peer)
    hops = ",".join(forwarded).split(",")[-MOST_HOPS:]
    while hops and is_proxy(address, proxies):
        if not (hop := _address(hops.pop())):
            break
        address = hop
    return address


def _address(hop: str) -> str:
    """The address that stands in one entry, with or without brackets and port; "" for anything else."""
    hop = hop.strip()
    if found := _WITH_PORT.fullmatch(hop):
        hop = found[1] or found[2]
    try:
        ipaddress.ip_address(hop.partition("%")[0])
    except ValueError:
        return ""
    return plain(hop)
