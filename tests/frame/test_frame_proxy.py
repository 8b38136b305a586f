"""The PROXY header: what a proxy says of a connection is read to the byte, and anything else is refused at once."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer import proxy
from bouncer.errors import ProtocolError

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")  # as the specification writes it
FOUR, SIX = st.ip_addresses(v=4), st.ip_addresses(v=6)
PORTS = st.integers(0, 65_535)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def v1(source: Address, port: int) -> bytes:
    return f"PROXY TCP{source.version} {source} {source} {port} 6697\r\n".encode()


def v2(source: Address, port: int, more: bytes = b"") -> bytes:
    family = 0x11 if source.version == 4 else 0x21
    body = source.packed * 2 + struct.pack("!HH", port, 6697) + more
    return SIGNATURE + struct.pack("!BBH", 0x21, family, len(body)) + body


def fed(data: bytes) -> tuple[bytes, bytes]:
    """What is taken of a stream as header, in the pieces asked for, and what is left of it."""
    header = b""
    while more := proxy.wanted(header):
        piece = data[len(header) : len(header) + more]
        assert piece, f"wants more than there is: {more} after {header!r}"
        header += piece
    return header, data[len(header) :]


@given(st.one_of(FOUR, SIX), PORTS, st.binary(max_size=300), st.booleans(), st.binary(max_size=200))
def test_every_address_is_read_and_nothing_that_follows_is_taken(
    address: Address, port: int, rest: bytes, old: bool, notes: bytes
) -> None:
    header = v1(address, port) if old else v2(address, port, notes)
    assert fed(header + rest) == (header, rest)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    assert proxy.source(header) == str(mapped or address)


@given(st.one_of(st.binary(max_size=600), st.binary(max_size=600).map(lambda tail: SIGNATURE + tail),
                 st.text(max_size=110).map(lambda tail: b"PROXY " + tail.encode() + b"\r\n")))  # fmt: skip
def test_whatever_comes_is_read_in_bounded_steps_or_refused(data: bytes) -> None:
    header = b""
    try:
        while more := proxy.wanted(header):
            assert 0 < more <= proxy.V2_BYTES
            if len(header) + more > len(data):
                return  # waits for more, for as long as the deadline lets it
            header = data[: len(header) + more]
        found = proxy.source(header)
    except ProtocolError:
        return
    assert len(header) <= proxy.V2_BYTES + 16
    assert found is None or found == "" or ipaddress.ip_address(found)


@given(st.one_of(FOUR, SIX), PORTS, st.booleans(), st.data())
def test_one_changed_byte_gives_another_address_or_an_error_and_never_a_crash(
    address: Address, port: int, old: bool, data: st.DataObject
) -> None:
    header = bytearray(v1(address, port) if old else v2(address, port))
    header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = None if proxy.wanted(bytes(header)) else proxy.source(bytes(header))
    except ProtocolError:
        return
    assert found is None or found == "" or str(ipaddress.ip_address(found)) == found


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        SIGNATURE + b"\x20\x00\x00\x00",  # LOCAL
        SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12),  # LOCAL, whatever it says of addresses
        SIGNATURE + b"\x21\x00\x00\x00",  # PROXY, UNSPEC
        SIGNATURE + b"\x21\x00\x00\x05notes",
    ],
)
def test_the_proxys_own_connections_keep_its_address(header: bytes) -> None:
    assert fed(header + b"NICK me\r\n") == (header, b"NICK me\r\n")
    assert proxy.source(header) is None


def test_a_unix_socket_behind_the_proxy_has_no_address() -> None:
    header = SIGNATURE + b"\x21\x31\x00\xd8" + b"/run/a".ljust(108, b"\0") * 2
    assert fed(header) == (header, b"")
    assert proxy.source(header) == ""


def test_the_longest_headers_are_taken() -> None:
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    assert proxy.source(f"PROXY TCP6 {longest} {longest} 65535 65535\r\n".encode()) == longest
    whole = b"PROXY UNKNOWN " + b"x" * (proxy.V1_BYTES - 16) + b"\r\n"
    assert len(whole) == 107
    assert fed(whole) == (whole, b"")
    four = ipaddress.ip_address("192.0.2.1")
    header = v2(four, 1, bytes(proxy.V2_BYTES - 12))
    assert fed(header) == (header, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"NICK me\r\nUSER me\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20),  # a TLS client
        b"\r\n\r\n\0\r\nQUIX",
        b"PROXYTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
        b"PROXY TCP4 example.org 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY UNKNOWN\nNICK me\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",  # 108 bytes
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),  # version 1 in the form of version 2
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),  # a command there is not
        SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12),  # UDP over a stream
        SIGNATURE + b"\x21\x41\x00\x0c" + bytes(12),  # a family there is not
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x10\x01" + bytes(4097),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        proxy.source(fed(data)[0])


def test_half_a_header_and_more_than_one_are_none() -> None:
    header = v2(ipaddress.ip_address("192.0.2.1"), 1)
    for wrong in (header[:-1], header + b"x", v1(ipaddress.ip_address("192.0.2.1"), 1) + b"x"):
        with pytest.raises(ProtocolError):
            proxy.source(wrong)
