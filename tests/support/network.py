"""A scripted IRC network on real TCP or TLS: the test says, line by line, what the server does.

async with ScriptedNetwork() as network:
    ... make something connect to network.host, network.port ...
    peer = await network.accept()
    await peer.welcome(caps=["server-time", "echo-message"])
    await peer.send(":friend!f@example PRIVMSG #room :hello")
    await peer.barrier()                # all of it has been read and handled
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from bouncer import tasks
from bouncer.errors import MalformedLineError
from bouncer.irc.message import Message

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

DEADLINE_S = 10.0
SERVER = "irc.test"
ISUPPORT = (
    "CASEMAPPING=rfc1459",
    "CHANTYPES=#",
    "PREFIX=(ov)@+",
    "CHANMODES=b,k,l,imnpst",
    "NICKLEN=30",
    "NETWORK=Testnet",
    "STATUSMSG=@+",
    "MODES=4",
)


@dataclass(slots=True)
class Welcomed:
    """What the client said while it registered."""

    nick: str = ""
    username: str = ""
    realname: str = ""
    password: str | None = None
    requested: list[list[str]] = field(default_factory=list)
    caps: set[str] = field(default_factory=set)
    account: str | None = None
    ends: int = 0
    cap_ls: str | None = None


class ScriptedNetwork:
    """A listener on a free loopback port; `accept` gives the connections in the order they came.

    `context` (see `certificates.Certificate.server_context`) makes it TLS. Every wait has a deadline.
    """

    def __init__(self, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.connections: list[Peer] = []
        self._context = context
        self._server: asyncio.Server | None = None
        self._waiting: asyncio.Queue[Peer] = asyncio.Queue()
        self._tasks = tasks.Group()

    async def start(self, port: int = 0) -> None:
        """Listen; `port` 0 takes a free one, another comes back after `stop` to where clients expect it."""
        self._server = await asyncio.start_server(self._connected, self.host, port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for peer in self.connections:
            peer.reset()
        await self._tasks.cancel()
        if self._server is not None:
            async with asyncio.timeout(DEADLINE_S):
                await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def refuse(self) -> None:
        """Stop listening, so that connecting is refused; what is connected stays."""
        if self._server is not None:
            self._server.close()

    async def accept(self, deadline_s: float = DEADLINE_S) -> Peer:
        """The next connection; TimeoutError when none comes in time."""
        async with asyncio.timeout(deadline_s):
            return await self._waiting.get()

    def serve(self, script: Callable[[Peer], Awaitable[object]]) -> None:
        """Run `script` for every connection that comes from now on, in place of `accept`."""

        async def answer() -> None:
            while True:
                peer = await self._waiting.get()
                self._tasks.spawn(_quietly(script(peer)), name="scripted peer")

        self._tasks.spawn(answer(), name="scripted network")

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.connections.append(peer)
        self._tasks.spawn(peer.read(), name="scripted peer reader")
        self._waiting.put_nowait(peer)


async def _quietly(script: Awaitable[object]) -> None:
    try:
        await script
    except (OSError, EOFError):
        return  # the client went away in the middle of the script


class Peer:
    """The server's end of one connection.

    `received` holds every line that came, as text. PINGs whose token is not the script's are answered at once while
    `answer_pings` is true, and are not given to `line` and `expect`. `lets_go`: it closes at QUIT, as servers do.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received: list[str] = []
        self.welcomed = Welcomed()
        self.answer_pings = True
        self.lets_go = False
        self.closed = asyncio.Event()
        self._reader, self._writer = reader, writer
        self._unread: asyncio.Queue[Message | None] = asyncio.Queue()
        self._tokens = itertools.count(1)
        self._barriers: dict[str, asyncio.Future[None]] = {}
        self._reading = asyncio.Event()
        self._reading.set()

    # -- receiving

    async def read(self) -> None:
        """Take lines until the client is gone; run by the network."""
        try:
            while raw := await self._reader.readline():
                await self._reading.wait()
                line = raw.rstrip(b"\r\n")
                self.received.append(line.decode("utf-8", "surrogateescape"))
                try:
                    message = Message.parse(line)
                except MalformedLineError:
                    continue
                if message.command == "PING" and self.answer_pings:
                    await self.send(f":{SERVER} PONG {SERVER} :{message.param(0)}")
                elif message.command == "PONG" and (barrier := self._barriers.pop("".join(message.params[-1:]), None)):
                    if not barrier.done():
                        barrier.set_result(None)
                else:
                    self._unread.put_nowait(message)
                    if message.command == "QUIT" and self.lets_go:
                        self.hang_up()
        except OSError:
            pass
        finally:
            self.closed.set()
            self._unread.put_nowait(None)
            for barrier in self._barriers.values():
                if not barrier.done():
                    barrier.set_exception(EOFError("the client closed before it answered"))

    async def line(self, deadline_s: float = DEADLINE_S) -> Message:
        """The next line. TimeoutError when none comes, EOFError when the client is gone."""
        async with asyncio.timeout(deadline_s):
            message = await self._unread.get()
        if message is None:
            self._unread.put_nowait(None)
            raise EOFError(f"the client closed after {self.received[-5:]}")
        return message

    async def expect(self, command: str, *params: str, deadline_s: float = DEADLINE_S) -> Message:
        """The next line with this command and these first parameters; lines before it are passed over.

        AssertionError names what came instead; EOFError when the client is gone.
        """
        passed: list[str] = []
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    message = await self.line(deadline_s)
                    if message.command == command and message.params[: len(params)] == list(params):
                        return message
                    passed.append(repr(message))
        except TimeoutError as error:
            raise AssertionError(f"no {command} {' '.join(params)}; came: {passed}") from error

    async def barrier(self, deadline_s: float = DEADLINE_S) -> None:
        """Return once the client has answered a PING, so has handled all that was sent before. EOFError if it left."""
        token = f"barrier-{next(self._tokens)}"
        answered = self._barriers[token] = asyncio.get_running_loop().create_future()
        await self.send(f"PING :{token}")
        async with asyncio.timeout(deadline_s):
            await answered

    def seen(self, command: str) -> list[str]:
        """Every line with this command received so far, read by the script or not."""
        return [line for line in self.received if line.split(" ", 1)[0].upper() == command]

    def stall(self) -> None:
        """Stop reading: what the client sends from now on piles up."""
        self._reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    @property
    def client_fingerprint(self) -> str:
        """SHA-256 of the certificate the client showed, in hex; "" for none."""
        session = self._writer.get_extra_info("ssl_object")
        der = session.getpeercert(binary_form=True) if session is not None else None
        return hashlib.sha256(der).hexdigest() if der else ""

    # -- sending

    async def send(self, *lines: str | bytes) -> None:
        """Send each line with CR LF, in one write."""
        data = b"".join(
            (line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape")) + b"\r\n" for line in lines
        )
        await self.send_bytes(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self._writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            await self._writer.drain()

    async def numeric(self, number: int, *params: str) -> None:
        """A reply to the client's nick, the last parameter with a colon."""
        head = " ".join([f":{SERVER} {number:03d} {self.welcomed.nick or '*'}", *params[:-1]])
        await self.send(f"{head} :{params[-1]}" if params else head)

    def hang_up(self) -> None:
        """Close in order: what was sent arrives, then the end."""
        self._writer.close()

    def reset(self) -> None:
        """Close at once, without sending what waits."""
        self._writer.transport.abort()

    def break_off(self) -> None:
        """Close with a TCP reset, as a crashed machine's successor answers."""
        link = self._writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    # -- scripts

    @property
    def mask(self) -> str:
        """The client's own nick!user@host."""
        return f"{self.welcomed.nick}!{self.welcomed.username}@client.test"

    async def welcome(
        self,
        *,
        caps: Iterable[str] | None = (),
        caps_per_line: int = 0,
        refuse_caps: Iterable[str] = (),
        accounts: Mapping[str, str] | None = None,
        taken: Iterable[str] = (),
        isupport: Sequence[str] = ISUPPORT,
        motd: Sequence[str] = ("welcome",),
    ) -> Welcomed:
        """Carry a client through its registration, up to the end of the MOTD.

        `caps` None: a server that does not know CAP. `caps_per_line` splits the list of a 302 client. `refuse_caps`
        are offered but NAKed. `accounts` maps names to passwords for SASL. `taken` nicks get 433.
        """
        await self.register(
            caps=caps, caps_per_line=caps_per_line, refuse_caps=refuse_caps, accounts=accounts, taken=taken
        )
        await self.numerics(isupport=isupport, motd=motd)
        return self.welcomed

    async def register(
        self,
        *,
        caps: Iterable[str] | None = (),
        caps_per_line: int = 0,
        refuse_caps: Iterable[str] = (),
        accounts: Mapping[str, str] | None = None,
        taken: Iterable[str] = (),
    ) -> Welcomed:
        """The client's half of the registration, without 001; parameters as for `welcome`."""
        said, busy = self.welcomed, set(taken)
        offered = None if caps is None else list(caps)
        negotiating = False
        while not (said.nick and said.username) or negotiating:
            message = await self.line()
            match message.command:
                case "CAP" if offered is None:
                    await self.send(f":{SERVER} 421 * CAP :Unknown command")
                case "CAP":
                    negotiating = await self._cap(message, offered or [], caps_per_line, set(refuse_caps), negotiating)
                case "AUTHENTICATE":
                    await self._authenticate(message.param(0), accounts or {})
                case "PASS":
                    said.password = message.param(0)
                case "NICK" if message.param(0) in busy:
                    await self.send(f":{SERVER} 433 * {message.param(0)} :Nickname is already in use")
                case "NICK":
                    said.nick = message.param(0)
                case "USER":
                    said.username, said.realname = message.param(0), message.param(3)
        return said

    async def numerics(self, *, isupport: Sequence[str] = ISUPPORT, motd: Sequence[str] = ("welcome",)) -> None:
        """001 to 005 and the MOTD (422 when `motd` is empty), in one write."""
        nick = self.welcomed.nick
        lines = [
            f":{SERVER} 001 {nick} :Welcome to Testnet {self.mask}",
            f":{SERVER} 002 {nick} :Your host is {SERVER}",
            f":{SERVER} 003 {nick} :This server was created today",
            f":{SERVER} 004 {nick} {SERVER} test-1 iow bklimnpstov bklov",
        ]
        for start in range(0, len(isupport), 12):
            tokens = " ".join(isupport[start : start + 12])
            lines.append(f":{SERVER} 005 {nick} {tokens} :are supported by this server")
        if motd:
            lines.append(f":{SERVER} 375 {nick} :- {SERVER} Message of the day -")
            lines += [f":{SERVER} 372 {nick} :- {line}" for line in motd]
            lines.append(f":{SERVER} 376 {nick} :End of /MOTD command.")
        else:
            lines.append(f":{SERVER} 422 {nick} :MOTD File is missing")
        await self.send(*lines)

    async def let_in(self, channel: str, names: str = "", topic: str | None = None) -> None:
        """What a server sends to one who joined: JOIN, the topic, NAMES with `names` ("@friend +other") and us."""
        nick = self.welcomed.nick
        lines = [f":{self.mask} JOIN {channel}"]
        if topic is not None:
            lines.append(f":{SERVER} 332 {nick} {channel} :{topic}")
            lines.append(f":{SERVER} 333 {nick} {channel} friend!f@example.test 1700000000")
        lines.append(f":{SERVER} 353 {nick} = {channel} :{f'{names} {nick}'.strip()}")
        lines.append(f":{SERVER} 366 {nick} {channel} :End of /NAMES list.")
        await self.send(*lines)

    async def play(self) -> None:
        """From here on behave like a plain server: let in whoever joins, part, set nicks, end at QUIT."""
        while True:
            message = await self.line(3600)
            match message.command:
                case "JOIN":
                    for channel in message.param(0).split(","):
                        await self.let_in(channel)
                case "PART":
                    for channel in message.param(0).split(","):
                        await self.send(f":{self.mask} PART {channel} :{message.param(1)}")
                case "NICK":
                    await self.send(f":{self.mask} NICK :{message.param(0)}")
                    self.welcomed.nick = message.param(0)
                case "PING":
                    await self.send(f":{SERVER} PONG {SERVER} :{message.param(0)}")
                case "QUIT":
                    await self.send(f"ERROR :Closing link ({message.param(0)})")
                    self.hang_up()
                    return

    async def _cap(
        self, message: Message, offered: list[str], per_line: int, refused: set[str], negotiating: bool
    ) -> bool:
        said = self.welcomed
        nick = said.nick or "*"
        match message.param(0).upper():
            case "LS":
                said.cap_ls = message.param(1)
                step = per_line or max(len(offered), 1)
                chunks = [offered[at : at + step] for at in range(0, len(offered), step)] or [[]]
                for number, chunk in enumerate(chunks, 1):
                    more = "* " if number < len(chunks) else ""
                    await self.send(f":{SERVER} CAP {nick} LS {more}:{' '.join(chunk)}")
                return True
            case "REQ":
                wanted = message.param(1).split()
                said.requested.append(wanted)
                names = {one.partition("=")[0] for one in offered} - refused
                if set(wanted) <= names:
                    said.caps |= set(wanted)
                    await self.send(f":{SERVER} CAP {nick} ACK :{' '.join(wanted)}")
                else:
                    await self.send(f":{SERVER} CAP {nick} NAK :{' '.join(wanted)}")
            case "END":
                said.ends += 1
                return False
        return negotiating

    async def _authenticate(self, mechanism: str, accounts: Mapping[str, str]) -> None:
        match mechanism:
            case "PLAIN":
                await self.send("AUTHENTICATE +")
                _, account, password = (await self._sasl_answer()).decode().split("\0")
                good = accounts.get(account) == password
            case "EXTERNAL":
                await self.send("AUTHENTICATE +")
                account = (await self._sasl_answer()).decode() or "external"
                good = account in accounts
            case "SCRAM-SHA-256":
                account, good = await self._scram(accounts)
            case _:
                await self.send(f":{SERVER} 908 * PLAIN,EXTERNAL,SCRAM-SHA-256 :are available SASL mechanisms")
                account, good = "", False
        if good:
            self.welcomed.account = account
            await self.send(
                f":{SERVER} 900 * {self.mask} {account} :You are now logged in as {account}",
                f":{SERVER} 903 * :SASL authentication successful",
            )
        else:
            await self.send(f":{SERVER} 904 * :SASL authentication failed")

    async def _sasl_answer(self) -> bytes:
        text = ""
        while True:
            chunk = (await self.expect("AUTHENTICATE")).param(0)
            text += "" if chunk == "+" else chunk
            if len(chunk) < 400:
                return base64.b64decode(text)

    async def _scram(self, accounts: Mapping[str, str]) -> tuple[str, bool]:
        """The server's side of RFC 5802 with SHA-256."""
        await self.send("AUTHENTICATE +")
        bare = (await self._sasl_answer()).decode().removeprefix("n,,")
        fields = dict(part.split("=", 1) for part in bare.split(","))
        account, salt, rounds = fields["n"], b"salt of the test", 4096
        nonce = fields["r"] + "ServerPart"
        first = f"r={nonce},s={base64.b64encode(salt).decode()},i={rounds}"
        await self.send("AUTHENTICATE " + base64.b64encode(first.encode()).decode())
        final = (await self._sasl_answer()).decode()
        without_proof, _, proof = final.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac("sha256", accounts.get(account, "").encode(), salt, rounds)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        transcript = f"{bare},{first},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), transcript, "sha256")
        expected = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        if account not in accounts or base64.b64decode(proof) != expected or f"r={nonce}" not in without_proof:
            return account, False
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        verifier = base64.b64encode(hmac.digest(server_key, transcript, "sha256")).decode()
        await self.send("AUTHENTICATE " + base64.b64encode(f"v={verifier}".encode()).decode())
        await self.expect("AUTHENTICATE", "+")
        return account, True
