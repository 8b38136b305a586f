"""Owns getting the wanted nick back when a connection began with another: MONITOR, or asking now and then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from bouncer.errors import MalformedLineError
from bouncer.irc.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.state import NetworkState
    from bouncer.network.attachment import Attachment
    from bouncer.network.monitor import Monitors
    from bouncer.network.settings import ServerSettings

ASK_S = 30.0
"""Seconds between two questions on a network without MONITOR, and until a nick that was held back is tried again."""


class Network(Protocol):
    """What it needs of its network."""

    state: NetworkState
    settings: ServerSettings
    monitors: Monitors
    up: bool

    def ask(
        self,
        attachment: Attachment | None,
        msg: Message,
        label: str = "",
        hook: Callable[[Message], None] | None = None,
    ) -> bool:
        """Send a line of ours; `hook` is shown its answer, no client is."""

    def whisper(self, line: bytes) -> bool:
        """Send a line of the settings."""


class NickKeeper:
    """At work from a registration under another nick until we have the wanted one, or a person chooses a nick."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._timer: asyncio.TimerHandle | None = None
        self._active = False

    def registered(self) -> None:
        """The network has let us in."""
        self.lost()
        network, wanted = self._network, self._network.settings.params.nickname
        if not network.settings.keep_nick or network.state.is_own(wanted):
            return
        self._active = True
        self._ask_services(wanted)
        if not network.monitors.wait_for(wanted, self._try, self._poll):
            self._poll()

    def stop(self) -> None:
        """Want nothing any more: a person has chosen a nick, or we have the one."""
        self.lost()
        self._network.monitors.release()

    def lost(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._active = False

    def renamed(self) -> None:
        """We have another nick now."""
        if self._active and self._network.state.is_own(self._network.settings.params.nickname):
            self.stop()

    def _ask_services(self, wanted: str) -> None:
        command = self._network.settings.regain_command
        if command:
            try:
                msg = Message.parse(command.replace("{nick}", wanted).encode("utf-8", "surrogateescape"))
            except MalformedLineError:
                return
            self._network.whisper(msg.raw)

    def _try(self) -> None:
        if self._active and self._network.up:
            msg = Message("NICK", [self._network.settings.params.nickname])
            self._network.ask(None, msg, hook=self._refused)

    def _refused(self, msg: Message) -> None:
        """Nobody has it and we may not (437): unless we ask now and then anyway, nothing tells when we may."""
        if self._active and self._timer is None and msg.command.isdigit():
            self._timer = asyncio.get_running_loop().call_later(ASK_S, self._again)

    def _again(self) -> None:
        self._timer = None
        self._try()

    def _poll(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(ASK_S, self._poll)
        wanted = self._network.settings.params.nickname
        self._network.ask(None, Message("ISON", [wanted]), hook=lambda msg: self._ison(msg, wanted))

    def _ison(self, msg: Message, wanted: str) -> None:
        if msg.command != "303":
            return
        same = self._network.state.isupport.casemap.same
        if not any(same(nick, wanted) for nick in msg.params[-1].split()):
            self._try()
