"""Owns the batch around ISUPPORT lines for clients that asked for it; what the lines say is decided elsewhere.

https://ircv3.net/specs/extensions/extended-isupport
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bouncer.irc.message import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

NEEDED = frozenset({"batch", "draft/extended-isupport"})

UNBOUND_LINE = 4096
"""Bytes of a line, with CR LF and without tags, where there is no network: BOUNCER ADDNETWORK has much to say."""
UNBOUND = (
    *("NETWORK=Bouncer", "CHANTYPES=#&", "CASEMAPPING=ascii", "CHATHISTORY=1000", "BOUNCER_NETID"),
    f"LINELEN={UNBOUND_LINE}",
)
"""What is supported where there is no network."""

_references = itertools.count(1)


def in_batches(lines: Iterable[bytes], server: str, caps: frozenset[str]) -> list[bytes]:
    """The same lines (with CR LF, without tags), each run of 005 among them as one batch if `caps` want it."""
    if not caps >= NEEDED:
        return list(lines)
    found: list[bytes] = []
    for supported, group in itertools.groupby(lines, _is_isupport):
        if not supported:
            found += group
            continue
        reference = f"bi{next(_references)}"
        found.append(wire("BATCH", [f"+{reference}", "draft/isupport"], server))
        found += [b"@batch=%b %b" % (reference.encode(), line) for line in group]
        found.append(wire("BATCH", [f"-{reference}"], server))
    return found


def _is_isupport(line: bytes) -> bool:
    return line.split(b" ", 2)[1:2] == [b"005"]
