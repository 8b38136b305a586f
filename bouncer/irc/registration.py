"""Owns what a client may say before it is let in, and the answers; checks no password, opens and closes nothing.

The caller feeds lines, writes the bytes it gets back, answers each Attempt, Exchange and Consult, and ends when it gets
Registered or Closed.
https://modern.ircdocs.horse/#connection-registration and https://ircv3.net/specs/extensions/sasl-3.1
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bouncer.irc import numerics
from bouncer.irc.authentication import Failure, Response, SaslLines, challenge_lines, plain
from bouncer.irc.caps import CapSession
from bouncer.irc.entering import (
    NAME_LENGTH,
    Attempt,
    Bind,
    Closed,
    Consult,
    Exchange,
    Login,
    Onward,
    Registered,
    parse_login,
)
from bouncer.irc.message import as_text, middle, wire
from bouncer.irc.supported import in_batches
from bouncer.irc.welcome import isupport_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bouncer.irc.caps import Offered
    from bouncer.irc.message import Message

MAX_LINES = 256
MAX_BYTES = 64 * 1024
MAX_SASL_TRIES = 3
_BAD_NICK = re.compile(r"[\s,*?!@\0]|\A[:#&$~+%]")
_USER_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")


Question = Attempt | Exchange | Consult | Onward
Output = bytes | Question | Registered | Closed | Bind


class Registration:
    """One client's way in. Bytes in the output are whole lines with CR LF.

    Between a question (Attempt, Exchange, Consult, Onward) and its answer lines may be fed on: they are kept (at most
    MAX_LINES and MAX_BYTES since the beginning, then the client is closed) and come into their own with the answer.

    A PASS with a user's name that comes before CAP is tried at once, so that CAP LS can be answered for the network;
    one that comes later waits for the end of the negotiation, since SASL may make it needless.
    """

    def __init__(self, server: str, offered: Offered, isupport: Sequence[str] = ()) -> None:
        self.server = server
        self.caps = CapSession(server, offered)
        self.nick = ""
        self.user = ""
        self.realname = ""
        self._isupport = list(isupport)
        self._away: str | None = None
        self._password: str | None = None
        self._login: Login | None = None
        self._claimed = Login("", None, None)
        self._consulted = self._listed = False
        self._question: Question | None = None
        self._sasl = SaslLines(lambda: self.caps.offered.values.get("sasl", ""))
        self._network_sasl = SaslLines(lambda: "PLAIN")
        self._sasl_done = False
        self._sasl_tries = 0
        self._lines = 0
        self._bytes = 0
        self._held: list[Message] = []
        self._over = False
        self._handlers: dict[str, Callable[[Message], list[Output]]] = {
            "AUTHENTICATE": self._authenticate,
            "BOUNCER": self._bouncer,
            "AWAY": self._go_away,
            "CAP": self._cap,
            "ISUPPORT": self._supported,
            "NICK": self._nick,
            "PASS": self._pass,
            "PING": self._ping,
            "PONG": lambda _: [],
            "QUIT": lambda _: self._close("Client quit"),
            "USER": self._user,
        }

    @property
    def waiting(self) -> bool:
        """Whether a question has no answer yet."""
        return self._question is not None

    def feed(self, msg: Message) -> list[Output]:
        """What one line of the client leads to. After Registered or Closed nothing more comes out."""
        if self._over:
            return []
        if b"\0" in msg.raw or b"\r" in msg.raw:
            return self._counted(msg)  # nothing honest holds these, and no reply could repeat them
        if over := self._counted(msg):
            return over
        if self._question is not None:
            self._held.append(msg)
            return []
        return self._take(msg)

    def too_long(self) -> list[Output]:
        """A line over the limit came, and was not kept."""
        self._lines += 1
        if self._lines > MAX_LINES:
            return self._close("Too much before registration")
        return [] if self._over else [self._numeric(numerics.ERR_INPUTTOOLONG, "Input line was too long")]

    def accept(self, account: str, mask: str, client: str = "") -> list[Output]:
        """The login is good: `account` is the user's name here, `mask` the client's nick!user@host.

        `client` is what the client is called when it does not say so itself.
        """
        question = self._answered()
        login = question.login if isinstance(question, Attempt) else self._claimed
        self._login = login._replace(user=account, client=login.client or client or None)
        output: list[Output] = []
        if not (isinstance(question, Attempt) and question.via == "pass"):
            self._sasl.end()
            logged_in = [mask, account, f"You are now logged in as {account}"]
            output.append(self._numeric(numerics.RPL_LOGGEDIN, *logged_in))
            output.append(self._numeric(numerics.RPL_SASLSUCCESS, "SASL authentication successful"))
            self._sasl_done = True
        output += self._complete()
        return output + self._release()

    def reject(self, reason: str) -> list[Output]:
        """The login is no good; `reason` is one sentence for the person."""
        question = self._answered()
        if isinstance(question, Attempt) and question.via == "pass":
            return self._refused(reason)
        self._sasl.end()
        output = self._sasl_failed(reason)
        return output + self._release()

    def challenge(self, data: bytes, login: Login | None = None) -> list[Output]:
        """Go on with a SCRAM exchange; `login` is who wants in, once that is known."""
        self._answered()
        self._claimed = login or self._claimed
        return [*challenge_lines(data), *self._release()]

    def offer(self, offered: Offered, isupport: Sequence[str] = ()) -> list[Output]:
        """What the network of this login has, and the tokens of its ISUPPORT."""
        question = self._answered()
        self._consulted = True
        self.caps.offered = offered
        self._isupport = list(isupport) or self._isupport
        output = self._take(self._held.pop(0)) if isinstance(question, Consult) and self._held else []
        return output + self._release()

    def passed_on(self, worked: bool, words: str) -> list[Output]:
        """The network's answer to an Onward: the account, or the reason of a refusal."""
        self._answered()
        if not worked:
            return [*self._sasl_failed(words), *self._release()]
        account = middle(words)  # the network's word for it, or the client's own
        mask = f"{self.nick or '*'}!{account}@{self.server}"
        lines = [
            self._numeric(numerics.RPL_LOGGEDIN, mask, account, f"You are now logged in as {words}"),
            self._numeric(numerics.RPL_SASLSUCCESS, "SASL authentication successful"),
        ]
        return [*lines, *self._release()]

    def _counted(self, msg: Message) -> list[Output]:
        self._lines += 1
        self._bytes += len(msg.raw) + 2
        if self._lines > MAX_LINES or self._bytes > MAX_BYTES:
            return self._close("Too much before registration")
        return []

    def _take(self, msg: Message) -> list[Output]:
        handler = self._handlers.get(msg.command)
        return self._unknown() if handler is None else handler(msg)

    def _release(self) -> list[Output]:
        output: list[Output] = []
        while self._held and self._question is None and not self._over:
            output += self._take(self._held.pop(0))
        return output

    def _ask(self, question: Question) -> list[Output]:
        self._question = question
        return [question]

    def _answered(self) -> Question:
        question = self._question
        if question is None:
            raise RuntimeError("nothing is waiting for an answer")
        self._question = None
        return question

    def _numeric(self, number: str, *params: str) -> bytes:
        return wire(number, [self.nick or "*", *params], self.server, colon=True)

    def _close(self, reason: str) -> list[Output]:
        self._over = True
        self._held.clear()
        return [wire("ERROR", [f"Closing link: {reason}"], colon=True), Closed(reason)]

    def _refused(self, reason: str) -> list[Output]:
        return [self._numeric(numerics.ERR_PASSWDMISMATCH, reason), *self._close(reason)]

    def _need_more(self, command: str) -> list[Output]:
        return [self._numeric(numerics.ERR_NEEDMOREPARAMS, command, "Not enough parameters")]

    def _unknown(self) -> list[Output]:
        return [self._numeric(numerics.ERR_NOTREGISTERED, "You have not registered")]

    def _ping(self, msg: Message) -> list[Output]:
        return [wire("PONG", [self.server, msg.param(0)], self.server, colon=True)]

    def _cap(self, msg: Message) -> list[Output]:
        subcommand = msg.param(0).upper()
        # What was listed before the login stays as listed until 001, after which NEW and DEL can correct it.
        asks = subcommand == "LS" or (subcommand == "REQ" and not self._listed)
        if asks and self._login is not None and not self._consulted:
            self._held.insert(0, msg)
            return self._ask(Consult(self._login))
        self._listed = self._listed or subcommand == "LS"
        return [*self.caps.handle(msg, self.nick or "*"), *self._complete()]

    def _go_away(self, msg: Message) -> list[Output]:
        """https://ircv3.net/specs/extensions/pre-away ."""
        if "draft/pre-away" not in self.caps.enabled:
            return self._unknown()
        self._away = as_text(msg.param(0)) or None
        if self._away is None:
            return [self._numeric(numerics.RPL_UNAWAY, "You are no longer marked as being away")]
        return [self._numeric(numerics.RPL_NOWAWAY, "You have been marked as being away")]

    def _supported(self, msg: Message) -> list[Output]:
        """https://ircv3.net/specs/extensions/extended-isupport ."""
        if "draft/extended-isupport" not in self.caps.enabled:
            return self._unknown()
        if self._login is not None and not self._consulted:
            self._held.insert(0, msg)
            return self._ask(Consult(self._login))
        lines = isupport_lines(self.server, self.nick or "*", self._isupport)
        return [*in_batches(lines, self.server, self.caps.enabled)]

    def _bouncer(self, msg: Message) -> list[Output]:
        """BIND is the one subcommand that comes this early, but not before the login."""
        if msg.param(0).upper() != "BIND":
            return [self._numeric(numerics.ERR_NOTREGISTERED, "You have not registered")]
        if not msg.param(1):
            return self._need_more("BOUNCER")
        if self._login is None:
            refusal = ["BOUNCER", "ACCOUNT_REQUIRED", "BIND", "Authentication required"]
            return [wire("FAIL", refusal, self.server, colon=True)]
        return [Bind(msg.params[1])]

    def _pass(self, msg: Message) -> list[Output]:
        if not msg.params:
            return self._need_more("PASS")
        if self._login is not None:
            return []
        self._password = as_text(msg.params[0])
        login, password = self._named()
        if login is None or self.caps.open:
            return []
        return self._ask(Attempt(login, password, "pass"))

    def _named(self) -> tuple[Login | None, str]:
        """Who PASS says it is, and the password in it; None when USER has to say."""
        name, colon, password = (self._password or "").partition(":")
        login = parse_login(name)
        return (login, password) if colon and _USER_NAME.match(login.user) else (None, self._password or "")

    def _nick(self, msg: Message) -> list[Output]:
        nick = as_text(msg.param(0))
        if not nick:
            return [self._numeric(numerics.ERR_NONICKNAMEGIVEN, "No nickname given")]
        if _BAD_NICK.search(nick) or len(nick) > NAME_LENGTH:
            return [self._numeric(numerics.ERR_ERRONEUSNICKNAME, "*", "Erroneous nickname")]
        self.nick = nick
        return self._complete()

    def _user(self, msg: Message) -> list[Output]:
        if len(msg.params) < 4 or not msg.params[0] or not msg.params[3]:
            return self._need_more("USER")
        self.user = msg.params[0]
        self.realname = as_text(msg.params[3])
        return self._complete()

    def _complete(self) -> list[Output]:
        """Let in, ask about the password, or nothing yet."""
        if not self.nick or not self.user or self.caps.open or self._over or self._question is not None:
            return []
        output: list[Output] = []
        if self._sasl.mechanism:
            self._sasl.end()
            output.append(self._numeric(numerics.ERR_SASLABORTED, "SASL authentication aborted"))
        if self._login is not None:
            self._over = True
            self._held.clear()
            login, said = self._login, parse_login(self.user)
            if said.user == login.user and login.server is None:  # PASS or SASL says who, USER the rest
                login = login._replace(server=said.server, client=login.client or said.client)
            return [*output, Registered(login, self.nick, said.user, self.realname, self.caps, self._away)]
        if self._password is None:
            return [*output, *self._without_password()]
        login_or_none, password = self._named()
        return output + self._ask(Attempt(login_or_none or parse_login(self.user), password, "pass"))

    def _without_password(self) -> list[Output]:
        words = "A password is needed: PASS user/server:password, or SASL PLAIN"
        output: list[Output] = [self._numeric(numerics.ERR_PASSWDMISMATCH, words), *self._close("No password given")]
        if "standard-replies" in self.caps.enabled:
            output.insert(0, wire("FAIL", ["*", "ACCOUNT_REQUIRED", "You have to log in"], self.server, colon=True))
        return output

    def _authenticate(self, msg: Message) -> list[Output]:
        word = msg.param(0)
        if not word:
            return self._need_more("AUTHENTICATE")
        if self._login is not None:
            if self._sasl_done:
                return [self._numeric(numerics.ERR_SASLALREADY, "You have already authenticated")]
            return self._onward(word, self._login)
        found = self._sasl.take(word)
        if isinstance(found, Response):
            return self._response(found)
        return self._failure(found) if isinstance(found, Failure) else [*found]

    def _failure(self, failure: Failure) -> list[Output]:
        if failure.numeric == numerics.RPL_SASLMECHS:
            mechanisms = self.caps.offered.values.get("sasl", "PLAIN")
            listed = self._numeric(numerics.RPL_SASLMECHS, mechanisms, "are available SASL mechanisms")
            return [listed, *self._sasl_failed(failure.words)]
        if failure.numeric == numerics.ERR_SASLFAIL:
            return self._sasl_failed(failure.words)
        return [self._numeric(failure.numeric, failure.words)]

    def _response(self, response: Response) -> list[Output]:
        if response.mechanism == "SCRAM-SHA-256":
            return self._ask(Exchange(response.data))
        self._sasl.end()
        if response.mechanism == "EXTERNAL":
            return self._ask(Attempt(parse_login(response.data.decode("utf-8", "replace")), "", "external"))
        found = plain(response.data)
        if found is None:
            return self._sasl_failed("SASL authentication failed: not readable")
        return self._ask(Attempt(parse_login(found[0]), found[1], "sasl"))

    def _onward(self, word: str, login: Login) -> list[Output]:
        """Who has logged in here by PASS may log in to the network by SASL, as without a bouncer between them."""
        found = self._network_sasl.take(word)
        if isinstance(found, Failure):
            return self._failure(found)
        if not isinstance(found, Response):
            return [*found]
        self._network_sasl.end()
        credentials = plain(found.data)
        if credentials is None:
            return self._sasl_failed("SASL authentication failed: not readable")
        if parse_login(credentials[0]).user == login.user:
            # What opens this door is nothing to be shown to a network.
            return [self._numeric(numerics.ERR_SASLALREADY, "You have already authenticated")]
        return self._ask(Onward(login, *credentials))

    def _sasl_failed(self, reason: str) -> list[Output]:
        self._sasl_tries += 1
        failed = self._numeric(numerics.ERR_SASLFAIL, reason)
        if self._sasl_tries >= MAX_SASL_TRIES:
            return [failed, *self._close("Too many failed logins")]
        return [failed]
