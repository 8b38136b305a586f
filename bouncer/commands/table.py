"""Owns the shape of a command, of what it is given, and of its answer."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bouncer.clock import now_ms
from bouncer.irc.format import server_time
from bouncer.irc.message import escape_tag, wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bouncer.commands.bouncer import Announcer
    from bouncer.commands.multiline import Draft
    from bouncer.config import Config
    from bouncer.downstream import Client
    from bouncer.events import Hub
    from bouncer.irc.authentication import SaslLines
    from bouncer.irc.message import Message
    from bouncer.network.attachment import Attachment
    from bouncer.network.network import Network
    from bouncer.service.facade import Service

PORTION_BYTES = 32 * 1024
"""What is written of an answer at once: with what may wait in the socket it is less than any send queue holds."""

_batches = itertools.count(1)


class Answer:
    """What one command is answered with by us: kept until its handler is done, then sent with the client's label.

    https://ircv3.net/specs/extensions/labeled-response
    """

    __slots__ = ("_batch", "_client", "_parts", "label", "passed", "source")

    def __init__(self, client: Client, label: str, source: str) -> None:
        self.label = label
        self.source = source
        self.passed = False
        """Whether the network answers (with this label): silence of ours is then no answer."""
        self._client = client
        self._parts: list[bytes] = []
        self._batch = b""
        """The tag of the labelled batch that `flush` has opened."""

    def write(self, data: bytes) -> None:
        """Whole lines (bytes with CR LF)."""
        self._parts.append(data)

    def reply(self, command: str, *params: str, source: str | None = None) -> None:
        """One line of ours: a numeric is addressed to the client's nick. UnsafeLineError for what cannot be written."""
        to = [self._client.nick] if command.isdigit() else []
        self._line(command, [*to, *params], source)

    def fail(self, command: str, code: str, *context_and_text: str) -> None:
        """A standard reply: https://ircv3.net/specs/extensions/standard-replies ."""
        self._line("FAIL", [command, code, *context_and_text])

    def warn(self, command: str, code: str, *context_and_text: str) -> None:
        """As `fail`, for what was done although something is odd."""
        self._line("WARN", [command, code, *context_and_text])

    def note(self, command: str, code: str, *context_and_text: str) -> None:
        """As `fail`, for information."""
        self._line("NOTE", [command, code, *context_and_text])

    def notice(self, text: str) -> None:
        """A notice of ours to the person."""
        self._line("NOTICE", [self._client.nick, text.replace("\r", " ").replace("\n", " ")])

    def _line(self, command: str, params: list[str], source: str | None = None) -> None:
        tags = {"time": server_time(now_ms())} if "server-time" in self._client.caps else None
        self.write(wire(command, params, source or self.source, tags, colon=bool(params)))

    async def flush(self) -> None:
        """Send what there is, as the client takes it: an answer in parts need not fit into anything as a whole."""
        if not self._parts:
            return
        lines = self._taken()
        if self.label and not self._batch:
            begin, self._batch = _opened(self._label(), self.source)
            await self._send([begin])
        await self._send(_inside(lines, self._batch) if self._batch else lines)

    async def finish(self) -> None:
        """Send it."""
        if self._batch:
            reference = self._batch.partition(b"=")[2].decode()
            await self._send([*_inside(self._taken(), self._batch), wire("BATCH", [f"-{reference}"], self.source)])
            return
        if self.label and not self._parts and not self.passed:
            self._line("ACK", [])
        lines = self._taken()
        if self.label and len(lines) > 1 and not _is_one_batch(lines):
            begin, tag = _opened(self._label(), self.source)
            reference = tag.partition(b"=")[2].decode()
            lines = [begin, *_inside(lines, tag), wire("BATCH", [f"-{reference}"], self.source)]
        elif self.label and lines:
            lines[0] = with_tag(lines[0], self._label())
        await self._send(lines)

    def _taken(self) -> list[bytes]:
        data = b"".join(self._parts)
        self._parts.clear()
        return [line + b"\n" for line in data.split(b"\n")[:-1]]

    def _label(self) -> bytes:
        return f"label={escape_tag(self.label)}".encode("utf-8", "surrogateescape")

    async def _send(self, lines: list[bytes]) -> None:
        """In portions, each when the client has taken most of the one before: a long answer is no flood."""
        start = size = 0
        for number, line in enumerate(lines, 1):
            size += len(line)
            if size >= PORTION_BYTES:
                self._client.write(b"".join(lines[start:number]))
                start, size = number, 0
                await self._client.drain()
        self._client.write(b"".join(lines[start:]))


