"""Owns what is known of one network from its lines: ourselves, the channels we are on and who is there; sends nothing.

Odd input never raises: what makes no sense here changes nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bouncer.irc import modes
from bouncer.irc.applied import ISUPPORT, MOTD_END, NUMERIC, OTHER, Applied, Kind
from bouncer.irc.channel import MAX_MODES, ChannelState
from bouncer.irc.isupport import Isupport
from bouncer.irc.message import is_middle, split_source
from bouncer.irc.roster import LONGEST_NAME, LONGEST_USERHOST, Roster

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.message import Message

__all__ = ["Applied", "ChannelState", "Kind", "NetworkState"]

_CTCP = "\x01"
_ACTION = "\x01ACTION"


class NetworkState:
    """The state of one connection to one network; `reset` when it ends.

    `users` maps the nick of everyone we share a channel with to user@host as far as seen ("" unknown). `umodes` holds
    our own mode letters, `registered` says that 001 has come.
    """

    __slots__ = ("_roster", "away", "channels", "host", "isupport", "nick", "registered", "umodes", "user", "users")

    def __init__(self, nick: str = "") -> None:
        self.isupport = Isupport()
        self._roster = Roster(self.isupport.casemap)
        self.channels = self._roster.channels
        self.users = self._roster.users
        self.nick = nick
        self.user = ""
        self.host = ""
        self.umodes = ""
        self.away = False
        self.registered = False

    def reset(self) -> None:
        """The connection is gone: keep the nick and what ISUPPORT said (until the next 001), forget the rest."""
        self._roster.clear()
        self.user = self.host = self.umodes = ""
        self.away = self.registered = False

    @property
    def mask(self) -> str:
        """Our own nick!user@host as far as known."""
        return f"{self.nick}!{self.user}@{self.host}" if self.user and self.host else self.nick

    def apply(self, msg: Message, time_ms: int = 0) -> Applied:
        """Take in one line; `time_ms` is when a topic set by it was set."""
        handler = self._HANDLERS.get(msg.command)
        if handler is None:
            return NUMERIC if msg.command.isdigit() else OTHER
        return handler(self, msg, time_ms)

    def is_own(self, nick: str) -> bool:
        """Whether this is our nick."""
        own = self.nick
        return len(nick) == len(own) and own != "" and self.isupport.casemap.same(nick, own)

    def common(self, nick: str) -> tuple[str, ...]:
        """Display names of the channels we share with `nick`; all of ours if it is us."""
        if self.is_own(nick):
            return tuple(channel.name for channel in self.channels.values())
        return self._roster.common(nick)

    # What somebody says

    def _privmsg(self, msg: Message, _: int) -> Applied:
        return self._said("privmsg", msg)

    def _notice(self, msg: Message, _: int) -> Applied:
        return self._said("notice", msg)

    def _tagmsg(self, msg: Message, _: int) -> Applied:
        return self._said("tagmsg", msg)

    def _said(self, kind: Kind, msg: Message) -> Applied:
        params = msg.params
        if not params:
            return OTHER
        target = params[0]
        text = params[1] if len(params) > 1 else ""
        source = msg.source or ""
        nick, person, userhost = source.partition("!")
        if person:
            self._roster.see(nick, userhost)
        if text[:1] == _CTCP:
            word, _blank, rest = text.removesuffix(_CTCP).partition(" ")
            kind, text = ("action", rest) if word == _ACTION and kind == "privmsg" else ("ctcp", text)
        own = self.is_own(nick)
        is_channel = target[:1] in self.isupport.chantypes and target != ""
        if not is_channel:
            status, name = self.isupport.split_target(target)
            if status:
                target, is_channel = name, True
        if is_channel:
            channel = self.channels.find(target)
            name = target if channel is None else channel.name
            return Applied(kind, nick, name, text, (name,), own=own, is_channel=True)
        if own:
            return Applied(kind, nick, target, text, own=True)
        return Applied(kind, nick, nick if person else "", text)

    # Who is where

    def _join(self, msg: Message, _: int) -> Applied:
        nick, user, host = split_source(msg.source or "")
        own = self.is_own(nick)
        joined: list[str] = []
        for name in msg.param(0).split(","):
            channel = self.channels.find(name)
            if own and is_middle(name):
                self._is_at(user, host)
                channel = self._roster.enter(name)
            if channel is not None:
                self._roster.add(channel, nick, "", f"{user}@{host}" if user and host else "")
                joined.append(channel.name)
        return self._event("join", nick, "", joined, own=own)

    def _is_at(self, user: str, host: str) -> None:
        """Our own user name and host."""
        if user and host and len(user) + len(host) < LONGEST_USERHOST:
            self.user, self.host = user, host

    def _part(self, msg: Message, _: int) -> Applied:
        nick = msg.nick
        own = self.is_own(nick)
        left: list[str] = []
        for name in msg.param(0).split(","):
            channel = self.channels.find(name)
            if channel is not None:
                left.append(channel.name)
                self._remove(channel, nick)
        return self._event("part", nick, msg.param(1), left, own=own)

    def _kick(self, msg: Message, _: int) -> Applied:
        channel = self.channels.find(msg.param(0))
        nick = msg.param(1)
        if channel is None or not nick:
            return OTHER
        me = self.is_own(nick)
        nick = channel.members.spelled(nick) or nick
        self._remove(channel, nick)
        return self._event("kick", nick, msg.param(2), [channel.name], own=self.is_own(msg.nick), me=me)

    def _quit(self, msg: Message, _: int) -> Applied:
        nick = msg.nick
        common = self.common(nick)
        if self.is_own(nick):
            self._roster.clear()
        else:
            self._roster.quit(nick)
        return Applied("quit", nick, "", msg.param(0), common, own=self.is_own(nick), me=self.is_own(nick))

    def _nick(self, msg: Message, _: int) -> Applied:
        old, new = msg.nick, msg.param(0)
        if not old or not is_middle(new) or len(new) > LONGEST_NAME:
            return OTHER
        own = self.is_own(old)
        common = self.common(old)
        self._roster.rename(old, new)
        if own:
            self.nick = new
        return Applied("nick", new, "", new, common, own=own, me=own)

    def _namreply(self, msg: Message, _: int) -> Applied:
        channel = self.channels.find(msg.param(2))
        if channel is None:
            return NUMERIC
        marks = self.isupport.prefix[1]
        news: list[tuple[str, str]] = []
        for entry in msg.param(3).split(" "):
            mask = entry.lstrip(marks) if marks else entry
            if not mask:
                continue
            nick, _bang, userhost = mask.partition("!")
            shown = modes.letters(entry[: len(entry) - len(mask)], self.isupport) if entry is not mask else ""
            known = channel.members.find(nick)
            # A list without multi-prefix shows the highest letter only: it takes nothing from those known.
            if known is not None and (known == shown or (len(shown) == 1 and known[:1] == shown)):
                shown = known
            if self._roster.add(channel, nick, shown, userhost):
                news.append((nick, shown))
        if not news:
            return NUMERIC
        return Applied("names", "", channel.name, "", (channel.name,), is_channel=True, members=tuple(news))

    def _endofnames(self, msg: Message, _: int) -> Applied:
        channel = self.channels.find(msg.param(1))
        if channel is not None:
            channel.names_complete = True
        return NUMERIC

    def _remove(self, channel: ChannelState, nick: str) -> None:
        """Take `nick` off a channel; one that we leave goes as a whole."""
        if self.is_own(nick):
            self._roster.leave(channel)
        else:
            self._roster.remove(channel, nick)

    def _event(
        self, kind: Kind, nick: str, text: str, channels: list[str], *, own: bool, me: bool | None = None
    ) -> Applied:
        if not channels:
            return OTHER
        return Applied(
            kind, nick, channels[0], text, tuple(channels), own=own, me=own if me is None else me, is_channel=True
        )

    def _rename(self, msg: Message, _: int) -> Applied:
        """https://ircv3.net/specs/extensions/channel-rename ."""
        channel, new = self.channels.find(msg.param(0)), msg.param(1)
        if (
            channel is None
            or not is_middle(new)
            or len(new) > LONGEST_NAME
            or (new in self.channels and self.channels[new] is not channel)
        ):
            return OTHER
        old = channel.name
        self.channels.rename(old, new)
        channel.name = new
        return Applied("rename", msg.nick, new, old, (new,), own=self.is_own(msg.nick), is_channel=True)

    # What channels and we are like

    def _topic(self, msg: Message, time_ms: int) -> Applied:
        channel = self.channels.find(msg.param(0))
        if channel is None:
            return OTHER
        channel.topic = msg.param(1)
        channel.topic_by = msg.source or ""
        channel.topic_at = time_ms
        return self._event("topic", msg.nick, channel.topic, [channel.name], own=self.is_own(msg.nick), me=False)

    def _topic_is(self, msg: Message, _: int) -> Applied:
        channel = self.channels.find(msg.param(1))
        if channel is None:
            return NUMERIC
        if msg.command == "333":
            channel.topic_by = msg.param(2)
            channel.topic_at = _ms(msg.param(3))
        else:
            channel.topic = msg.param(2) if msg.command == "332" else ""
            if not channel.topic:
                channel.topic_by, channel.topic_at = "", 0
        return Applied("topic-is", "", channel.name, channel.topic, (channel.name,), is_channel=True)

    def _mode(self, msg: Message, _: int) -> Applied:
        target = msg.param(0)
        own = self.is_own(msg.nick)
        text = " ".join(msg.params[1:])
        if self.is_own(target):
            self._umodes(msg.param(1))
            return Applied("mode", target, "", text, own=own, me=True)
        channel = self.channels.find(target)
        if channel is None:
            return OTHER
        roster = tuple(channel.apply_modes(msg.param(1), msg.params[2:], self.isupport))
        return Applied("mode", msg.nick, channel.name, text, (channel.name,), own=own, is_channel=True, roster=roster)

    def _channelmodeis(self, msg: Message, _: int) -> Applied:
        channel = self.channels.find(msg.param(1))
        if channel is not None:
            channel.modes.clear()
            channel.modes_known = True
            channel.apply_modes(msg.param(2), msg.params[3:], self.isupport)
        return NUMERIC

    def _creationtime(self, msg: Message, _: int) -> Applied:
        channel = self.channels.find(msg.param(1))
        if channel is not None:
            channel.created_at = _ms(msg.param(2))
        return NUMERIC

    def _umodeis(self, msg: Message, _: int) -> Applied:
        self.umodes = ""
        self._umodes(msg.param(1))
        return NUMERIC

    def _umodes(self, text: str) -> None:
        held = dict.fromkeys(self.umodes)
        for change in modes.parse_user(text)[:MAX_MODES]:
            if change.add:
                held[change.letter] = None
            else:
                held.pop(change.letter, None)
        self.umodes = "".join(held)[:MAX_MODES]

    def _welcome(self, msg: Message, _: int) -> Applied:
        if self.registered:
            return NUMERIC
        self.isupport.clear()
        self._roster.refold(self.isupport.casemap)
        self.registered = True
        if is_middle(msg.param(0)) and len(msg.param(0)) <= LONGEST_NAME:
            self.nick = msg.param(0)
        # Most servers end their greeting with our mask.
        nick, user, host = split_source(msg.param(1).rpartition(" ")[2])
        if nick == self.nick:
            self._is_at(user, host)
        return NUMERIC

    def _isupport(self, msg: Message, _: int) -> Applied:
        self.isupport.apply(msg.params, same_casemap=not self._roster.refolds)
        self._roster.refold(self.isupport.casemap)
        return ISUPPORT

    def _motd_end(self, _msg: Message, _: int) -> Applied:
        return MOTD_END

    def _visiblehost(self, msg: Message, _: int) -> Applied:
        user, _at, host = msg.param(1).rpartition("@")
        if len(user) + len(host) < LONGEST_USERHOST:
            self.host = host
            self.user = user or self.user
        return NUMERIC

    def _away_is(self, msg: Message, _: int) -> Applied:
        self.away = msg.command == "306"
        return NUMERIC

    def _whoreply(self, msg: Message, _: int) -> Applied:
        nick, user, host = msg.param(5), msg.param(2), msg.param(3)
        if user and host:
            self._roster.see(nick, f"{user}@{host}")
        return NUMERIC

    # News of people

    def _invite(self, msg: Message, _: int) -> Applied:
        nick, name = msg.param(0), msg.param(1)
        if not name:
            return OTHER
        channel = self.channels.find(name)
        shown = "" if channel is None else channel.name
        return Applied(
            "invite", nick, shown, name, (shown,) if shown else (),
            own=self.is_own(msg.nick), me=self.is_own(nick), is_channel=channel is not None,
        )  # fmt: skip

    def _news(self, kind: Kind, msg: Message) -> Applied:
        nick = msg.nick
        own = self.is_own(nick)
        return Applied(kind, nick, "", msg.param(0), self.common(nick), own=own, me=own)

    def _away(self, msg: Message, _: int) -> Applied:
        if self.is_own(msg.nick):
            self.away = bool(msg.param(0))
        return self._news("away", msg)

    def _account(self, msg: Message, _: int) -> Applied:
        return self._news("account", msg)

    def _setname(self, msg: Message, _: int) -> Applied:
        return self._news("setname", msg)

    def _chghost(self, msg: Message, _: int) -> Applied:
        nick, user, host = msg.nick, msg.param(0), msg.param(1)
        if not user or not host:
            return OTHER
        self._roster.see(nick, f"{user}@{host}")
        if self.is_own(nick):
            self._is_at(user, host)
        return self._news("chghost", msg)

    _HANDLERS: ClassVar[dict[str, Callable[[NetworkState, Message, int], Applied]]] = {
        "001": _welcome,
        "005": _isupport,
        "221": _umodeis,
        "305": _away_is,
        "306": _away_is,
        "324": _channelmodeis,
        "329": _creationtime,
        "331": _topic_is,
        "332": _topic_is,
        "333": _topic_is,
        "352": _whoreply,
        "353": _namreply,
        "366": _endofnames,
        "376": _motd_end,
        "396": _visiblehost,
        "422": _motd_end,
        "ACCOUNT": _account,
        "AWAY": _away,
        "CHGHOST": _chghost,
        "INVITE": _invite,
        "JOIN": _join,
        "KICK": _kick,
        "MODE": _mode,
        "NICK": _nick,
        "NOTICE": _notice,
        "PART": _part,
        "PRIVMSG": _privmsg,
        "QUIT": _quit,
        "RENAME": _rename,
        "SETNAME": _setname,
        "TAGMSG": _tagmsg,
        "TOPIC": _topic,
    }


def _ms(seconds: str) -> int:
    """A UNIX time of the network in ms; 0 for what is none."""
    return int(seconds) * 1000 if seconds.isascii() and seconds.isdigit() and len(seconds) <= 12 else 0
