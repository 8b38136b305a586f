"""Owns the registration with a network: a pydle client that takes the lines it keeps state from, and no other.

pydle's own loop, tasks, reconnecting and rosters are not used: lines come in order through `take`, which runs each
handler to its end at once, and what happens in channels is `irc.state`'s business.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bouncer.errors import UnsafeLineError
from bouncer.irc.message import Message, serialise
from bouncer.upstream.login import SaslClient
from bouncer.upstream.nicks import SHORTEST_NICKLEN, candidates

if TYPE_CHECKING:
    from bouncer.upstream.capabilities import Owner
    from bouncer.upstream.params import ConnectParams

log = logging.getLogger(__name__)

TAKEN = frozenset(
    [
        *("CAP", "AUTHENTICATE", "PING", "PONG", "ERROR", "NICK", "001", "376", "410", "421", "422"),
        *("431", "432", "433", "436", "437", "463", "464", "465", "466", "468"),
        *("900", "901", "902", "903", "904", "905", "906", "907", "908"),
    ]
)
"""The commands with a handler here; pydle has handlers for many more, which nothing calls."""


class Client(SaslClient):
    """`nickname` is ours as the network knows it; `registered` is true from 001 on, `was_ready` from the MOTD's end."""

    def __init__(self, params: ConnectParams, owner: Owner) -> None:
        self.was_ready = False
        self.refusal = ""  # what the server said before it closes without an ERROR
        self._candidates = candidates(params.nickname, params.alternatives)
        super().__init__(params, owner)

    async def register(self) -> None:
        """CAP LS, PASS, NICK, USER: pydle's own sequence, written by `rawmsg`. UnsafeLineError for bad settings."""
        await self._register()

    def take(self, message: Message) -> None:
        """Run the handler of a line in `TAKEN`, to its end. Never raises: an odd line is logged and passed over."""
        handler = getattr(self, "on_raw_" + message.command.lower())(message)
        try:
            handler.send(None)
        except StopIteration:
            return
        except UnsafeLineError as error:
            self.owner.fail(f"a setting of this server cannot be sent: {error}")
        except Exception:  # whatever a line does to a handler, the lines after it count
            log.exception("a %s line was passed over: %r", message.command, message.raw[:200])
        else:
            handler.close()
            log.error("the handler of %s waits for something, which would let later lines overtake", message.command)

    # -- being let in

    async def on_raw_001(self, message: Message) -> None:
        """We are in, under the nick this line is addressed to. pydle's body makes up a NICK and asks WHOIS."""
        if self.registered:
            return
        self.sasl_missed("the network let us in before it ended")
        self.registered = True
        self._negotiating = False
        if message.params:
            self.nickname = message.params[0]
        if self.nickname != self.params.nickname:
            self.owner.note("nick", f"we are {self.nickname} here, not {self.params.nickname}")
        self.owner.welcomed()
        self._identify()

    def _identify(self) -> None:
        params = self.params
        if params.auth_method != "nickserv" or not params.auth_password:
            return
        words = [one for one in ("IDENTIFY", params.auth_account, params.auth_password) if one]
        text = " ".join(words)
        self.owner.conceal("NickServ", text)
        self.owner.send(serialise("PRIVMSG", ["NickServ", text], colon=True))

    async def on_raw_376(self, message: Message) -> None:
        """The MOTD is over, or (422) there is none; every later one was asked for by a client."""
        del message
        if self.registered and not self.was_ready:
            self.was_ready = True
            self.owner.ready()

    on_raw_422 = on_raw_376

    # -- the nick

    async def on_raw_433(self, message: Message) -> None:
        """In use (433), not allowed (432), just collided (436), held (437): the next candidate, before 001 only."""
        if self.registered:
            return
        words = message.params[-1] if message.params else "refused"
        nick = self._next_nick(message)
        if nick is None:
            self.owner.fail(f"no nickname was accepted: {words}", permanent=message.command == "432")
            return
        self.owner.note("nick", f"{message.param(1) or 'the nickname'}: {words}; trying {nick}")
        await self.rawmsg("NICK", nick)

    def _next_nick(self, message: Message) -> str | None:
        """Where 432 may mean "too long", no made-up nick that is no shorter: ngIRCd takes 2 s over each refusal."""
        refused = message.param(1)
        if message.command != "432" or len(refused) <= SHORTEST_NICKLEN:
            return next(self._candidates, None)
        likely = (nick for nick in self._candidates if nick in self.params.alternatives or len(nick) < len(refused))
        return next(likely, None)

    on_raw_431 = on_raw_432 = on_raw_436 = on_raw_437 = on_raw_433

    async def on_raw_nick(self, message: Message) -> None:
        """Ours may change by our own wish or by force; every mapping of case folds at least a to z."""
        if message.params and message.nick.lower() == self.nickname.lower():
            self.nickname = message.params[0]

    # -- staying

    async def on_raw_ping(self, message: Message) -> None:
        """Answered at once with the same words; before registration some servers wait for it."""
        self.owner.send(serialise("PONG", message.params, colon=True))

    async def on_raw_pong(self, message: Message) -> None:
        """Perhaps the answer to one of ours."""
        if message.params:
            self.owner.ponged(message.params[-1])

    async def on_raw_error(self, message: Message) -> None:
        """The server closes and says why."""
        self.owner.fail(f"closed by the server: {' '.join(message.params)}")

    async def on_raw_464(self, message: Message) -> None:
        """Refused for our password (464), our host (463), as banned (465, 466), for our user name (468).

        A ban or a closed door may end; the same password and user name are refused again.
        """
        if message.params:
            self.refusal = message.params[-1]
        if not self.registered and message.command in {"464", "468"}:
            self.owner.refused_for_good()

    on_raw_463 = on_raw_465 = on_raw_466 = on_raw_468 = on_raw_464
