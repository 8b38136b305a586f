"""Owns whether the network takes us for away: what a person said last, and away by ourselves while nobody is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from bouncer.irc.message import Message

if TYPE_CHECKING:
    from bouncer.network.attachment import Attachment
    from bouncer.network.outgoing import Owner
    from bouncer.network.settings import ServerSettings

DEFAULT_TEXT = "Not here right now; what you say is kept"


class Network(Protocol):
    """What it needs of its network."""

    attachments: list[Attachment]
    owner: Owner
    settings: ServerSettings
    up: bool

    def ask(self, attachment: Attachment | None, msg: Message, label: str = "") -> bool:
        """Send a line; without attachment nobody is shown the answer."""


class Presence:
    """`said` is the text a person set with AWAY, "" for none; it outlives connections and is never overridden.

    A client is somebody, unless it said that it is in the background; so is a conversation in sight in the panel.

    We are away only when nobody has been there for `[timeouts] away_s`: phones lose their connection many times a day.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.said = ""
        self._auto = False
        self._sent = ""
        self._timer: asyncio.TimerHandle | None = None

    def registered(self) -> None:
        """A new connection begins as not away."""
        self._auto = False
        if self.said:
            self._send(self.said)
        self.changed()

    def person(self, text: str) -> None:
        """Somebody typed AWAY (text, or "" for back), which goes to the network by itself."""
        self.said = text
        self._auto = False

    def declare(self, text: str) -> None:
        """A client brought along what a person said (draft/pre-away)."""
        self.person(text)
        if self._network.up:
            self._send(text)

    def changed(self) -> None:
        """A client or a reader in the panel came or went, or is only in the background from now on."""
        self.stop()
        if not self._network.up:
            return
        if not self._present():
            self._timer = asyncio.get_running_loop().call_later(self._network.owner.config.timeouts.away_s, self._leave)
        elif self._auto:
            self._auto = False
            self._send(self.said)

    def configured(self) -> None:
        """The row may say something else now."""
        settings = self._network.settings
        if self._network.up and self._auto and not settings.auto_away:
            self._auto = False
            self._send(self.said)
        elif self._network.up and self._auto and self._words() != self._sent:
            self._send(self._words())
        else:
            self.changed()

    def stop(self) -> None:
        """The connection is gone: wait for nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _present(self) -> bool:
        network = self._network
        return network.owner.hub.readers > 0 or any(not attachment.background for attachment in network.attachments)

    def _leave(self) -> None:
        self._timer = None
        network = self._network
        if network.up and not self._auto and not self.said and network.settings.auto_away and not self._present():
            self._auto = True
            self._send(self._words())

    def _words(self) -> str:
        return self._network.settings.away_message or DEFAULT_TEXT

    def _send(self, text: str) -> None:
        self._sent = text
        self._network.ask(None, Message("AWAY", [text] if text else []))
