"""Owns the lines a network sends: applied to state, stored, and routed to those they are for."""

from __future__ import annotations

import asyncio
import calendar
import logging
import time
from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer import vault
from bouncer.events import Event
from bouncer.irc.format import chghost_fallback, whox_reduced
from bouncer.irc.isupport import client_tokens
from bouncer.irc.message import Message, MsgidFactory, as_text, is_middle
from bouncer.irc.multiline import joined
from bouncer.irc.welcome import rename_fallback
from bouncer.journal import Batch, Change, ignore_release
from bouncer.network.answering import Reply, acknowledge
from bouncer.network.barriers import BARRIER
from bouncer.network.batches import NOWHERE, Place
from bouncer.network.detached import Detached
from bouncer.network.entry import Entry, Question, Turn
from bouncer.network.fanout import FanOut
from bouncer.network.ingest import TALK, Ingest
from bouncer.network.login import COMMANDS as LOGIN_COMMANDS
from bouncer.network.login import NetworkLogin
from bouncer.network.markers import Markers
from bouncer.network.metadata import Metadata
from bouncer.network.nickkeeper import NickKeeper
from bouncer.network.outgoing import SAYS
from bouncer.network.own import Said
from bouncer.network.presence import Presence
from bouncer.network.replies import Replies
from bouncer.upstream import is_own_pong

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.applied import Applied
    from bouncer.irc.multiline import Part
    from bouncer.network.attachment import Attachment
    from bouncer.network.outgoing import Owner
    from bouncer.network.settings import ServerSettings

log = logging.getLogger(__name__)

_msgid = MsgidFactory()
_HIDDEN = frozenset({"CAP", "AUTHENTICATE", "PING", "ERROR"})
_NEGOTIATION = _HIDDEN | LOGIN_COMMANDS
_SPOKEN = frozenset({"privmsg", "notice", "action", "tagmsg", "ctcp"})
_REPLIES = frozenset({"numeric", "other", "names", "topic-is", "isupport", "motd-end"})
_NAMES = frozenset({"353", "366"})
_DONE_BY_US = frozenset({"join", "part", "kick", "topic", "mode", "nick"})
_NEWS = frozenset({"account", "away", "chghost", "setname"})
_EVENTFUL = _NEWS | {"isupport", "join", "nick", "rename"}
MAX_KEYS = 200
TURN_S, TURN_ROWS = 0.005, 2_000
"""What one network may do before others have a turn: a batch that is longer is taken in parts."""
ODD_LOGGED = 20
"""Lines that made us stumble and are logged; a hostile network could fill the disk with more."""


