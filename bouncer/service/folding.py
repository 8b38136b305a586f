"""Owns how names are compared for a server that may not be connected: by what its network last said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bouncer.irc.isupport import Isupport
from bouncer.service.checks import CHANTYPES

if TYPE_CHECKING:
    from bouncer.irc.casemap import Casemap
    from bouncer.models.tenant import Server


def casemap_of(row: Server) -> Casemap:
    """The network's CASEMAPPING as last known, else what RFC 1459 says."""
    return _known(row).casemap


def chantypes_of(row: Server) -> str:
    """What channel names may begin with there, as last known; all that exist when nothing is known."""
    known = _known(row)
    return CHANTYPES if known.get("CHANTYPES") is None else known.chantypes


def _known(row: Server) -> Isupport:
    isupport = Isupport()
    try:
        known = json.loads(row.known_isupport or "{}")
    except ValueError:
        return isupport
    if isinstance(known, dict):
        isupport.load(known)
    return isupport
