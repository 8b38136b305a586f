"""Owns one server row, live: connects and connects again, stores what arrives, and shows it to the attached clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer import tenant, vault
from bouncer.clock import now_ms
from bouncer.errors import ConnectError, MalformedLineError, UnsafeLineError
from bouncer.events import Event, ServerState
from bouncer.irc.message import Message, as_text, serialise
from bouncer.irc.welcome import burst_messages
from bouncer.journal import Batch, Change
from bouncer.network import known, names, startup
from bouncer.network.entry import Entry
from bouncer.network.login import NetworkLogin
from bouncer.network.receipts import MovedReceipts
from bouncer.network.rejoin import Rejoin
from bouncer.network.settings import load, remembered
from bouncer.network.traffic import Traffic
from bouncer.upstream import Backoff, Upstream

if TYPE_CHECKING:
    from bouncer.events import State
    from bouncer.network.attachment import Attachment
    from bouncer.network.entry import Turn
    from bouncer.network.outgoing import Owner
    from bouncer.network.settings import ServerSettings
    from bouncer.upstream import NoteKind

log = logging.getLogger(__name__)

LAGS = 240
"""Measurements of the lag that are kept for the panel: four hours at one a minute."""


class Network(Traffic):
    """One server of one user. `start` makes it live, `apply` follows a changed row, `stop` ends it."""

    def __init__(self, owner: Owner, settings: ServerSettings) -> None:
        super().__init__(owner, settings)
        self.receipts: dict[str, int] = {}
        self.error = ""
        self._backoff = self._new_backoff()
        self._task: asyncio.Task[None] | None = None
        self._kick = asyncio.Event()
        self._connected_since: int | None = None
        self._connected_at = 0.0
        self._next_attempt: float | None = None
        self._identified = ""
        self._lags: list[tuple[int, int]] = []
        self._moved = MovedReceipts(self.server_id, super()._submit)
        self._loaded = False
        self._attempted = False
        """Whether the settings may have become old: before the first attempt they have just been read."""
        self._place = 0
        self._refused = False
        self._rejoin = Rejoin(self)

    # -- what it is like now ---------------------------------------------------------------------------------------

    def snapshot(self) -> ServerState:
        """The state for panel and commands."""
        upstream = self.upstream
        facts = upstream.tls_facts if upstream is not None else None
        wait = None
        if self._next_attempt is not None:
            wait = round(max(0.0, self._next_attempt - asyncio.get_running_loop().time()), 1)
        return ServerState(
            state=self.phase if self.settings.enabled else "disabled",
            error=self.error,
            attempt=self._backoff.attempt,
            next_attempt_s=wait,
            connected_since=self._connected_since,
            nickname=self.nick if self.up else "",
            lag_ms=upstream.lag_ms if upstream is not None else None,
            clients=len(self.attachments),
            tls=f"{facts.version}, {facts.cipher}" if facts else "",
            identified=self._identified,
            tls_issuer=facts.issuer if facts else "",
            tls_expires=facts.expires_ms if facts else None,
            tls_fingerprint=facts.fingerprint if facts else "",
            tls_checked=facts.verified if facts else "",
            lags=tuple(self._lags),
        )

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, if the row says so; call once."""
        self._task = self.owner.group.spawn(self._run(), name=f"network-{self.tenant_id}-{self.server_id}")

    async def stop(self, reason: str, timeout_s: float = 5.0) -> None:
        """QUIT with a reason and end; what was received is handed to the journal."""
        if self.upstream is not None:
            await self.upstream.quit(self.settings.quit_message or reason, timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=timeout_s)
            self._task = None
        self._moved.save()

    async def apply(self, settings: ServerSettings) -> None:
        """Follow a changed row; only what needs it costs a new connection."""
        old, self.settings = self.settings, settings
        self.configure()
        self.detached.apply(settings.rules)
        self._ingest.encoding = settings.encoding
        self._ingest.attend(settings.highlights, settings.rules)
        if old.enabled != settings.enabled or (settings.enabled and old.needs_reconnect(settings)):
            await self.reconnect("settings changed" if settings.enabled else "disconnected by the user")
        elif self.up and old.params.nickname != settings.params.nickname:
            self.send(serialise("NICK", [settings.params.nickname]))
        self.presence.configured()

    def configure(self) -> None:
        """Follow the owner's configuration: flood limits at once, back-off and timeouts from the next attempt on."""
        burst, interval_ms = self._flood()
        self._queue.configure(burst=burst, interval_ms=interval_ms)
        times = self.owner.config.timeouts
        self._backoff.configure(times.backoff_min_s, times.backoff_max_s, times.healthy_s)

    async def log_in(self, account: str, password: str, asker: Attachment | None = None) -> tuple[bool, str]:
        """Log in to an account of the network while connected: (whether it worked, the account or the reason).

        `asker` is shown what the network says; then the reason is "". A row that has no account yet keeps this one. https://ircv3.net/specs/extensions/sasl-3.2
        """
        if "sasl" not in self.caps or self._login is not None:
            return False, "the network does not offer SASL" if "sasl" not in self.caps else "another login is under way"
        login = self._login = NetworkLogin(account, password, self.send, asker)
        try:
            async with asyncio.timeout(self.owner.config.timeouts.reply_s):
                worked, words = await login.done
        except TimeoutError:
            return False, "the network did not answer"
        finally:
            self._login = None
        if worked:
            self._identified = f"logged in as {as_text(words)}"
            self.keep(Change(sql.SERVER_ACCOUNT, (account, vault.encrypt(password), self.server_id)))
            self.event("sasl", self._identified)
        return worked, "" if asker is not None and login.told else as_text(words)

    async def reconnect(self, reason: str) -> None:
        """Leave, forget the back-off, and connect anew if the row is enabled."""
        self._backoff = self._new_backoff()
        self._place = 0
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
                    self._alone(lambda turn: self._close_left("Disconnected", turn))
                    await self._kick.wait()
                    continue
                if self._attempted:
                    await self._refresh()
                if self._kick.is_set() or not self.settings.enabled:
                    continue  # the row has changed while it was read
                self._attempted = True
                reason = await self._attempt()
                self._lost(reason)
                if self._refused and self.settings.enabled:
                    await self._kick.wait()  # asking again would not help: a change of the row, or the user, says when
                elif self.settings.enabled and not self._kick.is_set():
                    delay_s = self._backoff.delay()
                    self.event("backoff", f"{self._backoff.attempt} {delay_s:.0f}")
                    await self._wait(delay_s)

    async def _load(self) -> None:
        """What the file knows of this server; without it nobody could be played back to."""
        while not self._loaded:
            try:
                found = await known.standing(self.server_id)
                self.receipts, self.released_id = found.receipts, found.newest_id
                self.markers.load(found.markers)
                self.metadata.load(found.metadata)
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
        self.detached.apply(self.settings.rules)
        self._ingest.attend(self.settings.highlights, self.settings.rules)

    async def _attempt(self) -> str:
        trusted = self.settings.trusted
        self._refused = False
        self._enter("connecting")
        places = [(self.settings.params.address, self.settings.params.port), *self.settings.fallbacks]
        address, port = places[self._place % len(places)]
        upstream = Upstream(
            replace(self.settings.params, address=address, port=port),
            self,
            allow=lambda address: self.owner.allows(address, trusted=trusted),
            room=lambda: self.owner.journal.room(self.tenant_id),
            measured=self._lag,
        )
        self.upstream = upstream
        loop = asyncio.get_running_loop()
        try:
            reason = await upstream.run()
        except ConnectError as error:
            reason = str(error)
            self._place += 1
            if len(places) > 1:
                reason = f"{address}: {reason}"
            self._refused = error.permanent
        except Exception as error:
            log.exception("server %d: an attempt failed", self.server_id)
            reason = f"{type(error).__name__}: {error}"
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

    def _enter(self, phase: State) -> None:
        self.phase = phase
        self.up = phase == "connected"
        self._changed()

    def _lag(self, lag_ms: int) -> None:
        self._lags.append((now_ms(), lag_ms))
        del self._lags[:-LAGS]
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
        self._place = 0
        self._enter("connected")
        self.keep(remembered(self.server_id, self.nick, self.state.isupport.dump(), self.cap_values, self.server_name))
        self.event("registered", f"as {as_text(self.nick)}")
        self.on_capabilities()
        self._fanout.network_is_up()
        self.monitors.renew()
        self.presence.registered()
        self.keeper.registered()
        self.owner.group.spawn(self._begin(self.upstream), name=f"begin-{self.tenant_id}-{self.server_id}")

    async def _begin(self, upstream: Upstream | None) -> None:
        """Say what the user wants said first, then join."""
        for step in startup.commands(self.settings.connect_commands, self.nick):
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif upstream is self.upstream:
                try:
                    self.whisper(step)
                except (MalformedLineError, UnsafeLineError) as error:
                    self._tell(f"a connect command cannot be sent: {error}")
        if upstream is not self.upstream:
            return
        if self.settings.joins:
            self.event("joining", " ".join(name for name, _ in self.settings.joins)[:400])
        most = startup.most_joined(self.state.isupport.get("TARGMAX"))
        for params in startup.joins(self.settings.joins, most):
            try:
                self.send(serialise("JOIN", params))
            except UnsafeLineError as error:
                self._tell(f"a channel cannot be joined: {error}")
        self.behind(lambda turn: self._close_left("Not joined again", turn))

    def _close_left(self, reason: str, turn: Turn) -> None:
        """Channels that clients have open from before, and that we are not on, are parted in their eyes."""
        for name, attachments in self._rejoin.left(self.state.channels):
            message = self._parted(name, reason)
            turn.entries += [Entry(message, turn.now, "", only=attachment) for attachment in attachments]

    def _lost(self, reason: str) -> None:
        """The connection is gone: rosters are emptied, clients told, unsent lines answered."""
        was_up = self._connected_since is not None
        self.error = "" if reason == "quit" or not self.settings.enabled else reason
        self._connected_since = None
        self._identified = ""
        unsent = self._queue.reset()
        self.keeper.lost()
        self.presence.stop()
        if self._login is not None:
            self._login.end("the connection was lost")
        self._alone(lambda turn: self._unsent(unsent, turn))
        self._alone(self._give_up)
        self._barriers.reset()
        self._batches.reset()
        self._joins.clear()
        self._rejoin.lost(self.state.channels.values(), self.attachments)
        self.state.reset()
        changes = [Change(sql.ALL_LEFT, (self.server_id,)), Change(sql.ALL_ROSTERS_CLEAR, (self.server_id,))]
        self._submit(Batch(lambda _batch, _stored: None, changes=changes))
        self.event("disconnected" if was_up else "failed", reason)
        self._enter("failed" if self._refused else "disconnected")
        if was_up or self._backoff.attempt == 0:
            self._tell(f"Not connected to {self.settings.name}: {reason}")
        if self._refused:
            self._alone(lambda turn: self._close_left("Disconnected", turn))
        self.on_capabilities()

    # -- channels that clients see or not ---------------------------------------------------------------------------

    def show_channel(self, name: str) -> None:
        """Show a channel to every client as if we had joined it just now, behind what is on its way."""
        channel = self.state.channels.find(name)
        if channel is None:
            return
        burst = burst_messages(self.state, channel, self.source, self.settings.params.realname)
        now, folded = now_ms(), self.fold(name)
        entries = [Entry(msg, now, "", implicit=msg.command in ("353", "366")) for msg in burst]
        entries[0] = entries[0]._replace(behind=self.marker_lines(channel.name))

        def release(batch: Batch, stored: bool) -> None:
            self._release(entries, batch, stored)
            for attachment in self.attachments:
                if attachment.wants_played(folded, self.released_id):
                    task = self._play(attachment)
                    self.owner.group.spawn(task, name=f"shown-{self.tenant_id}-{self.server_id}")

        self._submit(Batch(release))

    async def _play(self, attachment: Attachment) -> None:
        try:
            async with tenant.switch(self.owner.user_id):
                await attachment.play_channels()
        except (ConnectionError, TimeoutError):
            attachment.client.drop("too slow")
        except Exception:
            log.exception("playback failed")
            attachment.client.drop("the history cannot be read")

    def hides(self, channel: str) -> bool:
        """Whether clients do not see this channel, although we are on it."""
        return self.detached.hides(channel)

    def hide_channel(self, name: str) -> None:
        """Tell every client that we are no longer on it."""
        if name in self.state.channels:
            self._show(self._parted(self.state.channels[name].name, "Detached"))

    def _parted(self, channel: str, reason: str) -> Message:
        return Message.parse(serialise("PART", [channel, reason], self.state.mask, colon=True))

    # -- to the clients --------------------------------------------------------------------------------------------

    def attach(self, attachment: Attachment) -> None:
        """A client has come; it holds live lines until it has been played what it missed."""
        self.attachments.append(attachment)
        self.presence.changed()
        self._changed()

    def detach(self, attachment: Attachment) -> None:
        """A client has gone; its questions are answered to nobody."""
        if attachment in self.attachments:
            self.attachments.remove(attachment)
        attachment.close()
        self._rejoin.gone(attachment)
        self.monitors.gone(attachment)
        self.presence.changed()
        self._moved.save()
        self._changed()

    def acknowledged(self, client: str, message_id: int) -> None:
        """A client name has everything up to that message: soon on its way to the file, never going back."""
        known = self.receipts.pop(client, None)
        self.receipts[client] = max(message_id, known or 0)
        if words := names.keep_within(self):
            self._tell(words)
        if known is None or message_id > known:
            self._moved.move(client, message_id, at_once=known is None)  # a new one again, until it is kept

    def forget_receipt(self, client: str) -> None:
        """This client name is as one that was never here."""
        self.receipts.pop(client, None)
        self._moved.forget(client)

    def _submit(self, batch: Batch) -> None:
        if batch.rows or batch.changes:  # what waits for no commit goes on doing so
            self._moved.join(batch)
        super()._submit(batch)

    def ping(self, attachment: Attachment, token: str, label: str) -> None:
        """Answer a client's PING as `Outgoing` does, behind the receipts: a PONG tells that they are kept."""
        self._moved.save()
        super().ping(attachment, token, label)
