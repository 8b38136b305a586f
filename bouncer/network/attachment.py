"""Owns one client's place on one network: what it is shown live, what it missed, and what it has acknowledged."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Protocol

from bouncer import history, replay
from bouncer.network.entry import line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bouncer.network.entry import Entry

RECEIPT = "bouncer-receipt-"
"""The token of the PING that asks a client how far it has read; its PONG moves the receipt."""

RECEIPT_SOON_S, RECEIPT_INTERVAL_S = (0.05, 0.15), (0.75, 1.0)
"""When a client is asked after quiet, and how often while lines flow: at a moment of its own between these.

Not with the line itself: one line to a channel that a hundred users are on would be followed by a hundred questions,
answers and commits before the last of them had it.
"""
FIRST_MESSAGES = 100
"""Messages per buffer for a client name that was never here."""

PORTION_BYTES = 256 * 1024
"""What is played back before the client has to have taken some of it: far less than would have it dropped."""

MAX_HELD_LINES = 20_000
MAX_HELD_BYTES = 16 * 1024 * 1024
"""Live lines kept for a client that is still being played back to; one that falls further behind is dropped."""


KNOW_THEMSELVES = frozenset({"echo-message", "message-tags", "znc.in/self-message"})
"""Who has one of these takes a line from its own nick to somebody else for what it is.

WeeChat and others do so without saying it; message-tags tells them from programs that would take the line for one to
themselves, or answer it.
"""


_ASKS_ITSELF = frozenset({"draft/chathistory", "znc.in/playback"})
"""Who has one of these is played nothing unasked."""


class ClientPort(Protocol):
    """What a network needs of an attached client."""

    name: str

    @property
    def caps(self) -> frozenset[str]:
        """Capabilities it has on."""

    def write(self, data: bytes) -> None:
        """Queue bytes; never waits. Over its bound the client is dropped."""

    async def drain(self) -> None:
        """Wait until the client has taken most of what is queued; raises when it is gone or too slow."""

    def drop(self, reason: str) -> None:
        """End it with an ERROR."""


class NetworkPort(Protocol):
    """What an attachment needs of its network."""

    server_id: int
    receipts: dict[str, int]
    released_id: int

    @property
    def nick(self) -> str:
        """Our nick there."""

    @property
    def source(self) -> str:
        """The server's name, as the source of lines of ours."""

    def acknowledged(self, client: str, message_id: int) -> None:
        """A client name has everything up to that message."""

    def hides(self, channel: str) -> bool:
        """Whether clients do not see this channel, although we are on it."""


def wants(entry: Entry, caps: frozenset[str]) -> bool:
    """Own words to a nick are shown only to clients that know a line from themselves is no line to themselves."""
    return not entry.own_private or not KNOW_THEMSELVES.isdisjoint(caps)


def _portions(messages: list[history.StoredMessage]) -> Iterator[list[history.StoredMessage]]:
    """The messages, in as many pieces as it takes for each to be about PORTION_BYTES long."""
    some: list[history.StoredMessage] = []
    size = 0
    for message in messages:
        some.append(message)
        size += len(message.content) + len(message.tags or "") + len(message.sender)
        if size > PORTION_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


