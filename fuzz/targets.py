"""The table of targets: a name, the function that takes any bytes, and a share of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fuzz import protocol, session, surroundings

if TYPE_CHECKING:
    from collections.abc import Callable


class Target(NamedTuple):
    """`run` raises for a fault; `share` says how much of the time it gets beside the others."""

    run: Callable[[bytes], None]
    share: int = 1


TARGETS = {
    "line": Target(protocol.line, 2),
    "tags": Target(protocol.tags),
    "isupport": Target(protocol.isupport),
    "mode": Target(protocol.mode),
    "cap": Target(protocol.cap),
    "authentication": Target(protocol.authentication),
    "registration": Target(protocol.registration, 2),
    "proxied": Target(protocol.proxied),
    "split": Target(protocol.split),
    "state": Target(protocol.state, 2),
    "session": Target(session.session, 5),
    "text": Target(surroundings.text, 2),
    "form": Target(surroundings.form),
    "configuration": Target(surroundings.configuration, 2),
    "address": Target(surroundings.address),
    "command": Target(surroundings.command),
}
