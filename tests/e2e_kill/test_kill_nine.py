"""`kill -9` while a channel is busy: what was shown is kept, and nothing is skipped afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from bouncer import tasks
from tests.support import daemon
from tests.support.network import ScriptedNetwork

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.daemon import Bouncer
    from tests.support.network import Peer

DEADLINE_S = 30.0
BEAT_S, LINES_PER_BEAT = 0.01, 10  # 1,000 messages a second
ENOUGH = 2_500
"""Messages shown before the kill: some seconds of traffic, so several receipts."""

RECEIPT = "PING :bouncer-receipt-"
STORED = "SELECT content, msgid FROM messages WHERE message_type = 'privmsg' ORDER BY id"
SHOWN = re.compile(r"@(\S*)(?<=[@;])msgid=([^; ]+)\S* :bob!b@host PRIVMSG #den :?n(\d+)$")


@dataclass
class Traffic:
    """Numbered messages to a channel; `sent` is how many so far."""

    sent: int = 0

    async def flow(self, peer: Peer) -> None:
        """Go on until the other side is gone."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        with contextlib.suppress(OSError):
            while not peer.closed.is_set():
                numbers = range(self.sent, self.sent + LINES_PER_BEAT)
                self.sent = numbers.stop
                await peer.send(*(f":bob!b@host PRIVMSG #den :n{number}" for number in numbers))
                due += BEAT_S
                await asyncio.sleep(due - loop.time())  # the beat itself, not a wait for something


@dataclass
class Phone:
    """A client that takes each message down and acknowledges what it is asked about."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    traffic: Traffic
    shown: list[tuple[int, str]] = field(default_factory=list)
    acknowledged: int = -1
    """The last message whose receipt is certainly kept, see `_settle`."""
    answered: int = -1
    """The last message it has answered for, kept or not."""
    receipts: int = 0
    _asking: int | None = None
    _heard_at: int | None = None

    @classmethod
    async def attach(cls, bouncer: Bouncer, traffic: Traffic) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", bouncer.port)
        phone = cls(reader, writer, traffic)
        phone.send("CAP LS 302", "CAP REQ :server-time message-tags batch", f"PASS {bouncer.login('phone')}")
        phone.send("NICK alice", "USER a 0 * :a", "CAP END")
        return phone

    def send(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def read(self) -> bool:
        """Take one line; False at the end of the connection."""
        try:
            raw = await self.reader.readline()
        except ConnectionError:
            return False
        line = raw.decode().rstrip("\r\n")
        if line.startswith("PING "):
            self.send(f"PONG {line[5:]}")
            if line.startswith(RECEIPT) and self.shown:
                self.answered = self.shown[-1][0]
                if self._asking is None:
                    self._asking = self.answered
                    self.send("PING settled")
        elif line.endswith("PONG bouncer :settled"):
            self._heard_at = self.traffic.sent
        elif found := SHOWN.match(line):
            self._settle(int(found[3]))
            self.shown.append((int(found[3]), found[2]))
        return raw.endswith(b"\n")

    def _settle(self, number: int) -> None:
        """Shown what was sent after the bouncer had our answer: the receipt was stored before this message was."""
        if self._asking is not None and self._heard_at is not None and number >= self._heard_at:
            self.acknowledged, self._heard_at, self._asking = self._asking, None, None
            self.receipts += 1

    async def until_shown(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.shown) < count or self.receipts < 2:
                assert await self.read(), self.shown[-3:]

    async def until_end(self) -> None:
        """What was on its way when the bouncer was killed was shown too."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.read():
                pass

    async def until_number(self, number: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not self.shown or self.shown[-1][0] != number:
                assert await self.read(), self.shown[-3:]

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def test_killed_at_a_thousand_messages_a_second_it_loses_nothing_shown_and_skips_nothing(tmp_path: Path) -> None:
    bouncer = await asyncio.to_thread(daemon.prepare, tmp_path)
    traffic = Traffic()
    async with ScriptedNetwork() as network:
        words = ["--port", str(network.port), "--no-tls", "--nick", "alice", "--join", "#den"]
        await asyncio.to_thread(bouncer.cli.ok, "server", "add", "alice", "net", network.host, *words)
        before = await _killed_under_load(bouncer, network, traffic)
        stored = _kept(bouncer)
        assert set(before.shown) <= set(stored)
        with daemon.process(bouncer):
            peer = await _joined(network)
            phone = await Phone.attach(bouncer, traffic)
            await peer.send(f":bob!b@host PRIVMSG #den :n{traffic.sent}")
            await phone.until_number(traffic.sent)
            await phone.close()
    again = phone.shown[:-1]
    assert again
    assert again == stored[-len(again) :]  # each of them once, in order, up to the last that was stored, as it was
    assert stored[-1][0] + 1 == len(stored)
    assert before.acknowledged < again[0][0] <= before.answered + 1


async def _killed_under_load(bouncer: Bouncer, network: ScriptedNetwork, traffic: Traffic) -> Phone:
    group = tasks.Group()
    with daemon.process(bouncer) as running:
        peer = await _joined(network)
        phone = await Phone.attach(bouncer, traffic)
        group.spawn(traffic.flow(peer), name="traffic")
        await phone.until_shown(ENOUGH)
        running.kill()
        await phone.until_end()
    await group.cancel()
    await phone.close()
    return phone


async def _joined(network: ScriptedNetwork) -> Peer:
    peer = await network.accept(DEADLINE_S)
    await peer.welcome()
    await peer.expect("JOIN", "#den")
    await peer.let_in("#den", "bob")
    await peer.barrier()
    return peer


def _kept(bouncer: Bouncer) -> list[tuple[int, str]]:
    """Number and msgid of all that is in the file, which has to be whole, with each of them there once."""
    assert bouncer.rows("PRAGMA integrity_check") == [("ok",)]
    stored = [(int(content.removeprefix("n")), msgid) for content, msgid in bouncer.rows(STORED)]
    assert [number for number, _ in stored] == list(range(len(stored)))
    assert len({msgid for _, msgid in stored}) == len(stored)
    return stored
