"""Owns what one line of a network looks like to a client with certain capabilities; sends nothing, keeps no state.

Lines go on as they came, byte for byte, unless a capability the client lacks forces a change.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from bouncer.errors import MalformedLineError
from bouncer.irc.caps import METADATA
from bouncer.irc.message import Message, serialise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Symbols of members when the network's PREFIX is not at hand; none of them can begin a nick.
SYMBOLS = "~&!@%+"

# Commands a client gets only with the capability that announces them.
_NEEDS: dict[str, str] = {
    "ACCOUNT": "account-notify",
    "AWAY": "away-notify",
    "CHGHOST": "chghost",  # see chghost_fallback for the others
    "REDACT": "draft/message-redaction",
    "RENAME": "draft/channel-rename",  # the network of who draws the line has something in its place
    "SETNAME": "setname",
    "TAGMSG": "message-tags",
}
# Between the network and us: batches are ours to open, labels ours to answer.
_NEVER = frozenset({"ACK", "BATCH"})
# Given anew, or none of the client's business.
_OWN_TAGS = frozenset({"batch", "label", "msgid", "time"})


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def server_time(time_ms: int) -> str:
    """`2026-11-23T09:27:35.123Z` for ms UTC: https://ircv3.net/specs/extensions/server-time ."""
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=256)
def _time_tag(time_ms: int) -> bytes:
    """`@time=…` as the first tag of a line: all lines of one read share it."""
    return b"@time=%b" % server_time(time_ms).encode()


class Projector:
    """Lines as one set of capabilities shows them. Get it from `projector`, once per client or change of its set."""

    __slots__ = ("_account_tag", "_changes", "_message_tags", "_server_time", "caps")

    def __init__(self, caps: frozenset[str]) -> None:
        self.caps = caps
        self._server_time = not caps.isdisjoint(("server-time", "znc.in/server-time-iso"))
        self._message_tags = "message-tags" in caps
        self._account_tag = "account-tag" in caps
        changes: dict[str, Callable[[Message, str, str], bytes | None]] = dict.fromkeys(_NEVER, _drop)
        changes.update({command: _drop for command, cap in _NEEDS.items() if cap not in caps})
        if caps.isdisjoint(METADATA):
            changes["METADATA"] = _drop
        if "invite-notify" not in caps:
            changes["INVITE"] = _own_invite
        if "extended-join" not in caps:
            changes["JOIN"] = _plain_join
        if not {"multi-prefix", "userhost-in-names"} <= caps:
            changes["353"] = _Names(
                multi_prefix="multi-prefix" in caps, userhosts="userhost-in-names" in caps
            ).reduce  # fmt: skip
        if "multi-prefix" not in caps:
            changes["352"] = _who
        self._changes = changes

    def __call__(
        self, msg: Message, time_ms: int, msgid: str, own_nick: str, *, symbols: str = SYMBOLS, extra: str = ""
    ) -> bytes | None:
        """The line with tags and CR LF, or None where this client may not have it.

        `time_ms` and `msgid` ("" for none) are those the line is stored with, `symbols` the member prefixes of the
        network, highest first, `extra` a tag as on the wire that goes in front of all others.
        """
        raw = msg.raw
        if b"\r" in raw or b"\0" in raw:
            try:
                msg = Message.parse(raw.replace(b"\r", b" ").replace(b"\0", b""))
            except MalformedLineError:
                return None
        change = self._changes.get(msg.command)
        body = msg.body if change is None else change(msg, own_nick, symbols)
        if body is None:
            return None
        if msg.params and msg.params[0] == "*" and msg.command.isdigit():
            # A registered client knows itself by its nick only.
            body = serialise(msg.command, [own_nick, *Message.parse(body).params[1:]], msg.source, colon=True)
        tags = self.tags(msg, time_ms, msgid, extra)
        if tags:
            return b"@%b %b\r\n" % (tags.encode("utf-8", "surrogateescape"), body)
        return body + b"\r\n"

    def plain(self, raw: bytes, time_ms: int, msgid: str) -> bytes:
        """`__call__` for words (PRIVMSG, NOTICE) that came as `raw`: without tags, CR and NUL."""
        if self._server_time:
            if msgid and self._message_tags:
                return b"%b;msgid=%b %b\r\n" % (_time_tag(time_ms), msgid.encode(), raw)
            return b"%b %b\r\n" % (_time_tag(time_ms), raw)
        if msgid and self._message_tags:
            return b"@msgid=%b %b\r\n" % (msgid.encode(), raw)
        return raw + b"\r\n"

    def tags(self, msg: Message, time_ms: int, msgid: str, extra: str = "") -> str:
        """The tags this client gets with the line, as on the wire without `@`; "" for none."""
        tags = extra
        if self._server_time:
            stamp = f"time={server_time(time_ms)}"
            tags = f"{tags};{stamp}" if tags else stamp
        if self._message_tags or self._account_tag:
            if msgid and self._message_tags:
                tags = f"{tags};msgid={msgid}" if tags else f"msgid={msgid}"
            if msg.has_tags:
                kept = ";".join(self._kept(msg))
                tags = f"{tags};{kept}" if tags and kept else tags or kept
        return tags

    def _kept(self, msg: Message) -> list[str]:
        """The tags of the network, as written, that this client may have."""
        kept = []
        for item in msg.tag_items():
            key = item.partition("=")[0]
            if key == "account":
                if self._account_tag:
                    kept.append(item)
            elif self._message_tags and key and key not in _OWN_TAGS:
                kept.append(item)
        return kept


