"""Owns which channels clients still have open from before a connection was lost; sends nothing.

A connection is often back within seconds, so its end alone closes nothing. What could not be joined again is closed
once the network has answered the joins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from bouncer.irc.channel import ChannelState
    from bouncer.network.attachment import Attachment


class Network(Protocol):
    """What it needs of its network."""

    def fold(self, name: str) -> str:
        """A name as it is looked up."""

    def hides(self, channel: str) -> bool:
        """Whether clients do not see this channel, although we are on it."""


class Rejoin:
    """Folded name to its spelling and the clients that have it open."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._open: dict[str, tuple[str, set[Attachment]]] = {}

    def lost(self, channels: Iterable[ChannelState], attachments: Iterable[Attachment]) -> None:
        """The connection is gone, and we were on these channels."""
        here = set(attachments)
        for channel in channels:
            if not self._network.hides(channel.name):
                self._open.setdefault(self._network.fold(channel.name), (channel.name, set()))[1].update(here)

    def gone(self, attachment: Attachment) -> None:
        """A client has left."""
        for _, attachments in self._open.values():
            attachments.discard(attachment)

    def left(self, channels: Container[str]) -> list[tuple[str, list[Attachment]]]:
        """The channels of before that are not among these, with the clients that have them open; they are told now."""
        found = [(name, list(here)) for name, here in self._open.values() if name not in channels]
        self._open.clear()
        return found
