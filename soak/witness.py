"""Owns what clients were shown: one that takes down all it sees, and the ledger that a user's file is held against."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 60.0
LAG_S = 3.0
"""A client is asked every second how far it is; the rest is for a busy machine."""
PASSWORD = "pw"
CHANNEL = "#den"
CAPS = "server-time message-tags batch echo-message draft/read-marker"
RECEIPT = "PING :bouncer-receipt-"
FAILING = "lines are shown before they are stored"
SAID = re.compile(r":(?P<sender>\S+) PRIVMSG (?P<target>\S+) :?(?P<text>.*)$")
MARKED = re.compile(r"MARKREAD (?P<target>\S+) :?timestamp=(?P<time>\S+)$")


class Said(NamedTuple):
    """A message as a client sees it; `time` is that of its tag."""

    msgid: str
    time: str
    sender: str
    text: str


@dataclass
class Ledger:
    """What the clients of one user were shown since the beginning, over all restarts."""

    user: str
    said: dict[str, Said] = field(default_factory=dict)
    """By text, which is said once only."""
    before_stored: set[str] = field(default_factory=set)
    """Texts that were shown while a client had been told that storing fails."""
    markers: dict[str, str] = field(default_factory=dict)
    """Target -> the furthest time a client was told that it was read up to."""
    kept_markers: dict[str, str] = field(default_factory=dict)
    """The same as the file had it, when that was last looked at."""
    seen: dict[str, set[str]] = field(default_factory=dict)
    """Client name -> msgids it was ever shown."""
    settled: dict[str, str] = field(default_factory=dict)
    """Client name -> the msgid up to which its receipt is certainly kept."""
    receipts: dict[str, int] = field(default_factory=dict)
    """Client name -> its receipt in the file, when that was last looked at."""
    faults: list[str] = field(default_factory=list)
    """What went against a promise, in words."""

    def shown(self, client: str, said: Said, *, stored: bool) -> None:
        """A client was shown a message."""
        known = self.said.setdefault(said.text, said)
        if known != said:
            self.faults.append(f"{client} was shown {said}, which was {known} before")
        if not stored:
            self.before_stored.add(said.text)
        self.seen.setdefault(client, set()).add(said.msgid)

    def marked(self, target: str, until: str) -> None:
        """A client was told how far has been read."""
        self.markers[target] = max(until, self.markers.get(target, ""))


class Witness:
    """A client on a real socket that acknowledges what it is asked about."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, ledger: Ledger) -> None:
        self.name = name
        self.ledger = ledger
        self.shown: list[Said] = []
        """In this connection, in order."""
        self.old = 0
        """How many of these came longer than `LAG_S` before the end."""
        self.notices: list[str] = []
        """And errors."""
        self.caught_up = False
        """Whether it has been played all it had missed."""
        self.changed = asyncio.Event()
        """Set with each line."""
        self._reader, self._writer = reader, writer
        self._failing = False
        self._asking = ""
        # Others may read later what they were told earlier: each is held to itself, and to what all knew as it came.
        self._markers = dict(ledger.markers)
        self._msgids: set[str] = set()
        self._times: list[float] = []

    @classmethod
    async def attach(cls, port: int, name: str, ledger: Ledger, *, caps: str = CAPS) -> Self:
        """Log in; returns at once, `run` reads. Raises OSError where nobody listens."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        client = cls(reader, writer, name, ledger)
        client.send("CAP LS 302", f"CAP REQ :{caps}", f"PASS {ledger.user}/net@{name}:{PASSWORD}")
        client.send(f"NICK {ledger.user}", "USER u 0 * :u", "CAP END", "PING caught-up")
        return client

    def send(self, *lines: str) -> None:
        """Lines to the bouncer."""
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())

    def say(self, text: str) -> None:
        """Words of ours to the channel."""
        self.send(f"PRIVMSG {CHANNEL} :{text}")

    def mark_read(self) -> None:
        """All that was shown has been read."""
        if self.shown:
            self.send(f"MARKREAD {CHANNEL} timestamp={self.shown[-1].time}")

    async def run(self) -> None:
        """Read to the end of the connection: what was on its way when the bouncer was killed was shown too."""
        with contextlib.suppress(ConnectionError):
            while (raw := await self._reader.readline()).endswith(b"\n"):
                self._line(raw.decode().rstrip("\r\n"))
                self.changed.set()
        self.old = bisect.bisect(self._times, time.monotonic() - LAG_S)
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
        self.changed.set()

    async def until(self, what: Callable[[Self], bool]) -> None:
        """Wait until that is so; looked at after each line. TimeoutError after the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while not what(self):
                self.changed.clear()
                await self.changed.wait()

    def close(self) -> None:
        """Leave."""
        self._writer.close()

    def _line(self, line: str) -> None:
        tags: dict[str, str] = {}
        if line.startswith("@"):
            words, _, line = line[1:].partition(" ")
            tags = dict(tag.partition("=")[::2] for tag in words.split(";"))
        if line.startswith("PING "):
            self.send(f"PONG {line[5:]}")
            if line.startswith(RECEIPT) and not self._asking and self.shown:
                self._asking = self.shown[-1].msgid
                self.send("PING settled")
        elif " PONG " in line and line.endswith("settled"):
            # It stands behind the receipt in the bouncer's journal, and was let go when that was on disk.
            self.ledger.settled[self.name], self._asking = self._asking, ""
        elif " PONG " in line and line.endswith("caught-up"):
            self.caught_up = True
        elif found := SAID.match(line):
            self._said(Said(tags["msgid"], tags["time"], found["sender"], found["text"]))
        elif found := MARKED.search(line):
            self._marked(found["target"], found["time"])
        elif " NOTICE " in line or line.startswith("ERROR "):
            self.notices.append(line)
            self._failing = FAILING in line or (self._failing and "Storage works again" not in line)

    def _marked(self, target: str, until: str) -> None:
        if until < self._markers.get(target, ""):
            what = f"{self.name} was told that {target} is read to {until}, after {self._markers[target]}"
            self.ledger.faults.append(what)
        self._markers[target] = until
        self.ledger.marked(target, until)

    def _said(self, said: Said) -> None:
        if said.msgid in self._msgids:
            self.ledger.faults.append(f"{self.name} was shown {said} twice in one connection")
        self._msgids.add(said.msgid)
        self.shown.append(said)
        self._times.append(time.monotonic())
        self.ledger.shown(self.name, said, stored=not self._failing)
