"""Owns channels we stay on while clients do not see them: what is shown of them still, and when they come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from bouncer import journal_sql as sql
from bouncer.irc.message import Message, as_text
from bouncer.journal import Change

if TYPE_CHECKING:
    from bouncer.irc.applied import Applied
    from bouncer.irc.state import NetworkState
    from bouncer.network.attachment import Attachment
    from bouncer.network.entry import Entry
    from bouncer.network.settings import ChannelRules

SERVICE_MASK = "BouncerServ!BouncerServ@bouncer"
_MESSAGES = frozenset({"privmsg", "notice", "action"})
_OF_ONE_CHANNEL = frozenset({"join", "part", "kick", "topic", "mode", "tagmsg", "ctcp", "rename"})
_OF_CHANNELS = frozenset({"324", "328", "329", "331", "332", "333", "353", "366"})
"""Numerics that come unasked, with the channel among the first parameters."""
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

    def renamed(self, old: str, new: str) -> None:
        """A channel has another name: all that is known of it follows."""
        before, after = self._network.fold(old), self._network.fold(new)
        rule = self._rules.pop(before, None)
        if rule is not None:
            self._rules[after] = replace(rule, name=new, folded=after)
        if before in self._hidden:
            self._hidden.discard(before)
            self._hidden.add(after)
        timer = self._timers.pop(before, None)
        if timer is not None:
            timer.cancel()
            self._watch(after)

    def wakes(self, done: Applied, loop_now: float, *, highlight: bool) -> bool:
        """Whether its rules bring a hidden channel back for this line; `highlight`: our nick is in it."""
        if done.kind not in _MESSAGES or not done.is_channel:
            return False
        folded = self._network.fold(done.target)
        self._touched(folded, loop_now, highlight=highlight)
        return folded in self._hidden and not done.own and self._matches(folded, "reattach_on", highlight=highlight)

    def entry(self, entry: Entry, done: Applied, asker: Attachment | None, *, highlight: bool) -> Entry | None:
        """The entry as clients may see it; None for one that is of hidden channels only.

        What answers somebody, `asker` sees all the same. The rules may put a notice in place of a message.
        """
        if not self._hidden or entry.only is not None or not self._hidden_only(entry, done):
            return entry
        if done.kind == "part" and done.me:
            self._hidden.discard(self._network.fold(done.target))  # left for good, so seen when it is joined again
            self._keep(done.target, detached=False)
        if asker is not None:
            return entry._replace(only=asker)
        folded = self._network.fold(done.target)
        if done.kind in _MESSAGES and not done.own and self._matches(folded, "relay_detached", highlight=highlight):
            return self._relay(entry, done)
        return None

    def _hidden_only(self, entry: Entry, done: Applied) -> bool:
        message, fold = entry.message, self._network.fold
        if message.command in _OF_CHANNELS:
            return any(fold(param) in self._hidden for param in message.params[1:3])
        if done.kind in _MESSAGES or done.kind in _OF_ONE_CHANNEL:
            return done.is_channel and fold(done.target) in self._hidden
        return bool(done.channels) and not done.me and all(fold(name) in self._hidden for name in done.channels)

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

    def _touched(self, folded: str, loop_now: float, *, highlight: bool) -> None:
        if folded in self._timers and self._matches(folded, "detach_on", highlight=highlight):
            self._active[folded] = loop_now

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
