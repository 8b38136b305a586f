"""Owns the description of what one line of a network changed: plain data from the state to who stores and routes."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "privmsg", "notice", "action", "tagmsg",  # somebody says something
    "ctcp",  # a CTCP request or reply other than ACTION: for programs, not for history
    "join", "part", "quit", "kick", "nick", "topic", "mode", "invite", "rename",  # events
    "topic-is",  # 331, 332, 333: the state has learned a topic nobody set just now
    "names",  # the roster of a channel is told, or was corrected
    "away", "account", "chghost", "setname",  # news of a person
    "isupport", "motd-end",  # 005; 376 and 422
    "numeric",  # any other reply
    "other",  # anything else, and lines about channels we are not on
]  # fmt: skip


class Applied:
    """What a line did, by `kind`. Strings may hold bytes that are no UTF-8 (`message.as_text` makes them storable).

    own       the source is us
    me        the subject is us: the one who joins, parts, is kicked or invited, changes nick or modes
    channels  display names of the channels it concerns, as they were before the change (QUIT, NICK, ACCOUNT, AWAY,
              CHGHOST, SETNAME: every channel we share; of our own: those we are on)
    target    the buffer: a channel, the other person's nick in direct messages, "" for the server
    is_channel  whether `target` is a channel
    text      the name a renamed channel had,
              what was said (an action without its CTCP frame), the reason, the topic, "+o nick", the channel one is
              invited to, the away message (its lack: back)
    nick      the subject: the source, the kicked, the invited, the new nick of NICK
    roster    (channel, nick, mode letters highest first) of members whose letters changed
    members   of names: (nick, mode letters) of those who are new or have other letters
    """

    __slots__ = ("channels", "is_channel", "kind", "me", "members", "nick", "own", "roster", "target", "text")

    def __init__(
        self,
        kind: Kind,
        nick: str = "",
        target: str = "",
        text: str = "",
        channels: tuple[str, ...] = (),
        *,
        own: bool = False,
        me: bool = False,
        is_channel: bool = False,
        roster: tuple[tuple[str, str, str], ...] = (),
        members: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.kind = kind
        self.nick = nick
        self.target = target
        self.text = text
        self.channels = channels
        self.own = own
        self.me = me
        self.is_channel = is_channel
        self.roster = roster
        self.members = members

    def __repr__(self) -> str:
        fields = ((name, getattr(self, name)) for name in sorted(self.__slots__))
        return f"Applied({', '.join(f'{name}={value!r}' for name, value in fields if value)})"


NUMERIC = Applied("numeric")
OTHER = Applied("other")
ISUPPORT = Applied("isupport")
MOTD_END = Applied("motd-end")