def with_tag(line: bytes, tag: bytes) -> bytes:
    """The line with one more tag (`key=value`, escaped)."""
    return b"@%b;%b" % (tag, line[1:]) if line[:1] == b"@" else b"@%b %b" % (tag, line)


def _is_one_batch(lines: list[bytes]) -> bool:
    """Whether all of it stands between one BATCH + and its BATCH -."""
    first, last = _batch_words(lines[0]), _batch_words(lines[-1])
    return len(first) > 1 and first[1][:1] == b"+" and len(last) > 1 and last[1] == b"-" + first[1][1:]


def _batch_words(line: bytes) -> list[bytes]:
    words = [word for word in line.split() if word[:1] not in (b"@", b":")]
    return words if words[:1] == [b"BATCH"] else []


def _opened(label: bytes, source: str) -> tuple[bytes, bytes]:
    """The opening of a labelled batch, and the tag of what stands in it."""
    reference = f"bl{next(_batches)}"
    begin = with_tag(wire("BATCH", [f"+{reference}", "labeled-response"], source), label)
    return begin, b"batch=" + reference.encode()


def _inside(lines: list[bytes], tag: bytes) -> list[bytes]:
    return [
        line if line[:1] == b"@" and b"batch=" in line.partition(b" ")[0] else with_tag(line, tag) for line in lines
    ]


class User(Protocol):
    """The person whose client it is, with all that is live of them."""

    user_id: int
    config: Config
    hub: Hub
    announcer: Announcer

    @property
    def service(self) -> Service:
        """The command layer."""

    @property
    def networks(self) -> Mapping[int, Network]:
        """By server id."""

    @property
    def sessions(self) -> Mapping[int, Session]:
        """Every registered client of the person, by client id."""


class Session(Protocol):
    """One registered client with what it is bound to; handlers run inside the user's tenant."""

    client: Client
    network: Network | None
    attachment: Attachment | None
    answer: Answer
    drafts: dict[str, Draft]
    """Messages of several lines on their way in, by the client's reference."""
    sasl: SaslLines
    """A login to an account of the network."""

    @property
    def user(self) -> User:
        """Whose client it is."""

    async def collect(self, msg: Message) -> bool:
        """Take a line that belongs to one of `drafts`; whether it did."""

    async def service(self, text: str) -> list[str]:
        """BouncerServ's answer to a line."""


class Command(NamedTuple):
    """A handler and how many parameters it needs; fewer are answered with 461 before it is called."""

    run: Callable[[Session, Message], Awaitable[None]]
    min_params: int = 0


async def forward(session: Session, msg: Message) -> None:
    """To the network, its answer to this client."""
    network, attachment, answer = session.network, session.attachment, session.answer
    if network is None or attachment is None:
        answer.reply("421", msg.command, "Unknown command; this connection is not bound to a network")
    elif network.ask(attachment, msg, answer.label):
        answer.passed = True
    elif network.polls(msg):
        # Clients ask these by themselves, for each channel: the person has nothing to be told.
        if (end := network.end_of(msg)) and msg.params:
            answer.reply(end, msg.params[0], "Not connected")
    else:
        why = "Too much waits for" if network.up else "Not connected to"
        answer.notice(f"{why} {network.settings.name}: {msg.command} was not sent")
