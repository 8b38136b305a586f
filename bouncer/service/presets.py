"""Owns the networks that the form for a new server can be filled with: addresses as the networks publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ENCRYPTED = {
    "libera": "irc.libera.chat",
    "oftc": "irc.oftc.net",
    "hackint": "irc.hackint.org",
    "efnet": "irc.efnet.org",
    "dalnet": "irc.dal.net",
    "rizon": "irc.rizon.net",
    "espernet": "irc.esper.net",
    "snoonet": "irc.snoonet.org",
    "tilde.chat": "irc.tilde.chat",
}
PLAIN = {"quakenet": "irc.quakenet.org", "undernet": "irc.undernet.org"}
"""They have no TLS at the address that everybody uses."""


def _preset(name: str, address: str, *, tls: bool) -> dict[str, str | bool]:
    return {"name": name, "address": address, "port": "6697" if tls else "6667", "tls": tls, "tls_verify": True}


PRESETS: Mapping[str, Mapping[str, str | bool]] = {
    **{name: _preset(name, address, tls=True) for name, address in ENCRYPTED.items()},
    **{name: _preset(name, address, tls=False) for name, address in PLAIN.items()},
}
