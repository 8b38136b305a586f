"""Owns the words in which the command layer speaks to the live half, and the answers when no bouncer runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bouncer.errors import RefusedError
from bouncer.events import ClientInfo, Hub, LiveStatus, Reply, ServerState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bouncer.irc.message import Message
    from bouncer.transport import Transport


NOT_RUNNING = "no bouncer is running"
DISCONNECTED = "disconnected by the user"


class Live(Protocol):
    """What the supervisor does for commands; user and server ids are those of the rows."""

    @property
    def running(self) -> bool:
        """True while connections are kept; False for commands on the bare files."""

    async def nudge(self, user_id: int) -> None:
        """Rows of this (perhaps new) user changed: make live state follow; returns when applied, not when connected."""

    async def forget(self, user_id: int, reason: str) -> None:
        """End every connection of this user, telling `reason`, and wait until nothing of theirs is used."""

    def server_states(self, user_id: int) -> Mapping[int, ServerState]:
        """State by server id, of the servers that are live."""

    def clients(self, user_id: int) -> Sequence[ClientInfo]:
        """The attached clients of this user."""

    async def drop_client(self, user_id: int, client_id: int, reason: str = DISCONNECTED) -> bool:
        """Disconnect one client, telling `reason`; False when it is gone already."""

    def disavow(self, user_id: int, credential: str) -> None:
        """Let nobody in who is on the way in with what counts no more (as in `ClientInfo`); call after the commit."""

    async def serve(self, transport: Transport) -> None:
        """Serve a client of IRC that came over the panel, to its end."""

    async def connect(self, user_id: int, server_id: int) -> None:
        """Connect now, forgetting any back-off."""

    async def disconnect(self, user_id: int, server_id: int) -> None:
        """Leave this network and stay away."""

    def send(self, user_id: int, server_id: int, line: bytes) -> bool:
        """Queue one IRC line (without CR LF) behind the flood limit; False when not connected."""

    async def say(self, user_id: int, server_id: int, lines: Sequence[Message]) -> Sequence[Reply]:
        """Lines of the person without any client: what the network, or we, answered; returns when they are stored.

        Raises RefusedError when they cannot be sent at all.
        """

    async def mark_read(self, user_id: int, server_id: int, name: str, time_ms: int) -> bool:
        """Move a buffer's read marker forward and tell the clients; False when nobody is there to do it."""

    def hub(self, user_id: int) -> Hub:
        """The stream of this user's events."""

    def forget_client(self, user_id: int, name: str) -> None:
        """Keep no receipts of this client name any more; its rows are deleted after this."""

    def status(self) -> LiveStatus:
        """How the whole bouncer is doing; RefusedError when none runs."""

    def broadcast(self, text: str) -> int:
        """Tell every attached client of every user; gives how many."""

    def tell(self, user_id: int, text: str) -> int:
        """Tell every attached client of one user; gives how many."""

    async def reload_configuration(self) -> None:
        """Read the configuration again; raises BouncerError when it cannot be used, and changes nothing then."""

    async def flush(self, user_id: int) -> None:
        """Return when everything received so far for this user is on disk."""


class Offline:
    """`Live` while no bouncer runs: nothing is connected, nothing has to be told; the next start reads the rows."""

    running = False

    def __init__(self) -> None:
        self._hub = Hub()

    async def nudge(self, user_id: int) -> None:
        """Nothing lives that could follow."""

    async def forget(self, user_id: int, reason: str) -> None:
        """Nothing lives that could be ended."""

    def server_states(self, user_id: int) -> Mapping[int, ServerState]:  # noqa: ARG002 - the protocol's shape
        """No server is live."""
        return {}

    def clients(self, user_id: int) -> Sequence[ClientInfo]:  # noqa: ARG002 - the protocol's shape
        """No client is attached."""
        return ()

    async def drop_client(self, user_id: int, client_id: int, reason: str = DISCONNECTED) -> bool:  # noqa: ARG002 - the protocol's shape
        """No client is attached."""
        return False

    def disavow(self, user_id: int, credential: str) -> None:
        """Nobody is on the way in."""

    async def serve(self, transport: Transport) -> None:
        """There is nobody to be served by."""
        transport.write(b"ERROR :The bouncer is not running\r\n")
        transport.close()

    async def connect(self, user_id: int, server_id: int) -> None:
        """The row says so already; the next start connects."""

    async def disconnect(self, user_id: int, server_id: int) -> None:
        """Nothing is connected."""

    def send(self, user_id: int, server_id: int, line: bytes) -> bool:  # noqa: ARG002 - the protocol's shape
        """Nothing is connected."""
        return False

    async def say(self, user_id: int, server_id: int, lines: Sequence[Message]) -> Sequence[Reply]:  # noqa: ARG002 - ditto
        """Nothing is connected."""
        raise RefusedError(NOT_RUNNING)

    async def mark_read(self, user_id: int, server_id: int, name: str, time_ms: int) -> bool:  # noqa: ARG002 - as above
        """Nobody is there who would have to know."""
        return False

    def hub(self, user_id: int) -> Hub:  # noqa: ARG002 - the protocol's shape
        """A stream on which nothing happens."""
        return self._hub

    async def flush(self, user_id: int) -> None:
        """Nothing is waiting to be written."""

    def forget_client(self, user_id: int, name: str) -> None:
        """Nothing lives that would remember it."""

    def status(self) -> LiveStatus:
        """Nothing to tell of."""
        raise RefusedError(NOT_RUNNING)

    def broadcast(self, text: str) -> int:  # noqa: ARG002 - the protocol's shape
        """No client is attached."""
        raise RefusedError(NOT_RUNNING)

    def tell(self, user_id: int, text: str) -> int:  # noqa: ARG002 - the protocol's shape
        """No client is attached."""
        return 0

    async def reload_configuration(self) -> None:
        """The next start reads it."""
        raise RefusedError(NOT_RUNNING)
