"""What ours and ZNC can both do, beside each other and beside no bouncer at all, on Debian's ngircd; in turn."""

from __future__ import annotations

import contextlib
import functools
import re
import selectors
import sqlite3
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import rivals
from benchmarks.house import PASSWORD, House, folder, furnish, opened
from benchmarks.peers import Client, hello, read_all, texts
from benchmarks.process import DEADLINE_S, Process
from benchmarks.speaker import CHANNEL, Speaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SAID = re.compile(rb":speaker!\S+ PRIVMSG #bench0 :(.*)\r\n")
AT = re.compile(rb" PRIVMSG #bench0 :at (\d+)\r\n")
DIRECT, ZNC, ZNC_LOG, OURS = "direct", "ZNC", "ZNC, log", "ours"
WAYS = (DIRECT, ZNC, ZNC_LOG, OURS)
FLOOD, CROWD, CROWD_TEXTS, CROWD_SLOWLY = 20_000, 100, 200, 40
MISSED = 10_000


class Stage:
    """One way to be on a network of its own: directly, or through a bouncer; `process` is the bouncer's, if any."""

    def __init__(self, way: str, ircd: rivals.Program, users: list[str]) -> None:
        self.way = way
        self.ircd = ircd
        self.users = users
        self.speaker = Speaker(ircd.port)
        self.process: Process | None = None
        self.house: House | None = None
        self.port = ircd.port

    def client(self, user: str, name: str) -> Client:
        """A client that sees the channel."""
        if self.process is None:
            greeting = f"NICK {user}-{name}\r\nUSER u 0 * :u\r\nJOIN {CHANNEL}\r\n".encode()
            return Client(self.port, greeting, f" 366 {user}-{name} {CHANNEL} ")
        login = f"{user}/net@{name}" if self.house is not None else f"{user}@{name}/net"
        return Client(self.port, hello(login, PASSWORD), f" 366 {user} {CHANNEL} ")

    def wait_joined(self) -> None:
        """Until all users are on the channel; ZNC connects one a second."""
        if self.process is not None:
            self.speaker.wait_for(len(self.users) + 1)

    def cpu_s(self) -> float:
        """What the bouncer has used, when it has come to rest."""
        return self.process.quiet_cpu_s() if self.process is not None else 0.0

    def check(self, said: list[str], clients: list[Client]) -> None:
        """That nothing is lost or in another order at a client; with ours nothing wrong in any file, or not found."""
        encoded = [text.encode() for text in said]
        for client in clients:
            assert SAID.findall(client.seen) == encoded, f"{self.way}: lost or reordered on the way to a client"
        if self.house is not None:
            for number in range(len(self.users)):
                check_file(self.house, number, said)
        elif self.way == ZNC_LOG:
            for user in self.users:
                _check_log(self.ircd.folder / "znc", user, said)


def check_file(house: House, user: int, said: list[str]) -> None:
    """The newest rows of that user's file are what was said, in order, and the index finds each of them."""
    with contextlib.closing(sqlite3.connect(f"file:{house.file_of(user)}?mode=ro", uri=True)) as database:
        sql = "SELECT id, content FROM messages WHERE message_type = 'privmsg' ORDER BY id DESC LIMIT ?"
        ids, stored = zip(*reversed(database.execute(sql, (len(said),)).fetchall()), strict=True)
        assert list(stored) == said, "a file has lost, reordered or somebody else's messages"
        mark = said[0].split()[0]
        sql = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ? ORDER BY rowid DESC LIMIT ?"
        found = [row[0] for row in database.execute(sql, (mark, len(said)))]
        assert found[::-1] == list(ids), "not all are in the index"


def _check_log(place: Path, user: str, said: list[str]) -> None:
    until = time.monotonic() + 5
    while (logged := rivals.logged(place, user)[-len(said) :]) != said:
        assert time.monotonic() < until, f"ZNC's log has {len(logged)} of {len(said)} messages"
        time.sleep(0.1)