@lru_cache(maxsize=1024)
def projector(caps: frozenset[str]) -> Projector:
    """The projector for a set of capabilities, shared by all clients that have the same."""
    return Projector(caps)


def project(
    msg: Message,
    caps: frozenset[str],
    time_ms: int,
    msgid: str,
    own_nick: str,
    *,
    symbols: str = SYMBOLS,
    extra: str = "",
) -> bytes | None:
    """`projector(caps)` and its call in one."""
    return projector(caps)(msg, time_ms, msgid, own_nick, symbols=symbols, extra=extra)


def chghost_fallback(msg: Message, channels: Sequence[tuple[str, str]]) -> list[Message]:
    """What a CHGHOST is to clients without it: QUIT with the old mask, JOIN and MODE with the new one, in order.

    `channels` holds (name, mode letters of the person there) for every channel shared with it; without any there is
    nothing to tell. Not for our own CHGHOST. https://ircv3.net/specs/extensions/chghost
    """
    if not channels or len(msg.params) < 2:
        return []
    nick = msg.nick
    mask = f"{nick}!{msg.params[0]}@{msg.params[1]}"
    lines = [Message("QUIT", ["Changing host"], source=msg.source)]
    for name, letters in channels:
        lines.append(Message("JOIN", [name, "*", nick], source=mask))  # extended-join; nobody says who it is
        if letters:
            lines.append(Message("MODE", [name, f"+{letters}", *[nick] * len(letters)], source=mask))
    return lines


def _drop(_msg: Message, _own_nick: str, _symbols: str) -> None:
    return None


def _own_invite(msg: Message, own_nick: str, _symbols: str) -> bytes | None:
    return msg.body if msg.param(0).lower() == own_nick.lower() else None


def _plain_join(msg: Message, _own_nick: str, _symbols: str) -> bytes:
    return serialise("JOIN", msg.params[:1], msg.source) if len(msg.params) > 1 else msg.body


def _who(msg: Message, _own_nick: str, symbols: str) -> bytes:
    """352 with no more than one member symbol among its flags."""
    flags = msg.param(6)
    first = len(flags) - len(flags.lstrip("HG*rRsBb"))
    shown = flags[first:]
    if len(msg.params) < 8 or len(shown) < 2 or shown[1] not in symbols:
        return msg.body
    short = flags[: first + 1] + shown.lstrip(symbols)
    return serialise(msg.command, [*msg.params[:6], short, *msg.params[7:]], msg.source, colon=True)


_WHOX = "tcuihsnfdlaor"
"""Fields of 354 in the order they come in, whatever was asked for first: https://ircv3.net/specs/extensions/whox ."""


def whox_reduced(msg: Message, asked: Sequence[str], symbols: str) -> Message:
    """A 354 with no more than one member symbol among its flags; `asked` holds the parameters of the WHO."""
    fields = asked[1].partition("%")[2].partition(",")[0] if len(asked) > 1 else ""
    if "f" not in fields:
        return msg
    place = 1 + sum(field in fields for field in _WHOX[: _WHOX.index("f")])
    flags = msg.param(place)
    first = len(flags) - len(flags.lstrip("HG*rRsBb"))
    shown = flags[first:]
    if len(shown) < 2 or shown[1] not in symbols:
        return msg
    short = flags[: first + 1] + shown.lstrip(symbols)
    return Message(
        msg.command, [*msg.params[:place], short, *msg.params[place + 1 :]], source=msg.source, tags=msg.tags
    )


class _Names:
    """353 for a client without one or both of the capabilities that make its entries longer."""

    def __init__(self, *, multi_prefix: bool, userhosts: bool) -> None:
        self.multi_prefix = multi_prefix
        self.userhosts = userhosts

    def reduce(self, msg: Message, _own_nick: str, symbols: str) -> bytes:
        names = msg.param(3)
        reduced = " ".join([self.entry(entry, symbols) for entry in names.split(" ")])
        if reduced == names:
            return msg.body
        return serialise(msg.command, [*msg.params[:3], reduced], msg.source, colon=True)

    def entry(self, entry: str, symbols: str) -> str:
        name = entry.lstrip(symbols)
        if not self.multi_prefix and len(entry) - len(name) > 1:
            entry = entry[0] + name
        if not self.userhosts:
            # `!` may be a member symbol too, so it is looked for behind them.
            head = len(entry) - len(name)
            entry = entry[:head] + name.partition("!")[0]
        return entry
