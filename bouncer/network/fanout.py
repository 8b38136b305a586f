"""Owns the way from released lines to the attached clients: formatted once per capability set, one write per client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bouncer.irc.message import wire
from bouncer.irc.supported import in_batches
from bouncer.irc.welcome import isupport_lines
from bouncer.network.attachment import wants
from bouncer.network.entry import line_of, lines_of

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


class _Delivery:
    """One released batch: what it is to clients with these or those capabilities, each line formatted once.

    `private` tells that not every client is shown the same, `renamed` that somebody has another nick.
    """

    __slots__ = ("_blocks", "_entries", "_lines", "_whole", "nick", "private", "renamed")

    def __init__(self, entries: list[Entry], nick: str) -> None:
        self.nick = nick
        self.private = self.renamed = False
        self._entries = entries
        self._whole = True
        self._blocks: dict[frozenset[str], bytes] = {}
        self._lines: dict[tuple[int, frozenset[str]], bytes] = {}
        for entry in entries:
            if entry.only is not None or entry.skip is not None or entry.asker is not None:
                self.private = True
            if entry.own_private:
                self._whole = False
            elif entry.message.command == "NICK":
                self.renamed = True

    def line(self, entry: Entry, caps: frozenset[str]) -> bytes:
        """One of its lines."""
        key = (id(entry), caps)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = line_of(entry, caps, self.nick)
        return line

    def block(self, caps: frozenset[str]) -> bytes:
        """All that clients with these capabilities are shown."""
        data = self._blocks.get(caps)
        if data is None:
            shown = self._entries if self._whole else [entry for entry in self._entries if wants(entry, caps)]
            data = self._blocks[caps] = lines_of(shown, caps, self.nick)
        return data


class FanOut:
    """Never waits: a client that does not keep up is dropped by its own queue."""

    __slots__ = ("_network",)

    def __init__(self, network: Source) -> None:
        self._network = network

    def send(self, entries: list[Entry], ids: Sequence[int]) -> None:
        """Give a released batch to every client, or keep it for those that are being played back to."""
        delivery = _Delivery(entries, self._network.state.nick)
        for attachment in list(self._network.attachments):
            if attachment.holding:
                attachment.hold(entries, ids)
            elif delivery.private or (ids and ids[0] <= attachment.played):
                attachment.deliver(entries, ids, delivery.line, delivery.nick)
            else:
                attachment.client.write(delivery.block(attachment.caps))
                if ids:
                    attachment.wrote(ids[-1])
        if delivery.renamed:
            self._renamed(delivery.nick)

    def catch_up(self, entries: list[Entry], ids: Sequence[int], shown: set[Attachment]) -> None:
        """Give it to the clients that are not among `shown`, unless they have been played it."""
        nick = self._network.state.nick
        for attachment in self._network.attachments:
            if attachment in shown:
                if not attachment.holding:
                    attachment.wrote(max(ids))  # it had the lines before; now there is something to acknowledge
                continue
            if attachment.holding:
                attachment.hold(entries, ids)
            else:
                attachment.deliver(entries, ids, lambda entry, caps: line_of(entry, caps, nick), nick)

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
