"""Owns one SASL PLAIN exchange with a network we are connected to already, asked for by a client; sends by callback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bouncer import sasl

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.message import Message
    from bouncer.network.attachment import Attachment

COMMANDS = frozenset({"AUTHENTICATE", "900", "902", "903", "904", "905", "906", "907", "908"})
_REFUSED = frozenset({"902", "904", "905", "906", "907"})


class NetworkLogin:
    """Give it every line in COMMANDS while it lasts; `done` has (whether it worked, the account or the reason).

    `asker` is shown what the network says of it, in its place among other lines; `told` whether the end was among it.
    """

    def __init__(
        self, account: str, password: str, send: Callable[[bytes], bool], asker: Attachment | None = None
    ) -> None:
        self.asker = asker
        self.told = False
        self.done: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()
        self._response = sasl.Plain(account, password).step(b"")
        self._account = account
        self._send = send
        if not send(b"AUTHENTICATE PLAIN"):
            self.end("not connected to the network")

    def feed(self, msg: Message) -> None:
        """One line of the network's side."""
        if msg.command == "AUTHENTICATE":
            for chunk in sasl.chunks(self._response):
                self._send(b"AUTHENTICATE " + chunk.encode())
            return
        self.told = msg.command != "908"
        if msg.command == "900":
            self._account = msg.param(2) or self._account
        elif msg.command == "903":
            self._finish(worked=True, words=self._account)
        elif msg.command in _REFUSED:
            self.end(msg.params[-1] if len(msg.params) > 1 else "refused")

    def end(self, reason: str) -> None:
        """It has failed."""
        self._finish(worked=False, words=reason)

    def _finish(self, *, worked: bool, words: str) -> None:
        if not self.done.done():
            self.done.set_result((worked, words))
