"""One network twice: `alice` is directly on the first and behind a bouncer on the second; all else is the same."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, NamedTuple, Self

from tests.support.house import PASSWORD, House, opened
from tests.support.ircd import free_port, inspircd, ngircd
from tests.support.modern import ModernNetwork
from tests.support.relay import relay
from tests.support.services import atheme, services_link
from tests.transparency.questions import TURNS
from tests.transparency.stage import KINDS, REALNAME, Actor, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

SECRET = "secret"
OTHERS = ("friend", "other")
PLACE = (
    ("friend", "JOIN #room"),
    ("friend", "TOPIC #room :a topic"),
    ("friend", "MODE #room +b bad!*@*"),
    ("other", "JOIN #room"),
    ("friend", "MODE #room +v other"),
    ("other", "AWAY :not here"),
)
"""What is there before questions are asked."""

INSPIRCD_MODULES = ("banexception", "inviteexception", "knock", "botmode", "helpop")
INSPIRCD = "".join(f'<module name="{name}">\n' for name in INSPIRCD_MODULES) + (
    '<helpop key="start" value="Ask for JOIN.&nl;There is no more.">\n<helpop key="join" value="JOIN #x">\n'
)


@contextlib.asynccontextmanager
async def network(name: str, folder: Path) -> AsyncIterator[int]:
    """The port of a network, running."""
    if name == "modern":
        async with ModernNetwork() as modern:
            yield modern.port
    elif name == "services":
        port = free_port()
        async with inspircd(folder, extra=INSPIRCD + services_link(port)) as server, atheme(folder, port):
            yield server.port
    elif name == "inspircd":
        async with inspircd(folder, extra=INSPIRCD) as server:
            yield server.port
    else:
        async with ngircd(folder) as server:
            yield server.port


async def _registered(stage: Stage) -> None:
    """Alice has an account with the services, and is gone again."""
    await stage.arrived("NickServ")
    actor = await Actor.connect(stage.port, "alice", KINDS["all"])
    actor.send(f"PRIVMSG NickServ :REGISTER {SECRET} alice@example.test")
    await actor.until(lambda line: " 900 " in line)
    await actor.quit("registered")


class Transcripts(NamedTuple):
    """The same script, played twice."""

    direct: list[str]
    behind: list[str]


class Setting:
    """Both networks with their people, and the bouncer; `play` runs a script on each."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        for part in ("direct", "behind", "storage"):
            (folder / part).mkdir(mode=0o700)
        self._me: tuple[str, Actor, Actor] | None = None
        self._failed: set[str] = set()
        self._account = ""
        self._answers: dict[str, dict[int, list[str]]] = {}
        self._caps: dict[str, set[str]] = {}
        self._logins = itertools.count(1)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        enter = stack.enter_async_context
        direct = await enter(network(self.name, self._folder / "direct"))
        behind = await enter(network(self.name, self._folder / "behind"))
        between = await enter(relay(behind))
        self.house: House = await enter(opened(self._folder / "storage"))
        plain, services = self.name != "modern", self.name == "services"
        self.direct, self.behind = (Stage(port, plain=plain, services=services) for port in (direct, behind))
        for stage in (self.direct, self.behind):
            stack.push_async_callback(stage.close)
        await asyncio.gather(*(stage.bring(*OTHERS) for stage in (self.direct, self.behind)))
        fields = {"name": "net", "address": "127.0.0.1", "port": str(between.port), "tls": False, "nickname": "alice"}
        fields |= {"username": "alice", "realname": REALNAME}
        if services:
            await asyncio.gather(*(_registered(stage) for stage in (self.direct, self.behind)))
            self._account = f"alice:{SECRET}"
            fields |= {"auth_method": "sasl-plain", "auth_account": "alice", "auth_password": SECRET}
        await self.house.user("alice")
        await self.house.supervisor.service.servers.add(self.house.ids["alice"], fields, trusted=True)
        await self.behind.arrived("alice")

    async def __aexit__(self, *_: object) -> None:
        await self._leave()
        await self._stack.aclose()

    async def play(self, kind: str, script: str) -> Transcripts:
        """Both transcripts of a script by a client of that kind."""
        direct, behind = await self.me(kind)
        labels = KINDS[kind].labels
        done = Transcripts(
            await self.direct.play(direct, script, labels=labels), await self.behind.play(behind, script, labels=labels)
        )
        if any(line.startswith("SILENCE") for lines in done for line in lines):
            await self._leave()
        return done

    async def me(self, kind: str) -> tuple[Actor, Actor]:
        """Alice as that kind of client: directly, and behind the bouncer with the same capabilities."""
        assert kind not in self._failed, f"a client of the kind {kind} could not attach before"
        if self._me is None or self._me[0] != kind:
            await self._leave()
            self._failed.add(kind)
            direct = await Actor.connect(self.direct.port, "alice", KINDS[kind], account=self._account)
            try:
                behind = await self.attach(kind, direct.caps)
            except AssertionError:
                await direct.quit("done")
                raise
            self._me = (kind, direct, behind)
            self._failed.discard(kind)
        return self._me[1:]

    async def attach(self, kind: str, caps: set[str] | None = None) -> Actor:
        """One more client of alice's at the bouncer, under a name of its own."""
        password = f"alice/net@{kind}{next(self._logins)}:{PASSWORD}"
        return await Actor.connect(self.house.port, "alice", KINDS[kind], password=password, only=caps)

    async def supplied(self, script: str, caps: set[str]) -> Transcripts:
        """A script by a client with what the network has, and by one that labels and has more from the bouncer."""
        await self._leave()
        direct = await Actor.connect(self.direct.port, "alice", KINDS["all"])
        behind = await self.attach("labels", caps)
        self.behind.patient = True
        try:
            return Transcripts(
                await self.direct.play(direct, script), await self.behind.play(behind, script, labels=True)
            )
        finally:
            self.behind.patient = False
            await direct.quit("done")
            await behind.quit("done")

    async def together(self, kinds: Sequence[str], turns: Sequence[int]) -> list[Transcripts]:
        """What clients of these kinds get: each alone on the network, all at once behind the bouncer.

        All are in #room with the others, who have done what `PLACE` says.
        """
        await self._leave()
        for stage in (self.direct, self.behind):
            for who, line in PLACE:
                stage.actors[who].send(line)
                await stage.actors[who].barrier()
        direct = [(await self._alone(kind))[turn] for kind, turn in zip(kinds, turns, strict=True)]
        clients = [await self.attach(kind, self._caps[kind]) for kind in kinds]
        clients[0].send("JOIN #room")
        for me in clients:
            await me.fence()
        behind = await self.behind.ask(clients, kinds, turns)
        clients[0].send("PART #room")
        for me in clients:
            await me.fence()
            await me.quit("done")
        for stage in (self.direct, self.behind):
            for who in OTHERS:
                stage.actors[who].send("PART #room", "AWAY")
                await stage.actors[who].barrier()
        return [Transcripts(*pair) for pair in zip(direct, behind, strict=True)]

    async def _alone(self, kind: str) -> dict[int, list[str]]:
        """What a client gets that is alone on the network, by where it begins; asked once for each kind."""
        if kind not in self._answers:
            me = await Actor.connect(self.direct.port, "alice", KINDS[kind])
            me.send("JOIN #room")
            await me.fence()
            self._answers[kind] = {turn: (await self.direct.ask([me], [kind], [turn]))[0] for turn in TURNS}
            self._caps[kind] = me.caps
            await me.quit("done")
        return self._answers[kind]

    async def _leave(self) -> None:
        if self._me is not None:
            for actor in self._me[1:]:
                await actor.quit("done")
            self._me = None
