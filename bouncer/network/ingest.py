"""Owns what a line of a network means for the file: the message rows and changes it makes; pure, no I/O."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer.irc.highlight import mentions
from bouncer.irc.message import as_text
from bouncer.journal import Change, MessageRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bouncer.irc.applied import Applied
    from bouncer.irc.message import Message
    from bouncer.irc.state import NetworkState
    from bouncer.journal import Batch
    from bouncer.network.settings import ChannelRules, Highlights

TALK = frozenset({"privmsg", "notice", "action"})
_EVENTS = frozenset({"join", "part", "quit", "kick", "nick", "topic", "mode"})
_REACTIONS = ("+draft/persist", "+draft/react", "+draft/reply", "+draft/unreact", "+react", "+reply", "+unreact")
"""Client tags that make a TAGMSG part of the conversation; typing and the like passes."""

_PASSING = frozenset({"time", "msgid", "batch", "label"})
_REMEMBERED_TAGS = 300
"""Characters of one line's tags."""


@lru_cache(maxsize=512)
def _json(tags: tuple[tuple[str, str], ...], encoding: str) -> str:
    """The same people say much: the tags of most lines (`account=…`) are not new."""
    return json.dumps({as_text(key, encoding): as_text(value, encoding) for key, value in tags}, ensure_ascii=False)


