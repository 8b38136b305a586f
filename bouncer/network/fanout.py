"""Owns the way from released lines to the attached clients: formatted once per capability set, one write per client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bouncer.irc.message import wire
from bouncer.irc.supported import in_batches
from bouncer.irc.welcome import isupport_lines
from bouncer.network.attachment import wants
from bouncer.network.entry import line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.irc.state import NetworkState
    from bouncer.network.attachment import Attachment
    from bouncer.network.entry import Entry


class Source(Protocol):
    """The network whose lines these are."""

    attachments: list[Attachment]
    state: NetworkState

    @property
    def source(self) -> str:
        """The server's name."""

    def tokens(self) -> list[str]:
        """What ISUPPORT says to clients."""


class FanOut:
    """Never waits: a client that does not keep up is dropped by its own queue."""

    __slots__ = ("_network",)

    def __init__(self, network: Source) -> None:
        self._network = network

    def send(self, entries: list[Entry], ids: Sequence[int]) -> None:
        """Give a released batch to every client, or keep it for those that are being played back to."""
        nick = self._network.state.nick
        private = any(entry.only is not None or entry.skip is not None or entry.asker is not None for entry in entries)
        shared: dict[frozenset[str], bytes] = {}
        lines: dict[tuple[int, frozenset[str]], bytes] = {}

        def render(entry: Entry, caps: frozenset[str]) -> bytes:
            key = (id(entry), caps)
            line = lines.get(key)
            if line is None:
                line = lines[key] = line_of(entry, caps, nick)
            return line

        def block(caps: frozenset[str]) -> bytes:
            data = shared.get(caps)
            if data is None:
                data = shared[caps] = b"".join(render(entry, caps) for entry in entries if wants(entry, caps))
            return data

        for attachment in list(self._network.attachments):
            if attachment.holding:
                attachment.hold(entries, ids)
            elif private or (ids and ids[0] <= attachment.played):
                attachment.deliver(entries, ids, render, nick)
            else:
                attachment.client.write(block(attachment.caps))
                if ids:
                    attachment.wrote(ids[-1])
        if any(entry.message.command == "NICK" for entry in entries):
            self._renamed(nick)

    def _renamed(self, nick: str) -> None:
        for attachment in self._network.attachments:
            if not attachment.holding:
                attachment.shown_nick = nick

    def network_is_up(self) -> None:
        """Clients that stayed attached learn our nick and what the network supports."""
        state = self._network.state
        tokens = isupport_lines(self._network.source, state.nick, self._network.tokens())
        for attachment in self._network.attachments:
            if attachment.shown_nick != state.nick:
                attachment.client.write(wire("NICK", [state.nick], attachment.shown_nick))
                attachment.shown_nick = state.nick
            attachment.client.write(b"".join(in_batches(tokens, self._network.source, attachment.caps)))
