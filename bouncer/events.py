"""Owns what the live half tells the panel and the service: state snapshots and a bounded stream of events per user."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

State = Literal["disabled", "connecting", "connected", "disconnected", "failed"]

MAX_PENDING_EVENTS = 1_000
"""Events a subscriber may be behind; one that is further behind gets a single `overflow` and reads state again."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """How one server row is doing right now; times in ms UTC, `next_attempt_s` in seconds from now.

    `lags` are the last measured (time, ms); the certificate's facts are "" and None without TLS, `tls_checked` is
    authority, fingerprint or not.
    """

    state: State = "disconnected"
    error: str = ""
    attempt: int = 0
    next_attempt_s: float | None = None
    connected_since: int | None = None
    nickname: str = ""
    lag_ms: int | None = None
    clients: int = 0
    tls: str = ""
    identified: str = ""
    tls_issuer: str = ""
    tls_expires: int | None = None
    tls_fingerprint: str = ""
    tls_checked: str = ""
    lags: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """One attached client, for lists; `credential` is how it came in: `password`, `token ID`, `certificate ID`.

    `active_at` is when it last sent anything but PING and PONG, None for not yet.
    """

    id: int
    name: str
    server: str
    address: str
    tls: bool
    attached_since: int
    caps: tuple[str, ...]
    credential: str = ""
    active_at: int | None = None


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """How the whole bouncer is doing; times in ms (UTC for `started_at`), rows since the start."""

    started_at: int
    users: int
    servers_connected: int
    servers_enabled: int
    clients: int
    lag_ms: int
    rows_stored: int
    rows_lost: int


@dataclass(frozen=True, slots=True)
class Event:
    """`server` (state of server_id changed), `servers` (rows added or gone), `roster`, `message`, `overflow`.

    `redacted` is a line that was taken back, with its msgid; `readers` that the number of them is another one.
    """

    kind: Literal["server", "servers", "roster", "message", "redacted", "readers", "overflow"]
    server_id: int = 0
    msgid: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One line of an answer to what a person typed, in words; `refused`: it was not carried out."""

    words: str
    refused: bool = False


class Trouble(NamedTuple):
    """A user's file cannot be written, or not be read: why, since when (ms UTC), rows waiting and rows given up."""

    reason: str
    since: int
    waiting: int
    lost: int


class Health(Protocol):
    """How a user's file is doing."""

    def words(self) -> str:
        """What is wrong now, in a sentence for a person; "" for nothing."""

    @property
    def lost(self) -> int:
        """Messages that could not be kept, since the start and before the present trouble."""


class Listener(Protocol):
    """Who is told of events."""

    def put(self, event: Event) -> None:
        """Take one; must neither block nor raise."""


@dataclass(eq=False)
class Subscription:
    """One listener's bounded queue; use as a context manager, then `await get()`."""

    hub: Hub
    reads: bool = False
    _queue: deque[Event] = field(default_factory=deque)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    def __enter__(self) -> Self:
        self.hub.subscriptions.add(self)
        self.hub.reading(self.reads)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.hub.subscriptions.discard(self)
        self.hub.reading(-self.reads)

    def put(self, event: Event) -> None:
        """Add an event, or one `overflow` in place of all when the listener is too far behind."""
        if len(self._queue) >= MAX_PENDING_EVENTS:
            self._queue.clear()
            event = Event("overflow")
        if not self._queue or self._queue[-1] != event:
            self._queue.append(event)
        self._ready.set()

    async def get(self, timeout_s: float) -> Event | None:
        """The next event, or None when none came within `timeout_s` seconds."""
        if not self._queue:
            self._ready.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._ready.wait()
            except TimeoutError:
                return None
        return self._queue.popleft()


class Hub:
    """One user's events: `publish` never blocks and costs nothing when nobody listens.

    `readers` are the subscriptions of conversations that are open and in sight; `health` is that of the user's file,
    None where nobody is live.
    """

    __slots__ = ("health", "readers", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: set[Listener] = set()
        self.readers = 0
        self.health: Health | None = None

    def publish(self, event: Event) -> None:
        """Give `event` to every subscriber."""
        for subscription in self.subscriptions:
            subscription.put(event)

    def reading(self, more: int) -> None:
        """So many readers more, or less."""
        self.readers += more
        if more:
            self.publish(Event("readers"))

    def subscribe(self, *, reads: bool = False) -> Subscription:
        """A new subscription, to be entered with `with`; `reads`: somebody sits in front of it."""
        return Subscription(self, reads)
