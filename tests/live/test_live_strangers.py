"""Who has not signed in yet takes little: a few connections for each address, and not for long."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bouncer import listeners, tls
from bouncer.config import Tls
from bouncer.endpoints import parse_listen
from bouncer.errors import ConfigError
from bouncer.listeners import Acceptor
from tests.support.house import DEADLINE_S, Attached

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.config import Config
    from tests.support.house import House


@pytest.fixture
def config(config: Config, tmp_path: Path) -> Config:
    """Few are let in; in clear and with TLS."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    tls.write_pair(tls.self_signed(["localhost"]), cert, key)
    listen = (parse_listen("irc+insecure://0.0.0.0:0"), parse_listen("ircs://0.0.0.0:0"))
    limits = replace(config.limits, registering_per_address=3, registering_total=5)
    return replace(config, listen=listen, tls=Tls(cert, key), limits=limits)


async def knock(house: House, address: str, kind: int = 0) -> Attached:
    port = int(house.supervisor.listening[kind].rpartition(":")[2])
    client = Attached(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))
    house.clients.append(client)
    return client


async def stays(house: House, address: str) -> Attached:
    """A connection that is let in, and does not sign in."""
    client = await knock(house, address)
    client.send("PING here")
    await client.until("here")
    return client


async def test_too_many_from_one_address_and_too_many_in_all_are_told_so(house: House) -> None:
    await house.user("alice")
    first = [await stays(house, "127.0.0.2") for _ in range(3)]
    assert "Too many connections" in (await (await knock(house, "127.0.0.2")).until("ERROR"))[0]
    for _ in range(2):
        await stays(house, "127.0.0.3")
    assert "Too many connections" in (await (await knock(house, "127.0.0.4")).until("ERROR"))[0]
    first[0].send("PASS :alice:correct horse", "NICK me", "USER me 0 * :me")
    await first[0].until(" 001 ")  # signed in it does not count any more
    await stays(house, "127.0.0.4")


async def test_a_connection_that_shakes_no_hands_counts_and_is_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "HANDSHAKE_S", 0.5)
    silent = [await knock(house, "127.0.0.2", 1) for _ in range(3)]
    async with asyncio.timeout(DEADLINE_S):
        assert "Too many connections" in (await (await knock(house, "127.0.0.2")).until("ERROR"))[0]
        for client in silent:
            assert await client.reader.read() == b""
    await stays(house, "127.0.0.2")


async def test_a_port_in_use_is_named_and_what_listened_before_goes_on(house: House) -> None:
    config = house.supervisor.config
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    uri = f"irc+insecure://127.0.0.1:{taken.sockets[0].getsockname()[1]}"
    before = house.supervisor.listening
    with pytest.raises(ConfigError, match=re.escape(f"listen: {uri} is in use")):
        await house.supervisor.reload(replace(config, listen=(*config.listen, parse_listen(uri))))
    taken.close()
    assert house.supervisor.listening == before
    await stays(house, "127.0.0.2")


async def test_who_comes_while_a_listener_closes_is_not_lost() -> None:
    """Taken and forgotten, the connection would be open until somebody collects it."""
    came: list[socket.socket] = []
    endpoint = parse_listen("irc+insecure://127.0.0.1:0")
    acceptor = await Acceptor.open("listen", endpoint, lambda one, _: came.append(one))
    await asyncio.sleep(0)
    link = socket.create_connection(("127.0.0.1", int(acceptor.uri.rpartition(":")[2])))
    for _ in range(2):  # the loop has seen it, the task that waits for it has not run
        await asyncio.sleep(0)
    await acceptor.close()
    assert came == []
    link.settimeout(DEADLINE_S)
    with link, pytest.raises(ConnectionResetError):  # and not b"": nobody had taken it
        await asyncio.to_thread(link.recv, 1)
