"""Owns the metadata the user keeps with us on one network, in memory, and which keys each client wants to follow.

https://ircv3.net/specs/extensions/metadata
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "soju.im/"
"""Keys that begin so are kept by us on every network."""

SELF = "*"
"""The name under which the user's own values are kept, whatever the nick is."""

MAX_SUBS = 100
MAX_KEYS = 100
MAX_TARGETS = 1_000
MAX_VALUES = 5_000
"""Of all targets together: what one SUB can be answered with."""
MAX_VALUE_BYTES = 400
CAP_VALUE = f"max-subs={MAX_SUBS},max-keys={MAX_KEYS},max-value-bytes={MAX_VALUE_BYTES}"

_KEY = re.compile(r"[a-z0-9_./-]{1,64}", re.ASCII)


def valid_key(key: str) -> bool:
    """Whether a key may be one."""
    return _KEY.fullmatch(key) is not None


class Metadata:
    """Folded target -> key -> value, and the keys that clients follow (`subs`, forgotten with the client)."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self._subs: WeakKeyDictionary[Any, dict[str, None]] = WeakKeyDictionary()

    def load(self, values: Mapping[str, Mapping[str, str]]) -> None:
        """Take over what the file knows."""
        self._values = {target: dict(found) for target, found in values.items()}

    def of(self, target: str) -> dict[str, str]:
        """The keys of a (folded) target with their values; a copy."""
        return dict(self._values.get(target, {}))

    def targets(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Every target that has values."""
        yield from list(self._values.items())

    def room(self, target: str, key: str) -> bool:
        """Whether one more key fits."""
        found = self._values.get(target, {})
        if key in found:
            return True
        if sum(map(len, self._values.values())) >= MAX_VALUES:
            return False
        return len(found) < MAX_KEYS if found else len(self._values) < MAX_TARGETS

    def set(self, target: str, key: str, value: str | None) -> bool:
        """Set a value, or remove it with None; False when there was none to remove."""
        if value is not None:
            self._values.setdefault(target, {})[key] = value
            return True
        found = self._values.get(target, {})
        if key not in found:
            return False
        del found[key]
        if not found:
            del self._values[target]
        return True

    def renamed(self, old: str, new: str) -> None:
        """A channel has another (folded) name."""
        if new != old and old in self._values:
            self._values[new] = self._values.pop(old)

    def subs(self, client: object) -> dict[str, None]:
        """The keys a client follows, in the order it asked for them; the live one, to be changed."""
        return self._subs.setdefault(client, {})

    def follows(self, client: object, key: str) -> bool:
        """Whether a client follows a key."""
        return key in self._subs.get(client, {})
