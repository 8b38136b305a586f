"""Owns one connection to one network from the first packet to the last reason: line in, line out.

It knows no database, no client and no second attempt; whoever runs it decides what lines mean and when to try again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bouncer.errors import ConnectError, UnsafeLineError
from bouncer.irc.message import serialise
from bouncer.upstream.client import TAKEN, Client
from bouncer.upstream.connection import Dialled
from bouncer.upstream.params import (
    LINE_LIMIT,
    OUR_PING,
    READ_BYTES,
    ConnectParams,
    NoteKind,
    TlsFacts,
    UpstreamEvents,
)
from bouncer.upstream.reader import Reader
from bouncer.upstream.reasons import in_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bouncer.irc.message import Message

log = logging.getLogger(__name__)

_ODD_TOLD = 5
"""Odd lines of one connection that are logged and noted; a hostile server could fill the disk with more."""
_QUIT = "quit"
MANY_LINES, PIECE_BYTES = 4_000, 8_192
_CUT_BYTES = 500
_MAX_CONCEALED = 64
"""More than the connect commands of a server: what is never echoed must not pile up."""


class Upstream:
    """One attempt and, if it succeeds, one connection: make an object, await `run` once, throw it away.

    `allow(address) -> bool` is asked about every IP address before it is connected to. `room()` is awaited before the
    next read: whoever takes the lines says there when they can take more. `measured` is given each lag (ms).
    """

    def __init__(
        self,
        params: ConnectParams,
        events: UpstreamEvents,
        *,
        allow: Callable[[str], bool] | None = None,
        room: Callable[[], Awaitable[None]] | None = None,
        measured: Callable[[int], None] | None = None,
    ) -> None:
        self.params = params
        self._measured = measured
        self.lag_ms: int | None = None
        self._events = events
        self._room = room
        self._connection = Dialled(params, allow)
        self._client = Client(params, self)
        self._client.connection = self._connection
        self._reader = Reader(LINE_LIMIT, self._odd)
        self._reason: str | None = None
        self._permanent = False
        self._started = False
        self._ended = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._ping_at: float | None = None
        self._ping_number = 0
        self._odd_lines = 0
        self._announced = False
        self._concealed: list[tuple[str, str]] = []

    # -- what it is like now

    @property
    def nickname(self) -> str:
        """Ours as the network knows it; before 001 the one configured."""
        return str(self._client.nickname)

    @property
    def wanted_nick(self) -> str:
        """The configured one; where `nickname` differs there is something to regain."""
        return self.params.nickname

    @property
    def account(self) -> str | None:
        """Who the network says we are logged in as (900, 901); None while it has said nothing."""
        return self._client.account

    @property
    def caps(self) -> frozenset[str]:
        """Capabilities enabled at this moment."""
        return self._client.caps

    @property
    def cap_values(self) -> Mapping[str, str]:
        """Capabilities offered, with their value or ""."""
        return self._client.cap_values

    @property
    def connected(self) -> bool:
        """Whether lines can be sent."""
        return self._reason is None and self._connection.open

    @property
    def registered(self) -> bool:
        """Whether the network has let us in and its MOTD has ended."""
        return bool(self._client.was_ready)

    @property
    def tls_facts(self) -> TlsFacts | None:
        """What the handshake brought; None without TLS and before it."""
        return self._connection.facts

    # -- doing

    async def run(self) -> str:
        """Connect, register and read until it ends; the reason, in words for the user.

        Returns it when the network had let us in, or after `quit` (then it is "quit"). Raises ConnectError when we
        never got that far. Cancelling it breaks the connection off.
        """
        if self._started:
            raise RuntimeError("an Upstream runs once")
        self._started = True
        try:
            reader = await self._connect()
            await self._read(reader)
        except ConnectError as error:
            self._end(str(error))
        except OSError as error:
            self._end(f"connection lost: {in_words(error)}")
        finally:
            self._close()
        reason = self._reason or "closed by the server"
        if reason == _QUIT or self.registered:
            return reason
        raise ConnectError(reason, permanent=self._permanent)

    def send(self, line: bytes) -> None:
        """Write one line (without CR LF) at once, past any flood control; nothing happens once `connected` is false.

        Raises UnsafeLineError for CR, LF or NUL inside it.
        """
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise UnsafeLineError("CR, LF or NUL inside a line")
        if self.connected and not self._connection.write(line + b"\r\n"):
            self.fail("the server does not read what we send")

    def conceal(self, target: str, text: str) -> None:
        """What is said to somebody next holds a secret: a network that sends our words back shows it to nobody."""
        if "echo-message" in self.caps:
            self._concealed.append((target.lower(), text))
            del self._concealed[:-_MAX_CONCEALED]

    async def quit(self, reason: str, timeout_s: float) -> None:
        """Say QUIT, let the server close, and break it off after `timeout_s`; back when `run` has ended."""
        self.send(serialise("QUIT", [" ".join(reason.split()).replace("\0", "")], colon=True))
        self._reason = self._reason or _QUIT
        self._connection.hurry()
        if not self._started:
            return
        try:
            async with asyncio.timeout(timeout_s if self._connection.open else 0):
                await self._ended.wait()
        except TimeoutError:
            self._connection.abort()
            await self._ended.wait()

    # -- the stages of run

    async def _connect(self) -> asyncio.StreamReader:
        self._still_wanted()
        reader = await self._connection.connect()
        self._still_wanted()
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._timer = loop.call_later(self.params.register_s, self._register_late)
        if (facts := self.tls_facts) is not None:
            self.note("tls", f"{facts.version} {facts.cipher}, certificate {facts.fingerprint} by {facts.issuer}")
        try:
            await self._client.register()
        except UnsafeLineError as error:
            raise ConnectError(f"a setting of this server cannot be sent: {error}") from error
        return reader

    def _still_wanted(self) -> None:
        if self._reason is not None:  # `quit` came while there was nothing to say QUIT to
            raise ConnectError(self._reason)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        while self._reason is None or self._reason == _QUIT:
            data = await reader.read(READ_BYTES)
            if not data:
                self._end(f"closed by the server: {self._client.refusal}" if self._client.refusal else None)
                return
            if b"\n" in data:  # a line that never ends is no sign of life
                self._heard_at = loop.time()
            self._connection.acknowledge()
            pieces = _pieces(data)
            more = len(pieces) > 1 or len(data) == READ_BYTES
            data = b""  # an idle connection keeps nothing of its last read
            while pieces:
                await self._take(pieces.pop(0))
                if more:
                    await self._turn_of_others()
            if not more and self._room is not None:
                await self._room()

    async def _turn_of_others(self) -> None:
        """Under flood, so that nobody else waits for one network."""
        await asyncio.sleep(0)
        if self._room is not None:
            await self._room()

    async def _take(self, data: bytes) -> None:
        messages = self._reader.feed(data)
        client = self._client
        for message in messages:
            if message.command in TAKEN and message.command != "PING":
                client.take(message)
        if self._concealed:
            messages = [one for one in messages if not self._conceals(one)]
        while messages:
            taken = self._handed_on(messages)
            for message in messages[:taken]:
                if message.command == "PING":  # answered: all that came before it has been dealt with
                    client.take(message)
            messages = messages[taken:]
            if messages:
                await self._turn_of_others()
        if client.was_ready and not self._announced:
            self._announced = True
            self._report("registered", self._events.registered)

    def _conceals(self, message: Message) -> bool:
        """Whether it is an echo of what `conceal` was told; the network may have cut off the end of a long one."""
        if message.command not in ("PRIVMSG", "NOTICE") or message.nick.lower() != self.nickname.lower():
            return False
        target, echo, cut = message.param(0).lower(), message.param(1), len(message.body) > _CUT_BYTES
        for said in self._concealed:
            if said[0] == target and (said[1] == echo or (cut and said[1].startswith(echo))):
                self._concealed.remove(said)
                return True
        return False

    def _handed_on(self, messages: list[Message]) -> int:
        """How many of them were taken; what raises is not offered again."""
        try:
            return max(1, self._events.lines(messages))
        except Exception:
            log.exception("a listener failed at lines")
            return len(messages)

    def _report(self, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # a failure up there must not cost the connection
            log.exception("what was done with %s failed", what)

    def _odd(self, why: str, raw: bytes) -> None:
        self._odd_lines += 1
        if self._odd_lines <= _ODD_TOLD:
            log.warning("%s was passed over: %r", why, raw[:200])
            self.note("line", f"{why} was passed over")

    # -- called by the pydle part

    def note(self, kind: NoteKind, text: str) -> None:
        """Hand a note up."""
        self._report("a note", lambda: self._events.note(kind, text))

    def fail(self, reason: str, *, permanent: bool = False) -> None:
        """End the connection; the first reason given is the one reported."""
        self._permanent = self._permanent or (permanent and self._reason is None)
        self._end(reason)
        self._connection.abort()

    def refused_for_good(self) -> None:
        """If it ends now, it would end so again."""
        self._permanent = True

    def welcomed(self) -> None:
        """001 has come; the deadline goes on to the end of the MOTD."""

    def ready(self) -> None:
        """From here on PINGs tell whether the server is there."""
        self._again(self.params.ping_s, self._ping)

    def ponged(self, token: str) -> None:
        """The answer to our PING gives the lag."""
        if self._ping_at is not None and token == f"{OUR_PING}{self._ping_number}":
            self.lag_ms = round((asyncio.get_running_loop().time() - self._ping_at) * 1000)
            self._ping_at = None
            if self._measured is not None:
                self._measured(self.lag_ms)

    # -- deadlines

    def _again(self, delay_s: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, call)

    def _register_late(self) -> None:
        if not self._client.registered:
            self.fail(f"registration timed out after {self.params.register_s:g} s")
            return
        self.note("motd", "the message of the day does not end; going on without")
        self._client.was_ready = True
        self._announced = True
        self.ready()
        self._report("registered", self._events.registered)

    def _ping(self) -> None:
        """Every `ping_s`: a PING, unless the last one got no answer and nothing else came since either."""
        if self._ping_at is not None and self._heard_at < self._ping_at:
            self.fail("ping timeout")
            return
        self._ping_number += 1
        self._ping_at = asyncio.get_running_loop().time()
        self.send(f"PING :{OUR_PING}{self._ping_number}".encode())
        self._again(self.params.ping_s, self._ping)

    # -- the end

    def _end(self, reason: str | None) -> None:
        if self._reason is None:
            self._reason = reason

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._client.close()
        self._connection.abort()
        if self._reason is None:
            self._reason = "closed by the server"
        self._ended.set()


def _pieces(data: bytes) -> list[bytes]:
    """A read, in parts where its lines are so short and many that looking at them all at once would take long."""
    if data.count(b"\n") <= MANY_LINES:
        return [data]
    return [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]
