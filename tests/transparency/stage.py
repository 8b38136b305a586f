"""Plays a script of several IRC clients on a network, with `me` on it directly or behind a bouncer, and writes down
what each was sent, so that both transcripts can be laid side by side.

A script has one line for each step, `actor: line`; several lines sent at once are parted by ` && `. `{msgid}` stands
for the newest message id this actor has seen. `+nick` brings another client, `-nick: reason` takes it away.
Nothing sleeps: whoever spoke is known to have been heard when its PING is answered, and everything that `me` should
have got by then stands before the answer to a question nobody else asks (TOPIC of a channel that is not there).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
import socket
from typing import TYPE_CHECKING, NamedTuple, Self

from bouncer.irc.message import Message
from tests.transparency.questions import BEHIND, turned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DEADLINE_S = 10.0
FENCE = "#fence-"
SPARE = 20
REALNAME = "Somebody at the keyboard"

WANTED = frozenset(
    {"account-notify", "account-tag", "away-notify", "batch", "chghost", "draft/account-registration"}
    | {"draft/channel-rename", "draft/message-redaction", "draft/metadata-2", "draft/multiline", "echo-message"}
    | {"extended-join", "extended-monitor", "invite-notify", "labeled-response", "message-tags", "multi-prefix"}
    | {"no-implicit-names", "server-time", "setname", "standard-replies", "userhost-in-names"}
)
"""What a client that can do everything asks of a network that offers it."""

OLD = frozenset({"account-notify", "away-notify", "extended-join", "multi-prefix"})
"""What a client knows that speaks version 3.1."""


NEEDS = {
    "BATCH": "draft/multiline",
    "METADATA": "draft/metadata-2",
    "TAGMSG": "message-tags",
}
"""What is not said without a capability, as the bouncer answers it itself where the network has none."""


class Kind(NamedTuple):
    """A sort of client: which CAP LS it sends (None: none at all), what it asks for, whether it labels its commands."""

    version: str | None
    caps: frozenset[str] = frozenset()
    labels: bool = False


KINDS = {
    "all": Kind("302", WANTED - {"no-implicit-names"}),
    "labels": Kind("302", WANTED, labels=True),
    "old": Kind("", OLD),
    "none": Kind(None),
}


class SilenceError(AssertionError):
    """Somebody was not answered in time."""


class Actor:
    """One client on a real socket, as raw lines. PINGs are answered and not kept."""

    def __init__(self, nick: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.nick = nick
        self.offered: set[str] = set()
        self.caps: set[str] = set()
        self.welcome: list[str] = []
        self.msgid = ""
        self._reader, self._writer = reader, writer
        self._fences = itertools.count(1)

    @classmethod
    async def connect(
        cls, port: int, nick: str, kind: Kind, *, password: str = "", only: set[str] | None = None, account: str = ""
    ) -> Self:
        """Register; `only` bounds what it asks for, `password` is for a bouncer, `account` (name:password) for SASL."""
        actor = cls(nick, *await asyncio.open_connection("127.0.0.1", port))
        wanted = kind.caps if only is None else only
        if password:  # first: who is never told of more (3.1) has to say who it is before it asks
            actor.send(f"PASS :{password}")
        if kind.version is not None:
            await actor._negotiate(kind.version, wanted)
            if account:
                await actor._log_in(*account.split(":"))
        actor.send(f"NICK {nick}", f"USER {nick} 0 * :{REALNAME}")
        if kind.version is not None:
            actor.send("CAP END")
        actor.welcome = await actor.until(lambda line: bool(re.match(r"(@\S+ )?:\S+ (376|422) ", line)))
        actor.welcome += await actor.fence()
        await actor._told_of_more(wanted)
        return actor

    async def _negotiate(self, version: str, wanted: Iterable[str]) -> None:
        self.send(f"CAP LS {version}".strip())
        self._offered(await self.until(lambda line: " LS " in line and " LS * " not in line))
        if not version:  # servers that stop at 512 bytes send several lines to old clients too: one more answer
            self.send("CAP LIST")
            self._offered(await self.until(lambda line: " LIST " in line))
        await self._request(set(wanted) & self.offered)

    async def _log_in(self, account: str, password: str) -> None:
        await self._request({"sasl"})
        self.caps.discard("sasl")
        self.send("AUTHENTICATE PLAIN")
        await self.until(lambda line: bool(re.search(r"AUTHENTICATE :?\+$", line)))
        self.send("AUTHENTICATE " + base64.b64encode(f"\0{account}\0{password}".encode()).decode())
        await self.until(lambda line: " 903 " in line)

    async def _told_of_more(self, wanted: Iterable[str]) -> None:
        """What CAP NEW in the welcome has brought is asked for as well."""
        self._offered(line for line in self.welcome if " NEW " in line)
        await self._request((set(wanted) & self.offered) - self.caps)

    def _offered(self, lines: Iterable[str]) -> None:
        for line in lines:
            if re.search(r" CAP \S+ (LS|NEW) ", line):
                self.offered |= {token.partition("=")[0] for token in line.partition(" :")[2].split()}

    async def _request(self, names: set[str]) -> None:
        if names:
            self.send(*(f"CAP REQ {name}" for name in sorted(names)))
            last = re.escape(max(names))
            await self.until(lambda line: bool(re.search(rf" (ACK|NAK) :?{last}", line)))
            self.caps |= names

    def send(self, *lines: str) -> None:
        """Each line with CR LF, in one write."""
        self._acknowledge()
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))

    def _acknowledge(self) -> None:
        """What was received is acknowledged at once: servers that wait for that before they write on need not."""
        link = self._writer.get_extra_info("socket")
        if link.fileno() >= 0:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    async def until(self, end: Callable[[str], bool]) -> list[str]:
        """All lines up to the one that `end` is true of. Silence when it does not come."""
        seen: list[str] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    raw = await self._reader.readline()
                    self._acknowledge()
                    line = raw.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
                    if not raw:
                        raise SilenceError(f"{self.nick} was disconnected; before: {seen[-10:]}")
                    message = Message.parse(raw.rstrip(b"\r\n"))
                    if message.command == "PING":
                        self.send(f"PONG :{message.params[-1]}")
                        continue
                    seen.append(line)
                    self.msgid = message.tags.get("msgid", self.msgid)
                    if end(line):
                        return seen
        except OSError as error:  # TimeoutError is one
            raise SilenceError(f"{self.nick} waited in vain ({error}); before: {seen[-10:]}") from None

    async def fence(self) -> list[str]:
        """Everything this client is sent because of what has happened so far."""
        name = f"{FENCE}{next(self._fences)}"
        self.send(f"TOPIC {name}")
        return (await self.until(lambda line: name in line))[:-1]

    async def services(self) -> list[str]:
        """Everything up to an answer of the services, which are another server and take their time."""
        name = f"fence{next(self._fences)}"
        self.send(f"PRIVMSG NickServ :INFO {name}")
        lines = await self.until(lambda line: " NOTICE " in line and name in line)
        return [line for line in lines if name not in line]

    async def barrier(self) -> list[str]:
        """The same for one that is on the network itself: up to the answer to a PING."""
        token = f"{FENCE}{next(self._fences)}"
        self.send(f"PING {token}")
        return (await self.until(lambda line: token in line))[:-1]

    async def quit(self, reason: str) -> None:
        """QUIT, and wait for the end."""
        with contextlib.suppress(OSError):
            self.send(f"QUIT :{reason}")
            async with asyncio.timeout(DEADLINE_S):
                await self._reader.read()
        await self.close()

    async def close(self) -> None:
        """Close without a word."""
        self._writer.close()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._writer.wait_closed()
        except OSError:
            pass


class Stage:
    """`me` and the others on one network; `port` is the network's own, where all but `me` connect."""

    def __init__(self, port: int, *, plain: bool, services: bool = False) -> None:
        self.port = port
        self.has_services = services
        self.patient = False
        """Whether a PING of `me` comes before the question nobody else asks: labels of the bouncer may take longer."""
        self.plain = plain
        self._spare: list[Actor] = []
        self._numbers = itertools.count(1)
        self.actors: dict[str, Actor] = {}

    async def bring(self, *nicks: str) -> None:
        """Other clients, on the network itself, with all it offers; and some more, to be called what a script wants.

        InspIRCd lets people in once a second only: all of them come at once.
        """
        names = [*nicks, *(f"spare{next(self._numbers)}" for _ in range(SPARE))]
        come = await asyncio.gather(*(Actor.connect(self.port, name, KINDS["all"]) for name in names))
        self.actors.update(zip(nicks, come, strict=False))
        self._spare += come[len(nicks) :]

    async def call(self, nick: str) -> None:
        """One more comes to the stage, under that nick."""
        if not self._spare:
            await self.bring()
        actor = self.actors[nick] = self._spare.pop()
        actor.send(f"NICK {nick}")
        await actor.barrier()

    async def arrived(self, nick: str) -> None:
        """Wait until somebody is on the network: asked again and again."""
        asker = next(iter(self.actors.values()))
        async with asyncio.timeout(DEADLINE_S):
            while True:
                asker.send(f"ISON {nick}")
                if any(f":{nick}" in line for line in await asker.barrier() if " 303 " in line):
                    return

    async def close(self) -> None:
        for actor in [*self.actors.values(), *self._spare]:
            await actor.close()

    async def play(self, me: Actor, script: str, *, labels: bool = False) -> list[str]:
        """The transcript, as normalised lines `nick< line`; the last says so when somebody was left waiting."""
        paper = Paper(plain=self.plain)
        numbers = itertools.count(1)
        try:
            for step in filter(None, map(str.strip, script.splitlines())):
                who, _, text = step.partition(": ")
                paper.write(f"{who}> {text}")
                await self._step(me, who, text, paper, numbers if labels else None)
        except SilenceError as silence:
            paper.write(f"SILENCE {silence}")
        await self._tidy(me, script)
        return paper.lines

    async def ask(self, clients: Sequence[Actor], kinds: Sequence[str], turns: Sequence[int]) -> list[list[str]]:
        """What each client gets to its questions when all ask at once, each in one go, up to the answer to its PING."""
        for me, kind, turn in zip(clients, kinds, turns, strict=True):
            lines = turned(turn)
            if KINDS[kind].labels and "labeled-response" in me.caps:
                lines = [labelled(line, f"L{number}") for number, line in enumerate(lines)]
            me.send(*lines)
        found: list[list[str]] = []
        for me in clients:
            paper = Paper(plain=self.plain)
            lines = [*await me.until(lambda line: line.endswith(f":{BEHIND}")), *await me.fence()]
            whole = collapsed([paper.normal(line) for line in lines])
            found.append(in_order(whole) if self.plain else whole)
        return found

    async def _step(self, me: Actor, who: str, text: str, paper: Paper, numbers: itertools.count[int] | None) -> None:
        heard: dict[str, list[str]] = {}
        if who[0] == "+":
            await self.call(who[1:])
        elif who[0] == "-":
            await self.actors.pop(who[1:]).quit(text)
        else:
            actor = me if who == "me" else self.actors[who]
            if "{msgid}" in text and not actor.msgid:
                return
            lines = [fitting(line.replace("{msgid}", actor.msgid), actor.caps) for line in text.split(" && ")]
            if any(cap not in actor.caps for name, cap in NEEDS.items() if name in text.split(" ")):
                return
            if who == "me" and numbers is not None and "labeled-response" in me.caps:
                lines = [labelled(line, f"L{next(numbers)}") for line in lines]
            actor.send(*lines)
            heard[who] = await actor.services() if self.has_services else []
            if who != "me" or self.patient:
                heard[who] += await actor.barrier()
        heard["me"] = [*heard.get("me", []), *await me.fence()]
        for nick, actor in self.actors.items():
            if nick != who:
                heard[nick] = await actor.barrier()
        paper.next_step()
        for nick, lines in heard.items():
            whole = collapsed([paper.normal(line) for line in lines])
            paper.lines += [f"{nick}< {line}" for line in (in_order(whole) if self.plain else whole)]

    async def _tidy(self, me: Actor, script: str) -> None:
        """Everyone leaves the channels of the script."""
        names = ",".join(sorted(set(re.findall(r"(?<![\w#])#[a-z][\w-]*", script))))
        try:
            for actor in self.actors.values():
                actor.send(f"PART {names}", "AWAY", "MONITOR C")
                await actor.barrier()
            if "me: NICK" in script:
                me.send("NICK alice")
            me.send(f"PART {names}", "AWAY", "MONITOR C")
            await me.fence()
            for actor in self.actors.values():
                await actor.barrier()
            await me.fence()
        except SilenceError:
            pass  # the transcript has it already, or the next one will


