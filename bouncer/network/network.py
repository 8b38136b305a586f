"""Owns one server row, live: connects and connects again, stores what arrives, and shows it to the attached clients."""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import json
import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from bouncer import history, tenant, vault
from bouncer import journal_sql as sql
from bouncer.clock import now_ms
from bouncer.errors import ConnectError, UnsafeLineError
from bouncer.events import Event, ServerState
from bouncer.irc.message import Message, MsgidFactory, as_text, serialise
from bouncer.irc.routing import ALL, OURS, Router
from bouncer.irc.state import NetworkState
from bouncer.journal import Batch, Change
from bouncer.network.attachment import Attachment, Entry
from bouncer.network.fanout import FanOut
from bouncer.network.flood import SendQueue
from bouncer.network.ingest import TALK, Ingest
from bouncer.network.own import BARRIER, REFUSALS, OwnMessages, Said
from bouncer.network.settings import load
from bouncer.upstream import Backoff, Upstream, is_own_pong

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from bouncer.config import Config
    from bouncer.events import Hub
    from bouncer.irc.applied import Applied
    from bouncer.journal import Journal
    from bouncer.network.settings import ServerSettings
    from bouncer.tasks import Group
    from bouncer.upstream import NoteKind

    class Owner(Protocol):
        """What a network needs of its user."""

        user_id: int
        journal: Journal
        hub: Hub
        config: Config
        group: Group

        def allows(self, address: str, *, trusted: bool) -> bool:
            """Whether this user's servers may be at that IP address."""


log = logging.getLogger(__name__)

_msgid = MsgidFactory()
_HIDDEN = frozenset({"CAP", "AUTHENTICATE", "PING", "ERROR"})
_WELCOME = frozenset({"001", "002", "003", "004", "375", "372", "376", "422", "251", "252", "253", "254", "255"})
_JOIN_ERRORS = frozenset({"403", "405", "437", "471", "473", "474", "475", "476", "477", "489"})
MAX_MOTD_LINES = 500
MAX_KEYS = 200
REGAIN_S = 30.0
TICK_S = 1.0


