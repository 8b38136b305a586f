"""Reads the header that a proxy puts before a connection (PROXY protocol, versions 1 and 2): pure, a piece at a time.

https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

from __future__ import annotations

import ipaddress
import re

from bouncer.errors import ProtocolError
from bouncer.gate import plain

V1_BYTES = 107
"""The longest header of version 1, with its CR LF (section 2.1)."""
V2_BYTES = 4096
"""What may follow the first 16 bytes of version 2: addresses (216 at most) and notes that we pass over."""
_V1 = b"PROXY "
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED = 16
_SHORTEST = len(b"PROXY UNKNOWN\r\n")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_BYTES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}


def wanted(data: bytes) -> int:
    """How many bytes more the header surely has, 0 when it is whole: to read them takes nothing of what follows it.

    Raises ProtocolError as soon as it is clear that `data` is none.
    """
    mark = _V2 if data[:1] == _V2[:1] else _V1
    if not data.startswith(mark[: len(data)]):
        raise ProtocolError("does not begin with a PROXY header")
    if len(data) < _SHORTEST:
        return _SHORTEST - len(data)
    return _wanted_2(data) if mark is _V2 else _wanted_1(data)


def _wanted_1(data: bytes) -> int:
    end = data.find(b"\n") + 1
    if end and (end != len(data) or data[-2:] != b"\r\n"):
        raise ProtocolError("a PROXY header that is no line of its own")
    if end:
        return 0
    more = 1 if data[-1:] == b"\r" else 2
    if len(data) + more > V1_BYTES:
        raise ProtocolError(f"a PROXY header of more than {V1_BYTES} bytes")
    return more


def _wanted_2(data: bytes) -> int:
    if len(data) < _V2_FIXED:
        return _V2_FIXED - len(data)
    length = int.from_bytes(data[14:16], "big")
    if length > V2_BYTES:
        raise ProtocolError(f"a PROXY header with {length} bytes, more than {V2_BYTES}")
    more = _V2_FIXED + length - len(data)
    if more < 0:
        raise ProtocolError("more than a PROXY header")
    return more


def source(header: bytes) -> str | None:
    """Where the connection comes from by a whole header: an IP address, "" for a unix socket.

    None: it is the proxy's own (LOCAL, UNKNOWN), so the address of the connection counts. Raises ProtocolError.
    """
    if wanted(header):
        raise ProtocolError("half a PROXY header")
    return _source_2(header) if header.startswith(_V2) else _source_1(header)


def _source_1(header: bytes) -> str | None:
    words = header[:-2].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return None
    family = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}.get(words[1])
    if family is None or len(words) != 6 or not all(_is_port(word) for word in words[4:]):
        raise ProtocolError("a PROXY header that is not like PROXY TCP4 192.0.2.1 192.0.2.2 1024 6697")
    try:
        _, address = family(words[3]), family(words[2])
    except ValueError as error:
        raise ProtocolError(f"a PROXY header with an address that is none of {words[1]}") from error
    if "%" in words[2] + words[3]:
        raise ProtocolError("a PROXY header with a zone in an address")
    return plain(str(address))


def _is_port(word: str) -> bool:
    return _PORT.fullmatch(word) is not None and int(word) <= 65_535


def _source_2(header: bytes) -> str | None:
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    if command != _PROXY or (needed := _ADDRESS_BYTES.get(family)) is None:
        raise ProtocolError(f"a PROXY header with command {command:#04x} and family {family:#04x}")
    body = header[_V2_FIXED:]
    if len(body) < needed:
        raise ProtocolError("a PROXY header that is too short for its addresses")
    if family == _UNSPECIFIED:
        return None
    if family == _UNIX:
        return ""
    return plain(str(ipaddress.ip_address(body[: 4 if family == _TCP4 else 16])))