@contextlib.contextmanager
def stage(way: str, users: list[str]) -> Iterator[Stage]:
    """A network, and in front of it the bouncer of that name, if any, with those users, who are to join the channel."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        ircd = stack.enter_context(rivals.ngircd(place))
        found = Stage(way, ircd, users)
        stack.callback(found.speaker.close)
        if way == OURS:
            furnish(place, users, ircd.port, [CHANNEL])
            house = stack.enter_context(opened(place))
            found.house, found.process, found.port = house, house, house.port
        elif way != DIRECT:
            other = rivals.znc(place / "znc", users, PASSWORD, ircd.port, [CHANNEL], log=way == ZNC_LOG)
            program = stack.enter_context(other)
            found.process, found.port = program, program.port
        yield found


@contextlib.contextmanager
def stages(ways: Sequence[str], count: int) -> Iterator[list[Stage]]:
    """One of each of those kinds, with so many users; all there at once, so that runs can be made in turn."""
    users = [f"u{number}" for number in range(count)]
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(stage(way, users)) for way in ways]
        for one in found:
            one.wait_joined()
        yield found


class Beside(NamedTuple):
    """One line of the table for each way: values by way, one a run; `best` is max or min, `target` ours to reach."""

    what: str
    target: str
    best: Callable[..., float]
    values: dict[str, list[float]]
    form: str = ",.0f"

    def line(self) -> str:
        """The median of each way, what all its runs lie between, and how many times as good as ZNC with its log."""
        lines = [f"{self.what}{f'   (ours: {self.target})' if self.target else ''}"]
        usual = statistics.median(self.values.get(ZNC_LOG, [0.0]))
        for way, values in self.values.items():
            middle = statistics.median(values)
            shown = [format(value, self.form) for value in (middle, min(values), max(values))]
            ratio = ""
            if way in (ZNC, OURS) and min(usual, middle) > 0:
                ratio = f"x{middle / usual if self.best is max else usual / middle:.2f}"
            lines.append(f"    {way:<10} {shown[0]:>12}   {shown[1]} to {shown[2]:<14} {ratio}")
        return "\n".join(lines)


def _empty(ways: Sequence[str], *, direct: bool = True) -> dict[str, list[float]]:
    return {way: [] for way in ways if direct or way != DIRECT}


def flood(count: int, runs: int, ways: Sequence[str]) -> list[Beside]:
    """20,000 messages at once to one user with so many clients."""
    rates, used, written, busy = _empty(ways), _empty(ways, direct=False), _empty(ways, direct=False), _empty(ways)
    with stages(ways, 1) as found:
        attached = {one.way: [one.client("u0", f"c{number}") for number in range(count)] for one in found}
        for clients in attached.values():
            _settle(clients)  # each has been told of those who came after it
        for run in range(runs + 1):
            said = texts(FLOOD, run)
            for one in found:
                wall_s, cpu_s, disk, reader_s = _flood_once(one, attached[one.way], said)
                if run:  # the first one warms up
                    rates[one.way].append(FLOOD * count / wall_s)
                    busy[one.way].append(reader_s / wall_s * 100)
                    if one.process is not None:
                        used[one.way].append(cpu_s / FLOOD / (count if count > 5 else 1) * 1e6)
                        written[one.way].append(disk / 1e6)
    must = {1: ("25,000", "45"), 5: ("130,000", ""), 20: ("350,000", "2")}[count]
    what = f"flood of {FLOOD:,}, {count} client{'s' if count > 1 else ''}"
    rows = [
        Beside(f"{what}: deliveries/s", f">= {must[0]}", max, rates),
        Beside(f"{what}: CPU us/{'delivery' if count > 5 else 'message'}", f"<= {must[1]}", min, used, ",.1f"),
    ]
    if count == 1:
        rows.append(Beside(f"{what}: MB written", "<= 40", min, written, ",.1f"))
    return [*rows, Beside(f"{what}: the reading clients' share of a processor, %", "", min, busy)]


def _flood_once(one: Stage, clients: list[Client], said: list[str]) -> tuple[float, float, int, float]:
    one.speaker.load(said)
    for client in clients:
        client.reset()
    cpu, disk = one.cpu_s(), one.process.written() if one.process is not None else 0
    reader, began = time.process_time(), time.perf_counter()
    one.speaker.flood()
    ended = read_all(clients, len(said))
    reader = time.process_time() - reader
    cpu, disk = one.cpu_s() - cpu, (one.process.written() if one.process is not None else 0) - disk
    one.check(said, clients)
    return ended - began, cpu, disk, reader


def crowd(runs: int, ways: Sequence[str]) -> list[Beside]:
    """100 users in one channel with a client each: 200 messages at once, and then five a second."""
    rates, used = _empty(ways), _empty(ways, direct=False)
    with stages(ways, CROWD) as found:
        attached = {one.way: [one.client(user, "c") for user in one.users] for one in found}
        for run in range(runs + 1):
            said = texts(CROWD_TEXTS, run)
            for one in found:
                _settle(attached[one.way])
                wall_s, cpu_s, _, _ = _flood_once(one, attached[one.way], said)
                if run:
                    rates[one.way].append(CROWD_TEXTS * CROWD / wall_s)
                    if one.process is not None:
                        used[one.way].append(cpu_s / CROWD_TEXTS / CROWD * 1e6)
        late = _latencies(found, attached, 0.2, CROWD_SLOWLY, ("12", "25"), runs)
        for one in found:
            if one.house is not None:
                check_all(one.house, (CROWD_TEXTS + CROWD_SLOWLY) * (runs + 1))
    what = f"{CROWD} users in a channel, a client each, {CROWD_TEXTS} messages"
    return [
        Beside(f"{what}: deliveries/s", ">= 14,000", max, rates),
        Beside(f"{what}: CPU us/delivery", "", min, used, ",.1f"),
        *late,
    ]


def _settle(clients: list[Client]) -> None:
    """Read away what has come, until nothing comes for a while: people who join, receipts."""
    waiting = selectors.DefaultSelector()
    for client in clients:
        waiting.register(client.socket, selectors.EVENT_READ, client)
    while ready := waiting.select(1.2):
        for key, _ in ready:
            key.data.read()
    waiting.close()


def check_all(house: House, messages: int) -> None:
    """Every file has so many messages, each once, and an index that agrees with them word for word."""
    for file in house.files():
        with contextlib.closing(sqlite3.connect(file)) as database:
            sql = "SELECT count(*), count(DISTINCT msgid) FROM messages WHERE message_type = 'privmsg'"
            assert database.execute(sql).fetchone() == (messages, messages), "a file has too few or too many"
            database.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")


def latency(runs: int, ways: Sequence[str]) -> list[Beside]:
    """How much later a client has one of a hundred messages a second than it has without a bouncer."""
    with stages(ways, 1) as found:
        attached = {one.way: [one.client("u0", "c")] for one in found}
        return _latencies(found, attached, 0.01, 500, ("0.8", "2"), runs)


def _latencies(
    found: list[Stage],
    attached: dict[str, list[Client]],
    interval_s: float,
    messages: int,
    targets: tuple[str, str],
    runs: int,
) -> list[Beside]:
    ways = [one.way for one in found]
    half, worst = _empty(ways), _empty(ways)
    for run in range(runs + 1):
        floor = 0.0
        for one in found:
            _settle(attached[one.way])
            late = _late(one, attached[one.way], interval_s, messages)
            if run:
                half[one.way].append(late[len(late) // 2] - floor)
                worst[one.way].append(late[len(late) * 99 // 100] - floor)
            floor = floor or late[len(late) // 2]
    count = len(found[0].users)
    people = f"{count} user{'s' if count > 1 else ''}, {1 / interval_s:.0f} messages/s{', last client' * (count > 1)}"
    what = f"added latency, {people} (direct: the latency)"
    return [
        Beside(f"{what}: p50, ms", f"<= {targets[0]}", min, half, ",.2f"),
        Beside(f"{what}: p99, ms", f"<= {targets[1]}", min, worst, ",.2f"),
    ]


def _late(one: Stage, clients: list[Client], interval_s: float, messages: int) -> list[float]:
    """For each message the ms from saying it to the last client's having it, in ascending order."""
    came: dict[int, list[float]] = {}
    waiting = selectors.DefaultSelector()
    for client in clients:
        client.reset()
        waiting.register(client.socket, selectors.EVENT_READ, client)
    one.speaker.every(interval_s, messages)
    left = messages * len(clients)
    while left:
        ready = waiting.select(DEADLINE_S)
        assert ready, f"{one.way}: a message did not come"
        for key, _ in ready:
            key.data.read()
            now = time.perf_counter_ns()
            for said in AT.findall(key.data.newest):
                came.setdefault(int(said), []).append((now - int(said)) / 1e6)
                left -= 1
    waiting.close()
    assert {len(times) for times in came.values()} == {len(clients)}, "somebody was not shown a message, or twice"
    for client in clients:
        assert [int(said) for said in AT.findall(client.seen)] == sorted(came), "not in order"
    return sorted(max(times) for times in came.values())


