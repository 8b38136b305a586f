"""Owns the server's side of SCRAM-SHA-256: bytes in, bytes out; whose keys they are is looked up by its caller.

RFC 5802 and RFC 7677; channel binding is not offered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from bouncer.errors import ProtocolError
from bouncer.sasl import prepare

ROUNDS = 4096
"""RFC 7677 section 4. The secrets are long and random, so more rounds would only cost time."""
SALT_BYTES = 16
MAX_NONCE = 256
"""Characters of a client's nonce; what is kept of an exchange is bounded by it and by the line length."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps to check a password: RFC 5802 section 3. The password cannot be had from it."""

    salt: bytes
    rounds: int
    stored_key: bytes
    server_key: bytes


def derive(password: str, salt: bytes | None = None, rounds: int = ROUNDS) -> ScramKeys:
    """The keys of a password, with a new salt unless one is given. Takes milliseconds: not for the event loop."""
    salt = salt or secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", prepare(password).encode(), salt, rounds)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return ScramKeys(salt, rounds, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))


class ScramServer:
    """One exchange: `first`, then `challenge`, then `finish`. All raise ProtocolError for what cannot be read."""

    def __init__(self, *, nonce: str | None = None) -> None:
        self._nonce = nonce or secrets.token_urlsafe(24)
        self._header = b""
        self._bare = ""
        self._server_first = ""
        self._keys: ScramKeys | None = None

    def first(self, message: bytes) -> str:
        """The client's first message; gives the user name in it."""
        text = _text(message)
        parts = text.split(",", 2)
        if len(parts) < 3 or parts[0] not in {"n", "y"}:
            raise ProtocolError("a SCRAM exchange begins without channel binding")
        name, nonce = _fields(parts[2], "nr")[:2]
        if parts[1] not in {"", f"a={name}"} or not 0 < len(nonce) <= MAX_NONCE or not nonce.isprintable():
            raise ProtocolError("to act as somebody else is not possible")
        self._header = f"{parts[0]},{parts[1]},".encode()
        self._bare = parts[2]
        self._nonce = nonce + self._nonce
        return _name(name)

    def challenge(self, keys: ScramKeys) -> bytes:
        """Our first message, for the keys of that user."""
        self._keys = keys
        self._server_first = f"r={self._nonce},s={base64.b64encode(keys.salt).decode()},i={keys.rounds}"
        return self._server_first.encode()

    def finish(self, message: bytes) -> bytes | None:
        """The client's proof: our own proof when it is right, None when it is not."""
        keys = self._keys
        if keys is None:
            raise RuntimeError("a proof before the challenge")
        text = _text(message)
        without_proof, comma, _ = text.rpartition(",p=")
        binding, nonce, *_, proof = _fields(text, "cr", last="p")
        if not comma or _decoded(binding) != self._header or nonce != self._nonce:
            raise ProtocolError("this is not the exchange that was begun")
        transcript = f"{self._bare},{self._server_first},{without_proof}".encode()
        signature = hmac.digest(keys.stored_key, transcript, "sha256")
        given = _decoded(proof)
        key = bytes(a ^ b for a, b in zip(given.ljust(32, b"\0")[:32], signature, strict=True))
        right = hmac.compare_digest(hashlib.sha256(key).digest(), keys.stored_key) and len(given) == len(signature)
        if not right:
            return None
        return b"v=" + base64.b64encode(hmac.digest(keys.server_key, transcript, "sha256"))


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a SCRAM message is UTF-8") from error


def _fields(text: str, first: str, *, last: str = "") -> list[str]:
    """Values of `k=value,…`: those of the letters `first`, in this order, and at the end that of `last`."""
    fields = text.split(",")
    letters = [*first, *last]
    values = [field[2:] for field in fields if field[1:2] == "="]
    heads = [field[:1] for field in fields]
    wrong = len(values) != len(fields) or heads[: len(first)] != list(first) or (last and heads[-1] != last)
    if wrong or len(fields) < len(letters):
        raise ProtocolError("the SCRAM message cannot be read")
    return values


def _name(text: str) -> str:
    """A saslname: `=2C` and `=3D` stand for the comma and the equals sign, which cannot be there as they are."""
    parts = text.split("=")
    if any(part[:2] not in {"2C", "3D"} for part in parts[1:]):
        raise ProtocolError("the user name in the SCRAM message cannot be read")
    return parts[0] + "".join(("," if part[:2] == "2C" else "=") + part[2:] for part in parts[1:])


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("the SCRAM message cannot be read") from error
