"""Owns the question whether a text calls somebody by nick; knows nothing of who is told."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bouncer.irc.casemap import Casemap

# Formatting: colours with their numbers, then the codes that stand alone. https://modern.ircdocs.horse/formatting
_FORMATTING = re.compile(
    r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9a-fA-F]{6}(?:,[0-9a-fA-F]{6})?)?|[\x02\x0f\x11\x16\x1d-\x1f]"
)
# Besides letters and digits of any language, what makes a longer nick of one: `me[m]` is another, `[me]` and `me`
# in quotes of any kind are not.
_BEFORE = frozenset("_-|^\\")
_BEHIND = _BEFORE | frozenset("[{")
_SAME_EVERYWHERE = re.compile(r"[A-Za-z0-9_-]+")


def strip_formatting(text: str) -> str:
    """The words without colours, bold and the like."""
    return _FORMATTING.sub("", text) if not text.isprintable() else text


@lru_cache(maxsize=4096)
def _part(nick: str) -> str:
    """The longest part of a nick that every casemapping folds as `str.lower` does; "" where there is none."""
    return max(_SAME_EVERYWHERE.findall(nick), key=len, default="").lower()


def mentions(text: str, nick: str, casemap: Casemap) -> bool:
    """Whether `nick` stands in `text` as a word: not inside another nick, in any case the network takes for the same.

    A nick in a URL does not count.
    """
    if not nick or (_part(nick) not in text.lower() and text.isprintable()):
        return False
    wanted = casemap.fold(nick)
    # Folding long and rare texts would push the names out of the casemap's memory.
    words = strip_formatting(text).translate(casemap.table)
    start = words.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if _free(words, start - 1, _BEFORE) and _free(words, end, _BEHIND) and not _in_url(words, start):
            return True
        start = words.find(wanted, start + 1)
    return False


def _free(text: str, index: int, marks: frozenset[str]) -> bool:
    """Whether the word ends at `index`: no letter, no digit, none of the marks."""
    if not 0 <= index < len(text):
        return True
    character = text[index]
    return not character.isalnum() and character not in marks


def _in_url(text: str, index: int) -> bool:
    return "://" in text[text.rfind(" ", 0, index) + 1 : index]
