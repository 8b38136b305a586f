"""What a client types and what a setting says reaches a network as one line for each command, or not at all."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from bouncer.commands import TABLE
from bouncer.errors import InvalidError, MalformedLineError
from bouncer.irc.message import Message
from bouncer.network.startup import commands
from bouncer.service.fields import new_server, server_fields
from tests.support.nasty import PIECES
from tests.support.room import UPSTREAM, on_room

if TYPE_CHECKING:
    import pytest

    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

ENDS = {"QUIT"}
"""What ends the session of the test itself."""
ELSEWHERE = ("WHO", "WHOIS", "TOPIC", "INVITE", "KICK", "LIST", "OPER", "NAMES", "X" * 30)
CAPS = (
    "server-time message-tags batch labeled-response standard-replies draft/chathistory draft/metadata-2 echo-message"
)
OURS = {"PING", "PONG", "AWAY"}
"""What the bouncer may say by itself meanwhile."""


def nasty(chance: random.Random, most: int = 3) -> str:
    return "".join(chance.choice(PIECES) for _ in range(chance.randint(1, most)))


def typed(chance: random.Random, command: str) -> bytes:
    """A line with parameters that are sensible, odd or neither; LF aside, which is where it would end."""
    words = [chance.choice(("#Room", "friend", "alice", "*", nasty(chance))) for _ in range(chance.randint(0, 3))]
    tags = chance.choice(("", "", "@label=x;a=\\s ", f"@{nasty(chance)} "))
    text = f"{tags}{command} {' '.join(words)}{chance.choice(('', f' :{nasty(chance)}'))}"
    return text.encode("utf-8", "surrogatepass").replace(b"\n", b"")


async def test_every_command_of_a_client_is_one_line_to_the_network_or_none(
    house: House, network: ScriptedNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(6)  # noqa: S311 - the same lines each time
    peer = await on_room(house, network, caps=UPSTREAM)
    client = await house.client("alice/net@one", caps=CAPS)
    await client.until(" 366 ")
    await client.barrier()
    before = len(peer.received)
    sent: Counter[bytes] = Counter()
    for command in sorted({*TABLE, *ELSEWHERE} - ENDS) * 12:
        line = typed(chance, command)
        with suppress(MalformedLineError):
            sent[Message.parse(line.rstrip(b"\r")).body] += 1
        client.writer.write(line + b"\r\n")
        if chance.random() < 0.1:
            await client.barrier()
    await client.barrier()
    await peer.barrier()
    got: Counter[bytes] = Counter()
    for text in peer.received[before:]:
        line = text.encode("utf-8", "surrogateescape")
        assert b"\r" not in line
        assert b"\0" not in line
        if Message.parse(line).command not in OURS:
            got[Message.parse(line).body] += 1
    assert sum(got.values()) > 50
    assert got - sent == Counter(), "each is one that was typed, as it was typed"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text


def accepted(chance: random.Random, field: str) -> object:
    """Nonsense that the field takes."""
    for _ in range(200):
        value = nasty(chance, 5)
        if field == "connect_commands":
            value = "\n".join(f"{chance.choice(('PRIVMSG', 'X', '/msg', 'MODE'))} {nasty(chance, 5)}" for _ in range(2))
        if field == "channels":
            value = f"#{value}"
        with suppress(InvalidError):
            server_fields({"name": "n", "address": "a.example", "auth_method": "none", field: value}, new_server("x"))
            return value
    raise AssertionError(f"nothing odd is taken by {field}")


FIELDS = (
    "password", "nickname", "alternatives", "username", "realname", "connect_commands", "channels", "away_message",
    "quit_message",
)  # fmt: skip


async def let_go(peer: Peer) -> None:
    await peer.expect("QUIT")
    peer.hang_up()


async def test_every_setting_is_one_line_to_the_network(house: House, network: ScriptedNetwork) -> None:
    chance = random.Random(7)  # noqa: S311 - the same settings each time
    user, service = await house.user("alice"), house.supervisor.service
    base = {"name": "net", "address": network.host, "port": str(network.port), "tls": False, "enabled": False}
    server = (await service.servers.add(user, base, trusted=True)).id
    for _ in range(8):
        values = {field: accepted(chance, field) for field in FIELDS}
        row = await service.servers.update(user, server, values, trusted=True)
        await service.servers.connect(user, server)
        peer = await network.accept()
        await peer.welcome(taken=[row.nickname])
        await peer.barrier()
        said = peer.welcomed
        assert (said.password, said.username, said.realname) == (row.password, row.username, row.realname)
        assert said.nick == row.alternatives.split(" ")[0]
        lines = list(commands(row.connect_commands.splitlines(), said.nick))
        for command in ("AWAY", "JOIN"):
            if not peer.seen(command):
                await peer.expect(command)
        away = [Message.parse(line.encode("utf-8", "surrogateescape")) for line in peer.seen("AWAY")]
        assert [msg.params for msg in away] == [[row.away_message]]
        channels = [view.row.name for view in await service.channels.list(user, server) if view.row.auto_join]
        assert peer.seen("JOIN") == [f"JOIN {','.join(channels)}"]
        got = [line.encode("utf-8", "surrogateescape") for line in peer.received]
        heads = Counter(Message.parse(line).command for line in got)
        assert all(heads[command] == 1 for command in ("PASS", "USER", "JOIN", "AWAY"))
        for line in lines:
            assert isinstance(line, bytes)
            assert got.count(line) == lines.count(line)
        known = {"CAP", "PASS", "NICK", "USER", "JOIN", "AWAY", "PING", "PONG", "ISON"}
        assert [line for line in got if Message.parse(line).command not in known and line not in lines] == []
        await asyncio.gather(service.servers.disconnect(user, server), let_go(peer))
        assert peer.seen("QUIT") == [f"QUIT :{' '.join(row.quit_message.split())}"]
