"""Owns trying a server's settings without storing them: one bounded connection, told step by step in words."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.errors import ConnectError, RefusedError
from bouncer.irc.isupport import Isupport
from bouncer.irc.message import as_text
from bouncer.network.settings import params_of
from bouncer.service.outbound import refusal
from bouncer.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bouncer.irc.message import Message
    from bouncer.models.tenant import Server
    from bouncer.service.servers import Servers
    from bouncer.upstream import ConnectParams, NoteKind, TlsFacts

MAX_AT_ONCE = 8
"""Trials of everybody together; one person has one."""
MAX_STEPS = 30
NICKSERV_S = 4.0
"""How long NickServ's answer is waited for after the registration."""
QUIT_S = 3.0
CHECKED = {"authority": "checked by an authority", "fingerprint": "it is the pinned one", "not": "not checked"}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; `tone` is ok, warn or bad."""

    tone: str
    words: str


@dataclass(slots=True)
class Report:
    """What came of it; `facts` are those of the certificate, None without TLS or before it was shown."""

    worked: bool = False
    steps: list[Step] = field(default_factory=list)
    facts: TlsFacts | None = None

    def add(self, tone: str, words: str) -> None:
        """One more step; a server that has too much to say is cut short."""
        if len(self.steps) < MAX_STEPS:
            self.steps.append(Step(tone, as_text(words)[:500]))


class _Watch:
    """UpstreamEvents of one trial: `ready` is set when the network has let us in."""

    def __init__(self, report: Report) -> None:
        self.ready = asyncio.Event()
        self.shown = asyncio.Event()
        self.answered = asyncio.Event()
        self.network = ""
        self._report = report
        self._isupport = Isupport()

    def lines(self, lines: list[Message]) -> int:
        for message in lines:
            if message.command == "005":
                self._isupport.apply(message.params)
                self.network = self._isupport.network or self.network
            elif message.command == "NOTICE" and message.nick.lower() == "nickserv":
                self._report.add("", f"NickServ: {message.params[-1]}")
                self.answered.set()
        return len(lines)

    def registered(self) -> None:
        self.ready.set()

    def note(self, kind: NoteKind, text: str) -> None:
        if kind == "tls":
            self.shown.set()
        elif kind == "sasl":
            self._report.add("bad" if text.startswith("failed") else "ok", f"SASL: {text}")
        else:
            self._report.add("warn", text)


class Trials:
    """`run` tries to be let in, `certificate` only looks at what the server shows; both raise InvalidError for a form.

    The rules for addresses ([outbound]) hold as for servers that are stored.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._running: set[int] = set()

    async def run(
        self,
        user_id: int,
        raw: Mapping[str, object],
        *,
        server_id: int | None = None,
        trusted: bool = False,
        confirmed: bool = True,
    ) -> Report:
        """Connect, register, log in, and leave: within the deadlines of a connection. RefusedError for two at once.

        ElsewhereError as from `Servers.update`.
        """
        row = await self._servers.draft(user_id, raw, server_id, trusted=trusted, confirmed=confirmed)
        report = Report()
        with self._one(user_id):
            await self._try(row, params_of(row, self._servers.config), report, NICKSERV_S)
        return report

    async def certificate(
        self, user_id: int, raw: Mapping[str, object], *, server_id: int | None = None, trusted: bool = False
    ) -> Report:
        """What certificate the server shows, whoever made it; no secret of the form is sent."""
        place = {name: raw[name] for name in ("address", "port") if name in raw}
        row = await self._servers.draft(user_id, {**place, "tls": "on"}, server_id, trusted=trusted)
        params = params_of(row, self._servers.config)
        bare = replace(params, tls_verify=False, tls_fingerprint=None, password=None, auth_method="none")
        report = Report()
        with self._one(user_id):
            await self._try(row, replace(bare, auth_password=None, client_certificate=None), report, None)
        return report

    @contextlib.contextmanager
    def _one(self, user_id: int) -> Iterator[None]:
        if user_id in self._running or len(self._running) >= MAX_AT_ONCE:
            raise RefusedError("another test is under way; wait for its end")
        self._running.add(user_id)
        try:
            yield
        finally:
            self._running.discard(user_id)

    async def _try(self, row: Server, params: ConnectParams, report: Report, answer_s: float | None) -> None:
        """`answer_s` None: only as far as the certificate."""
        config, trusted = self._servers.config, row.trusted
        watch = _Watch(report)
        upstream = Upstream(params, watch, allow=lambda address: not refusal(config, address, trusted=trusted))
        began = time.monotonic()
        running = tasks.spawn(_outcome(upstream), name="trial")
        try:
            if answer_s is None:
                await _first(running, watch.shown)
                report.facts = upstream.tls_facts
                report.worked = report.facts is not None
                if not report.worked:
                    report.add("bad", await _ended(running))
                return
            await _first(running, watch.ready)
            report.facts = upstream.tls_facts
            _tell_connection(report, params, time.monotonic() - began)
            report.worked = watch.ready.is_set()
            if not report.worked:
                report.add("bad", f"Not let in: {await _ended(running)}")
                return
            await self._inside(params, report, watch, upstream, answer_s)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running}, timeout=QUIT_S)

    async def _inside(
        self, params: ConnectParams, report: Report, watch: _Watch, upstream: Upstream, answer_s: float
    ) -> None:
        where = f" on {watch.network}" if watch.network else ""
        tone = "ok" if upstream.nickname == params.nickname else "warn"
        report.add(tone, f"Let in as {upstream.nickname}{where}")
        if params.auth_method == "nickserv":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(answer_s):
                    await watch.answered.wait()
            if not watch.answered.is_set():
                report.add("warn", "NickServ has not answered")
        await upstream.quit("a test of the connection", QUIT_S)


async def _outcome(upstream: Upstream) -> str:
    """How a connection ended, in words."""
    try:
        return await upstream.run()
    except ConnectError as error:
        return str(error)


async def _first(running: asyncio.Task[str], event: asyncio.Event) -> None:
    """Wait for the event or for the connection's end; both come, for a connection has deadlines."""
    waiting = tasks.spawn(event.wait(), name="trial-wait")
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


async def _ended(running: asyncio.Task[str]) -> str:
    return await running


def _tell_connection(report: Report, params: ConnectParams, took_s: float) -> None:
    facts, place = report.facts, f"{params.address}:{params.port}"
    if facts is None:
        if not params.tls:
            report.steps.insert(0, Step("warn", f"{place} is not encrypted"))
        return
    until = datetime.fromtimestamp(facts.expires_ms / 1000, UTC).strftime("%-d %b %Y")
    words = f"{place} answered by {facts.version}, certificate of {facts.subject or 'nobody'} until {until}"
    tone = "ok" if facts.verified != "not" else "warn"
    report.steps.insert(0, Step(tone, f"{words}; {CHECKED[facts.verified]} ({took_s:.1f} s in all)"))
