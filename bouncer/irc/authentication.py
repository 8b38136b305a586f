"""Owns AUTHENTICATE on the server's side as lines: mechanisms, chunks, abort; judges no name and no password.

https://ircv3.net/specs/extensions/sasl-3.1 and https://ircv3.net/specs/extensions/sasl-3.2
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bouncer.irc import numerics
from bouncer.irc.message import wire

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SASL_BYTES = 16 * 1024
"""Of one response, as base64."""
_CHUNK = 400
KNOWN = ("PLAIN", "EXTERNAL", "SCRAM-SHA-256")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response of the client's, decoded."""

    mechanism: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """The exchange is over and nobody is logged in; `numeric` says which of the ways."""

    numeric: str
    words: str


def challenge_lines(data: bytes) -> list[bytes]:
    """A challenge in chunks, each a line with CR LF."""
    text = base64.b64encode(data).decode()
    pieces = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    if len(text) % _CHUNK == 0:
        pieces.append("+")
    return [wire("AUTHENTICATE", [piece]) for piece in pieces]


def plain(data: bytes) -> tuple[str, str] | None:
    """(name, password) of a PLAIN response, None for one that cannot be read or acts for another: RFC 4616."""
    try:
        fields = data.decode().split("\0")
    except UnicodeDecodeError:
        return None
    return (fields[1], fields[2]) if len(fields) == 3 and fields[1] and fields[0] in {"", fields[1]} else None


class SaslLines:
    """One client's AUTHENTICATE lines; `mechanisms` says what may be used now."""

    __slots__ = ("_collected", "_mechanisms", "mechanism")

    def __init__(self, mechanisms: Callable[[], str]) -> None:
        self._mechanisms = mechanisms
        self._collected = bytearray()
        self.mechanism = ""
        """The one of the exchange that goes on, "" for none."""

    def end(self) -> None:
        """Forget the exchange."""
        self.mechanism = ""
        self._collected.clear()

    def take(self, word: str) -> list[bytes] | Response | Failure:
        """What one AUTHENTICATE with this parameter leads to."""
        if word == "*":
            self.end()
            return Failure(numerics.ERR_SASLABORTED, "SASL authentication aborted")
        if self.mechanism:
            return self._chunk(word)
        if word.upper() not in self._mechanisms().split(",") or word.upper() not in KNOWN:
            return Failure(numerics.RPL_SASLMECHS, "SASL authentication failed: no such mechanism")
        self.mechanism = word.upper()
        return [wire("AUTHENTICATE", ["+"])]

    def _chunk(self, chunk: str) -> list[bytes] | Response | Failure:
        if len(chunk) > _CHUNK or len(self._collected) + len(chunk) > MAX_SASL_BYTES:
            self.end()
            return Failure(numerics.ERR_SASLTOOLONG, "SASL message too long")
        if chunk != "+":
            self._collected += chunk.encode("utf-8", "surrogateescape")
        if len(chunk) == _CHUNK:
            return []
        text = bytes(self._collected)
        self._collected.clear()
        try:
            return Response(self.mechanism, base64.b64decode(text, validate=True))
        except binascii.Error:
            self.end()
            return Failure(numerics.ERR_SASLFAIL, "SASL authentication failed: not readable")
