"""Owns channels we stay on while clients do not see them: what is shown of them still, and when they come back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from bouncer import journal_sql as sql
from bouncer.irc.message import Message, as_text
from bouncer.journal import Change

if TYPE_CHECKING:
    from bouncer.irc.applied import Applied
    from bouncer.irc.state import NetworkState
    from bouncer.network.attachment import Attachment
    from bouncer.network.entry import Entry, Turn
    from bouncer.network.settings import ChannelRules

SERVICE_MASK = "BouncerServ!BouncerServ@bouncer"
_MESSAGES = frozenset({"privmsg", "notice", "action"})
_OF_ONE_CHANNEL = frozenset({"join", "part", "kick", "topic", "mode", "topic-is", "names-end", "tagmsg", "ctcp"})
_DEFAULTS = {"relay_detached": "highlight", "reattach_on": "none", "detach_on": "message"}


class Network(Protocol):
    """What it needs of its network."""

    attachments: list[Attachment]
    state: NetworkState
    server_id: int

    def fold(self, name: str) -> str:
        """A name as it is looked up."""

    def keep(self, *changes: Change) -> None:
        """Store changes."""

    def show_channel(self, name: str) -> None:
        """Show a channel to every client as if we had joined it just now."""

    def hide_channel(self, name: str) -> None:
        """Tell every client that we are no longer on it."""


class Detached:
    """The rules of channels by folded name, and which of them are hidden now."""

    def __init__(self, network: Network, rules: tuple[ChannelRules, ...]) -> None:
        self._network = network
        self._rules = {rule.folded: rule for rule in rules}
        self._hidden = {rule.folded for rule in rules if rule.detached}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._active: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._hidden or self._timers)

    def hides(self, name: str) -> bool:
        """Whether clients do not see this channel."""
        return bool(self._hidden) and self._network.fold(name) in self._hidden

    def apply(self, rules: tuple[ChannelRules, ...]) -> None:
        """Follow changed rows."""
        self._rules = {rule.folded: rule for rule in rules}
        for rule in rules:
            if rule.detached != (rule.folded in self._hidden):
                self._set(rule.name, detached=rule.detached)
            self._watch(rule.folded)

    def detach(self, name: str) -> None:
        """Hide it from now on."""
        self._set(name, detached=True)
        self._keep(name, detached=True)

    def attach(self, name: str) -> None:
        """Show it again."""
        self._set(name, detached=False)
        self._keep(name, detached=False)

    def joined(self, name: str) -> None:
        """We are on it; one that is left alone for its time is hidden."""
        self._watch(self._network.fold(name))

    def stop(self) -> None:
        """Forget the timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def entry(self, entry: Entry, done: Applied, turn: Turn, *, highlight: bool) -> Entry | None:
        """The entry as clients may see it; None for one that is of a hidden channel only.

        `highlight`: our nick is in it. What its rules say may bring the channel back, or a notice in its place.
        """
        folded = self._network.fold(done.target) if done.is_channel else ""
        if done.kind in _MESSAGES and folded:
            self._touched(folded, turn, highlight=highlight)
            if folded in self._hidden and not done.own and self._matches(folded, "reattach_on", highlight=highlight):
                self.attach(done.target)
        if not self._hidden:
            return entry
        if done.kind in _MESSAGES or done.kind in _OF_ONE_CHANNEL:
            if folded not in self._hidden or entry.only is not None:
                return entry
            if done.kind in _MESSAGES and not done.own and self._matches(folded, "relay_detached", highlight=highlight):
                return self._relay(entry, done)
            return None
        if done.channels and all(self._network.fold(name) in self._hidden for name in done.channels) and not done.me:
            return None
        return entry

    # -- rules -----------------------------------------------------------------------------------------------------

    def _matches(self, folded: str, which: str, *, highlight: bool) -> bool:
        rule = self._rules.get(folded)
        value = getattr(rule, which) if rule is not None else "default"
        value = _DEFAULTS[which] if value == "default" else value
        return bool(value == "message" or (value == "highlight" and highlight))

    def _relay(self, entry: Entry, done: Applied) -> Entry:
        words = f"[{done.target}] <{done.nick}> {done.text}".replace("\n", " ")
        message = Message("NOTICE", [self._network.state.nick, words], source=SERVICE_MASK)
        return entry._replace(message=message, msgid="", row=-1, talk=False, parts=())

    def _touched(self, folded: str, turn: Turn, *, highlight: bool) -> None:
        if folded in self._timers and self._matches(folded, "detach_on", highlight=highlight):
            self._active[folded] = turn.loop_now

    def _watch(self, folded: str) -> None:
        timer = self._timers.pop(folded, None)
        if timer is not None:
            timer.cancel()
        rule = self._rules.get(folded)
        if rule is not None and rule.detach_after_s and folded not in self._hidden:
            loop = asyncio.get_running_loop()
            self._active[folded] = loop.time()
            self._timers[folded] = loop.call_later(rule.detach_after_s, self._quiet, folded)

    def _quiet(self, folded: str) -> None:
        del self._timers[folded]
        rule = self._rules.get(folded)
        if rule is None or not rule.detach_after_s:
            return
        loop = asyncio.get_running_loop()
        left = self._active.get(folded, 0.0) + rule.detach_after_s - loop.time()
        if left > 0:
            self._timers[folded] = loop.call_later(left, self._quiet, folded)
        elif rule.name in self._network.state.channels:
            self.detach(rule.name)

    def _set(self, name: str, *, detached: bool) -> None:
        folded = self._network.fold(name)
        if detached and folded not in self._hidden:
            self._hidden.add(folded)
            self._network.hide_channel(name)
        elif not detached and folded in self._hidden:
            self._hidden.discard(folded)
            self._network.show_channel(name)
            self._watch(folded)

    def _keep(self, name: str, *, detached: bool) -> None:
        network = self._network
        values = (detached, network.server_id, as_text(network.fold(name)))
        network.keep(Change(sql.CHANNEL_DETACHED, values))
