"""Owns what a client may say before it is let in, and the answers; checks no password, opens and closes nothing.

The caller feeds lines, writes the bytes it gets back, checks each Attempt, and ends when it gets Registered or Closed.
https://modern.ircdocs.horse/#connection-registration and https://ircv3.net/specs/extensions/sasl-3.1
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from bouncer.irc import numerics
from bouncer.irc.caps import CapSession
from bouncer.irc.message import as_text, wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.caps import Offered
    from bouncer.irc.message import Message

MAX_LINES = 256
MAX_BYTES = 64 * 1024
MAX_SASL_BYTES = 16 * 1024
MAX_SASL_TRIES = 3
_CHUNK = 400
_NAME_LENGTH = 64
_BAD_NICK = re.compile(r"[\s,*?!@\0]|\A[:#&$~+%]")
_USER_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")


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
    return Login(user[:_NAME_LENGTH].lower(), server[:_NAME_LENGTH] or None, client[:_NAME_LENGTH] or None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody wants in: answer with `Registration.accept` or `Registration.reject`."""

    login: Login
    password: str = field(repr=False)
    via: Literal["pass", "sasl"]


@dataclass(frozen=True, slots=True)
class Registered:
    """All is said and the login was accepted: the client now waits for 001."""

    login: Login
    nick: str
    user: str
    realname: str
    caps: CapSession


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; `reason` is for the log. The ERROR line has been given before this."""

    reason: str


Output = bytes | Attempt | Registered | Closed


class Registration:
    """One client's way in. Bytes in the output are whole lines with CR LF.

    Between an Attempt and its answer lines may be fed on: they are kept (at most MAX_LINES and MAX_BYTES since the
    beginning, then the client is closed) and come into their own with the answer.
    """

    def __init__(self, server: str, offered: Offered) -> None:
        self.server = server
        self.caps = CapSession(server, offered)
        self.nick = ""
        self.user = ""
        self.realname = ""
        self._password: str | None = None
        self._login: Login | None = None
        self._attempt: Attempt | None = None
        self._sasl: bytearray | None = None
        self._sasl_tries = 0
        self._lines = 0
        self._bytes = 0
        self._held: list[Message] = []
        self._over = False
        self._handlers: dict[str, Callable[[Message], list[Output]]] = {
            "AUTHENTICATE": self._authenticate,
            "CAP": self._cap,
            "NICK": self._nick,
            "PASS": self._pass,
            "PING": self._ping,
            "PONG": lambda _: [],
            "QUIT": lambda _: self._close("Client quit"),
            "USER": self._user,
        }

    @property
    def waiting(self) -> bool:
        """Whether an Attempt has no answer yet."""
        return self._attempt is not None

    def feed(self, msg: Message) -> list[Output]:
        """What one line of the client leads to. After Registered or Closed nothing more comes out."""
        if self._over:
            return []
        self._lines += 1
        self._bytes += len(msg.raw) + 2
        if self._lines > MAX_LINES or self._bytes > MAX_BYTES:
            return self._close("Too much before registration")
        if b"\0" in msg.raw or b"\r" in msg.raw:
            return []  # nothing honest holds these, and no reply could repeat them
        if self._attempt is not None:
            self._held.append(msg)
            return []
        return self._take(msg)

    def accept(self, account: str, mask: str) -> list[Output]:
        """The Attempt is good: `account` is the user's name here, `mask` the client's nick!user@host."""
        attempt = self._answered()
        self._login = attempt.login
        output: list[Output] = []
        if attempt.via == "sasl":
            logged_in = [mask, account, f"You are now logged in as {account}"]
            output.append(self._numeric(numerics.RPL_LOGGEDIN, *logged_in))
            output.append(self._numeric(numerics.RPL_SASLSUCCESS, "SASL authentication successful"))
        output += self._complete()
        return output + self._release()

    def reject(self, reason: str) -> list[Output]:
        """The Attempt is no good; `reason` is one sentence for the person."""
        attempt = self._answered()
        if attempt.via == "pass":
            return [self._numeric(numerics.ERR_PASSWDMISMATCH, reason), *self._close(reason)]
        output = self._sasl_failed(reason)
        return output + self._release()

    def abort(self, reason: str) -> list[Output]:
        """Close from our side (a deadline, a stop): ERROR and Closed."""
        return [] if self._over else self._close(reason)

    def _take(self, msg: Message) -> list[Output]:
        handler = self._handlers.get(msg.command)
        if handler is None:
            return [self._numeric(numerics.ERR_NOTREGISTERED, "You have not registered")]
        return handler(msg)

    def _release(self) -> list[Output]:
        output: list[Output] = []
        while self._held and self._attempt is None and not self._over:
            output += self._take(self._held.pop(0))
        return output

    def _answered(self) -> Attempt:
        attempt = self._attempt
        if attempt is None:
            raise RuntimeError("no login attempt is waiting for an answer")
        self._attempt = None
        return attempt

    def _numeric(self, number: str, *params: str) -> bytes:
        return wire(number, [self.nick or "*", *params], self.server, colon=True)

    def _close(self, reason: str) -> list[Output]:
        self._over = True
        self._held.clear()
        return [wire("ERROR", [f"Closing link: {reason}"], colon=True), Closed(reason)]

    def _need_more(self, command: str) -> list[Output]:
        return [self._numeric(numerics.ERR_NEEDMOREPARAMS, command, "Not enough parameters")]

    def _ping(self, msg: Message) -> list[Output]:
        return [wire("PONG", [self.server, msg.param(0)], self.server, colon=True)]

    def _cap(self, msg: Message) -> list[Output]:
        return [*self.caps.handle(msg, self.nick or "*"), *self._complete()]

    def _pass(self, msg: Message) -> list[Output]:
        if not msg.params:
            return self._need_more("PASS")
        self._password = as_text(msg.params[0])
        return []

    def _nick(self, msg: Message) -> list[Output]:
        nick = as_text(msg.param(0))
        if not nick:
            return [self._numeric(numerics.ERR_NONICKNAMEGIVEN, "No nickname given")]
        if _BAD_NICK.search(nick) or len(nick) > _NAME_LENGTH:
            return [self._numeric(numerics.ERR_ERRONEUSNICKNAME, "*", "Erroneous nickname")]
        self.nick = nick
        return self._complete()

    def _user(self, msg: Message) -> list[Output]:
        if len(msg.params) < 4 or not msg.params[0]:
            return self._need_more("USER")
        self.user = msg.params[0]
        self.realname = as_text(msg.params[3])
        return self._complete()

    def _complete(self) -> list[Output]:
        """Let in, ask about the password, or nothing yet."""
        if not self.nick or not self.user or self.caps.open or self._over:
            return []
        if self._login is not None:
            self._over = True
            self._held.clear()
            name = parse_login(self.user).user
            return [Registered(self._login, self.nick, name, self.realname, self.caps)]
        if self._password is None:
            words = "A password is needed: PASS user/server:password, or SASL PLAIN"
            return [self._numeric(numerics.ERR_PASSWDMISMATCH, words), *self._close("No password given")]
        name, colon, password = self._password.partition(":")
        login = parse_login(name)
        if not colon or not _USER_NAME.match(login.user):
            # The colon, if there is one, belongs to the password, and USER says who it is.
            login, password = parse_login(self.user), self._password
        return self._ask(login, password, "pass")

    def _ask(self, login: Login, password: str, via: Literal["pass", "sasl"]) -> list[Output]:
        self._attempt = Attempt(login, password, via)
        return [self._attempt]

    def _authenticate(self, msg: Message) -> list[Output]:
        word = msg.param(0)
        if not word:
            return self._need_more("AUTHENTICATE")
        if self._login is not None:
            return [self._numeric(numerics.ERR_SASLALREADY, "You have already authenticated")]
        if word == "*":
            self._sasl = None
            return [self._numeric(numerics.ERR_SASLABORTED, "SASL authentication aborted")]
        if self._sasl is not None:
            return self._sasl_chunk(word)
        if word.upper() == "PLAIN":
            self._sasl = bytearray()
            return [wire("AUTHENTICATE", ["+"])]
        mechanisms = self._numeric(numerics.RPL_SASLMECHS, "PLAIN", "are available SASL mechanisms")
        return [mechanisms, *self._sasl_failed("SASL authentication failed: no such mechanism")]

    def _sasl_chunk(self, chunk: str) -> list[Output]:
        collected = self._sasl
        if collected is None:
            raise RuntimeError("a chunk outside an exchange")
        if len(chunk) > _CHUNK or len(collected) + len(chunk) > MAX_SASL_BYTES:
            self._sasl = None
            return [self._numeric(numerics.ERR_SASLTOOLONG, "SASL message too long")]
        if chunk != "+":
            collected += chunk.encode("utf-8", "surrogateescape")
        if len(chunk) == _CHUNK:
            return []
        self._sasl = None
        try:
            fields = base64.b64decode(bytes(collected), validate=True).decode().split("\0")
        except (binascii.Error, UnicodeDecodeError):
            return self._sasl_failed("SASL authentication failed: not readable")
        if len(fields) != 3 or not fields[1] or fields[0] not in {"", fields[1]}:
            return self._sasl_failed("SASL authentication failed")
        return self._ask(parse_login(fields[1]), fields[2], "sasl")

    def _sasl_failed(self, reason: str) -> list[Output]:
        self._sasl_tries += 1
        failed = self._numeric(numerics.ERR_SASLFAIL, reason)
        if self._sasl_tries >= MAX_SASL_TRIES:
            return [failed, *self._close("Too many failed logins")]
        return [failed]