def fitting(line: str, caps: set[str]) -> str:
    """The line as a client with these capabilities sends it: without tags if it has none."""
    return line.partition(" ")[2] if line[:1] == "@" and "message-tags" not in caps else line


def labelled(line: str, label: str) -> str:
    """The command with a label, unless it belongs to a batch that has one."""
    if line.startswith("@"):
        return line if line.startswith("@batch=") else f"@label={label};{line[1:]}"
    return line if line.startswith("BATCH -") else f"@label={label} {line}"


_TIMES = re.compile(r"\b(1[5-9]|2\d)\d{8}\b")
_CLOCK = re.compile(r"\b\d+:\d\d:\d\d\b|\b[Uu]p \d+ days?,? ?|\(\d+ connections received\)")


class Paper:
    """A transcript in which what is random has been given a number by its first appearance.

    `plain`: the network gives ids to talk only, and lists the people of a channel in any order.
    """

    def __init__(self, *, plain: bool) -> None:
        self.plain = plain
        self.lines: list[str] = []
        self._names: dict[str, dict[str, str]] = {"msgid": {}, "batch": {}}

    def write(self, line: str) -> None:
        self.lines.append(line)

    def next_step(self) -> None:
        """Batches are numbered within a step."""
        self._names["batch"].clear()

    def normal(self, line: str) -> str:
        """The line with times, message ids and batch references replaced, its tags in order, a colon before its end."""
        tags: list[str] = []
        if line[:1] == "@":
            head, _, line = line.partition(" ")
            for tag in sorted(head[1:].split(";")):
                key, _, value = tag.partition("=")
                if key == "msgid" and self.plain and not re.match(r"\S+ (PRIVMSG|NOTICE|TAGMSG) ", line):
                    continue  # the bouncer gives ids to what it stores, where the network gives none
                if key == "time":
                    value = "*" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value) else value
                elif key in self._names:
                    value = self._name(key, value)
                elif value in self._names["msgid"]:
                    value = self._names["msgid"][value]
                tags.append(f"{key}={value}" if value else key)
        message = Message.parse(line.encode("utf-8", "surrogateescape"))
        params = list(message.params)
        if message.command == "BATCH":
            params[0] = params[0][0] + self._name("batch", params[0][1:])
        elif message.command == "353" and self.plain:
            params[3] = " ".join(sorted(params[3].split(" ")))
        line = " ".join([f":{message.source}", message.command, *params[:-1], *(f":{last}" for last in params[-1:])])
        for msgid, name in self._names["msgid"].items():
            line = line.replace(msgid, name)
        line = _CLOCK.sub("<clock>", _TIMES.sub("<time>", line))
        line = re.sub(r"^(:\S+ 391 \S+ \S+) .*", r"\1 <clock>", line)
        line = re.sub(r"^(:\S+ 317 \S+ \S+) \d+ ", r"\1 <idle> ", line)
        return f"@{';'.join(tags)} {line}" if tags else line

    def _name(self, kind: str, value: str) -> str:
        names = self._names[kind]
        return names.setdefault(value, f"{kind}{len(names) + 1}")


