"""Owns how far the user has read on one network, in memory: https://ircv3.net/specs/extensions/read-marker ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.irc.format import server_time
from bouncer.irc.message import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS = (("draft/read-marker", "MARKREAD"), ("soju.im/read", "READ"))
"""The capability and the command that comes with it; the second is the older one, otherwise the same."""

MAX_NAMES = 10_000
"""Names with a marker: a client may make them up."""


class Markers:
    """Folded name -> time (ms UTC) up to which all has been read; a time only ever grows."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def load(self, times: Mapping[str, int]) -> None:
        """Take over what the file knows, where it is further on."""
        for folded, time_ms in times.items():
            self.move(folded, time_ms)

    def get(self, folded: str) -> int | None:
        """The time of a channel's or nick's marker, None where nothing was ever read."""
        return self._times.get(folded)

    def room(self, folded: str) -> bool:
        """Whether a marker of that name is or can be kept."""
        return folded in self._times or len(self._times) < MAX_NAMES

    def move(self, folded: str, time_ms: int) -> bool:
        """Move a marker forward; False when it is there already or further on, or there are too many."""
        if time_ms <= self._times.get(folded, -1) or not self.room(folded):
            return False
        self._times[folded] = time_ms
        return True

    def renamed(self, old: str, new: str) -> None:
        """A channel has another (folded) name."""
        if new != old and old in self._times:
            self._times[new] = max(self._times.pop(old), self._times.get(new, 0))

    def lines(self, name: str, folded: str, server: str, mask: str) -> tuple[tuple[str, bytes], ...]:
        """The marker of a buffer for each capability that tells it (bytes with CR LF).

        `name` is the spelling shown, `server` and `mask` are the sources of the newer and of the older command.
        """
        time_ms = self._times.get(folded)
        value = "*" if time_ms is None else f"timestamp={server_time(time_ms)}"
        return tuple(
            (cap, wire(command, [name, value], mask if command == "READ" else server)) for cap, command in COMMANDS
        )
