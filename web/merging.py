"""Owns forms that are open in two windows: what one showed when opened, against what is stored when it is sent."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SEEN = "seen"
"""The hidden field with the marks."""
MAX_SHOWN = 60


def marks(shown: Mapping[str, str | bool]) -> str:
    """A mark of each field as the form shows it, for its hidden field; a secret is never among them."""
    return " ".join(f"{name}:{_mark(value)}" for name, value in shown.items())


def merged(posted: Mapping[str, str], now: Mapping[str, str | bool]) -> tuple[dict[str, str], dict[str, str]]:
    """The form with what is stored `now` in the fields that its sender did not touch, and words for the others.

    Words stand beside what was changed here and, otherwise, elsewhere since the form was opened: the one to save first
    wins without a word about fields that only one of them changed, and nothing of either is lost unseen. A form
    without marks is taken as it is.
    """
    seen = dict(mark.partition(":")[::2] for mark in posted.get(SEEN, "").split())
    fields, clashes = dict(posted), dict[str, str]()
    for name, value in now.items():
        if name not in seen or seen[name] == _mark(value):
            continue
        mine: str | bool = bool(posted.get(name)) if isinstance(value, bool) else posted.get(name, "")
        if _mark(mine) == seen[name]:
            _put(fields, name, value)
        elif _mark(mine) != _mark(value):
            clashes[name] = f"was changed elsewhere meanwhile, {_told(value)}; save again to put yours in its place"
    return fields, clashes


def _put(fields: dict[str, str], name: str, value: str | bool) -> None:
    if value is False:
        fields.pop(name, None)
    else:
        fields[name] = "on" if value is True else str(value)


def _told(value: str | bool) -> str:
    if isinstance(value, bool):
        return "turned on" if value else "turned off"
    words = " ".join(value.split())
    return f"to “{words[:MAX_SHOWN]}{'…' if len(words) > MAX_SHOWN else ''}”" if words else "to nothing"


def _mark(value: str | bool) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    lines = "\n".join(line.strip() for line in value.strip().splitlines())
    return f"{zlib.crc32(lines.encode('utf-8', 'replace')):08x}"
