"""Owns one attached client: lines in, bytes out, capabilities, deadlines; what a command means is decided elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from bouncer.clock import now_ms
from bouncer.errors import LineTooLongError, MalformedLineError
from bouncer.events import ClientInfo
from bouncer.irc import numerics
from bouncer.irc.caps import Offered
from bouncer.irc.entering import Attempt, Bind, Consult, Exchange, Onward, Registered
from bouncer.irc.lines import MAX_TAGS, fits
from bouncer.irc.message import Message, wire
from bouncer.irc.registration import Registration
from bouncer.irc.supported import UNBOUND
from bouncer.tasks import Group
from bouncer.transport import CLOSE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, Sequence

    from bouncer.config import Config
    from bouncer.irc.entering import Login
    from bouncer.irc.registration import Output
    from bouncer.transport import Transport

log = logging.getLogger(__name__)

SERVER = "bouncer"
"""The name we have as a server of our own, before and beside any network."""
KEEPALIVE = "bouncer-alive-"
TICK_S = 0.01
"""The shortest time between two looks at whether a client is alive: clocks round."""
TURN_LINES = 50
"""Lines of one client that are dealt with before others have a turn."""
LINE_BYTES = 512
"""https://modern.ircdocs.horse/#message-format , tags aside."""

_ids = itertools.count(1)


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A login is refused; `str()` is told to the client."""


class Admission(NamedTuple):
    """Who was let in; `credential` as in `ClientInfo`, `client` what the credential calls it ("" for nothing)."""

    user_id: int
    account: str
    credential: str
    client: str


class Challenge(NamedTuple):
    """The next message of ours in an exchange with somebody who says to be `login`."""

    data: bytes
    login: Login


Drop = Literal["slow", "silent", "unregistered", "line_too_long"]


class Door(Protocol):
    """What a client needs of the house."""

    async def log_in(self, client: Client, attempt: Attempt) -> Admission:
        """Check a login. Raises Refused."""

    async def exchange(self, client: Client, data: bytes) -> Challenge | Admission:
        """Go on with a SCRAM exchange. Raises Refused."""

    async def offers(self, client: Client, login: Login) -> tuple[Mapping[str, str], Sequence[str]]:
        """Capabilities (with values) of the network of this login, and its ISUPPORT; both empty where it has none."""

    async def log_in_to_network(self, client: Client, onward: Onward) -> tuple[bool, str]:
        """SASL at the network of that login: whether it worked, and the account or the reason."""

    def bind(self, client: Client, netid: str) -> bool:
        """The client, logged in but not yet registered, chooses a network; False when there is no such one."""

    async def attach(self, client: Client) -> None:
        """The client is registered: welcome it."""

    async def command(self, client: Client, msg: Message) -> None:
        """One line of a registered client."""

    def leave(self, client: Client) -> None:
        """The client is gone."""

    def dropped(self, why: Drop) -> None:
        """It was we who ended one, for what it did or did not do."""


class Client:
    """One connection from a client. `run` serves it to its end; `write` never waits."""

    def __init__(self, transport: Transport, door: Door, config: Config) -> None:
        self.id = next(_ids)
        self.name = ""
        self.server = ""
        self.nick = "*"
        self.user_id = 0
        self.account = ""
        self.credential = ""
        """What it came in with, as in `ClientInfo`."""
        self.disavowed: set[tuple[int, str]] = set()
        """Users with credentials that ceased to count while it was registering."""
        self.admitted_at = 0.0
        """When, by the loop's clock."""
        self.away: str | None = None
        """What it said of itself with AWAY before it was registered (draft/pre-away)."""
        self.source = SERVER
        """The server that answers it: its network's, once it is on one."""
        self.line_bytes = LINE_BYTES
        """Bytes one of its lines may have, with CR LF and without tags: what its network takes."""
        self.bound: int | None = None
        """The server id it has chosen with BOUNCER BIND."""
        self.tls = transport.tls
        self.address = transport.address
        self.certificate = transport.certificate
        self.attached_since = now_ms()
        self.tasks = Group()
        self.registered: Registered | None = None
        self._transport = transport
        self._door = door
        self._config = config
        self._registration = Registration(SERVER, self._offered({}), UNBOUND)
        self._gone = False
        self._heard_at = 0.0
        self._active_at: int | None = None
        self._pinged_at = -1.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def caps(self) -> frozenset[str]:
        """Capabilities the client has on."""
        return self._registration.caps.enabled

    @property
    def waiting(self) -> int:
        """Bytes that are queued for it."""
        return self._transport.waiting

    @property
    def info(self) -> ClientInfo:
        """This client, for lists."""
        caps = tuple(sorted(self.caps))
        return ClientInfo(
            self.id,
            self.name,
            self.server,
            self.address,
            self.tls,
            self.attached_since,
            caps,
            self.credential,
            self._active_at,
        )

    # -- out -------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue bytes (whole lines); a client over its bound is dropped and catches up from history."""
        if self._gone or not data:
            return
        self._transport.write(data)
        if self._transport.waiting > self._config.limits.client_sendq_bytes:
            log.warning("client %d is too slow: dropped", self.id)
            self._door.dropped("slow")
            self._gone = True
            self._transport.abort()

    def reply(self, command: str, *params: str, source: str = SERVER) -> None:
        """One line of ours: a numeric is addressed to the client's nick."""
        to = [self.nick] if command.isdigit() else []
        self.write(wire(command, [*to, *params], source, colon=bool(params)))

    def notice(self, text: str, source: str = SERVER) -> None:
        """A notice of ours to the person."""
        self.write(wire("NOTICE", [self.nick, text.replace("\r", " ").replace("\n", " ")], source, colon=True))

    async def drain(self) -> None:
        """Wait until most of what is queued has been taken; raises when the client is gone or takes over a minute."""
        await self._transport.drain()
        if self._gone:
            raise ConnectionResetError

    def drop(self, reason: str) -> None:
        """End it with an ERROR."""
        if not self._gone:
            self.write(wire("ERROR", [reason.replace("\r", " ").replace("\n", " ")], colon=True))
            self._gone = True
            self._transport.close()
            if self._timer is not None:
                self._timer.cancel()
            # Who reads nothing does not take the ERROR either.
            self._timer = asyncio.get_running_loop().call_later(CLOSE_S, self._transport.abort)

    def update_caps(self, network: Mapping[str, str]) -> None:
        """Offer what the network has now, by name with values, with CAP NEW and DEL; not before 001."""
        self.write(b"".join(self._registration.caps.update(self._offered(network), self.nick)))

    def _offered(self, network: Mapping[str, str]) -> Offered:
        return Offered.on(network, external=self._transport.external)

    def cap(self, msg: Message) -> bytes:
        """The answer to CAP of a registered client."""
        return b"".join(self._registration.caps.handle(msg, self.nick))

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Register, serve, end. Returns when the connection is closed."""
        try:
            async with asyncio.timeout(self._config.timeouts.register_s):
                rest = await self._register()
            if self.registered is not None:
                await self._door.attach(self)
                self._keep_alive()
                await self._serve(rest)
        except TimeoutError:
            self._door.dropped("unregistered" if self.registered is None else "slow")
            self.drop("Registration timed out" if self.registered is None else "Connection timed out")
        except LineTooLongError:
            self._door.dropped("line_too_long")
            self.drop("Line too long")
        except ConnectionError:
            pass  # it has gone; there is nobody to tell
        except OSError as error:
            log.info("client %d is gone: %s", self.id, error)
        finally:
            await self._end()

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._door.leave(self)
        await self.tasks.cancel()
        self._gone = True
        self._transport.close()
        await self._transport.closed()

    async def _read(self) -> list[bytes]:
        lines = await self._transport.read()
        if lines:  # one that never ends is no sign of life
            self._heard_at = asyncio.get_running_loop().time()
        return lines

    def _fits(self, raw: bytes) -> bool:
        most = max(LINE_BYTES, min(self.line_bytes, self._config.limits.client_line_bytes - MAX_TAGS))
        return fits(raw, most)

    async def _register(self) -> list[bytes]:
        """Until registered or closed; the lines that came after belong to the commands."""
        while True:
            lines = await self._read()
            for number, raw in enumerate(lines):
                try:
                    msg = Message.parse(raw) if self._fits(raw) else None
                except MalformedLineError:
                    continue
                outputs = self._registration.too_long() if msg is None else self._registration.feed(msg)
                await self._outputs(outputs)
                if self._gone or self.registered is not None:
                    return lines[number + 1 :]

    async def _outputs(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, bytes):
                self.write(output)
            elif isinstance(output, Attempt):
                await self._login(self._door.log_in(self, output))
            elif isinstance(output, Exchange):
                await self._login(self._door.exchange(self, output.data))
            elif isinstance(output, Consult):
                network, tokens = await self._door.offers(self, output.login)
                await self._outputs(self._registration.offer(self._offered(network), tokens))
            elif isinstance(output, Onward):
                worked, words = await self._door.log_in_to_network(self, output)
                await self._outputs(self._registration.passed_on(worked, words))
            elif isinstance(output, Bind):
                self._bind(output.netid)
            elif isinstance(output, Registered):
                self.registered = output
                self.nick = output.nick
                self.away = output.away
            else:
                self._gone = True
                self._transport.close()

    def _bind(self, netid: str) -> None:
        if not self._door.bind(self, netid):
            shown = "".join(char for char in netid if char > " ").lstrip(":")[:64] or "*"
            refusal = ["BOUNCER", "INVALID_NETID", "BIND", shown, "Network not found"]
            self.write(wire("FAIL", refusal, SERVER, colon=True))

    async def _login(self, check: Awaitable[Admission | Challenge]) -> None:
        try:
            found = await check
        except Refused as refused:
            await self._outputs(self._registration.reject(str(refused)))
            return
        if isinstance(found, Challenge):
            await self._outputs(self._registration.challenge(found.data, found.login))
            return
        self.user_id, self.account, self.credential = found.user_id, found.account, found.credential
        self.admitted_at = asyncio.get_running_loop().time()
        mask = f"{self._registration.nick or '*'}!{found.account}@{SERVER}"
        await self._outputs(self._registration.accept(found.account, mask, found.client))

    async def _serve(self, lines: list[bytes]) -> None:
        while not self._gone:
            await self._serve_lines(lines)
            lines = await self._read()

    async def _serve_lines(self, lines: Sequence[bytes]) -> None:
        for number, raw in enumerate(lines, 1):
            await self._line(raw)
            if number % TURN_LINES == 0:
                await asyncio.sleep(0)

    async def _line(self, raw: bytes) -> None:
        if self._gone:
            return
        if not self._fits(raw):
            self.reply(numerics.ERR_INPUTTOOLONG, "Input line was too long", source=self.source)
            return
        try:
            msg = Message.parse(raw)
        except MalformedLineError:
            return
        if msg.command not in ("PING", "PONG"):
            self._active_at = now_ms()
        await self._door.command(self, msg)

    def _keep_alive(self) -> None:
        """PING after silence; a client that does not answer within as long again has vanished (W13)."""
        if self._gone:
            return
        loop = asyncio.get_running_loop()
        silent_s, ping_s = loop.time() - self._heard_at, self._config.timeouts.ping_s
        if silent_s >= 2 * ping_s:
            log.info("client %d does not answer: dropped", self.id)
            self._door.dropped("silent")
            self._gone = True
            self._transport.abort()
            return
        if silent_s >= ping_s and self._pinged_at < self._heard_at:
            self._pinged_at = loop.time()
            self.write(f"PING :{KEEPALIVE}{self.id}\r\n".encode())
        left_s = (2 if silent_s >= ping_s else 1) * ping_s - silent_s
        self._timer = loop.call_later(max(left_s, TICK_S), self._keep_alive)
