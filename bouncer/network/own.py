"""Owns our own messages between the keyboard and the network's word that it took them; pure, no sockets.

A network with echo-message sends each back. On one without, a PING follows the messages, and what was not refused
before its PONG has been said (irc.md, "Sending").
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bouncer.network.attachment import Attachment

MAX_PENDING = 4_000

BARRIER = "bouncer-said-"
"""The token of the PING behind our own messages; its PONG is nobody else's business."""

REFUSALS = frozenset(
    {"401", "402", "403", "404", "407", "411", "412", "413", "414", "415", "416", "417", "477", "482", "486", "487"}
    | {"488", "489", "492", "494", "499", "505", "531", "716", "718", "742", "573"}
)
"""Numerics by which networks refuse a message."""


class Said:
    """One message of ours on its way: who typed it, to whom (display and folded name), and what."""

    __slots__ = ("command", "folded", "number", "sender", "tags", "target", "text")

    def __init__(
        self, sender: Attachment | None, command: str, target: str, folded: str, text: str, tags: dict[str, str]
    ) -> None:
        self.sender = sender
        self.command = command
        self.target = target
        self.folded = folded
        self.text = text
        self.tags = tags
        self.number = 0


class OwnMessages:
    """Messages that were sent and not yet confirmed, oldest first."""

    def __init__(self, confirm: Callable[[list[Said]], None], ping: Callable[[str], None]) -> None:
        self._confirm = confirm
        self._ping = ping
        self._pending: deque[Said] = deque()
        self._last = 0
        self._barrier = 0

    def __len__(self) -> int:
        return len(self._pending)

    def sent(self, said: Said, *, echoes: bool) -> None:
        """A message has left; on a network that does not echo, a PING goes behind it unless one is under way."""
        self._last += 1
        said.number = self._last
        self._pending.append(said)
        if len(self._pending) > MAX_PENDING:
            self._confirm([self._pending.popleft()])
        if not echoes and not self._barrier:
            self._barrier = self._last
            self._ping(f"{BARRIER}{self._last}")

    def echoed(self, command: str, folded: str, text: str) -> Said | None:
        """The network sent back a message: whose it was. Older ones to the same target were swallowed: forget them."""
        for number, said in enumerate(self._pending):
            if said.folded == folded and said.command == command and said.text == text:
                del self._pending[number]
                return said
        return None

    def refused(self, folded_params: Iterable[str]) -> Said | None:
        """The network refused a message to one of these names: the oldest such one has not been said."""
        names = set(folded_params)
        for number, said in enumerate(self._pending):
            if said.folded in names:
                del self._pending[number]
                return said
        return None

    def pong(self, token: str) -> None:
        """Everything before the PING of that token and not refused by now has been said."""
        try:
            number = int(token.removeprefix(BARRIER))
        except ValueError:
            return
        said: list[Said] = []
        while self._pending and self._pending[0].number <= number:
            said.append(self._pending.popleft())
        self._barrier = 0
        if self._pending:
            self._barrier = self._pending[-1].number
            self._ping(f"{BARRIER}{self._barrier}")
        if said:
            self._confirm(said)

    def reset(self) -> list[Said]:
        """The connection ended: what had been sent and never confirmed."""
        pending = list(self._pending)
        self._pending.clear()
        self._barrier = 0
        return pending
