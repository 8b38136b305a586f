"""Owns who is on which of our channels, within bounds that no network can move; knows no line and not who we are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.irc.casemap import FoldDict
from bouncer.irc.channel import ChannelState
from bouncer.irc.message import is_middle

if TYPE_CHECKING:
    from bouncer.irc.casemap import Casemap

# All far beyond any real network: a hostile one shall not fill our memory with names, nor our time.
MAX_CHANNELS = 1024
MAX_USERS = 100_000
MAX_MEMBERS = 500_000
"""Of all channels together: who is on three of them counts three times."""
MAX_REFOLDED = 5_000
"""Members up to which another CASEMAPPING is followed: it folds them all again, and could come with every line."""
LONGEST_NAME = 200
LONGEST_USERHOST = 300
"""Characters; who has a longer one is not kept, or without it."""


class Roster:
    """`channels` are those we are on, `users` maps everybody there to user@host as far as seen ("" unknown)."""

    __slots__ = ("_members", "channels", "users")

    def __init__(self, casemap: Casemap) -> None:
        self.channels: FoldDict[ChannelState] = FoldDict(casemap)
        self.users: FoldDict[str] = FoldDict(casemap)
        self._members = 0

    def clear(self) -> None:
        """The connection is gone."""
        self.channels.clear()
        self.users.clear()
        self._members = 0

    @property
    def refolds(self) -> bool:
        """Whether there are few enough names to fold them all by another mapping."""
        return self._members <= MAX_REFOLDED

    def refold(self, mapping: Casemap) -> None:
        """Fold all names by another mapping."""
        if self.channels.casemap is not mapping:
            self.channels.refold(mapping)
            self.users.refold(mapping)
            for channel in self.channels.values():
                channel.members.refold(mapping)
            self._members = sum(len(channel.members) for channel in self.channels.values())

    def common(self, nick: str) -> tuple[str, ...]:
        """Display names of the channels that somebody is on."""
        if nick not in self.users:
            return ()
        folded = self.users.casemap.fold(nick)
        return tuple(channel.name for channel in self.channels.values() if channel.members.has_folded(folded))

    def enter(self, name: str) -> ChannelState | None:
        """We are on this channel from now on, with nobody known there; None where it cannot be kept."""
        known = self.channels.find(name)
        if known is not None:  # we missed leaving: begin anew
            self.leave(known)
        if not is_middle(name) or len(name) > LONGEST_NAME or len(self.channels) >= MAX_CHANNELS:
            return None
        made = self.channels[name] = ChannelState(name, self.channels.casemap)
        return made

    def leave(self, channel: ChannelState) -> None:
        """We are not on it any more: forget it, and whom we share no other with."""
        del self.channels[channel.name]
        gone = channel.members.folded()
        self._members -= len(gone)
        for other in self.channels.values():
            if not gone:
                return
            gone = other.members.absent(gone)
        for folded in gone:
            self.users.pop_folded(folded)

    def add(self, channel: ChannelState, nick: str, letters: str, userhost: str) -> bool:
        """Somebody is on a channel with these mode letters; whether that is news."""
        members, users = channel.members, self.users
        folded = users.casemap.fold(nick)
        known, seen = members.find_folded(folded), users.has_folded(folded)
        if known is None:
            full = self._members >= MAX_MEMBERS or (not seen and len(users) >= MAX_USERS)
            if not nick or full or len(nick) > LONGEST_NAME:
                return False
            self._members += 1
        if len(userhost) > LONGEST_USERHOST:
            userhost = ""
        if userhost or not seen:
            users.put_folded(folded, nick, userhost)
        if known == letters:
            return False
        members.put_folded(folded, nick, letters)
        return True

    def see(self, nick: str, userhost: str) -> None:
        """Somebody we may know has this user@host."""
        known = self.users.find(nick)
        if known is not None and known != userhost and len(userhost) <= LONGEST_USERHOST:
            self.users[nick] = userhost

    def remove(self, channel: ChannelState, nick: str) -> None:
        """Somebody else has left a channel; who shares none with us any more is forgotten."""
        if channel.members.pop(nick, None) is None:
            return
        self._members -= 1
        folded = self.users.casemap.fold(nick)
        if not any(other.members.has_folded(folded) for other in self.channels.values()):
            self.users.pop_folded(folded)

    def quit(self, nick: str) -> None:
        """Somebody else has left all of them."""
        for name in self.common(nick):
            del self.channels[name].members[nick]
            self._members -= 1
        self.users.pop(nick, None)

    def rename(self, old: str, new: str) -> None:
        """Somebody has another nick, over whoever had it before."""
        for name in self.common(old):
            members = self.channels[name].members
            before = len(members)
            members.rename(old, new)
            self._members -= before - len(members)
        self.users.rename(old, new)
