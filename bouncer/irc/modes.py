"""Owns the reading of mode strings: which letter takes which parameter; keeps no state itself.

https://modern.ircdocs.horse/#mode-message
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.irc.isupport import Isupport


class ModeChange(NamedTuple):
    """One letter set (`add`) or taken away, with its parameter if it has one."""

    add: bool
    letter: str
    arg: str | None


def parse(modes: str, args: Sequence[str], isupport: Isupport) -> list[ModeChange]:
    """The changes in a channel's mode string such as ("+ov-l", ["a", "b"]).

    A letter whose parameter is missing gets None (for a list mode that is a question, not a change); unknown letters
    take none; parameters left over are passed over.
    """
    lists, always, setting, _ = isupport.chanmodes
    with_arg = isupport.prefix[0] + lists + always
    rest = iter(args)
    changes: list[ModeChange] = []
    add = True
    for letter in modes:
        if letter in "+-":
            add = letter == "+"
        elif letter in with_arg or (add and letter in setting):
            changes.append(ModeChange(add, letter, next(rest, None)))
        else:
            changes.append(ModeChange(add, letter, None))
    return changes


def parse_user(modes: str) -> list[ModeChange]:
    """The changes in a user's mode string; none of its letters takes a parameter (snomask words stand apart)."""
    changes: list[ModeChange] = []
    add = True
    for letter in modes:
        if letter in "+-":
            add = letter == "+"
        elif letter.isalnum():
            changes.append(ModeChange(add, letter, None))
    return changes


def with_letter(letters: str, change: ModeChange, isupport: Isupport) -> str:
    """A member's mode letters (highest first) after a change of one of them."""
    held = set(letters)
    if change.add:
        held.add(change.letter)
    else:
        held.discard(change.letter)
    return "".join(letter for letter in isupport.prefix[0] if letter in held)


def symbols(letters: str, isupport: Isupport) -> str:
    """The prefix symbols for a member's mode letters: "ov" is "@+"."""
    known, shown = isupport.prefix
    return "".join(shown[known.index(letter)] for letter in letters if letter in known)


def letters(shown: str, isupport: Isupport) -> str:
    """The mode letters for prefix symbols, highest first: "+@" is "ov"."""
    known, marks = isupport.prefix
    return "".join(letter for letter, mark in zip(known, marks, strict=True) if mark in shown)
