"""Owns when two names are the same on a network (CASEMAPPING), and the dictionary keyed by such names.

https://modern.ircdocs.horse/#casemapping-parameter
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")

_LETTERS = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_STRICT = _LETTERS | {ord("["): ord("{"), ord("]"): ord("}"), ord("\\"): ord("|")}
_RFC1459 = _STRICT | {ord("^"): ord("~")}
# Names in use at once on a busy bouncer; a miss costs four times a hit.
_REMEMBERED = 8192
_LONGEST = 64
"""Characters of a name that is remembered: a hostile network could fill half a gigabyte with longer ones."""


class Casemap:
    """One way to fold names: `name` as in CASEMAPPING, `fold(str) -> str` gives equal strings for equal names.

    `fold` remembers; for text that is no name `text.translate(table)` does the same and does not.
    """

    __slots__ = ("fold", "name", "table")

    fold: Callable[[str], str]

    def __init__(self, name: str, table: dict[int, int]) -> None:
        self.name = name
        self.table = table

        @lru_cache(_REMEMBERED)
        def remembered(text: str) -> str:
            return sys.intern(text.translate(table))  # one name of many rosters is one string

        def fold(text: str) -> str:
            return remembered(text) if len(text) <= _LONGEST else text.translate(table)

        self.fold = fold

    def same(self, one: str, other: str) -> bool:
        """Whether both spell the same name."""
        return one == other or self.fold(one) == self.fold(other)

    def __repr__(self) -> str:
        return f"Casemap({self.name!r})"


ASCII = Casemap("ascii", _LETTERS)
RFC1459 = Casemap("rfc1459", _RFC1459)
RFC1459_STRICT = Casemap("rfc1459-strict", _STRICT)

_BY_NAME = {
    "ascii": ASCII,
    "rfc1459": RFC1459,
    "rfc1459-strict": RFC1459_STRICT,
    "strict-rfc1459": RFC1459_STRICT,  # as some servers spell it
}


def casemap(name: str) -> Casemap:
    """The mapping of that name.

    An unknown one counts as ASCII: the Unicode mappings in use agree with it on ASCII, and names a network holds
    apart are never made one.
    """
    return _BY_NAME.get(name.lower(), ASCII)


class FoldDict(MutableMapping[str, V]):
    """A dictionary whose keys are names: found by any spelling, listed in the spelling they were first set with.

    Values stand under the folded name, and a spelling is kept only where it is another: most names of a roster are
    spelled as they fold, and there are very many of them.
    """

    __slots__ = ("_casemap", "_fold", "_spellings", "_values")

    def __init__(self, mapping: Casemap = RFC1459, items: Iterable[tuple[str, V]] = ()) -> None:
        self._casemap = mapping
        self._fold = mapping.fold
        self._values: dict[str, V] = {}
        self._spellings: dict[str, str] = {}
        for name, value in items:
            self[name] = value

    @property
    def casemap(self) -> Casemap:
        """The mapping in force."""
        return self._casemap

    def refold(self, mapping: Casemap) -> None:
        """Go over to another mapping; of names that become one, the later entry stays."""
        entries = list(self.items())
        self.clear()
        self._casemap = mapping
        self._fold = mapping.fold
        for name, value in entries:
            self._put(mapping.fold(name), name, value)

    def _put(self, folded: str, name: str, value: V) -> None:
        """Set it with this spelling, whatever was there."""
        self._values[folded] = value
        if name != folded:
            self._spellings[folded] = name
        else:
            self._spellings.pop(folded, None)

    def spelled(self, name: str) -> str | None:
        """The spelling under which `name` is kept, None if it is not."""
        folded = self._fold(name)
        return self._spellings.get(folded, folded) if folded in self._values else None

    def rename(self, old: str, new: str) -> bool:
        """Give the entry of `old` the name `new`, over whatever was there; False if there is no `old`."""
        folded = self._fold(old)
        if folded not in self._values:
            return False
        value = self._values.pop(folded)
        self._spellings.pop(folded, None)
        self._put(self._fold(new), new, value)
        return True

    def find(self, name: str) -> V | None:
        """The value, or None; `get` without its detour over KeyError, for the hot path."""
        return self._values.get(self._fold(name))

    def has_folded(self, folded: str) -> bool:
        """Whether a name that is folded already is here."""
        return folded in self._values

    def find_folded(self, folded: str) -> V | None:
        """`find` for a name that is folded already."""
        return self._values.get(folded)

    def put_folded(self, folded: str, name: str, value: V) -> None:
        """Set the value of a name whose folded form is known already."""
        if folded not in self._values and name != folded:
            self._spellings[folded] = name
        self._values[folded] = value

    def folded(self) -> set[str]:
        """All names, folded."""
        return set(self._values)

    def absent(self, folded: set[str]) -> set[str]:
        """Those of `folded` (names that are folded already) that are not here; looks at the fewer of the two."""
        if len(self._values) < len(folded):
            folded.difference_update(self._values)
            return folded
        return folded.difference(self._values)

    def pop_folded(self, folded: str) -> None:
        """Forget a name that is folded already, if it is here."""
        self._values.pop(folded, None)
        self._spellings.pop(folded, None)

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()
        self._spellings.clear()

    def __getitem__(self, name: str) -> V:
        try:
            return self._values[self._fold(name)]
        except KeyError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: V) -> None:
        self.put_folded(self._fold(name), name, value)

    def __delitem__(self, name: str) -> None:
        folded = self._fold(name)
        try:
            del self._values[folded]
        except KeyError:
            raise KeyError(name) from None
        self._spellings.pop(folded, None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._fold(name) in self._values

    def __iter__(self) -> Iterator[str]:
        spellings = self._spellings
        return (spellings.get(folded, folded) for folded in self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"FoldDict({self._casemap.name}, {dict(self.items())!r})"
