"""Owns our own messages on a network that gives no labels, between the keyboard and its word that it took them; pure.

A network with echo-message sends each back. On one without, a PING follows the messages, and what was not refused
before its PONG has been said (irc.md, "Sending").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bouncer.network.entry import Question

MAX_PENDING = 4_000

REFUSALS = frozenset(
    {"401", "402", "403", "404", "407", "411", "412", "413", "414", "415", "416", "417", "477", "482", "486", "487"}
    | {"488", "489", "492", "494", "499", "505", "531", "716", "718", "742", "573"}
)
"""Numerics by which networks refuse a message."""
_WHOLE_LINE = frozenset({"407", "411", "412", "413", "414", "415", "416", "417"})


class Said(NamedTuple):
    """One message to one target (as typed, and folded) on its way, and the line it came in."""

    question: Question
    target: str
    folded: str
    text: str


class OwnMessages:
    """Messages that were sent and not yet confirmed, oldest first."""

    def __init__(self) -> None:
        self._pending: list[Said] = []

    def __len__(self) -> int:
        return len(self._pending)

    def sent(self, said: Said) -> None:
        """A message has left."""
        self._pending.append(said)
        if len(self._pending) > MAX_PENDING:
            del self._pending[0]

    def echoed(self, command: str, folded: str, text: str) -> Said | None:
        """The network sent back a message: whose it was."""
        for number, said in enumerate(self._pending):
            if said.folded == folded and said.question.command == command and said.text == text:
                del self._pending[number]
                return said
        return None

    def refused(self, question: Question, number: str, folded_params: Iterable[str]) -> None:
        """The network refused this line for one of these names, or as a whole: it has not been said there."""
        names = set(folded_params)
        whole = number in _WHOLE_LINE
        self._pending = [
            said for said in self._pending if said.question is not question or not (whole or said.folded in names)
        ]

    def taken(self, question: Question) -> list[Said]:
        """The network has dealt with this line: what of it was not refused has been said. Call in the order sent."""
        taken: list[Said] = []
        while self._pending and self._pending[0].question is question:
            taken.append(self._pending.pop(0))
        return taken

    def reset(self) -> list[Said]:
        """The connection ended: what had been sent and never confirmed."""
        pending, self._pending = self._pending, []
        return pending
