"""Listeners behind a proxy: who comes is who the proxy says, for the throttle, the lists and the limits."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bouncer import listeners, tls
from bouncer.config import Tls
from bouncer.endpoints import parse_listen
from bouncer.service.outbound import refusal
from tests.support.house import DEADLINE_S, PASSWORD, Attached

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.config import Config
    from tests.support.house import House

V2 = b"\r\n\r\n\0\r\nQUIT\n"
PLAIN, SECURE, UNIX = 0, 1, 2
LOGIN = (f"PASS :alice:{PASSWORD}", "NICK me", "USER me 0 * :me")


@pytest.fixture
def config(config: Config, tmp_path: Path) -> Config:
    """With a listener of each kind behind a proxy."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    tls.write_pair(tls.self_signed(["localhost"]), cert, key)
    uris = ("irc+insecure://127.0.0.1:0", "ircs://127.0.0.1:0", f"unix://{tmp_path}/irc.sock")
    listen = tuple(parse_listen(f"{uri}?proxy=1") for uri in uris)
    return replace(config, listen=listen, tls=Tls(cert, key))


def version_1(address: str) -> bytes:
    family = "TCP6" if ":" in address else "TCP4"
    return f"PROXY {family} {address} {address} 50000 6697\r\n".encode()


def version_2(address: str) -> bytes:
    ip = ipaddress.ip_address(address)
    body = ip.packed * 2 + struct.pack("!HH", 50_000, 6697) + b"\x04\x00\x05notes"
    return V2 + struct.pack("!BBH", 0x21, 0x11 if ip.version == 4 else 0x21, len(body)) + body


async def connect(house: House, kind: int, header: bytes, *lines: str) -> Attached:
    """A client behind a proxy that sends `header`; with TLS its first bytes are in one packet with that."""
    path = house.supervisor.config.listen[UNIX].path
    if kind == UNIX:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(header)
    else:
        port = int(house.supervisor.listening[kind].rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        link: socket.socket = writer.get_extra_info("socket")
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        writer.write(header)
        if kind == SECURE:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            await writer.start_tls(context)
    client = Attached(reader, writer)
    house.clients.append(client)
    client.send(*lines)
    if kind != UNIX:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    return client


async def ended(client: Attached) -> bytes:
    """What it was sent until it was closed."""
    async with asyncio.timeout(DEADLINE_S):
        try:
            return await client.reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("kind", [PLAIN, SECURE, UNIX])
@pytest.mark.parametrize(
    ("header", "address"),
    [
        (version_1("203.0.113.7"), "203.0.113.7"),
        (version_1("2001:db8::7"), "2001:db8::7"),
        (version_2("203.0.113.7"), "203.0.113.7"),
        (version_2("::ffff:203.0.113.7"), "203.0.113.7"),
    ],
)
async def test_a_client_has_the_address_that_the_proxy_says(
    house: House, kind: int, header: bytes, address: str
) -> None:
    alice = await house.user("alice")
    client = await connect(house, kind, header, *LOGIN)
    await client.until(" 001 ")
    (info,) = house.supervisor.clients(alice)
    assert (info.address, info.tls) == (address, kind == SECURE)


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2 + b"\x20\x00\x00\x00"])
async def test_a_connection_of_the_proxys_own_has_its_address(house: House, header: bytes) -> None:
    alice = await house.user("alice")
    client = await connect(house, PLAIN, header, *LOGIN)
    await client.until(" 001 ")
    assert [info.address for info in house.supervisor.clients(alice)] == ["127.0.0.1"]


async def test_the_throttle_counts_who_is_behind_the_proxy(house: House) -> None:
    await house.user("alice")
    for _ in range(4):
        client = await connect(house, SECURE, version_2("203.0.113.7"), "PASS alice:wrong", *LOGIN[1:])
        await client.until("ERROR")
    client = await connect(house, PLAIN, version_1("203.0.113.99"), *LOGIN)  # the same network
    assert "too many attempts" in (await client.until("ERROR"))[0]
    client = await connect(house, PLAIN, version_1("198.51.100.1"), *LOGIN)
    await client.until(" 001 ")


async def test_limits_by_address_are_for_who_is_behind_the_proxy(house: House) -> None:
    await house.user("alice")
    config = house.supervisor.config
    await house.supervisor.reload(replace(config, limits=replace(config.limits, registering_per_address=3)))
    for _ in range(3):
        client = await connect(house, PLAIN, version_1("203.0.113.7"), "PING here")
        await client.until("here")
    over = await connect(house, PLAIN, version_1("203.0.113.7"), *LOGIN)
    assert await ended(over) == listeners.FULL
    with pytest.raises(ssl.SSLError, match=r"(?i)access.denied"):  # what TLS can say before a handshake
        await connect(house, SECURE, version_2("203.0.113.7"), *LOGIN)
    assert house.supervisor.listeners.refused["full"] == 2
    other = await connect(house, PLAIN, version_1("198.51.100.1"), *LOGIN)
    await other.until(" 001 ")


async def test_who_is_no_trusted_proxy_is_dropped_before_anything_is_read(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await house.user("alice")
    config = house.supervisor.config
    elsewhere = tuple(replace(one, trusted=(ipaddress.ip_network("192.0.2.0/24"),)) for one in config.listen)
    before = house.supervisor.listening
    await house.supervisor.reload(replace(config, listen=elsewhere))
    assert house.supervisor.listening == before, "nothing was opened anew"
    client = await connect(house, PLAIN, version_1("203.0.113.7"), *LOGIN)
    assert await ended(client) == b""
    assert "127.0.0.1 was dropped: it is not among trusted_proxies" in caplog.text
    local = await connect(house, UNIX, version_1("203.0.113.7"), *LOGIN)  # its file says who may
    await local.until(" 001 ")


@pytest.mark.parametrize(
    "data", [b"NICK me\r\nUSER me 0 * :me\r\n", b"PROXY TCP4 a b c d\r\n", V2 + b"\x2f\x11\x00\x00"]
)
async def test_a_connection_without_a_header_is_dropped_with_a_line_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    assert await ended(await connect(house, PLAIN, data)) == b""
    assert [record.levelno for record in caplog.records if "PROXY header" in record.message] == [logging.WARNING]
    assert (house.supervisor.listeners.refused["proxy"], house.supervisor.listeners.gate.total) == (1, 0)


@pytest.mark.parametrize(("kind", "header"), [(PLAIN, b"PROXY TCP4 192.0.2.1 "), (SECURE, b""), (UNIX, V2[:5])])
async def test_a_header_that_does_not_come_to_its_end_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: int, header: bytes
) -> None:
    monkeypatch.setattr(listeners, "HANDSHAKE_S", 0.3)
    port = int(house.supervisor.listening[PLAIN].rpartition(":")[2])
    if kind == SECURE:
        port = int(house.supervisor.listening[SECURE].rpartition(":")[2])
    path = house.supervisor.config.listen[UNIX].path
    opened = asyncio.open_unix_connection(path) if kind == UNIX else asyncio.open_connection("127.0.0.1", port)
    client = Attached(*await opened)
    house.clients.append(client)
    client.writer.write(header)
    assert await ended(client) == b""
    assert house.supervisor.listeners.gate.total == 0


async def test_behind_a_proxy_people_come_from_elsewhere(house: House) -> None:
    """So private addresses are not for everybody, although each listener is on loopback."""
    config = house.supervisor.config
    assert refusal(config, "10.0.0.1", trusted=False)
    without = tuple(replace(one, proxy=False) for one in config.listen)
    assert not refusal(replace(config, listen=without), "10.0.0.1", trusted=False)