def in_order(lines: list[str]) -> list[str]:
    """Lines of WHO that follow each other, sorted."""
    found: list[str] = []
    for who, group in itertools.groupby(lines, lambda line: bool(re.match(r"(@\S+ )?:\S+ 35[24] ", line))):
        some = list(group)
        found += sorted(some) if who else some
    return found


def collapsed(lines: list[str]) -> list[str]:
    """A labelled batch of one line is that line, labelled: a network may answer with more than a client is shown."""
    found: list[str] = []
    at = 0
    while at < len(lines):
        opened = re.match(r"@(label=\S+) \S+ BATCH \+(\S+) :labeled-response$", lines[at])
        if opened and len(lines) > at + 2 and lines[at + 2].endswith(f" BATCH :-{opened[2]}"):
            inside = Message.parse(lines[at + 1].encode("utf-8", "surrogateescape"))
            if inside.tags.get("batch") == opened[2]:
                tags = [tag for tag in lines[at + 1].partition(" ")[0][1:].split(";") if tag != f"batch={opened[2]}"]
                label = opened[1].partition(";")[0]
                found.append(f"@{';'.join(sorted([*tags, label]))} {lines[at + 1].partition(' ')[2]}")
                at += 3
                continue
        found.append(lines[at])
        at += 1
    return found


def own(lines: Iterable[str], nick: str) -> list[str]:
    """What one of them was sent, of a transcript."""
    return [line.partition("< ")[2] for line in lines if line.startswith(f"{nick}< ")]
