"""Users, channels and lines of the network in `modern`: who gets what, with which tags, in which labelled answer."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from bouncer import tasks
from bouncer.errors import MalformedLineError
from bouncer.irc.message import Message, escape_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SERVER = "modern.test"
PASSWORD = "pw"
CAPS: dict[str, str] = {
    "account-notify": "",
    "account-tag": "",
    "away-notify": "",
    "batch": "",
    "cap-notify": "",
    "chghost": "",
    "draft/account-registration": "before-connect,custom-account-name",
    "draft/channel-rename": "",
    "draft/message-redaction": "",
    "draft/metadata-2": "max-subs=50,max-keys=20",
    "draft/multiline": "max-bytes=4096,max-lines=24",
    "draft/read-marker": "",
    "echo-message": "",
    "extended-join": "",
    "extended-monitor": "",
    "invite-notify": "",
    "labeled-response": "",
    "message-tags": "",
    "multi-prefix": "",
    "no-implicit-names": "",
    "sasl": "PLAIN",
    "server-time": "",
    "setname": "",
    "standard-replies": "",
    "userhost-in-names": "",
}
ISUPPORT = (
    "AWAYLEN=200 BOT=B CASEMAPPING=ascii CHANMODES=beIq,k,l,imnst CHANNELLEN=64 CHANTYPES=# ELIST=MNU EXCEPTS",
    "HOSTLEN=64 INVEX KICKLEN=200 MAXLIST=beIq:60 MODES=4 MONITOR=100 NAMELEN=100 NETWORK=Modern NICKLEN=32",
    "PREFIX=(ohv)@%+ STATUSMSG=@%+ TARGMAX=PRIVMSG:4,NOTICE:4,KICK:1 TOPICLEN=300 USERLEN=16 WHOX FANCY=a\\x20blank",
)
MOTD = ("welcome to the modern network", "", "  indented, and with a : colon")
STARTED = 1_700_000_000


@dataclass(slots=True, eq=False)
class Channel:
    """A channel: `members` maps users to mode letters, `lists` the letters b, e, I and q to masks."""

    name: str
    members: dict[User, str] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=lambda: {"n": "", "t": ""})
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    invited: set[User] = field(default_factory=set)
    metadata: dict[str, str] = field(default_factory=dict)
    topic: tuple[str, str, int] | None = None


class User:
    """One connection. While a command of its own is handled, what it is sent is kept for the labelled answer."""

    def __init__(self, network: Network, writer: asyncio.StreamWriter) -> None:
        self.network = network
        self.nick = self.username = self.realname = ""
        self.host = "host.test"
        self.account = ""
        self.away = ""
        self.modes: set[str] = set()
        self.caps: set[str] = set()
        self.version = 301
        self.negotiating = self.registered = self.gone = False
        self.monitored: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.subscribed: set[str] = set()
        self.markers: dict[str, str] = {}
        self.lines: dict[str, tuple[str, list[Message], str]] = {}
        self.idle_since = time.monotonic()
        self._answer: list[str] | None = None
        self._label = ""
        self._after: list[str] = []
        self._writer = writer

    @property
    def mask(self) -> str:
        return f"{self.nick}!{self.username}@{self.host}"

    def channels(self) -> list[Channel]:
        return [channel for channel in self.network.channels.values() if self in channel.members]

    def reply(self, text: str) -> None:
        """A numeric: `366 #room :End` goes out with the server's name and the nick in their places."""
        number, _, rest = text.partition(" ")
        self.say(f":{SERVER} {number} {self.nick or '*'} {rest}")

    def say(self, line: str, tags: Mapping[str, str] | None = None, *, apart: bool = False) -> None:
        """A line with the tags this client may have; `apart` keeps it out of a labelled answer."""
        shown = dict(tags or {})
        if "server-time" in self.caps:
            shown["time"] = server_time()
        kept = ";".join(f"{key}={escape_tag(value)}" if value else key for key, value in shown.items())
        whole = f"@{kept} {line}" if kept else line
        if apart and self._answer is not None:
            self._after.append(whole)
        elif self._answer is not None:
            self._answer.append(whole)
        else:
            self.write([whole])

    def write(self, lines: Iterable[str]) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))

    def answered(self, label: str, run: Callable[[], object]) -> None:
        """Run a handler; what it says to this client goes out with the label.

        https://ircv3.net/specs/extensions/labeled-response
        """
        self._answer, self._after, self._label = [], [], label
        try:
            run()
        finally:
            lines, after, label = self._answer, self._after, self._label
            self._answer = None
            if label and "labeled-response" in self.caps:
                lines = self._labelled(lines, f"label={escape_tag(label)}")
            self.write([*lines, *after])

    def relabel(self, label: str) -> None:
        """The command being handled is answered with another label; "" for none (an answer will come later)."""
        self._label = label

    def _labelled(self, lines: list[str], label: str) -> list[str]:
        if "server-time" in self.caps:
            label = f"{label};time={server_time()}"
        if not lines:
            return [f"@{label} :{SERVER} ACK"]
        first = Message.parse(lines[0].encode("utf-8", "surrogateescape"))
        last = Message.parse(lines[-1].encode("utf-8", "surrogateescape"))
        whole = first.command == "BATCH" and last.params == [f"-{first.params[0][1:]}"]
        if len(lines) == 1 or whole:
            return [tagged(lines[0], label.partition(";")[0]), *lines[1:]]
        reference = self.network.reference()
        inside = [
            line if ";batch=" in line or line[:7] == "@batch=" else tagged(line, f"batch={reference}") for line in lines
        ]
        end = f":{SERVER} BATCH -{reference}"
        if "server-time" in self.caps:
            end = tagged(end, f"time={server_time()}")
        return [f"@{label} :{SERVER} BATCH +{reference} labeled-response", *inside, end]

    def close(self) -> None:
        self._writer.close()

    def quit(self, reason: str) -> None:
        if self.gone:
            return
        self.gone = True
        network = self.network
        network.tell(network.peers(self), self, f"QUIT :{reason}")
        for channel in self.channels():
            network.leave(channel, self)
        if network.users.get(self.nick.lower()) is self:
            del network.users[self.nick.lower()]
            network.were[self.nick.lower()] = self
            network.presence(self, online=False)
        self.write([f"ERROR :Closing link: {reason}"])
        self.close()


