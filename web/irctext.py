"""Owns how text from IRC becomes HTML: formatting codes become classes, addresses become links, all else is escaped.

Codes: https://modern.ircdocs.horse/formatting.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = re.compile(
    "(?P<colour>\x03(?:(?P<fg>[0-9]{1,2})(?:,(?P<bg>[0-9]{1,2}))?)?)"
    "|(?P<hex>\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?)"
    "|(?P<toggle>[\x02\x1d\x1f\x1e\x11\x16])|(?P<reset>\x0f)"
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""What must not reach a page: control characters and those that turn the direction of what follows."""

LINK = re.compile(r"\bhttps?://(?=[\w\[])[^\s<>\"\x00-\x20]{1,2000}", re.IGNORECASE)
TRAILING = ".,;:!?'\""
TOGGLES = {"\x02": "b", "\x1d": "i", "\x1f": "u", "\x1e": "s", "\x11": "m", "\x16": "r"}


@dataclass(frozen=True, slots=True)
class _Style:
    on: frozenset[str] = frozenset()
    colour: int | None = None

    @property
    def classes(self) -> str:
        names = [f"f-{letter}" for letter in sorted(self.on)]
        return " ".join(names + ([] if self.colour is None else [f"c{self.colour}"]))


def plain(text: str) -> str:
    """The text without formatting codes and without characters that do not print."""
    return CONTROL.sub("", CODE.sub("", text))


def html(text: str) -> Markup:
    """The text as markup of ours only: spans with classes, links, escaped words."""
    return Markup("").join(_span(piece, style) for piece, style in _pieces(text))


def _pieces(text: str) -> Iterator[tuple[str, _Style]]:
    style, end = _Style(), 0
    for code in CODE.finditer(text):
        if code.start() > end:
            yield text[end : code.start()], style
        style, end = _apply(style, code), code.end()
    if end < len(text):
        yield text[end:], style


def _apply(style: _Style, code: re.Match[str]) -> _Style:
    if code["reset"]:
        return _Style()
    if code["toggle"]:
        return replace(style, on=style.on ^ {TOGGLES[code["toggle"]]})
    if code["hex"]:
        return style  # any colour at all could not be kept readable in both themes
    if code["fg"] is None:
        return replace(style, colour=None)
    number = int(code["fg"])
    return replace(style, colour=number if number < 16 else None)


def _span(piece: str, style: _Style) -> Markup:
    words = _linked(CONTROL.sub("", piece))
    return Markup('<span class="{}">{}</span>').format(style.classes, words) if style.classes else words


def _linked(text: str) -> Markup:
    parts, end = [], 0
    for found in LINK.finditer(text):
        address = _trimmed(found[0])
        parts += [escape(text[end : found.start()]), _link(address)]
        end = found.start() + len(address)
    return Markup("").join([*parts, escape(text[end:])])


def _trimmed(address: str) -> str:
    """The address without the punctuation around it; a closing bracket stays if it was opened inside."""
    while address[-1] in TRAILING or (address[-1] == ")" and address.count(")") > address.count("(")):
        address = address[:-1]
    return address


def _link(address: str) -> Markup:
    return Markup('<a href="{0}" rel="noopener noreferrer nofollow" target="_blank">{0}</a>').format(address)
