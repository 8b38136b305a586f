"""Owns the client's side of the SASL mechanisms we use towards networks: bytes in, bytes out; no line, no socket.

PLAIN is RFC 4616, EXTERNAL RFC 4422 appendix A, SCRAM-SHA-256 RFC 5802 and 7677; preparation of names is RFC 4013.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from typing import Protocol

from bouncer.errors import ProtocolError

_MIN_ROUNDS, _MAX_ROUNDS = 4096, 2_000_000  # RFC 7677 section 4; what a hostile server may cost us, about a second


class Mechanism(Protocol):
    """One exchange: `step` takes each decoded challenge (b"" at first) and gives the response to encode.

    Raises ProtocolError when the server's part is wrong. `slow` tells that a step takes long enough to need a thread.
    """

    name: str
    slow: bool

    def step(self, challenge: bytes) -> bytes:
        """The response to one challenge, both as bytes before base64."""
        ...


class Plain:
    """Name and password as they are."""

    name = "PLAIN"
    slow = False

    def __init__(self, account: str, password: str) -> None:
        self._response = b"\0" + account.encode() + b"\0" + password.encode()

    def step(self, challenge: bytes) -> bytes:
        """The one response there is; the challenge is empty."""
        del challenge
        return self._response


class External:
    """Who we are is told by our TLS certificate; `account` is named only when the user named one."""

    name = "EXTERNAL"
    slow = False

    def __init__(self, account: str = "") -> None:
        self._response = account.encode()

    def step(self, challenge: bytes) -> bytes:
        """The name to act as, or nothing."""
        del challenge
        return self._response


class ScramSha256:
    """A proof of the password that does not show it, and the server's proof that it knows it too."""

    name = "SCRAM-SHA-256"
    slow = True

    def __init__(self, account: str, password: str, *, nonce: str | None = None) -> None:
        self._password = prepare(password).encode()
        self._nonce = nonce or secrets.token_urlsafe(24)
        name = prepare(account).replace("=", "=3D").replace(",", "=2C")
        self._first = f"n={name},r={self._nonce}"
        self._steps = 0
        self._server_signature = b""

    def step(self, challenge: bytes) -> bytes:
        """The client's first message, its proof, and nothing once the server's proof is checked."""
        self._steps += 1
        if self._steps == 1:
            return b"n,," + self._first.encode()
        if self._steps > 3:
            raise ProtocolError("the server asks on after the exchange has ended")
        try:
            text = challenge.decode()
            fields = dict(part.split("=", 1) for part in text.split(","))
            return self._prove(text, fields) if self._steps == 2 else self._check(fields)
        except (ValueError, KeyError) as error:
            raise ProtocolError("the server's SCRAM message cannot be read") from error

    def _prove(self, text: str, fields: dict[str, str]) -> bytes:
        nonce, salt, rounds = fields["r"], base64.b64decode(fields["s"], validate=True), int(fields["i"])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ProtocolError("the server did not add to our nonce")
        if not _MIN_ROUNDS <= rounds <= _MAX_ROUNDS:
            raise ProtocolError(f"the server asks for {rounds} rounds")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={nonce}"
        transcript = f"{self._first},{text},{final}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), transcript, "sha256")
        proof = bytes(key ^ mark for key, mark in zip(client_key, signature, strict=True))
        self._server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), transcript, "sha256")
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def _check(self, fields: dict[str, str]) -> bytes:
        if "e" in fields:
            raise ProtocolError(f"the server says {fields['e']}")
        if not hmac.compare_digest(base64.b64decode(fields["v"], validate=True), self._server_signature):
            raise ProtocolError("the server could not prove that it knows the password")
        return b""


def prepare(text: str) -> str:
    """SASLprep: spellings that look the same become the same. Raises ProtocolError for characters it forbids."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(" " if stringprep.in_table_c12(one) else one for one in text if not stringprep.in_table_b1(one))
    prepared = unicodedata.normalize("NFKC", mapped)
    if any(_forbidden(one) for one in prepared):
        raise ProtocolError("a character that SASL does not allow in a name or password")
    right_to_left = [stringprep.in_table_d1(one) for one in prepared]
    if any(right_to_left) and not (
        right_to_left[0] and right_to_left[-1] and not any(stringprep.in_table_d2(one) for one in prepared)
    ):
        raise ProtocolError("a name or password that mixes writing directions in a way SASL does not allow")
    return prepared


_FORBIDDEN = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def _forbidden(character: str) -> bool:
    return any(table(character) for table in _FORBIDDEN)


RESPONSE_CHUNK = 400  # https://ircv3.net/specs/extensions/sasl-3.1#the-authenticate-command


def chunks(response: bytes) -> list[str]:
    """The parameters of the AUTHENTICATE lines that carry a response: base64, 400 to a line, "+" for an empty rest."""
    text = base64.b64encode(response).decode()
    pieces = [text[at : at + RESPONSE_CHUNK] for at in range(0, len(text), RESPONSE_CHUNK)]
    return pieces if len(text) % RESPONSE_CHUNK else [*pieces, "+"]
