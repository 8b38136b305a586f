"""Owns what a registration asks of its caller and tells it: plain data, and the form of a login."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from bouncer.irc.message import as_text

if TYPE_CHECKING:
    from bouncer.irc.caps import CapSession

NAME_LENGTH = 64
"""Characters of a name that are kept."""


class Login(NamedTuple):
    """Who wants in: the user's name (lower-case), the server asked for, and what the client calls itself."""

    user: str
    server: str | None
    client: str | None


def parse_login(text: str) -> Login:
    """`user`, `user/server`, `user/server@client`, `user@client/server`, `user@client`; anything else fits as well.

    Names are cut at 64 characters. Whether such a user exists is for whoever checks the password to say.
    """
    text = as_text(text)
    head, slash, tail = text.partition("/")
    if "@" in head:
        user, _, client = head.partition("@")
        server = tail if slash else ""
    else:
        user = head
        server, _, client = tail.partition("@")
    return Login(user[:NAME_LENGTH].lower(), server[:NAME_LENGTH] or None, client[:NAME_LENGTH] or None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody wants in: answer with `Registration.accept` or `Registration.reject`.

    `external`: by the certificate of the connection; there is no password, and perhaps no user name.
    """

    login: Login
    password: str = field(repr=False)
    via: Literal["pass", "sasl", "external"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """The client's next message of a SCRAM exchange: answer with `challenge`, `accept` or `reject`."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Consult:
    """Who is logged in asks for capabilities: answer with `Registration.offer`, what that network has."""

    login: Login


@dataclass(frozen=True, slots=True)
class Onward:
    """Who is logged in here wants in to an account of the network: answer with `Registration.passed_on`."""

    login: Login
    account: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Registered:
    """All is said and the login was accepted: the client now waits for 001."""

    login: Login
    nick: str
    user: str
    realname: str
    caps: CapSession
    away: str | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; `reason` is for the log. The ERROR line has been given before this."""

    reason: str


@dataclass(frozen=True, slots=True)
class Bind:
    """The client chooses its network by id (soju.im/bouncer-networks); if there is none it is to be told so."""

    netid: str