class Ingest:
    """Turns what the state says of a line into rows of a batch, for one server."""

    def __init__(self, server_id: int, state: NetworkState, encoding: str = "") -> None:
        self.server_id = server_id
        self.encoding = encoding
        """What bytes that are no UTF-8 are read as."""
        self._state = state
        self._to_self = ""
        self._called_by_nick = True
        self._words: tuple[str, ...] = ()
        self._levels: dict[str, str] = {}

    def attend(self, highlights: Highlights, rules: Iterable[ChannelRules]) -> None:
        """Follow what the person wants to be told of."""
        self._called_by_nick, self._words = highlights
        self._levels = {rule.folded: rule.notify for rule in rules if rule.notify != "mentions"}

    def add(self, batch: Batch, msg: Message, done: Applied, time_ms: int, msgid: str) -> int:
        """Add rows and changes; returns the index of the line's first row, -1 when it has none."""
        kind = done.kind
        first = len(batch.rows)
        if kind in TALK:
            if not self._again(done, msgid):
                batch.rows.append(self._talk(msg, done, time_ms, msgid))
        elif kind in _EVENTS:
            self._event(batch, msg, done, time_ms, msgid)
        elif kind == "invite":
            notify = "invite" if done.me else ""
            batch.rows.append(self._row(msg, "", "", "", "invite", done.text, time_ms, msgid, done.own, notify))
        elif kind == "tagmsg" and any(name in msg.tags for name in _REACTIONS):
            batch.rows.append(self._talk(msg, done, time_ms, msgid))
        elif kind == "rename":
            self._renamed(batch, done)
        elif msg.command == "REDACT":
            self._redacted(batch, msg, done)
        elif kind == "topic-is":
            self._topic(batch, done.target)
        elif kind == "names":
            self._names(batch, done.target, done.members)
        return first if len(batch.rows) > first else -1

    def _again(self, done: Applied, msgid: str) -> bool:
        """Whether these are words to ourselves that came before: a network with echo-message brings them twice."""
        if not done.own or done.is_channel or not self._state.is_own(done.target):
            return False
        last, self._to_self = self._to_self, msgid
        return last == msgid

    def text(self, text: str) -> str:
        """Text as it is stored."""
        return as_text(text, self.encoding)

    def fold(self, name: str) -> str:
        """A name as it is looked up."""
        return as_text(self._state.isupport.casemap.fold(name))

    # -- messages --------------------------------------------------------------------------------------------------

    def _talk(self, msg: Message, done: Applied, time_ms: int, msgid: str) -> MessageRow:
        kind, target, text, notify = done.kind, done.target, done.text, ""
        if done.is_channel:
            buffer, shown = "channel", msg.params[0]
            if not done.own and kind in TALK:
                notify = self._notify(target, text)
        else:
            buffer, shown = "conversation" if target else "", target
            if target and not done.own and kind in ("privmsg", "action"):
                notify = "dm"
        return self._row(msg, buffer, target, shown, kind, text, time_ms, msgid, done.own, notify)

    def _notify(self, channel: str, text: str) -> str:
        """Why words in a channel want attention, "" when they do not."""
        level = self._levels.get(self.fold(channel)) if self._levels else None
        if level == "none":
            return ""
        if self.calls(text):
            return "highlight"
        return "message" if level == "all" else ""

    def calls(self, text: str) -> bool:
        """Whether our nick, or a word the person wants to be told of, is in it."""
        casemap = self._state.isupport.casemap
        if self._called_by_nick and mentions(text, self._state.nick, casemap):
            return True
        return any(mentions(text, word, casemap) for word in self._words)

    def _row(
        self, msg: Message, buffer: str, target: str, shown: str, kind: str, text: str, time_ms: int, msgid: str,
        own: bool, notify: str = "",
    ) -> MessageRow:  # fmt: skip
        encoding, source = self.encoding, msg.source or ""
        return MessageRow(
            self.server_id, buffer, as_text(shown, encoding), self.fold(target), as_text(source, encoding), kind,
            as_text(text, encoding), self._tags(msg) if msg.has_tags else None, msgid, time_ms, own, notify,
        )  # fmt: skip

    def _tags(self, msg: Message) -> str | None:
        """The tags to keep, as JSON; those with a column of their own, or none of anybody's business later, are not."""
        kept = tuple([item for item in msg.tags.items() if item[0] not in _PASSING])
        if not kept:
            return None
        # So many are not met twice, and a hostile network could fill tens of megabytes with them.
        short = sum(len(key) + len(value) for key, value in kept) <= _REMEMBERED_TAGS
        return (_json if short else _json.__wrapped__)(kept, self.encoding)

    # -- events ----------------------------------------------------------------------------------------------------

    def _event(self, batch: Batch, msg: Message, done: Applied, time_ms: int, msgid: str) -> None:
        text = f"{done.nick} {done.text}" if done.kind == "kick" else done.text
        if done.kind == "nick":
            text = done.nick
        elif done.kind == "mode" and not done.is_channel:
            return
        for channel in done.channels or ((done.target,) if done.is_channel else ()):
            batch.changes.extend(self._changes(done, channel))
            batch.rows.append(self._row(msg, "channel", channel, channel, done.kind, text, time_ms, msgid, done.own))
        if done.kind == "topic":
            self._topic(batch, done.target)

    def _changes(self, done: Applied, channel: str) -> Iterator[Change]:
        server, folded = self.server_id, self.fold(channel)
        kind, nick = done.kind, self.text(done.nick)
        if kind == "join":
            if done.me:
                yield Change(sql.CHANNEL_JOINED, (server, self.text(channel), folded))
                yield Change(sql.ROSTER_CLEAR, (server, folded))
            known = self._state.channels.find(channel)
            if known is not None and done.nick in known.members:  # there is room for so many
                yield Change(sql.ROSTER_PUT, (self.fold(done.nick), nick, "", server, folded))
        elif kind in ("part", "kick", "quit"):
            if done.me and kind != "quit":
                yield Change(sql.CHANNEL_PARTED if kind == "part" else sql.CHANNEL_LEFT, (server, folded))
                yield Change(sql.ROSTER_CLEAR, (server, folded))
            else:
                yield Change(sql.ROSTER_REMOVE, (server, folded, self.fold(done.nick)))
        elif kind == "mode":
            for where, who, letters in done.roster:
                if where == channel:
                    yield Change(sql.ROSTER_PUT, (self.fold(who), self.text(who), letters, server, folded))

    def _renamed(self, batch: Batch, done: Applied) -> None:
        """A channel has another name: its row, its read marker and its metadata follow."""
        name, new, old = self.text(done.target), self.fold(done.target), self.fold(done.text)
        if new != old:
            before, after = (self.server_id, old), (self.server_id, new)
            batch.changes.append(Change(sql.CHANNEL_TAKEN_OVER, (*before, *after, *before)))
            batch.changes.append(Change(sql.CHANNEL_MADE_ROOM, (*after, *before)))
        batch.changes.append(Change(sql.CHANNEL_RENAMED, (name, new, self.server_id, old)))
        batch.changes.append(Change(sql.MARKER_RENAMED, (name, new, self.server_id, old)))
        batch.changes.append(Change(sql.METADATA_RENAMED, (new, self.server_id, old)))

    def _redacted(self, batch: Batch, msg: Message, done: Applied) -> None:
        """https://ircv3.net/specs/extensions/message-redaction : the words go, who took them back stays."""
        isupport, target = self._state.isupport, msg.param(0)
        if not isupport.is_channel(target.lstrip(isupport.statusmsg)) and not done.own:
            target = msg.nick if self._state.is_own(target) else target
        msgid, folded = self.text(msg.param(1)), self.fold(target.lstrip(isupport.statusmsg))
        where = (self.server_id, msgid, self.server_id, folded, self.server_id, folded)
        who = f"{self.text(msg.source or '')} {self.text(msg.param(2))}".strip()
        batch.changes.append(Change(sql.REDACT, (who, *where)))
        batch.changes.append(Change(sql.REDACT_TAGMSG, where))
        batch.changes.append(Change(sql.REDACT_INDEX, ()))

    def renamed(self, batch: Batch, done: Applied, old: str) -> None:
        """A nick changed: every roster it stands in follows, with the letters it keeps."""
        for channel in done.channels:
            folded = self.fold(channel)
            known = self._state.channels.get(channel)
            letters = known.members.get(done.nick, "") if known is not None else ""
            batch.changes.append(Change(sql.ROSTER_REMOVE, (self.server_id, folded, self.fold(old))))
            put = (self.fold(done.nick), self.text(done.nick), letters, self.server_id, folded)
            batch.changes.append(Change(sql.ROSTER_PUT, put))

    def _topic(self, batch: Batch, channel: str) -> None:
        known = self._state.channels.get(channel)
        if known is None:
            return
        folded = self.fold(channel)
        batch.changes.append(Change(sql.CHANNEL_TOPIC, (self.text(known.topic or "") or None, self.server_id, folded)))
        by = (self.text(known.topic_by or "") or None, known.topic_at or None, self.server_id, folded)
        batch.changes.append(Change(sql.CHANNEL_TOPIC_BY, by))

    def _names(self, batch: Batch, channel: str, members: tuple[tuple[str, str], ...]) -> None:
        """The roster is emptied when we join, and follows every line: what a 353 adds to it is what is new."""
        folded = self.fold(channel)
        rows: list[tuple[object, ...]] = [
            (self.fold(nick), self.text(nick), letters, self.server_id, folded) for nick, letters in members
        ]
        batch.changes.append(Change(sql.ROSTER_PUT, rows))
