"""Limits that are reached from outside: the answer is an error to the one who reached it, and nobody else has less."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from bouncer import control, tenant, tls
from bouncer.config import Tls
from bouncer.endpoints import parse_listen
from bouncer.errors import InvalidError, RefusedError, UsageError
from bouncer.irc.message import Message
from bouncer.models.main import AuditEntry
from bouncer.models.tenant import Channel, ClientName, DeliveryReceipt, ServerEvent
from bouncer.network import attachment as attachments
from bouncer.network import barriers, markers, metadata, monitor, names, outgoing, traffic
from bouncer.network.entry import Entry
from bouncer.service import audit, downloads, trials
from bouncer.service.fields import new_server, server_fields
from tests.support.house import Attached
from tests.support.network import ISUPPORT
from tests.support.room import UPSTREAM, ask, on_room

if TYPE_CHECKING:
    from bouncer.config import Config
    from bouncer.models.main import User
    from bouncer.service import Service
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

ROOT = Path(__file__).parents[2]
CAPS = "server-time message-tags batch standard-replies draft/metadata-2 draft/read-marker echo-message"


def test_every_row_of_the_limits_names_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    tests = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/*/test_*.py"))
    rows = [line for line in text.splitlines() if line.startswith("|") and not re.match(r"\|[ -]*(-|key|what)", line)]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rstrip("| ").rpartition("|")[2])
        assert named, f"no test is named for: {row[:80]}"
        assert not [name for name in named if f"def {name}(" not in tests], row[:80]


# -- who comes in ----------------------------------------------------------------------------------------------------


@pytest.fixture
def config(config: Config, request: pytest.FixtureRequest) -> Config:
    return replace(config, limits=replace(config.limits, **getattr(request, "param", {})))


async def registered(house: House, login: str) -> None:
    """Come in, once the bouncer has seen another go."""
    async with asyncio.timeout(10):
        while b" 001 " not in await (await house.client(login)).reader.readline():
            pass


@pytest.mark.parametrize("config", [{"clients_per_user": 2}], indirect=True)
async def test_one_client_too_many_is_told_and_the_others_stay(house: House) -> None:
    await house.user("alice")
    await house.user("bob")
    first, second = [await house.client(f"alice@{name}") for name in ("a", "b")]
    for client in first, second:
        await client.until(" 422 ")
    third = await house.client("alice@c")
    assert (await third.until("ERROR"))[-1] == "ERROR :too many clients are attached"
    assert await third.reader.read() == b""
    await (await house.client("bob")).until(" 422 ")
    for client in first, second:
        await client.barrier()
    await first.close()
    await registered(house, "alice@c")


@pytest.mark.parametrize(
    ("config", "hosts"),
    [
        ({"registering_per_address": 2}, ["127.0.0.1"] * 3),
        ({"registering_total": 2}, ["127.0.0.1", "127.0.1.1", "127.0.2.1"]),
    ],
    indirect=["config"],
)
async def test_one_stranger_too_many_is_told_and_the_others_stay(house: House, hosts: list[str]) -> None:
    await house.user("alice")
    strangers = []
    for host in hosts:
        strangers.append(Attached(*await asyncio.open_connection("127.0.0.1", house.port, local_addr=(host, 0))))
        house.clients.append(strangers[-1])
        strangers[-1].send("PING hello")
        lines = await strangers[-1].until("hello" if len(strangers) < len(hosts) else "ERROR")
    assert lines == ["ERROR :Too many connections are registering; try again later"]
    await strangers[0].close()
    strangers[1].send("PING again")
    await strangers[1].until("again")
    await registered(house, "alice")


@pytest.mark.parametrize("config", [{"registering_per_address": 1}], indirect=True)
async def test_with_tls_one_stranger_too_many_is_told_by_an_alert(house: House, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    tls.write_pair(tls.self_signed(["localhost"]), cert, key)
    listen = (parse_listen("ircs://127.0.0.1:0"),)
    await house.supervisor.reload(replace(house.supervisor.config, listen=listen, tls=Tls(cert, key)))
    port = int(house.supervisor.listening[0].rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(cert))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    first = Attached(reader, writer)
    house.clients.append(first)
    first.send("PING hello")
    await first.until("hello")
    with pytest.raises(ssl.SSLError, match=r"(?i)access.denied"):
        await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    await first.barrier()


# -- what a client makes us remember ---------------------------------------------------------------------------------


async def in_room(house: House, network: ScriptedNetwork) -> tuple[Peer, Attached]:
    peer = await on_room(house, network, caps=UPSTREAM)
    client = await house.client("alice/net@one", caps=CAPS)
    await client.until(" 366 ")
    await client.barrier()
    return peer, client


async def test_a_network_that_answers_nothing_is_told_no_more_and_nothing_that_was_said_is_lost(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barriers, "MAX_WAITING", 5)
    peer, client = await in_room(house, network)
    peer.answer_pings = False
    client.send(*(f"PRIVMSG #Room :m{number}" for number in range(8)), "PRIVMSG #Room :" + "long " * 90, "WHOIS friend")
    lines = await client.until("WHOIS was not sent")
    assert lines[-1].endswith(" NOTICE alice :Too much waits for net: WHOIS was not sent")
    refused = " 404 alice #Room :Not sent: too much waits for net"
    assert sum(line.endswith(refused) for line in lines) == 4
    echoed = [line.rpartition(" ")[2] for line in await client.until("#Room m4") if " PRIVMSG #Room " in line]
    assert echoed == ["m0", "m1", "m2", "m3", "m4"]
    assert [line.rpartition(":")[2].split()[-1] for line in peer.seen("PRIVMSG")] == echoed


async def test_read_markers_of_made_up_names_are_refused_in_the_end(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markers, "MAX_NAMES", 3)
    _, client = await in_room(house, network)
    for number in range(3):
        assert "FAIL" not in (await ask(client, f"MARKREAD x{number} timestamp=2026-01-01T00:00:00.000Z"))[-1]
    (line,) = await ask(client, "MARKREAD x3 timestamp=2026-01-01T00:00:00.000Z")
    assert line.endswith(" FAIL MARKREAD INTERNAL_ERROR x3 :Too many read markers are kept")
    (line,) = await ask(client, "MARKREAD X0 timestamp=2026-01-02T00:00:00.000Z")
    assert line.endswith(" MARKREAD X0 timestamp=2026-01-02T00:00:00.000Z")


@pytest.mark.parametrize(("bound", "most"), [("MAX_VALUES", 4), ("MAX_TARGETS", 4), ("MAX_KEYS", 2)])
async def test_metadata_without_end_is_refused(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(metadata, bound, most)
    _, client = await in_room(house, network)
    targets = ["a"] * 9 if bound == "MAX_KEYS" else [f"n{number}" for number in range(9)]
    for number, target in enumerate(targets):
        (line,) = await ask(client, f"METADATA {target} SET key{number} :value")
        assert (" FAIL METADATA LIMIT_REACHED " in line) == (number >= most), line
    assert " 761 " in (await ask(client, f"METADATA {targets[0]} SET key0 :another"))[0]
    assert "VALUE_INVALID" in (await ask(client, f"METADATA a SET key0 :{'v' * (metadata.MAX_VALUE_BYTES + 1)}"))[0]


async def test_of_made_up_client_names_the_oldest_are_forgotten_and_that_is_told(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "MAX_NAMES", 3)
    peer = await on_room(house, network, caps=UPSTREAM)
    await peer.send(":friend!f@h PRIVMSG #Room :hello")
    await peer.barrier()
    stays = await house.client("alice/net@stays")
    await stays.until("hello")
    await stays.barrier()
    for number in range(5):
        client = await house.client(f"alice/net@{number}")
        await client.until("hello")
        await client.barrier()
        if number > 1:
            words = f"More than 3 client names: {number - 2} is forgotten"
            await stays.until(words)
        await client.close()
        await stays.barrier()
    user = house.ids["alice"]
    await house.supervisor.flush(user)
    async with tenant.switch(user), tenant.session() as session:
        assert set(await session.scalars(select(DeliveryReceipt.client))) == {"stays", "3", "4"}
        assert set(await session.scalars(select(ClientName.name))) == {"2", "3", "4"}


async def test_keys_of_channels_that_let_nobody_in_make_room_for_others(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "MAX_KEYS", 2)
    peer, client = await in_room(house, network)
    for name in ("#a", "#b", "#c"):
        client.send(f"JOIN {name} key-of-{name[1]}")
        await peer.expect("JOIN", name)
    await peer.let_in("#c")
    await peer.let_in("#a")
    await peer.barrier()
    await client.until(" JOIN #a")
    user = house.ids["alice"]
    await house.supervisor.flush(user)
    async with tenant.switch(user), tenant.session() as session:
        keys = {row.name: row.key for row in await session.execute(select(Channel.name, Channel.key))}
    assert (keys["#c"], keys["#a"]) == ("key-of-c", None)


async def test_a_list_of_nicks_is_full_at_its_bound(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MAX_TARGETS", 3)
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome(isupport=(*ISUPPORT, "MONITOR=100"))
    await peer.barrier()
    client = await house.client("alice/net@one")
    await client.until(" 376 ")
    (line,) = await ask(client, "MONITOR + a,b,c,d,e")
    assert line == ":irc.test 734 alice 3 d,e :Monitor list is full."
    (line,) = await ask(client, "MONITOR + f")
    assert line == ":irc.test 734 alice 3 f :Monitor list is full."
    assert peer.seen("MONITOR") == ["MONITOR + a,b,c"]


class Reader:
    """A client that takes nothing and says why it was dropped."""

    name, caps = "slow", frozenset[str]()

    def __init__(self) -> None:
        self.reason = ""

    def write(self, data: bytes) -> None:
        del data

    async def drain(self) -> None:
        return

    def drop(self, reason: str) -> None:
        self.reason = self.reason or reason


@pytest.mark.parametrize(("bound", "most"), [("MAX_HELD_LINES", 10), ("MAX_HELD_BYTES", 360)])
async def test_who_falls_behind_while_it_is_played_back_to_is_dropped(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(attachments, bound, most)
    await on_room(house, network)
    (live,) = house.supervisor.users[house.ids["alice"]].networks.values()
    reader = Reader()
    slow = attachments.Attachment(reader, live)
    entry = Entry(Message.parse(b":a!b@c PRIVMSG #Room :nearly thirty"), 1, "id")
    for _ in range(10):
        assert not reader.reason
        slow.hold([entry], ())
    slow.hold([entry], ())
    assert reader.reason == "too far behind"


async def test_pings_without_an_answer_are_answered_by_us_in_the_end(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "MAX_PINGS", 2)
    peer, client = await in_room(house, network)
    peer.answer_pings = False
    client.send(*(f"PING p{number}" for number in range(3)))
    lines = [line for line in await client.until("p2") if " PONG " in line]
    assert len(lines) == 1
    peer.answer_pings = True


async def test_the_log_of_a_connection_keeps_the_newest(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    user = house.ids["alice"]
    (live,) = house.supervisor.users[user].networks.values()
    for number in range(1_010):
        live.event("odd", str(number))
    await house.supervisor.flush(user)
    async with tenant.switch(user), tenant.session() as session:
        assert await session.scalar(select(func.count()).select_from(ServerEvent)) == 1_000
        assert await session.scalar(select(ServerEvent.detail).order_by(ServerEvent.id.desc()).limit(1)) == "1009"


# -- settings --------------------------------------------------------------------------------------------------------

LONGEST: dict[str, tuple[str, str]] = {
    "name": ("n" * 32, "n" * 33),
    "nickname": ("n" * 64, "n" * 65),
    "username": ("n" * 32, "n" * 33),
    "realname": ("n" * 200, "n" * 201),
    "quit_message": ("n" * 200, "n" * 201),
    "away_message": ("n" * 300, "n" * 301),
    "password": ("n" * 300, "n" * 301),
    "auth_account": ("n" * 128, "n" * 129),
    "alternatives": ("a " * 10, "a " * 11),
    "fallbacks": ("\n".join(f"h{n} 1" for n in range(10)), "\n".join(f"h{n} 1" for n in range(11))),
    "channels": (",".join(f"#{n}" for n in range(500)), ",".join(f"#{n}" for n in range(501))),
    "connect_commands": ("AWAY\n" * 50, "AWAY\n" * 51),
}


@pytest.mark.parametrize("field", LONGEST)
def test_bounds_of_fields_are_reached(field: str) -> None:
    fits, over = LONGEST[field]
    base = {"name": "net", "address": "irc.example.org"}
    assert server_fields({**base, field: fits}, new_server("bob"))
    with pytest.raises(InvalidError) as refused:
        server_fields({**base, field: over}, new_server("bob"))
    assert list(refused.value.fields) == [field]
    with pytest.raises(InvalidError) as refused:
        server_fields({**base, "connect_commands": f"AWAY :{'x' * 400}\n" * 11}, new_server("bob"))


# -- commands --------------------------------------------------------------------------------------------------------


async def test_words_to_search_for_have_an_end(service: Service, bob: User) -> None:
    assert (await service.histories.search(bob.id, "x" * 500)).messages == []
    with pytest.raises(UsageError, match="at most 500"):
        await service.histories.search(bob.id, "x" * 501)


async def test_trials_and_downloads_at_once_have_a_bound(
    service: Service, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "MAX_AT_ONCE", 1)
    monkeypatch.setattr(downloads, "MAX_AT_ONCE", 1)
    service.trials._running.add(alice.id)
    form = {"address": "192.0.2.1", "port": "6667", "tls": "", "nickname": "x", "username": "x", "realname": "x"}
    with pytest.raises(RefusedError):
        await service.trials.run(bob.id, form, trusted=True)
    service.downloads._made[alice.id] = downloads.Download("jsonl", Path("/nowhere"), 0)
    with pytest.raises(RefusedError, match="others"):
        await service.downloads.start(bob.id, "jsonl")


async def test_the_audit_trail_keeps_the_newest(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "KEPT", 5)
    for number in range(12):
        await service.audit.note("something", detail=str(number))
    async with service.main.session() as session:
        assert list(await session.scalars(select(AuditEntry.detail))) == ["7", "8", "9", "10", "11"]


async def test_commands_at_once_have_a_bound_and_the_next_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 2)
    go_on = asyncio.Event()

    async def handler(*_: object) -> None:
        await go_on.wait()

    server = control.ControlServer(tmp_path / "s", handler)
    await server.start()
    streams = []
    try:
        for _ in range(3):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(b'{"words": [], "secrets": {}}\n')
            streams.append((reader, writer))
            await asyncio.sleep(0)
        answer = json.loads(await streams[-1][0].readline())
        assert answer == {"exit": 1, "error": "too many commands at once; try again in a moment"}
        go_on.set()
        for reader, _ in streams[:2]:
            assert json.loads(await reader.readline()) == {"exit": 0, "error": ""}
    finally:
        for _, writer in streams:
            writer.close()
        await server.close()