class Network:
    """One server of one user. `start` makes it live, `apply` follows a changed row, `stop` ends it."""

    def __init__(self, owner: Owner, settings: ServerSettings) -> None:
        self.owner = owner
        self.settings = settings
        self.server_id = settings.server_id
        self.tenant_id = str(owner.user_id)
        self.state = NetworkState(settings.known_nick or settings.params.nickname)
        self.state.isupport.load(settings.isupport())
        self.motd: list[str] = []
        self.attachments: list[Attachment] = []
        self.receipts: dict[str, int] = {}
        self.released_id = 0
        self.upstream: Upstream | None = None
        self.on_capabilities: Callable[[], None] = lambda: None
        self.error = ""
        self._ingest = Ingest(self.server_id, self.state)
        self._fanout = FanOut(self)
        self._router: Router[Attachment] = Router(self.state.isupport, owner.config.timeouts.reply_s)
        self._own = OwnMessages(self._said, lambda token: self._urgent("PING", token))
        self._queue: SendQueue[Said] = SendQueue(
            self._write, self._left, burst=self._flood()[0], interval_ms=self._flood()[1]
        )
        self._backoff = self._new_backoff()
        self._task: asyncio.Task[None] | None = None
        self._kick = asyncio.Event()
        self._phase = "disconnected"
        self._connected_since: int | None = None
        self._connected_at = 0.0
        self._next_attempt: float | None = None
        self._identified = ""
        self._dirty_receipts: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._loaded = False
        self._stopping = False

    # -- what it is like now ---------------------------------------------------------------------------------------

    @property
    def nick(self) -> str:
        """Our nick there."""
        return self.state.nick

    @property
    def source(self) -> str:
        """The server's name, as the source of lines of ours."""
        return self.settings.params.address.strip("[]") or "bouncer"

    @property
    def up(self) -> bool:
        """Whether the network takes our lines."""
        return self._phase == "connected"

    @property
    def caps(self) -> frozenset[str]:
        """Capabilities enabled towards the network."""
        return self.upstream.caps if self.upstream is not None and self.up else frozenset()

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
        burst, interval_ms = self._flood()
        self._queue.configure(burst=burst, interval_ms=interval_ms)
        if old.enabled != settings.enabled or (settings.enabled and old.needs_reconnect(settings)):
            await self.reconnect("settings changed" if settings.enabled else "disconnected by the user")
        elif self.up and old.params.nickname != settings.params.nickname:
            self.send(serialise("NICK", [settings.params.nickname]))

    async def reconnect(self, reason: str) -> None:
        """Leave, forget the back-off, and connect anew if the row is enabled."""
        self._backoff = self._new_backoff()
        self._kick.set()
        if self.upstream is not None:
            await self.upstream.quit(self.settings.quit_message or reason, 3.0)

    def _flood(self) -> tuple[int, int]:
        flood, settings = self.owner.config.flood, self.settings
        burst = flood.burst if settings.flood_burst is None else settings.flood_burst
        return burst, flood.interval_ms if settings.flood_interval_ms is None else settings.flood_interval_ms

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
            self.settings.params, self, allow=lambda address: self.owner.allows(address, trusted=trusted)
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
        self._changed()

    def _changed(self) -> None:
        self.owner.hub.publish(Event("server", self.server_id))

    def event(self, kind: str, detail: str) -> None:
        """One line of the lifecycle log."""
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

    def lines(self, lines: list[Message]) -> None:
        """All lines of one read: applied to state, routed, and handed to the journal as one batch."""
        entries: list[Entry] = []
        batch = Batch(lambda done, stored: self._release(entries, done, stored=stored))
        now = now_ms()
        loop_now = asyncio.get_running_loop().time()
        for msg in lines:
            if msg.command in _HIDDEN:
                continue
            if msg.command == "PONG" and self._pong(msg):
                continue
            self._line(msg, batch, entries, now, loop_now)
        if entries or batch.rows or batch.changes:
            self._submit(batch)

    def _pong(self, msg: Message) -> bool:
        token = msg.param(len(msg.params) - 1)
        if token.startswith(BARRIER):
            self._own.pong(token)
            return True
        return is_own_pong(msg)

    def _line(self, msg: Message, batch: Batch, entries: list[Entry], now: int, loop_now: float) -> None:
        time_ms, msgid = self._stamp(msg, now)
        old_nick = msg.nick
        done = self.state.apply(msg, time_ms)
        kind = done.kind
        row = self._ingest.add(batch, msg, done, time_ms, msgid)
        if kind == "nick":
            self._ingest.renamed(batch, done, old_nick)
        skip = only = None
        if done.own and kind in ("privmsg", "notice", "action", "tagmsg", "ctcp"):
            skip = self._echoed(msg)
        elif kind in ("numeric", "other", "names-end", "topic-is", "isupport", "motd-end"):
            route = self._route(msg, loop_now)
            if route is None:
                return
            only = route if isinstance(route, Attachment) else None
        elif kind == "join" and done.me:
            self._joined(batch, done)
        own_private = done.own and not done.is_channel and kind in TALK
        entries.append(Entry(msg, time_ms, msgid, row, only, skip, kind in TALK, own_private))

    def _joined(self, batch: Batch, done: Applied) -> None:
        for channel in done.channels:
            self._router.settled("JOIN", channel)
            folded = self._ingest.fold(channel)
            key = self._keys.pop(folded, None)
            if key is not None:
                batch.changes.append(Change(sql.CHANNEL_KEY, (vault.encrypt(key), self.server_id, folded)))

    def _stamp(self, msg: Message, now: int) -> tuple[int, str]:
        if not msg.has_tags:
            return now, _msgid(now)
        tags = msg.tags
        return _parse_time(tags.get("time", ""), now), as_text(tags.get("msgid", "")) or _msgid(now)

    def _route(self, msg: Message, loop_now: float) -> Attachment | object | None:
        """Who gets a reply: an attachment, everyone (ALL), or nobody (None)."""
        command = msg.command
        if not self.up:
            if command == "372" and len(self.motd) < MAX_MOTD_LINES:
                self.motd.append(as_text(msg.params[-1]).removeprefix("- "))
            elif command in ("375", "001"):
                self.motd.clear()
            return None if command.isdigit() else ALL
        if command in REFUSALS and (said := self._own.refused(self._folded(msg))) is not None:
            self._router.settled("PRIVMSG", said.target)
            return said.sender
        if not (command.isdigit() or command in ("FAIL", "WARN", "NOTE")):
            return ALL
        if command in _JOIN_ERRORS:
            change = Change(
                sql.CHANNEL_ERROR, (as_text(msg.params[-1]), self.server_id, self._ingest.fold(msg.param(1)))
            )
            self._submit(Batch(lambda _batch, _stored: None, changes=[change]))
        found = self._router.reply(msg, loop_now)
        return None if found is OURS else found

    def _folded(self, msg: Message) -> list[str]:
        return [self._ingest.fold(param) for param in msg.params[1:]]

    def registered(self) -> None:
        """The network has let us in."""
        self._connected_since = now_ms()
        self._connected_at = asyncio.get_running_loop().time()
        self.error = ""
        self._enter("connected")
        known = json.dumps(self.state.isupport.dump())
        changes = [Change(sql.SERVER_KNOWN, (as_text(self.nick), as_text(known), self.server_id))]
        self._submit(Batch(lambda _batch, _stored: None, changes=changes))
        self.event("registered", f"as {as_text(self.nick)}")
        self.on_capabilities()
        self._fanout.network_is_up()
        for line in self.settings.connect_commands:
            self.send(line.encode().lstrip(b"/"))
        self._join_all()
        self.owner.group.spawn(self._regain(self.upstream), name=f"regain-{self.tenant_id}-{self.server_id}")

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
                nick = [self.settings.params.nickname]
                self._router.asked(OURS, "NICK", nick, asyncio.get_running_loop().time())
                self.send(serialise("NICK", nick))

    def _lost(self, reason: str) -> None:
        """The connection is gone: rosters are emptied, clients told, unsent lines answered."""
        was_up = self._connected_since is not None
        self.error = "" if reason == "quit" or not self.settings.enabled else reason
        self._connected_since = None
        self._identified = ""
        unsent = self._queue.reset()
        self._said(self._own.reset())
        self._router.clear()
        self.state.reset()
        changes = [Change(sql.ALL_LEFT, (self.server_id,)), Change(sql.ALL_ROSTERS_CLEAR, (self.server_id,))]
        self._submit(Batch(lambda _batch, _stored: None, changes=changes))
        self.event("disconnected" if was_up else "failed", reason)
        self._enter("disconnected")
        if was_up or self._backoff.attempt == 0:
            self._tell(f"Not connected to {self.settings.name}: {reason}")
        for said in unsent:
            self._tell(f"Not sent to {said.target}: {said.text}", said.sender)
        self.on_capabilities()

    # -- to the clients --------------------------------------------------------------------------------------------

    def _submit(self, batch: Batch) -> None:
        self.owner.journal.submit(self.tenant_id, batch)

    def _release(self, entries: list[Entry], batch: Batch, *, stored: bool) -> None:
        ids = batch.ids if stored else ()
        if ids:
            self.released_id = max(self.released_id, ids[-1])
        if entries:
            self._fanout.send(entries, ids)
            if self.owner.hub.subscriptions:
                self._publish(entries, batch)

    def _publish(self, entries: list[Entry], batch: Batch) -> None:
        if batch.rows:
            self.owner.hub.publish(Event("message", self.server_id))
        if any(entry.message.command in ("JOIN", "PART", "KICK", "QUIT", "366") for entry in entries):
            self.owner.hub.publish(Event("roster", self.server_id))

    def _tell(self, text: str, only: Attachment | None = None) -> None:
        """A notice of ours to the clients, or to one of them."""
        message = Message(
            "NOTICE", [self.nick, as_text(text).replace("\n", " ").replace("\r", " ")], source=self.source
        )
        now = now_ms()
        entries = [Entry(message, now, _msgid(now), only=only)]
        self._submit(Batch(lambda done, stored: self._release(entries, done, stored=stored)))

    def attach(self, attachment: Attachment) -> None:
        """A client has come; it holds live lines until it has been played what it missed."""
        self.attachments.append(attachment)
        self._changed()

    def detach(self, attachment: Attachment) -> None:
        """A client has gone; its questions are answered to nobody."""
        if attachment in self.attachments:
            self.attachments.remove(attachment)
        attachment.close()
        self._router.forget(attachment)
        self.save_receipts()
        self._changed()

    def acknowledged(self, client: str, message_id: int) -> None:
        """A client name has everything up to that message; saved within a second, never going back."""
        if message_id > self.receipts.get(client, -1):
            self.receipts[client] = message_id
            if not self._dirty_receipts:
                asyncio.get_running_loop().call_later(TICK_S, self.save_receipts)
            self._dirty_receipts[client] = message_id

    def save_receipts(self) -> None:
        """Hand changed receipts to the journal."""
        if self._dirty_receipts:
            now = now_ms()
            rows = [(client, number, now, self.server_id) for client, number in self._dirty_receipts.items()]
            self._dirty_receipts.clear()
            self._submit(Batch(lambda _batch, _stored: None, changes=[Change(sql.RECEIPT, list(rows))]))

    # -- to the network --------------------------------------------------------------------------------------------

    def send(self, line: bytes) -> bool:
        """Queue one line (no CR LF) behind the flood limit; False when not connected or the queue is full."""
        return self.up and self._queue.send(line)

    def ask(self, attachment: Attachment, msg: Message) -> bool:
        """Send a client's line on and remember who asked."""
        self._router.expired(asyncio.get_running_loop().time())
        if not self.up or not self._queue.send(msg.raw if not msg.has_tags else msg.body):
            return False
        self._router.asked(attachment, msg.command, msg.params, asyncio.get_running_loop().time())
        return True

    def remember_key(self, channel: str, key: str) -> None:
        """A key somebody joins with; saved, encrypted, once the network has let us in with it."""
        if key and len(self._keys) < MAX_KEYS:
            self._keys[self._ingest.fold(channel)] = as_text(key)

    def say(self, attachment: Attachment, command: str, target: str, text: str, tags: dict[str, str]) -> bool:
        """Send a message of ours; it is stored and shown when the network has taken it."""
        if not self.up:
            return False
        folded = self._ingest.fold(target)
        kept = tags if "message-tags" in self.caps else {}
        params = [target] if command == "TAGMSG" else [target, text]
        return self._queue.send(
            serialise(command, params, tags=kept), Said(attachment, command, target, folded, text, tags)
        )

    def _write(self, line: bytes) -> None:
        if self.upstream is not None:
            self.upstream.send(line)

    def _urgent(self, command: str, text: str) -> None:
        self._write(serialise(command, [text]))

    def _left(self, said: Said) -> None:
        self._own.sent(said, echoes="echo-message" in self.caps)

    def _echoed(self, msg: Message) -> Attachment | None:
        """The sender of an echoed message if it must not see it again."""
        said = self._own.echoed(msg.command, self._ingest.fold(msg.param(0)), msg.param(1))
        sender = said.sender if said is not None else None
        return sender if sender is not None and "echo-message" not in sender.caps else None

    def _said(self, messages: list[Said]) -> None:
        """The network has taken these: store them and show them to the other clients."""
        entries: list[Entry] = []
        batch = Batch(lambda done, stored: self._release(entries, done, stored=stored))
        now = now_ms()
        for said in messages:
            params = [said.target] if said.command == "TAGMSG" else [said.target, said.text]
            tags = {key: value for key, value in said.tags.items() if key[:1] == "+"}
            msg = Message(said.command, params, source=self.state.mask, tags=tags)
            done: Applied = self.state.apply(msg, now)
            msgid = _msgid(now)
            row = self._ingest.add(batch, msg, done, now, msgid)
            sender = said.sender
            skip = sender if sender is not None and "echo-message" not in sender.caps else None
            talk = done.kind in TALK
            entries.append(Entry(msg, now, msgid, row, None, skip, talk, talk and not done.is_channel))
        if entries:
            self._submit(batch)


@lru_cache(maxsize=256)
def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def _parse_time(text: str, now: int) -> int:
    """Ms UTC of a server-time tag; `now` where there is none, or one from the future or before 1990."""
    if len(text) != 24 or text[10] != "T" or text[23] != "Z":
        return now
    try:
        stamp = _seconds(text[:19]) * 1000 + int(text[20:23])
    except ValueError:
        return now
    return stamp if 631_152_000_000 < stamp <= now + 60_000 else now