class Traffic(Replies):
    """The half of a network that handles lines; `network.Network` adds the life of its connection."""

    def __init__(self, owner: Owner, settings: ServerSettings) -> None:
        super().__init__(owner, settings)
        self.released_id = 0
        self.presence = Presence(self)
        self.keeper = NickKeeper(self)
        self.detached = Detached(self, settings.rules)
        self.markers = Markers()
        self.metadata = Metadata()
        self._ingest = Ingest(self.server_id, self.state, settings.encoding)
        self._ingest.attend(settings.highlights, settings.rules)
        self._fanout = FanOut(self)
        self._keys: dict[str, str] = {}
        self._login: NetworkLogin | None = None
        self._odd_lines = 0
        self.on_capabilities: Callable[[], None] = lambda: None
        """Called when the network gives us others."""

    # -- out of the journal ----------------------------------------------------------------------------------------

    def _release(self, entries: list[Entry], batch: Batch, stored: bool) -> None:
        ids = batch.ids if stored else ()
        if ids:
            self.released_id = max(self.released_id, ids[-1])
        if entries:
            self._fanout.send(entries, ids)
        if batch.rows and not stored:
            shown = set(self.attachments)
            batch.stored = lambda done: self._stored(entries, done, shown)
        if (entries or batch.rows) and self.owner.hub.subscriptions:
            self._publish(entries, batch)

    def _stored(self, entries: list[Entry], batch: Batch, shown: set[Attachment]) -> None:
        """What was shown before it was stored: who has come since found it neither live nor in the file."""
        if not batch.rows:
            return  # given up
        self.released_id = max(self.released_id, *batch.ids)
        missed = [entry for entry in entries if entry.talk and entry.row >= 0 and batch.ids[entry.row] > 0]
        if missed:
            self._fanout.catch_up(missed, batch.ids, shown)

    def marker_lines(self, name: str) -> tuple[tuple[str, bytes], ...]:
        """How far a channel or nick has been read, for each capability that tells it (bytes with CR LF)."""
        return self.markers.lines(name, self.fold(name), self.source, self.state.mask)

    def keep(self, *changes: Change) -> None:
        """Changes for the file, behind what is on its way there."""
        self._submit(Batch(ignore_release, changes=list(changes)))

    def _publish(self, entries: list[Entry], batch: Batch) -> None:
        if batch.rows:
            self.owner.hub.publish(Event("message", self.server_id))
        if any(entry.message.command in ("JOIN", "PART", "KICK", "QUIT", "366") for entry in entries):
            self.owner.hub.publish(Event("roster", self.server_id))
        for entry in entries:
            if entry.message.command == "REDACT":
                self.owner.hub.publish(Event("redacted", self.server_id, as_text(entry.message.param(1))))

    # -- a read ----------------------------------------------------------------------------------------------------

    def lines(self, lines: list[Message]) -> int:
        """The lines of one read: applied to state, routed, and handed to the journal as one batch; how many.

        All of them, unless they take long or are much: one NICK can be a row in each of a thousand channels.
        """
        turn, taken, clock = self._turn(), 0, asyncio.get_running_loop().time
        for msg in lines:
            taken += 1
            command = msg.command
            try:
                if command == "PRIVMSG" and not msg.has_tags:
                    self._handle(msg, NOWHERE, turn)
                elif command in _NEGOTIATION:
                    self._negotiated(msg, turn)
                elif command == "PONG" and self._pong(msg, turn):
                    pass
                elif command == "BATCH":
                    self._batch(msg, turn)
                else:
                    self._tagged(msg, turn)
            except Exception:  # whatever a line does to us, the lines with it count
                self._odd_lines += 1
                if self._odd_lines <= ODD_LOGGED:
                    log.exception("server %d: a line was passed over: %r", self.server_id, msg.raw[:200])
            if len(turn.batch.rows) > TURN_ROWS or clock() - turn.loop_now > TURN_S:
                break
        if not turn.empty:
            self._submit(turn.batch)
        return taken

    def _negotiated(self, msg: Message, turn: Turn) -> None:
        """A line between the network and us, unless it tells of a login that nobody asked for."""
        login = self._login
        if login is not None and msg.command in LOGIN_COMMANDS:
            login.feed(msg)
            if login.asker is not None and msg.command != "AUTHENTICATE":
                turn.entries.append(Entry(msg, turn.now, "", only=login.asker))
        elif msg.command not in _HIDDEN:
            self._tagged(msg, turn)
        elif msg.command == "CAP" and self.up:
            self.on_capabilities()

    def _pong(self, msg: Message, turn: Turn) -> bool:
        token = msg.params[-1] if msg.params else ""
        if token.startswith(BARRIER):
            self._barriers.pong(token, turn)
            return True
        return is_own_pong(msg)

    def _batch(self, msg: Message, turn: Turn) -> None:
        whole = self._batches.batch(msg, turn, self.source, self.owner.config.timeouts.reply_s)
        if whole is not None:
            self._handle(whole.message, whole.place, turn, whole.parts)

    def _tagged(self, msg: Message, turn: Turn) -> None:
        place = NOWHERE
        if msg.has_tags:
            place = self._batches.place(msg, turn.loop_now, self.owner.config.timeouts.reply_s)
            if self._batches.take(msg):
                return
        if msg.command == "ACK":
            if place.question is not None:
                self._acknowledged(place.question, turn)
            return
        self._handle(msg, place, turn)

    def _handle(self, msg: Message, place: Place, turn: Turn, parts: tuple[Part, ...] = ()) -> None:
        time_ms, msgid = self._stamp(msg, turn.now)
        old_nick = msg.nick
        done = self.state.apply(msg, time_ms)
        kind = done.kind
        question, only, skip, stored = place.question, None, None, True
        if parts:
            done.text = joined(parts)
        if kind in _REPLIES:
            shown, question, only = self._route(msg, question, turn)
            if not shown:
                return
        elif done.own:
            question, only, skip, stored = self._ours(msg, question, done)
        if self.detached and self.detached.wakes(done, turn.loop_now, highlight=self._highlights(done)):
            self._submit(turn.split())  # what was said before is played, this and what follows is live
            self.detached.attach(done.target)
        elif kind == "rename":
            self._submit(turn.split())  # what was said before is stored under the name of before
        row = self._ingest.add(turn.batch, msg, done, time_ms, msgid) if stored else -1
        instead = self._follow(msg, done, old_nick, question, turn) if kind in _EVENTFUL else None
        if kind == "isupport":
            msg = self._cleaned(msg)
        if row < 0 and kind not in _SPOKEN and not (msg.has_tags and "msgid" in msg.tags):
            msgid = ""  # only what can be referred to has one of ours
        asker = question.attachment if question is not None else None
        talk = kind in TALK
        private = done.own and talk and self._private(done)
        entry = Entry(
            msg, time_ms, msgid, row, only, skip, talk, private, asker, place.tag, place.batch, instead, parts,
            implicit=only is None and msg.command in _NAMES,
        )  # fmt: skip
        if kind == "join" and done.me:
            entry = entry._replace(behind=self.marker_lines(msg.param(0)))
        self._hand_on(entry, done, question, turn)

    def _hand_on(self, entry: Entry, done: Applied, question: Question | None, turn: Turn) -> None:
        """To whom it may be shown."""
        if entry.instead is not None and entry.instead[0] == "extended-monitor":
            turn.entries += [entry._replace(only=watcher) for watcher in self.monitors.watchers(done.nick)]
            return
        asker = question.attachment if question is not None else None
        seen = self.detached.entry(entry, done, asker, highlight=self._highlights(done)) if self.detached else entry
        if seen is None:
            return
        if question is None:
            turn.entries.append(seen)
        else:
            self._add(seen, question, turn)

    def _highlights(self, done: Applied) -> bool:
        return done.kind in TALK and self._ingest.calls(done.text)

    @abstractmethod
    def show_channel(self, name: str) -> None:
        """Show a channel to every client as if we had joined it just now."""

    @abstractmethod
    def hide_channel(self, name: str) -> None:
        """Tell every client that we are no longer on it."""

    def _follow(
        self, msg: Message, done: Applied, old_nick: str, question: Question | None, turn: Turn
    ) -> tuple[str, tuple[Message, ...]] | None:
        """What else a rarer event entails; returns what clients that do not know it are shown in its place."""
        if done.kind == "nick":
            self._ingest.renamed(turn.batch, done, old_nick)
            if done.me:
                self.keeper.renamed()
        elif done.kind == "join":
            if done.me:
                self._joined(turn.batch, done, question)
        elif done.kind in _NEWS and not (done.own or done.channels):
            return "extended-monitor", ()  # of somebody whom some client watches
        elif done.kind in ("chghost", "rename"):
            return self._instead(msg, done)
        return None

    def _add(self, entry: Entry, question: Question, turn: Turn) -> None:
        """Hand on a line that answers somebody: to the others as ever, to the asker as it wants to be answered."""
        asker, reply = question.attachment, question.reply
        hidden = asker is None or entry.skip is asker
        if asker is not None and entry.message.command == "354" and "multi-prefix" not in asker.caps:
            message = whox_reduced(entry.message, question.params, self.state.isupport.prefix[1])
            entry = entry._replace(message=message)
        if reply is None:
            turn.entries.append(entry)
            if entry.tag.startswith("label="):
                if hidden:
                    acknowledge(question, turn, self.source)
                question.answered = True
            return
        if hidden:
            turn.entries.append(entry)
        else:
            reply.add(entry, turn)
        if reply.passed and not question.awaited:
            reply.close(turn)

    def _instead(self, msg: Message, done: Applied) -> tuple[str, tuple[Message, ...]] | None:
        """What clients that do not know a thing are shown in its place."""
        if done.kind == "rename":
            channel = self.state.channels.find(done.target)
            if channel is None:
                return None
            old, new = self.fold(done.text), self.fold(done.target)
            self.markers.renamed(old, new)
            self.metadata.renamed(old, new)
            self.detached.renamed(done.text, done.target)
            if all("draft/channel-rename" in attachment.caps for attachment in self.attachments):
                return None  # nobody needs the whole channel anew
            words = (msg.param(0), msg.param(2), self.settings.params.realname)
            return "draft/channel-rename", rename_fallback(self.state, channel, self.source, *words)
        if done.own:
            return None
        seen = (name for name in done.channels if not self.detached.hides(name))
        found = ((name, self.state.channels.find(name)) for name in seen)
        letters = [(name, channel.members.find(done.nick) or "") for name, channel in found if channel is not None]
        return "chghost", tuple(chghost_fallback(msg, letters))

    def _done(self, msg: Message, done: Applied) -> Question | None:
        """Whose line the network has carried out here, on one that gives no labels."""
        if not len(self._router):
            return None
        found = self._router.settled(msg.command, done.nick if done.kind == "nick" else msg.param(0))
        return found if isinstance(found, Question) else None

    def _joined(self, batch: Batch, done: Applied, question: Question | None) -> None:
        for channel in done.channels:
            folded = self.fold(channel)
            self.detached.joined(channel)
            if question is not None and question.reply is not None:
                self._joins[folded] = question
            key = self._keys.pop(folded, None)
            if key is not None:
                batch.changes.append(Change(sql.CHANNEL_KEY, (vault.encrypt(key), self.server_id, folded)))

    def _stamp(self, msg: Message, now: int) -> tuple[int, str]:
        if not msg.has_tags:
            return now, _msgid(now)
        tags = msg.tags
        return _parse_time(tags.get("time", ""), now), as_text(tags.get("msgid", "")) or _msgid(now)

    def _cleaned(self, msg: Message) -> Message:
        """005 without what is ours to say."""
        burst, interval_ms = self._flood()
        self._queue.configure(burst=burst, interval_ms=interval_ms)
        tokens = msg.params[1:-1]
        kept = client_tokens(tokens, self.caps)
        if len(kept) == len(tokens):
            return msg
        return Message(msg.command, [msg.params[0], *kept, msg.params[-1]], source=msg.source)

    # -- our own words ---------------------------------------------------------------------------------------------

    def remember_key(self, channel: str, key: str) -> None:
        """A key somebody joins with; saved, encrypted, once the network has let us in with it."""
        if key:
            self._keys.pop(folded := self.fold(channel), None)
            self._keys[folded] = as_text(key)
            if len(self._keys) > MAX_KEYS:  # those that let nobody in are left
                del self._keys[next(iter(self._keys))]

    def _ours(
        self, msg: Message, question: Question | None, done: Applied
    ) -> tuple[Question | None, Attachment | None, Attachment | None, bool]:
        """For a line whose source is us: whose it was, `only`, `skip`, and whether it is to be stored."""
        if done.kind in _SPOKEN:
            return self._echoed(msg, question, done)
        if question is None and done.kind in _DONE_BY_US:
            question = self._done(msg, done)
        return question, None, None, True

    def _echoed(
        self, msg: Message, question: Question | None, done: Applied
    ) -> tuple[Question | None, Attachment | None, Attachment | None, bool]:
        """`_ours` for words that came back."""
        if question is None:
            echoes = "echo-message" in self.caps and len(self._own)
            said = self._own.echoed(msg.command, self.fold(msg.param(0)), msg.param(1)) if echoes else None
            if said is None:
                return None, None, None, True
            question = said.question
            self._router.settled(question.command, said.target)
        return question, *self._echo_for(question, done)

    def _echo_for(self, question: Question, done: Applied) -> tuple[Attachment | None, Attachment | None, bool]:
        sender = question.attachment
        if sender is None:
            return None, None, True
        sees = "echo-message" in sender.caps
        if not done.is_channel and self.state.is_own(done.target):
            # What we say to ourselves comes once more as a message from ourselves, which is the one kept.
            return (sender, None, False) if sees else (sender, sender, False)
        return None, None if sees else sender, True

    def _taken(self, question: Question, turn: Turn) -> None:
        """The network, which echoes nothing, has dealt with a line of ours: what it did not refuse has been said."""
        for said in self._own.taken(question):
            self._router.settled(question.command, said.target)
            self._said(said, turn)

    def _kept_to_ourselves(self, question: Question, turn: Turn) -> None:
        """A TAGMSG that the network would not understand: our other clients do."""
        self._all_said(question, turn)

    def _acknowledged(self, question: Question, turn: Turn) -> None:
        """The network has nothing to say to a line of ours, so it has taken it."""
        if question.command in SAYS and "echo-message" not in self.caps and question.params:
            self._all_said(question, turn)
        else:
            acknowledge(question, turn, self.source)

    def _all_said(self, question: Question, turn: Turn) -> None:
        question.reply = Reply(question, self.source)
        text = question.params[1] if len(question.params) > 1 else ""
        for target in question.params[0].split(",") if question.params else ():
            if is_middle(target):
                self._said(Said(question, target, self.fold(target), text), turn)
        question.reply.close(turn)

    def _said(self, said: Said, turn: Turn) -> None:
        """Store one message of ours and show it."""
        question = said.question
        params = [said.target] if question.command == "TAGMSG" else [said.target, said.text]
        tags = {key: value for key, value in question.tags.items() if key[:1] == "+"}
        msg = Message(question.command, params, source=self.state.mask, tags=tags)
        done = self.state.apply(msg, turn.now)
        msgid = _msgid(turn.now)
        only, skip, stored = self._echo_for(question, done)
        row = self._ingest.add(turn.batch, msg, done, turn.now, msgid) if stored else -1
        talk = done.kind in TALK
        private = talk and self._private(done)
        entry = Entry(msg, turn.now, msgid, row, only, skip, talk, private, question.attachment)
        self._hand_on(entry, done, question, turn)

    def _private(self, done: Applied) -> bool:
        """Whether a word of ours is for somebody else alone."""
        return not done.is_channel and not self.state.is_own(done.target)


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
