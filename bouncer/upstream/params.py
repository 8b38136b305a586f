"""Owns the words exchanged over the seam "line in, line out": what to connect with, what is reported back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from bouncer.irc.message import Message

AuthMethod = Literal["none", "nickserv", "sasl-plain", "sasl-scram", "sasl-external"]

OUR_PING = "bouncer-"
"""Every token of our own PINGs begins so; `lines` brings their PONGs too, see `is_own_pong`."""

READ_BYTES = 65536
LINE_LIMIT = 16384
"""Bytes one line from a network may have: the specifications allow 8,191 of tags and 512, networks more."""

WRITE_LIMIT = 1 << 20
"""Bytes that may wait for a server which does not read; over it the connection is given up."""


@dataclass(frozen=True, slots=True)
class ConnectParams:
    """How to reach one network and who to be there; the times are seconds.

    `tls_fingerprint` (SHA-256 of the certificate, hex, colons allowed) replaces the check by authorities.
    `client_certificate` is PEM, key and certificate. `alternatives` are nicks to try before one is made up.
    `auth_required`: rather no connection than one that is not logged in to the account (SASL only).
    """

    address: str
    port: int
    nickname: str
    tls: bool = True
    tls_verify: bool = True
    tls_fingerprint: str | None = None
    alternatives: tuple[str, ...] = ()
    username: str = ""
    realname: str = ""
    password: str | None = None
    auth_method: AuthMethod = "none"
    auth_account: str | None = None
    auth_password: str | None = None
    client_certificate: str | None = None
    auth_required: bool = False
    connect_s: float = 20.0
    register_s: float = 30.0
    ping_s: float = 60.0


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the handshake brought; `expires_ms` is ms UTC, `fingerprint` SHA-256 in lower-case hex."""

    version: str
    cipher: str
    subject: str
    issuer: str
    expires_ms: int
    fingerprint: str
    verified: Literal["authority", "fingerprint", "not"]


NoteKind = Literal["tls", "nick", "sasl", "auth", "caps", "line", "motd"]


class UpstreamEvents(Protocol):
    """What an upstream reports, always synchronously and from the task that runs `Upstream.run`.

    Nothing raised here ends the connection: it is logged.
    """

    def lines(self, lines: list[Message]) -> int:
        """The lines that one read completed, in order, with their exact bytes in `raw`; how many of them were taken.

        The others are offered again when everybody else has had a turn. Called after the registration state (nick,
        capabilities, SASL) has taken all of them in. Left out are only lines no client could be sent (no command, NUL
        or CR inside, over `LINE_LIMIT`), which are logged, and the network's echo of our own NickServ password.
        """
        ...

    def registered(self) -> None:
        """The network has let us in and the MOTD is over: once, after the `lines` that held its end."""
        ...

    def note(self, kind: NoteKind, text: str) -> None:
        """Something of the connection's life that the user should be able to read."""
        ...


def is_own_pong(message: Message) -> bool:
    """Whether this line answers one of our own PINGs, so is no client's business."""
    return message.command == "PONG" and bool(message.params) and message.params[-1].startswith(OUR_PING)
