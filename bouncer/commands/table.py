"""Owns the shape of a command and of what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bouncer.downstream import Client
    from bouncer.irc.message import Message
    from bouncer.network.attachment import Attachment
    from bouncer.network.network import Network


class Session(Protocol):
    """One registered client with what it is bound to; handlers run inside the user's tenant."""

    client: Client
    network: Network | None
    attachment: Attachment | None

    async def service(self, text: str) -> list[str]:
        """BouncerServ's answer to a line."""


class Command(NamedTuple):
    """A handler and how many parameters it needs; fewer are answered with 461 before it is called."""

    run: Callable[[Session, Message], Awaitable[None]]
    min_params: int = 0
