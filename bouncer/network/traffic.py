"""Owns the lines of one network, both ways: applied to state, stored, routed, shown; what we say until it is said."""

from __future__ import annotations

import asyncio
import calendar
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer import vault
from bouncer.clock import now_ms
from bouncer.events import Event
from bouncer.irc.message import Message, MsgidFactory, as_text, serialise
from bouncer.irc.routing import ALL, OURS, Router
from bouncer.irc.state import NetworkState
from bouncer.journal import Batch, Change
from bouncer.network.attachment import Attachment, Entry
from bouncer.network.fanout import FanOut
from bouncer.network.flood import SendQueue
from bouncer.network.ingest import TALK, Ingest
from bouncer.network.own import BARRIER, REFUSALS, OwnMessages, Said
from bouncer.upstream import is_own_pong

if TYPE_CHECKING:
    from typing import Protocol

    from bouncer.config import Config
    from bouncer.events import Hub
    from bouncer.irc.applied import Applied
    from bouncer.journal import Journal
    from bouncer.network.settings import ServerSettings
    from bouncer.tasks import Group
    from bouncer.upstream import Upstream

    class Owner(Protocol):
        """What a network needs of its user."""

        user_id: int
        journal: Journal
        hub: Hub
        config: Config
        group: Group

        def allows(self, address: str, *, trusted: bool) -> bool:
            """Whether this user's servers may be at that IP address."""


_msgid = MsgidFactory()
_HIDDEN = frozenset({"CAP", "AUTHENTICATE", "PING", "ERROR"})
_JOIN_ERRORS = frozenset({"403", "405", "437", "471", "473", "474", "475", "476", "477", "489"})
_SPOKEN = frozenset({"privmsg", "notice", "action", "tagmsg", "ctcp"})
MAX_MOTD_LINES = 500
MAX_KEYS = 200


class Traffic:
    """The half of a network that handles lines; `network.Network` adds the life of its connection."""

    def __init__(self, owner: Owner, settings: ServerSettings) -> None:
        self.owner = owner
        self.settings = settings
        self.server_id = settings.server_id
        self.tenant_id = str(owner.user_id)
        self.state = NetworkState(settings.known_nick or settings.params.nickname)
        self.state.isupport.load(settings.isupport())
        self.motd: list[str] = []
        self.attachments: list[Attachment] = []
        self.released_id = 0
        self.upstream: Upstream | None = None
        self.up = False
        """Whether the network takes our lines."""
        self._ingest = Ingest(self.server_id, self.state)
        self._fanout = FanOut(self)
        self._router: Router[Attachment] = Router(self.state.isupport, owner.config.timeouts.reply_s)
        self._own = OwnMessages(self._said, lambda token: self._urgent("PING", token))
        self._keys: dict[str, str] = {}
        self._expiring = False
        burst, interval_ms = self._flood()
        self._queue: SendQueue[Said] = SendQueue(self._write, self._left, burst=burst, interval_ms=interval_ms)

    @property
    def caps(self) -> frozenset[str]:
        """Capabilities enabled towards the network."""
        return self.upstream.caps if self.upstream is not None and self.up else frozenset()

    def _flood(self) -> tuple[int, int]:
        flood, settings = self.owner.config.flood, self.settings
        burst = flood.burst if settings.flood_burst is None else settings.flood_burst
        return burst, flood.interval_ms if settings.flood_interval_ms is None else settings.flood_interval_ms

    def _write(self, line: bytes) -> None:
        if self.upstream is not None:
            self.upstream.send(line)

    @property
    def nick(self) -> str:
        """Our nick there."""
        return self.state.nick

    @property
    def source(self) -> str:
        """The server's name, as the source of lines of ours."""
        return self.settings.params.address.strip("[]") or "bouncer"

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
        words = as_text(text).replace("\n", " ").replace("\r", " ")
        self._show(Message("NOTICE", [self.nick, words], source=self.source), only)

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
        if done.own and kind in _SPOKEN:
            skip = self._echoed(msg)
        elif kind in ("numeric", "other", "names-end", "topic-is", "isupport", "motd-end"):
            route = self._route(msg, loop_now)
            if route is None:
                return
            only = route if isinstance(route, Attachment) else None
        elif kind == "join" and done.me:
            self._joined(batch, done)
        if row < 0 and kind not in _SPOKEN:
            msgid = ""  # only what can be referred to has one
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

    def ask(self, attachment: Attachment, msg: Message, label: str = "") -> bool:  # noqa: ARG002 - answered with it soon
        """Send a client's line on and remember who asked."""
        if not self.up or not self._queue.send(msg.raw if not msg.has_tags else msg.body):
            return False
        loop = asyncio.get_running_loop()
        self._router.asked(attachment, msg.command, msg.params, loop.time())
        if not self._expiring:
            self._expiring = True
            loop.call_later(self.owner.config.timeouts.reply_s, self._expire)
        return True

    def _expire(self) -> None:
        """Questions the network never answered: the asker gets the end it waits for (W2)."""
        self._expiring = False
        loop = asyncio.get_running_loop()
        for late in self._router.expired(loop.time()):
            if isinstance(late.client, Attachment):
                about = late.params[:1] if late.params else []
                number = [self.nick, *about, "The network did not answer"]
                self._show(Message(late.end, number, source=self.source), late.client)
        if len(self._router):
            self._expiring = True
            loop.call_later(self.owner.config.timeouts.reply_s / 2, self._expire)

    def _show(self, message: Message, only: Attachment | None) -> None:
        """A line of ours to the clients, or to one of them, behind what is on its way."""
        entries = [Entry(message, now_ms(), "", only=only)]
        self._submit(Batch(lambda done, stored: self._release(entries, done, stored=stored)))

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

    def send(self, line: bytes) -> bool:
        """Queue one line (no CR LF) behind the flood limit; False when not connected or the queue is full."""
        return self.up and self._queue.send(line)


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