class Attachment:
    """A client on a network. Live lines are held back until what it missed has been played."""

    def __init__(self, client: ClientPort, network: NetworkPort) -> None:
        self.client = client
        self.network = network
        self.shown_nick = network.nick
        self.holding = True
        self.background = False
        """Whether nobody sits in front of it (draft/pre-away): it does not keep us from being away."""
        self.played = 0
        self.closed = False
        self._blind = False
        self._stamped = False
        self._held: deque[tuple[list[Entry], Sequence[int], int]] = deque()
        self._held_lines = self._held_bytes = 0
        self._sent = 0
        self._asked: tuple[int, int] | None = None
        self._answered = 0
        self._number = 0
        self._channels: list[tuple[str, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def caps(self) -> frozenset[str]:
        """The client's capabilities now."""
        return self.client.caps

    # -- live ------------------------------------------------------------------------------------------------------

    def hold(self, entries: list[Entry], ids: Sequence[int]) -> None:
        """Keep a delivery for after the playback."""
        size = sum(len(entry.message.raw) for entry in entries)
        self._held.append((entries, ids, size))
        self._held_lines += len(entries)
        self._held_bytes += size
        if self._held_lines > MAX_HELD_LINES or self._held_bytes > MAX_HELD_BYTES:
            self._held.clear()
            self.client.drop("too far behind")

    def deliver(
        self, entries: list[Entry], ids: Sequence[int], render: Callable[[Entry, frozenset[str]], bytes], nick: str
    ) -> None:
        """Send the lines of a delivery that are for this client; those that answer it with its label or batch."""
        caps = self.client.caps
        data = b"".join(
            line_of(entry, caps, nick, entry.tag) if entry.asker is self and entry.tag else render(entry, caps)
            for entry in entries
            if (entry.only is None or entry.only is self)
            and entry.skip is not self
            and not (entry.talk and ids and entry.row >= 0 and 0 < ids[entry.row] <= self.played)
            and wants(entry, caps)
        )
        if data:
            self.client.write(data)
        if ids:
            self.wrote(ids[-1])

    # -- what it missed --------------------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Play back what this client name has not acknowledged, then go live; call inside the tenant."""
        known = self.network.receipts.get(self.client.name)
        cursor = self.network.released_id
        if known is None and not cursor:
            self.network.acknowledged(self.client.name, 0)
        if self.client.caps.isdisjoint(_ASKS_ITSELF):
            self._stamped = await history.wants_times(self.client.name)
            if known is None:
                await self._play_first(cursor)
                self.wrote(cursor)
            else:
                cursor = await self._play_since(known)
        await self._show_held(cursor)
        self.holding = False

    async def go_live(self) -> None:
        """Show what comes from now on, although what was missed could not be read.

        No receipt moves any more, so that it is played at the next attaching.
        """
        self._blind = True
        await self._show_held(self._sent)
        self.holding = False

    async def _play_first(self, until: int) -> None:
        for buffer in await history.buffers(self.network.server_id):
            if self.network.hides(buffer.folded):
                continue
            messages = await history.latest(buffer.buffer, FIRST_MESSAGES, events=False)
            await self._play([message for message in messages if message.id <= until])

    def wants_played(self, folded: str, until: int) -> bool:
        """Whether `play_channels` is to be called, as a channel is shown again; live lines are held from now on.

        A client that asks for history itself is played nothing. `until` is the id of the last message before.
        """
        if self.closed or not self.client.caps.isdisjoint(_ASKS_ITSELF):
            return False
        begins = not self.holding
        if begins or self._channels:
            self._channels.append((folded, until))
        self.holding = True
        return begins

    async def play_channels(self) -> None:
        """The newest messages of channels that are shown again, then live; call inside the tenant."""
        while self._channels and not self.closed:
            folded, until = self._channels[0]
            found = await history.find_buffer(self.network.server_id, folded)
            if found is not None:
                messages = await history.latest(found.buffer, FIRST_MESSAGES, events=False)
                await self._play([message for message in messages if message.id <= until])
            await self._show_held(max(self.played, until))
            del self._channels[0]
            self.holding = bool(self._channels)

    async def _play_since(self, cursor: int) -> int:
        while True:
            messages = await history.since(self.network.server_id, cursor, history.MAX_PAGE)
            if not messages:
                return cursor
            await self._play(messages)
            cursor = messages[-1].id
            self.wrote(cursor)
            if len(messages) < history.MAX_PAGE:
                return cursor

    async def _play(self, messages: list[history.StoredMessage]) -> None:
        """One page, a batch for each buffer in the order of their first message."""
        by_buffer: dict[tuple[int | None, int | None], list[history.StoredMessage]] = {}
        for message in messages:
            if message.own and message.channel_id is None and not self._knows_itself():
                continue
            if message.channel_id is not None and self.network.hides(message.target):
                continue
            by_buffer.setdefault((message.channel_id, message.conversation_id), []).append(message)
        written = 0
        for (channel, _), group in by_buffer.items():
            last = group[-1]
            target = last.target.lstrip("~&@%+") if channel is not None else last.target or self.network.source
            for some in _portions(group):
                data = replay.batch(
                    "chathistory",
                    [target],
                    some,
                    self.client.caps,
                    self.network.nick,
                    source=self.network.source,
                    stamped=self._stamped,
                )
                self.client.write(data)
                written += len(data)
                if written > PORTION_BYTES:
                    await self.client.drain()
                    written = 0
        await self.client.drain()

    def _knows_itself(self) -> bool:
        return not KNOW_THEMSELVES.isdisjoint(self.client.caps)

    async def _show_held(self, cursor: int) -> None:
        """Show what was held, without the words already played; afterwards nothing is held.

        Lines are held from before the first page is read, and a page holds all that was released before: nothing is
        in neither. As in `_play` the client has to take some before it is given more, and what comes meanwhile is
        held too.
        """
        self.played = cursor
        self.shown_nick = self.network.nick
        size = 0
        while self._held and not self.closed:
            entries, ids, held = self._held.popleft()
            self._held_lines -= len(entries)
            self._held_bytes -= held
            nick = self.shown_nick = self.network.nick
            self.deliver(entries, ids, self._line, nick)
            size += held
            if size > PORTION_BYTES:
                await self.client.drain()
                size = 0

    def _line(self, entry: Entry, caps: frozenset[str]) -> bytes:
        return line_of(entry, caps, self.shown_nick)

    # -- receipts --------------------------------------------------------------------------------------------------

    def wrote(self, message_id: int) -> None:
        """Lines up to that message were written: ask soon after quiet, else within a second.

        At once for a name without a receipt: it would be a new one again if we were killed now.
        """
        if message_id <= self._sent or self._blind:
            return
        self._sent = message_id
        if self._timer is not None or self.closed:
            return
        if self.client.name in self.network.receipts:
            self._ask_later(RECEIPT_SOON_S)
        else:
            self._ask()

    def _ask_later(self, between: tuple[float, float]) -> None:
        delay_s = random.uniform(*between)  # noqa: S311 - nothing is kept secret by it
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ask)

    def _ask(self) -> None:
        self._timer = None
        if self.closed or (self._asked[1] if self._asked is not None else self._answered) >= self._sent:
            return
        if self._asked is None:
            self._number += 1
            self._asked = (self._number, self._sent)
            self.client.write(f"PING :{RECEIPT}{self._number}\r\n".encode())
        self._ask_later(RECEIPT_INTERVAL_S)

    def pong(self, token: str) -> None:
        """The client has read everything before the PING with that token."""
        if self._asked is None or token != f"{RECEIPT}{self._asked[0]}":
            return
        _, message_id = self._asked
        self._asked = None
        self._answered = message_id
        self.network.acknowledged(self.client.name, message_id)

    def close(self) -> None:
        """The client is gone."""
        self.closed = True
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
