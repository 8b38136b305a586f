"""The target of whole sessions: bytes of a network through the real upstream and network, to clients that look on.

A line that begins with `>` is one of the first client's, which is asked of the network; all others are the network's.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.config import Config, Flood
from bouncer.errors import MalformedLineError
from bouncer.events import Hub
from bouncer.irc.caps import CLIENT_CAPS
from bouncer.irc.message import Message
from bouncer.irc.roster import MAX_CHANNELS, MAX_MEMBERS
from bouncer.network.attachment import Attachment
from bouncer.network.batches import MAX_ALL_BYTES, MAX_OPEN
from bouncer.network.network import Network
from bouncer.network.settings import ServerSettings
from bouncer.upstream import ConnectParams, Upstream
from fuzz.protocol import well_formed

if TYPE_CHECKING:
    from bouncer.journal import Batch
    from bouncer.network.outgoing import Owner

ALL = frozenset(cap.name for cap in CLIENT_CAPS)
NEEDS = {"TAGMSG": "message-tags", "AWAY": "away-notify", "ACCOUNT": "account-notify", "SETNAME": "setname"}
PARAMS = ConnectParams("irc.test", 6667, "me", tls=False, auth_method="sasl-plain", auth_password="x")  # noqa: S106
SETTINGS = ServerSettings(
    1, "net", enabled=True, trusted=True, params=PARAMS, connect_commands=(), flood_burst=0, flood_interval_ms=None,
    keep_nick=True, quit_message="", joins=(("#a", None),), known_nick="", known_isupport="{}",
)  # fmt: skip


class Page:
    """The place of the journal: rows have to be fit for a file, and are released at once."""

    def __init__(self) -> None:
        self.rows = 0

    def submit(self, _tenant: str, batch: Batch) -> None:
        """Look at what would be stored."""
        for row in batch.rows:
            for text in (row.target, row.folded, row.sender, row.message_type, row.content, row.tags or "", row.msgid):
                text.encode()
        for change in batch.changes:
            for params in change.params if isinstance(change.params, list) else [change.params]:
                for value in params:
                    assert not isinstance(value, str) or value.encode() is not None
        batch.ids = range(self.rows + 1, self.rows + 1 + len(batch.rows))
        self.rows += len(batch.rows)
        batch.release(batch, True)


class House:
    """The place of the user."""

    user_id = 1

    def __init__(self) -> None:
        self.journal = Page()
        self.hub = Hub()
        self.config = Config(flood=Flood(burst=0))
        self.group = tasks.Group()

    def allows(self, address: str, *, trusted: bool) -> bool:
        """Nothing is connected to."""
        del address, trusted
        return False


class Looker:
    """A client that looks at what it is shown."""

    def __init__(self, name: str, caps: frozenset[str]) -> None:
        self.name = name
        self.caps = caps

    def write(self, data: bytes) -> None:
        """Whole lines, and of those that need a capability only what it has."""
        if not data:
            return
        well_formed(data)
        for line in data[:-2].split(b"\r\n"):
            assert self.caps or line[:1] != b"@", line
            needs = NEEDS.get(Message.parse(line).command)
            assert needs is None or needs in self.caps, line

    async def drain(self) -> None:
        """It has taken all."""

    def drop(self, reason: str) -> None:
        """Nobody is dropped for what a network says."""
        raise AssertionError(reason)


class Wire(Upstream):
    """An upstream without a socket."""

    connected = True

    def send(self, line: bytes) -> None:
        """What we say is one line."""
        assert not set(line) & {0, 10, 13}, line

    async def take(self, data: bytes) -> None:
        """Bytes of the network."""
        await self._take(data)


class _Faults(logging.Handler):
    """What is logged as an error is one: the edges that keep a line's fault from the next must not be needed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found = self.found or [logging.Formatter().format(record)]


def session(data: bytes) -> None:
    """All of it, in a loop of its own."""
    faults = _Faults()
    root = logging.getLogger("bouncer")
    root.addHandler(faults)
    try:
        with asyncio.Runner() as runner:
            runner.run(_session(data))
    finally:
        root.removeHandler(faults)
    assert not faults.found, faults.found[0]


async def _session(data: bytes) -> None:
    house = House()
    owner: Owner = house  # type: ignore[assignment]  # it has what a network needs
    network = Network(owner, SETTINGS)
    wire = network.upstream = Wire(PARAMS, network)
    lookers = [Attachment(Looker("one", ALL), network), Attachment(Looker("two", frozenset()), network)]
    for looker in lookers:
        looker.holding = False
        network.attach(looker)
    try:
        for line in data.split(b"\n"):
            if line[:1] == b">":
                _asked(network, lookers[0], line[1:])
            else:
                await wire.take(line + b"\n")
        _bounded(network)
    finally:
        network._lost("the session is over")  # noqa: SLF001 - what the end of the connection leads to
        await house.group.cancel()
    assert len(network.state.channels) == len(network.state.users) == 0


def _asked(network: Network, looker: Attachment, line: bytes) -> None:
    try:
        msg = Message.parse(line)
    except MalformedLineError:
        return
    if set(line) & {0, 13} or not network.up:
        return
    if msg.command == "PING":
        network.ping(looker, msg.param(0), msg.tags.get("label", ""))
    else:
        network.ask(looker, msg, msg.tags.get("label", "") if "label" in msg.tags else "")


def _bounded(network: Network) -> None:
    batches = network._batches._open  # noqa: SLF001 - its bound is what is looked at
    assert len(batches) <= MAX_OPEN
    assert sum(len(message.raw) for one in batches.values() for _, message in one.parts) <= MAX_ALL_BYTES
    assert len(network.state.channels) <= MAX_CHANNELS
    assert sum(len(channel.members) for channel in network.state.channels.values()) <= MAX_MEMBERS
    assert len(network.motd) <= 500
