"""Owns how the people of a channel are shown: by rank, with the network's own prefixes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bouncer.models.tenant import Server
    from bouncer.service.channels import ChannelView

RANKS = {"q": "Owners", "a": "Admins", "o": "Operators", "h": "Half-operators", "v": "Voiced"}


class Person(NamedTuple):
    """A nick and the prefix of its highest mode, "" for none."""

    nick: str
    prefix: str


class Group(NamedTuple):
    """The people of one rank, by nick."""

    title: str
    people: list[Person]


def groups(view: ChannelView) -> list[Group]:
    """The roster, the highest rank first."""
    modes, symbols = prefixes(view.server)
    found: dict[str, list[Person]] = {letter: [] for letter in (*modes, "")}
    for row in view.roster:
        letter = next((letter for letter in row.modes if letter in found), "")
        found[letter].append(Person(row.nickname, symbols[modes.index(letter)] if letter else ""))
    return [Group(RANKS.get(letter, "Everyone else"), people) for letter, people in found.items() if people]


def prefixes(row: Server) -> tuple[str, str]:
    """The network's PREFIX as last known: mode letters and their symbols, the highest first."""
    try:
        known = json.loads(row.known_isupport or "{}")
    except ValueError:
        known = {}
    value = str(known.get("PREFIX", "")) if isinstance(known, dict) else ""
    match = re.fullmatch(r"\(([A-Za-z]*)\)(\S*)", value)
    return (match[1], match[2]) if match and len(match[1]) == len(match[2]) else ("qaohv", "~&@%+")
