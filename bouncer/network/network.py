"""Owns one server row, live: connects and connects again, stores what arrives, and shows it to the attached clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING

from bouncer import history, tenant
from bouncer import journal_sql as sql
from bouncer.clock import now_ms
from bouncer.errors import ConnectError, UnsafeLineError
from bouncer.events import Event, ServerState
from bouncer.irc.message import Message, as_text, serialise
from bouncer.journal import Batch, Change
from bouncer.network.outgoing import SAYS
from bouncer.network.settings import load
from bouncer.network.traffic import Traffic
from bouncer.upstream import Backoff, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.network.attachment import Attachment
    from bouncer.network.outgoing import Owner
    from bouncer.network.settings import ServerSettings
    from bouncer.upstream import NoteKind

log = logging.getLogger(__name__)

REGAIN_S = 30.0


class Network(Traffic):
    """One server of one user. `start` makes it live, `apply` follows a changed row, `stop` ends it."""

    def __init__(self, owner: Owner, settings: ServerSettings) -> None:
        super().__init__(owner, settings)
        self.receipts: dict[str, int] = {}
        self.on_capabilities: Callable[[], None] = lambda: None
        self.error = ""
        self._backoff = self._new_backoff()
        self._task: asyncio.Task[None] | None = None
        self._kick = asyncio.Event()
        self._phase = "disconnected"
        self._connected_since: int | None = None
        self._connected_at = 0.0
        self._next_attempt: float | None = None
        self._identified = ""
        self._dirty_receipts: dict[str, int] = {}
        self._loaded = False
        self._stopping = False

    # -- what it is like now ---------------------------------------------------------------------------------------

    def snapshot(self) -> ServerState:
        """The state for panel and commands."""
        upstream = self.upstream
        facts = upstream.tls_facts if upstream is not None else None
        wait = None
        if self._next_attempt is not None:
            wait = round(max(0.0, self._next_attempt - asyncio.get_running_loop().time()), 1)
        return ServerState(
            state=self._phase if self.settings.enabled else "disabled",  # type: ignore[arg-type]  # set below only
            error=self.error,
            attempt=self._backoff.attempt,
            next_attempt_s=wait,
            connected_since=self._connected_since,
            nickname=self.nick if self.up else "",
            lag_ms=upstream.lag_ms if upstream is not None else None,
            clients=len(self.attachments),
            tls=f"{facts.version}, {facts.cipher}" if facts else "",
            identified=self._identified,
        )

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, if the row says so; call once."""
        self._task = self.owner.group.spawn(self._run(), name=f"network-{self.tenant_id}-{self.server_id}")

    async def stop(self, reason: str, timeout_s: float = 5.0) -> None:
        """QUIT with a reason and end; what was received is handed to the journal."""
        self._stopping = True
        if self.upstream is not None:
            await self.upstream.quit(self.settings.quit_message or reason, timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=timeout_s)
            self._task = None
        self.save_receipts()

    async def apply(self, settings: ServerSettings) -> None:
        """Follow a changed row; only what needs it costs a new connection."""
        old, self.settings = self.settings, settings
        self.configure()
        if old.enabled != settings.enabled or (settings.enabled and old.needs_reconnect(settings)):
            await self.reconnect("settings changed" if settings.enabled else "disconnected by the user")
        elif self.up and old.params.nickname != settings.params.nickname:
            self.send(serialise("NICK", [settings.params.nickname]))

    def configure(self) -> None:
        """Follow the owner's configuration: flood limits at once, back-off and timeouts from the next attempt on."""
        burst, interval_ms = self._flood()
        self._queue.configure(burst=burst, interval_ms=interval_ms)
        times = self.owner.config.timeouts
        self._backoff.configure(times.backoff_min_s, times.backoff_max_s, times.healthy_s)

    async def reconnect(self, reason: str) -> None:
        """Leave, forget the back-off, and connect anew if the row is enabled."""
        self._backoff = self._new_backoff()
        self._kick.set()
        if self.upstream is not None:
            await self.upstream.quit(self.settings.quit_message or reason, 3.0)

    def _new_backoff(self) -> Backoff:
        times = self.owner.config.timeouts
        return Backoff(times.backoff_min_s, times.backoff_max_s, times.healthy_s)

    async def _run(self) -> None:
        async with tenant.switch(self.owner.user_id):
            await self._load()
            while True:  # `stop` cancels
                self._kick.clear()
                if not self.settings.enabled:
                    self._enter("disconnected")
                    await self._kick.wait()
                    continue
                await self._refresh()
                reason = await self._attempt()
                self._lost(reason)
                if self.settings.enabled and not self._kick.is_set():
                    await self._wait(self._backoff.delay())

    async def _load(self) -> None:
        """What the file knows of this server; without it nobody could be played back to."""
        while not self._loaded:
            try:
                self.receipts = await history.receipts(self.server_id)
                self.released_id = await history.newest_id(self.server_id)
                self.markers.load(await history.markers(self.server_id))
                self.metadata.load(await history.metadata(self.server_id))
                self._loaded = True
            except Exception as error:  # noqa: BLE001 - a file that fails must not keep the network away for good
                self.error = f"the history cannot be read: {error}"
                log.warning("server %d: %s", self.server_id, self.error)
                await self._wait(1.0)

    async def _refresh(self) -> None:
        """Channels joined and left since the row was read are what the next registration joins."""
        try:
            found = await load(self.owner.config)
        except Exception as error:  # noqa: BLE001 - as in `_load`: what was known will do
            log.warning("server %d: its row cannot be read: %s", self.server_id, error)
            return
        self.settings = next((one for one in found if one.server_id == self.server_id), self.settings)

    async def _attempt(self) -> str:
        trusted = self.settings.trusted
        self._enter("connecting")
        upstream = Upstream(
            self.settings.params,
            self,
            allow=lambda address: self.owner.allows(address, trusted=trusted),
            room=lambda: self.owner.journal.room(self.tenant_id),
        )
        self.upstream = upstream
        loop = asyncio.get_running_loop()
        try:
            reason = await upstream.run()
        except ConnectError as error:
            reason = str(error)
        finally:
            self.upstream = None
        if self._connected_since is not None:
            self._backoff.healthy(loop.time() - self._connected_at)
        return reason

    async def _wait(self, delay_s: float) -> None:
        self._next_attempt = asyncio.get_running_loop().time() + delay_s
        self._changed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._kick.wait()
        self._next_attempt = None

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self.up = phase == "connected"
        self._changed()

    def _changed(self) -> None:
        self.owner.hub.publish(Event("server", self.server_id))

    def event(self, kind: str, detail: str) -> None:
        """One line of the lifecycle log, the user's and the operator's."""
        log.info("%s: %s%s", self.settings.name, kind, f": {as_text(detail)}" if detail else "")
        changes = [Change(sql.SERVER_EVENT, (now_ms(), kind, as_text(detail), self.server_id))]
        changes.append(Change(sql.SERVER_EVENTS_TRIM, (self.server_id, self.server_id)))
        self._submit(Batch(lambda _batch, _stored: None, changes=changes))

    # -- UpstreamEvents --------------------------------------------------------------------------------------------

    def note(self, kind: NoteKind, text: str) -> None:
        """Something of the connection's life."""
        if kind in ("sasl", "auth"):
            self._identified = text
        self.event(kind, text)
        if kind in ("sasl", "auth", "nick"):
            self._tell(text)

    def registered(self) -> None:
        """The network has let us in."""
        self._connected_since = now_ms()
        self._connected_at = asyncio.get_running_loop().time()
        self.error = ""
        self._enter("connected")
        self._remember()
        self.event("registered", f"as {as_text(self.nick)}")
        self.on_capabilities()
        self._fanout.network_is_up()
        for line in self.settings.connect_commands:
            self.send(line.encode().lstrip(b"/"))
        self._join_all()
        self.owner.group.spawn(self._regain(self.upstream), name=f"regain-{self.tenant_id}-{self.server_id}")

    def _remember(self) -> None:
        """Keep what clients that attach before the next connection is up are told of the network."""
        known = as_text(json.dumps(self.state.isupport.dump()))
        caps = as_text(json.dumps(self.cap_values))
        values = (as_text(self.nick), known, caps, self.server_name, self.server_id)
        self._submit(Batch(lambda _batch, _stored: None, changes=[Change(sql.SERVER_KNOWN, values)]))

    def _join_all(self) -> None:
        """Channels with keys first, packed into lines of at most 400 bytes."""
        names: list[str] = []
        keys: list[str] = []
        for name, key in sorted(self.settings.joins, key=lambda join: join[1] is None):
            if names and len(",".join([*names, *keys, name, key or ""]).encode()) > 400:
                self._send_join(names, keys)
                names, keys = [], []
            names.append(name)
            if key:
                keys.append(key)
        if names:
            self._send_join(names, keys)

    def _send_join(self, names: list[str], keys: list[str]) -> None:
        try:
            self.send(serialise("JOIN", [",".join(names), *([",".join(keys)] if keys else [])]))
        except UnsafeLineError as error:
            self._tell(f"a channel cannot be joined: {error}")

    async def _regain(self, upstream: Upstream | None) -> None:
        """While we have another nick than the wanted one, ask for it; a network refuses cheaply."""
        while self.settings.keep_nick and upstream is self.upstream and self.up:
            if self.state.is_own(self.settings.params.nickname):
                return
            await asyncio.sleep(REGAIN_S)
            if upstream is self.upstream and not self.state.is_own(self.settings.params.nickname):
                self.ask(None, Message("NICK", [self.settings.params.nickname]))

    def _lost(self, reason: str) -> None:
        """The connection is gone: rosters are emptied, clients told, unsent lines answered."""
        was_up = self._connected_since is not None
        self.error = "" if reason == "quit" or not self.settings.enabled else reason
        self._connected_since = None
        self._identified = ""
        unsent = self._queue.reset()
        self._alone(self._give_up)
        self._barriers.reset()
        self._batches.reset()
        self.state.reset()
        changes = [Change(sql.ALL_LEFT, (self.server_id,)), Change(sql.ALL_ROSTERS_CLEAR, (self.server_id,))]
        self._submit(Batch(lambda _batch, _stored: None, changes=changes))
        self.event("disconnected" if was_up else "failed", reason)
        self._enter("disconnected")
        if was_up or self._backoff.attempt == 0:
            self._tell(f"Not connected to {self.settings.name}: {reason}")
        for question in unsent:
            if question.command in SAYS and question.attachment is not None:
                self._tell(f"Not sent to {' '.join(question.params)}", question.attachment)
        self.on_capabilities()

    # -- to the clients --------------------------------------------------------------------------------------------

    def attach(self, attachment: Attachment) -> None:
        """A client has come; it holds live lines until it has been played what it missed."""
        self.attachments.append(attachment)
        self._changed()

    def detach(self, attachment: Attachment) -> None:
        """A client has gone; its questions are answered to nobody."""
        if attachment in self.attachments:
            self.attachments.remove(attachment)
        attachment.close()
        self.monitors.gone(attachment)
        self.save_receipts()
        self._changed()

    def acknowledged(self, client: str, message_id: int) -> None:
        """A client name has everything up to that message; on its way to the file at once, never going back."""
        if message_id > self.receipts.get(client, -1):
            self.receipts[client] = message_id
            if not self._dirty_receipts:
                asyncio.get_running_loop().call_soon(self.save_receipts)
            self._dirty_receipts[client] = message_id

    def save_receipts(self) -> None:
        """Hand changed receipts to the journal."""
        if self._dirty_receipts:
            now = now_ms()
            rows = [(client, number, now, self.server_id) for client, number in self._dirty_receipts.items()]
            self._dirty_receipts.clear()
            self._submit(Batch(lambda _batch, _stored: None, changes=[Change(sql.RECEIPT, list(rows))]))
