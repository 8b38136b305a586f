"""Owns one attached client: lines in, bytes out, capabilities, deadlines; what a command means is decided elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Protocol

from bouncer.clock import now_ms
from bouncer.errors import LineTooLongError, MalformedLineError
from bouncer.events import ClientInfo
from bouncer.irc.caps import Offered
from bouncer.irc.lines import LineBuffer
from bouncer.irc.message import Message, wire
from bouncer.irc.registration import Attempt, Bind, Closed, Registered, Registration
from bouncer.tasks import Group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bouncer.config import Config

log = logging.getLogger(__name__)

SERVER = "bouncer"
"""The name we have as a server of our own, before and beside any network."""
KEEPALIVE = "bouncer-alive-"
DRAIN_S = 60.0
CLOSE_S = 2.0

_ids = itertools.count(1)


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A login is refused; `str()` is told to the client."""


class Door(Protocol):
    """What a client needs of the house."""

    async def log_in(self, client: Client, attempt: Attempt) -> str:
        """The account's name. Raises Refused."""

    def bind(self, client: Client, netid: str) -> bool:
        """The client, logged in but not yet registered, chooses a network; False when there is no such one."""

    async def attach(self, client: Client) -> None:
        """The client is registered: welcome it."""

    async def command(self, client: Client, msg: Message) -> None:
        """One line of a registered client."""

    def leave(self, client: Client) -> None:
        """The client is gone."""


class Client:
    """One connection from a client. `run` serves it to its end; `write` never waits."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door, config: Config, *, tls: bool
    ) -> None:
        self.id = next(_ids)
        self.name = ""
        self.server = ""
        self.nick = "*"
        self.user_id = 0
        self.bound: int | None = None
        """The server id it has chosen with BOUNCER BIND."""
        self.tls = tls
        self.attached_since = now_ms()
        peer = writer.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self.tasks = Group()
        self.registered: Registered | None = None
        self._reader = reader
        self._writer = writer
        self._door = door
        self._config = config
        self._lines = LineBuffer(config.limits.client_line_bytes)
        self._registration = Registration(SERVER, Offered.on(()))
        self._gone = False
        self._heard = True
        self._timer: asyncio.TimerHandle | None = None

    @property
    def caps(self) -> frozenset[str]:
        """Capabilities the client has on."""
        return self._registration.caps.enabled

    @property
    def info(self) -> ClientInfo:
        """This client, for lists."""
        return ClientInfo(
            self.id, self.name, self.server, self.address, self.tls, self.attached_since, tuple(sorted(self.caps))
        )

    # -- out -------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue bytes (whole lines); a client over its bound is dropped and catches up from history."""
        if self._gone or not data:
            return
        transport = self._writer.transport
        transport.write(data)
        if transport.get_write_buffer_size() > self._config.limits.client_sendq_bytes:
            log.warning("client %d is too slow: dropped", self.id)
            self._gone = True
            transport.abort()

    def reply(self, command: str, *params: str, source: str = SERVER) -> None:
        """One line of ours: a numeric is addressed to the client's nick."""
        to = [self.nick] if command.isdigit() else []
        self.write(wire(command, [*to, *params], source, colon=bool(params)))

    def notice(self, text: str, source: str = SERVER) -> None:
        """A notice of ours to the person."""
        self.write(wire("NOTICE", [self.nick, text.replace("\r", " ").replace("\n", " ")], source, colon=True))

    async def drain(self) -> None:
        """Wait until most of what is queued has been taken; raises when the client is gone or takes over a minute."""
        async with asyncio.timeout(DRAIN_S):
            await self._writer.drain()
        if self._gone:
            raise ConnectionResetError

    def drop(self, reason: str) -> None:
        """End it with an ERROR."""
        if not self._gone:
            self.write(wire("ERROR", [reason.replace("\r", " ").replace("\n", " ")], colon=True))
            self._gone = True
            self._writer.close()

    def update_caps(self, network: frozenset[str]) -> None:
        """Offer what the network has now, with CAP NEW and DEL."""
        self.write(b"".join(self._registration.caps.update(Offered.on(network), self.nick)))

    def cap(self, msg: Message) -> None:
        """CAP of a registered client."""
        self.write(b"".join(self._registration.caps.handle(msg, self.nick)))

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
            self.drop("Registration timed out" if self.registered is None else "Connection timed out")
        except LineTooLongError:
            self.drop("Line too long")
        except (ConnectionError, OSError):
            pass  # it has gone; there is nobody to tell
        finally:
            await self._end()

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._door.leave(self)
        await self.tasks.cancel()
        self._gone = True
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()

    async def _read(self) -> list[bytes]:
        data = await self._reader.read(65536)
        if not data:
            raise ConnectionResetError
        self._heard = True
        return self._lines.feed(data)

    async def _register(self) -> list[bytes]:
        """Until registered or closed; the lines that came after belong to the commands."""
        while True:
            lines = await self._read()
            for number, raw in enumerate(lines):
                try:
                    msg = Message.parse(raw)
                except MalformedLineError:
                    continue
                await self._outputs(self._registration.feed(msg))
                if self._gone or self.registered is not None:
                    return lines[number + 1 :]

    async def _outputs(self, outputs: Iterable[bytes | Attempt | Bind | Registered | Closed]) -> None:
        for output in outputs:
            if isinstance(output, bytes):
                self.write(output)
            elif isinstance(output, Attempt):
                await self._attempt(output)
            elif isinstance(output, Bind):
                self._bind(output.netid)
            elif isinstance(output, Registered):
                self.registered = output
                self.nick = output.nick
            else:
                self._gone = True
                self._writer.close()

    def _bind(self, netid: str) -> None:
        if not self._door.bind(self, netid):
            shown = "".join(char for char in netid if char > " ").lstrip(":")[:64] or "*"
            refusal = ["BOUNCER", "INVALID_NETID", "BIND", shown, "Network not found"]
            self.write(wire("FAIL", refusal, SERVER, colon=True))

    async def _attempt(self, attempt: Attempt) -> None:
        try:
            account = await self._door.log_in(self, attempt)
        except Refused as refused:
            await self._outputs(self._registration.reject(str(refused)))
        else:
            mask = f"{self._registration.nick or '*'}!{account}@{SERVER}"
            await self._outputs(self._registration.accept(account, mask))

    async def _serve(self, lines: list[bytes]) -> None:
        while not self._gone:
            for raw in lines:
                try:
                    msg = Message.parse(raw)
                except MalformedLineError:
                    continue
                if not self._gone:
                    await self._door.command(self, msg)
            lines = await self._read()

    def _keep_alive(self) -> None:
        """PING after silence; a client that does not answer within the next interval has vanished (W13)."""
        if self._gone:
            return
        self._timer = asyncio.get_running_loop().call_later(self._config.timeouts.ping_s, self._check)
        self._heard = False
        self.write(f"PING :{KEEPALIVE}{self.id}\r\n".encode())

    def _check(self) -> None:
        if self._heard:
            self._keep_alive()
        else:
            log.info("client %d does not answer: dropped", self.id)
            self._gone = True
            self._writer.transport.abort()