def playback(runs: int, ways: Sequence[str]) -> list[Beside]:
    """10,000 messages that came while nobody was there, to the client that comes back."""
    times = _empty(ways, direct=False)
    with stages(ways, 1) as found:
        bouncers = [one for one in found if one.process is not None]
        for one in bouncers:
            client = one.client("u0", "phone")
            _settle([client])
            client.socket.close()
        for run in range(runs + 1):
            said = texts(MISSED, run)
            for one in bouncers:
                one.speaker.load(said)
                one.speaker.flood()
                one.speaker.load([])  # answered when all was sent
                one.cpu_s()
                client = one.client("u0", "phone")
                client.read_until(said[-1].encode() + b"\r\n")
                if run:
                    times[one.way].append((time.perf_counter() - client.let_in_at) * 1000)
                _settle([client])
                one.check(said, [client])
                client.socket.close()
    return [Beside(f"playback of {MISSED:,} missed messages: ms", "<= 200", min, times, ",.1f")]


SCENARIOS: dict[str, Callable[[int, Sequence[str]], list[Beside]]] = {
    "beside-flood": functools.partial(flood, 1),
    "beside-flood-5": functools.partial(flood, 5),
    "beside-flood-20": functools.partial(flood, 20),
    "beside-crowd": crowd,
    "beside-latency": latency,
    "beside-playback": playback,
}
