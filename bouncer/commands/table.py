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

_batches = itertools.count(1)


class Answer:
    """What one command is answered with by us: kept until its handler is done, then sent with the client's label.

    https://ircv3.net/specs/extensions/labeled-response
    """

    __slots__ = ("_client", "_parts", "label", "passed", "source")

    def __init__(self, client: Client, label: str, source: str) -> None:
        self.label = label
        self.source = source
        self.passed = False
        """Whether the network answers (with this label): silence of ours is then no answer."""
        self._client = client
        self._parts: list[bytes] = []

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

    def finish(self) -> None:
        """Send it."""
        data = b"".join(self._parts)
        self._parts.clear()
        if not self.label or (self.passed and not data):
            self._client.write(data)
            return
        label = f"label={escape_tag(self.label)}".encode("utf-8", "surrogateescape")
        lines = data.splitlines(keepends=True) if data else []
        if not lines:
            self._line("ACK", [])
            self._client.write(with_tag(self._parts.pop(), label))
        elif len(lines) == 1 or _is_one_batch(lines):
            self._client.write(with_tag(lines[0], label) + b"".join(lines[1:]))
        else:
            self._client.write(_in_batch(lines, label, self.source))


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


def _in_batch(lines: list[bytes], label: bytes, source: str) -> bytes:
    reference = f"bl{next(_batches)}"
    tag = b"batch=" + reference.encode()
    begin = with_tag(wire("BATCH", [f"+{reference}", "labeled-response"], source), label)
    inside = [line if b"batch=" in line.partition(b" ")[0] else with_tag(line, tag) for line in lines]
    return b"".join([begin, *inside, wire("BATCH", [f"-{reference}"], source)])


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
        answer.notice(f"Not connected to {network.settings.name}: {msg.command} was not sent")
