"""`kill -9` while a channel is busy: what anybody was shown is kept, once, and nothing is skipped afterwards."""

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
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.daemon import Bouncer
    from tests.support.network import Peer

DEADLINE_S = 30.0
BEAT_S, LINES_PER_BEAT = 0.02, 20  # 1,000 messages a second
TWO_SECONDS = 2_000
"""A client is asked for a receipt every second; the other second is for a busy machine."""

CLIENTS = ("desk", "phone")
RECEIPT = "PING :bouncer-receipt-"
STORED = "SELECT content, msgid FROM messages WHERE message_type = 'privmsg' ORDER BY id"
SHOWN = re.compile(r"@(\S*)(?<=[@;])msgid=([^; ]+)\S* :bob!b@host PRIVMSG #den :?n(\d+)$")


@dataclass
class Traffic:
    """Numbered messages to a channel; `sent` is how many so far."""

    sent: int = 0
    last_words: Callable[[], None] | None = None
    """Called right after the next lines went out; nothing more is sent then."""

    async def flow(self, peer: Peer) -> None:
        """Go on until the other side is gone."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        with contextlib.suppress(OSError):
            while not peer.closed.is_set():
                numbers = range(self.sent, self.sent + LINES_PER_BEAT)
                self.sent = numbers.stop
                await peer.send(*(f":bob!b@host PRIVMSG #den :n{number}" for number in numbers))
                if self.last_words is not None:
                    self.last_words()
                    return
                due += BEAT_S
                await asyncio.sleep(due - loop.time())  # the beat itself, not a wait for something


@dataclass
class Client:
    """Takes each message down and acknowledges what it is asked about."""

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
    async def attach(cls, bouncer: Bouncer, name: str, traffic: Traffic) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", bouncer.port)
        client = cls(reader, writer, traffic)
        client.send(
            "CAP LS 302",
            "CAP REQ :server-time message-tags batch",
            f"PASS {bouncer.login(name)}",
        )
        client.send("NICK alice", "USER a 0 * :a", "CAP END")
        return client

    @property
    def last(self) -> int:
        """The newest message shown."""
        return self.shown[-1][0] if self.shown else -1

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
                self.answered = self.last
                if self._asking is None:
                    self._asking = self.answered
                    self.send("PING settled")
        elif " PONG " in line and line.endswith(":settled"):
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

    async def until(self, what: Callable[[Self], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not what(self):
                assert await self.read(), self.shown[-3:]

    async def until_end(self) -> None:
        """What was on its way when the bouncer was killed was shown too."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.read():
                pass
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


Clients = dict[str, Client]


async def test_killed_at_a_thousand_messages_a_second_it_loses_nothing_shown_and_skips_nothing(
    tmp_path: Path,
) -> None:
    """Killed twice: right when a message is shown, late in a second, and right when messages come, early in one."""
    bouncer = await asyncio.to_thread(daemon.prepare, tmp_path)
    traffic = Traffic()
    async with ScriptedNetwork() as network:
        words = [
            "--port",
            str(network.port),
            "--no-tls",
            "--nick",
            "alice",
            "--join",
            "#den",
        ]
        await asyncio.to_thread(bouncer.cli.ok, "server", "add", "alice", "net", network.host, *words)
        first = await _killed(bouncer, network, traffic, after=900, when_shown=True)
        _check(bouncer, traffic, first, before=None)
        second = await _killed(bouncer, network, traffic, after=200, when_shown=False)
        _check(bouncer, traffic, second, before=first)
        with daemon.process(bouncer) as running:
            clients = await _attached(bouncer, await _joined(network), traffic)
            running.kill()
            for client in clients.values():
                await client.until_end()
        _check(bouncer, traffic, clients, before=second)


async def _killed(
    bouncer: Bouncer,
    network: ScriptedNetwork,
    traffic: Traffic,
    *,
    after: int,
    when_shown: bool,
) -> Clients:
    """Traffic, until the bouncer is killed `after` messages after a receipt of the phone."""
    group = tasks.Group()
    with daemon.process(bouncer) as running:
        peer = await _joined(network)
        clients = await _attached(bouncer, peer, traffic)
        phone, desk = clients["phone"], clients["desk"]
        traffic.last_words = None
        group.spawn(traffic.flow(peer), name="traffic")
        reading = group.spawn(desk.until_end(), name="desk")
        await phone.until(lambda phone: phone.receipts >= 2)
        number = phone.last + after
        await phone.until(lambda phone: phone.last >= number)
        if when_shown:
            running.kill()
        else:
            traffic.last_words = running.kill
        await phone.until_end()
        await reading
    await group.cancel()
    return clients


async def _attached(bouncer: Bouncer, peer: Peer, traffic: Traffic) -> Clients:
    """Both are there, and were shown what they had missed and one message more."""
    clients = {name: await Client.attach(bouncer, name, traffic) for name in CLIENTS}
    number = traffic.sent
    traffic.sent += 1
    await peer.send(f":bob!b@host PRIVMSG #den :n{number}")
    for client in clients.values():
        await client.until(lambda client: client.last == number)
    return clients


async def _joined(network: ScriptedNetwork) -> Peer:
    peer = await network.accept(DEADLINE_S)
    await peer.welcome()
    await peer.expect("JOIN", "#den")
    await peer.let_in("#den", "bob")
    await peer.barrier()
    return peer


def _check(bouncer: Bouncer, traffic: Traffic, clients: Clients, *, before: Clients | None) -> None:
    """The file is whole and has all that was shown, once, as it was shown; each client went on where it had stopped."""
    assert bouncer.rows("PRAGMA integrity_check") == [("ok",)]
    stored = [(int(content.removeprefix("n")), msgid) for content, msgid in bouncer.rows(STORED)]
    assert [number for number, _ in stored] == list(range(len(stored)))
    assert len({msgid for _, msgid in stored}) == len(stored)
    for name, client in clients.items():
        first = client.shown[0][0]
        assert client.shown == stored[first : client.last + 1]  # each of them once and in order, under its msgid
        if before is None:
            assert first == 0
        else:
            last_time = before[name]
            assert last_time.acknowledged < first <= last_time.answered + 1
            assert last_time.last - first < TWO_SECONDS
    traffic.sent = len(stored)  # what the network had sent and nobody had read is lost to everybody