def server_time() -> str:
    """Now, as https://ircv3.net/specs/extensions/server-time writes it."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


def tagged(line: str, tag: str) -> str:
    """The line with one more tag in front."""
    return f"@{tag};{line[1:]}" if line[:1] == "@" else f"@{tag} {line}"


class Network:
    """A listener on a free loopback port with users and channels; `handle` takes each line, `caps` are offered."""

    def __init__(self, handle: Callable[[User, Message], None], caps: Mapping[str, str] | None = None) -> None:
        self._handle = handle
        self.host, self.port = "127.0.0.1", 0
        self.caps = dict(CAPS if caps is None else caps)
        self.users: dict[str, User] = {}
        self.were: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.accounts: set[str] = set()
        self.messages: dict[str, tuple[str, User]] = {}
        self.received: list[str] = []
        self._connections: list[User] = []
        self._ids = itertools.count(1)
        self._references = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._tasks = tasks.Group()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for user in self._connections:
            user.close()
        await self._tasks.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user = User(self, writer)
        self._connections.append(user)
        self._tasks.spawn(self._serve(user, reader), name="modern connection")

    async def _serve(self, user: User, reader: asyncio.StreamReader) -> None:
        try:
            while not user.gone and (raw := await reader.readline()):
                line = raw.rstrip(b"\r\n")
                self.received.append(line.decode("utf-8", "surrogateescape"))
                try:
                    message = Message.parse(line)
                except MalformedLineError:
                    continue
                self._handle(user, message)
        except OSError:
            pass
        finally:
            user.quit("Connection closed")

    # -- what commands are made of

    def reference(self) -> str:
        return f"b{next(self._references)}"

    def msgid(self) -> str:
        return f"mid{next(self._ids)}x"

    def send(
        self,
        to: User,
        source: User,
        text: str,
        *,
        msgid: str = "",
        tags: Mapping[str, str] | None = None,
        apart: bool = False,
    ) -> None:
        """A line from one user to another, with the tags the receiver may have (`tags`: those of a client)."""
        free = {"batch", "draft/multiline-concat"}
        shown = {key: value for key, value in (tags or {}).items() if key in free or "message-tags" in to.caps}
        if msgid and "message-tags" in to.caps:
            shown["msgid"] = msgid
        if source.account and "account-tag" in to.caps:
            shown["account"] = source.account
        if "bot" in source.modes and "message-tags" in to.caps:
            shown["bot"] = ""
        to.say(f":{source.mask} {text}", shown, apart=apart)

    def tell(self, users: Iterable[User], source: User, text: str, *, cap: str = "") -> None:
        """The same line to several, if they have `cap`; one msgid for all."""
        msgid = self.msgid()
        for user in users:
            if not cap or cap in user.caps:
                self.send(user, source, text, msgid=msgid)

    def peers(self, user: User) -> list[User]:
        """Everyone who shares a channel with a user, once, without it."""
        found = {one: None for channel in user.channels() for one in channel.members}
        found.pop(user, None)
        return list(found)

    def watchers(self, user: User, cap: str) -> list[User]:
        """Peers, and those who monitor it with extended-monitor, that have `cap`."""
        extra = [
            one for one in self.users.values() if user.nick.lower() in one.monitored and "extended-monitor" in one.caps
        ]
        found = dict.fromkeys([*self.peers(user), *extra])
        return [one for one in found if cap in one.caps and one is not user]

    def presence(self, user: User, *, online: bool) -> None:
        for one in self.users.values():
            if user.nick.lower() in one.monitored:
                one.reply(f"730 :{user.mask}" if online else f"731 :{user.nick}")

    def leave(self, channel: Channel, user: User) -> None:
        channel.members.pop(user, None)
        channel.invited.discard(user)
        if not channel.members:
            self.channels.pop(channel.name.lower(), None)

    def names(self, user: User, channel: Channel) -> None:
        """353 and 366."""
        shown = []
        for one, letters in channel.members.items():
            symbols = "".join("@%+"["ohv".index(letter)] for letter in letters)
            whole = one.mask if "userhost-in-names" in user.caps else one.nick
            shown.append((symbols if "multi-prefix" in user.caps else symbols[:1]) + whole)
        mark = "@" if "s" in channel.modes else "="
        for start in range(0, len(shown), 8):
            user.reply(f"353 {mark} {channel.name} :{' '.join(shown[start : start + 8])}")
        user.reply(f"366 {channel.name} :End of /NAMES list.")

    def topic(self, user: User, channel: Channel) -> None:
        if channel.topic:
            text, who, when = channel.topic
            user.reply(f"332 {channel.name} :{text}")
            user.reply(f"333 {channel.name} {who} {when}")

    def welcome(self, user: User) -> None:
        """001 to 005, LUSERS, MOTD."""
        user.registered = True
        self.users[user.nick.lower()] = user
        user.reply(f"001 :Welcome to the Modern Network, {user.mask}")
        user.reply(f"002 :Your host is {SERVER}, running version modern-1")
        user.reply("003 :This server was created just now")
        user.reply(f"004 {SERVER} modern-1 Bio beIqhklimnostv beIqhklov")
        self.isupport(user)
        self.lusers(user)
        self.motd(user)
        self.presence(user, online=True)

    def isupport(self, user: User) -> None:
        for tokens in ISUPPORT:
            user.reply(f"005 {tokens} :are supported by this server")

    def lusers(self, user: User) -> None:
        count = len(self.users)
        user.reply(f"251 :There are {count} users and 0 invisible on 1 servers")
        user.reply("252 0 :operator(s) online")
        user.reply(f"254 {len(self.channels)} :channels formed")
        user.reply(f"255 :I have {count} clients and 0 servers")
        user.reply(f"265 {count} 99 :Current local users {count}, max 99")
        user.reply(f"266 {count} 99 :Current global users {count}, max 99")

    def motd(self, user: User) -> None:
        user.reply(f"375 :- {SERVER} Message of the day - ")
        for text in MOTD:
            user.reply(f"372 :- {text}")
        user.reply("376 :End of /MOTD command.")
