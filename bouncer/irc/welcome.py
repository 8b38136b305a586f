"""Owns the lines a client gets when it is let in and when channels are shown to it; sends nothing.

All lines end in CR LF; what is put together here is cut to 512 bytes (a topic is as long as its network allows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import UnsafeLineError
from bouncer.irc import modes, numerics
from bouncer.irc.caps import NO_IMPLICIT_NAMES
from bouncer.irc.message import Message, serialise, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bouncer.irc.state import ChannelState, NetworkState

_LINE = 512
# https://modern.ircdocs.horse/#rplisupport-005
_TOKENS_A_LINE = 13
_LONG_FORM = frozenset({"extended-join", "multi-prefix", "userhost-in-names"})
_SUPPORTED = "are supported by this server"


def registration_burst(
    *,
    server: str,
    nick: str,
    mask: str,
    network: str,
    created: str,
    version: str,
    tokens: Sequence[str],
    umodes: str = "",
    motd: Sequence[str] = (),
    greeting: Mapping[str, Message] | None = None,
) -> list[bytes]:
    """001 to 005, 221 where we have modes, and the MOTD or 422.

    `greeting` holds 002 to 004 and the numbers of users (250 to 266) as the network sent them, by numeric; what it
    lacks is ours, or left out. `mask` is the client's nick!user@host, `created` the words behind "created ", `tokens`
    those of 005, `umodes` letters, `motd` lines of text.
    """
    head = f"{network} " if network else ""
    lines = [
        _line(server, numerics.RPL_WELCOME, nick, f"Welcome to the {head}Network, {mask}"),
        _line(server, numerics.RPL_YOURHOST, nick, f"Your host is {server}, running version {version}"),
        _line(server, numerics.RPL_CREATED, nick, f"This server was created {created}"),
        wire(numerics.RPL_MYINFO, [nick, server, version.replace(" ", "-"), "BDGHRTWZaghiopswxz", "imnpst"], server),
    ]
    known = {number: _readdressed(msg, nick) for number, msg in (greeting or {}).items()}
    lines[1:] = [known.pop(f"00{number}", lines[number - 1]) for number in (2, 3, 4)]
    lines += isupport_lines(server, nick, tokens)
    lines += known.values()
    if umodes:
        lines.append(wire(numerics.RPL_UMODEIS, [nick, f"+{umodes}"], server))
    return lines + motd_lines(server, nick, motd)


def isupport_lines(server: str, nick: str, tokens: Iterable[str]) -> list[bytes]:
    """005 lines of at most 13 tokens each; a token that fits no line is left out. Also for changes (`-KEY`)."""
    room = _LINE - len(serialise(numerics.RPL_ISUPPORT, [nick, _SUPPORTED], server, colon=True)) - 2
    written = [token for token in tokens if token and " " not in token]
    fitting = [token for token in written if len(token.encode("utf-8", "surrogateescape")) + 1 <= room]
    groups = _pack(fitting, room, _TOKENS_A_LINE)
    return [wire(numerics.RPL_ISUPPORT, [nick, *group, _SUPPORTED], server, colon=True) for group in groups]


def motd_lines(server: str, nick: str, motd: Sequence[str]) -> list[bytes]:
    """375, 372 for each line, 376; 422 for no lines."""
    if not motd:
        return [_line(server, numerics.ERR_NOMOTD, nick, "MOTD File is missing")]
    return [
        _line(server, numerics.RPL_MOTDSTART, nick, f"- {server} Message of the day - "),
        *(_line(server, numerics.RPL_MOTD, nick, f"- {text}") for text in motd),
        _line(server, numerics.RPL_ENDOFMOTD, nick, "End of /MOTD command."),
    ]


def channels_burst(
    state: NetworkState,
    server: str,
    caps: frozenset[str],
    *,
    account: str = "*",
    realname: str = "",
    behind_join: Callable[[str], Iterable[tuple[str, bytes]]] = lambda _name: (),
    hides: Callable[[str], bool] = lambda _name: False,
) -> list[bytes]:
    """What a client that attaches is shown of all channels: `channel_burst` of each, in the order they were joined.

    `account` ("*" for none) and `realname` are our own, for extended-join. `behind_join` gives lines to follow the
    JOIN of a channel, each with the capability it needs; `hides` tells of a channel that is not shown.
    """
    lines: list[bytes] = []
    for channel in state.channels.values():
        if hides(channel.name):
            continue
        behind = behind_join(channel.name)
        lines += channel_burst(state, channel, server, caps, account=account, realname=realname, behind=behind)
    return lines


def channel_burst(
    state: NetworkState,
    channel: ChannelState,
    server: str,
    caps: frozenset[str],
    *,
    account: str = "*",
    realname: str = "",
    behind: Iterable[tuple[str, bytes]] = (),
) -> list[bytes]:
    """JOIN, what follows it (`behind`, each line with the capability it needs), topic (332, 333), names (353, 366)."""
    extra = [account or "*", realname] if "extended-join" in caps else []
    lines = [wire("JOIN", [channel.name, *extra], state.mask, colon=bool(extra))]
    lines += [line for cap, line in behind if cap in caps]
    lines += topic_lines(state, channel, server)
    return lines if not caps.isdisjoint(NO_IMPLICIT_NAMES) else lines + names_lines(state, channel, server, caps)


def rename_fallback(
    state: NetworkState, channel: ChannelState, server: str, old: str, reason: str, realname: str
) -> tuple[Message, ...]:
    """What a channel's new name is to clients that do not know RENAME: we leave `old` and are on the new one.

    The lines are in the long form; each client is shown what its capabilities leave of them.
    """
    words = f"Channel renamed: {reason}" if reason else "Channel renamed"
    part = wire("PART", [old, words], state.mask, colon=True)
    return (Message.parse(part.rstrip(b"\r\n")), *burst_messages(state, channel, server, realname))


def burst_messages(state: NetworkState, channel: ChannelState, server: str, realname: str) -> tuple[Message, ...]:
    """`channel_burst` in the long form, the JOIN first; each client is shown what its capabilities leave of them."""
    burst = channel_burst(state, channel, server, _LONG_FORM, realname=realname)
    return tuple(Message.parse(line.rstrip(b"\r\n")) for line in burst)


def topic_lines(state: NetworkState, channel: ChannelState, server: str) -> list[bytes]:
    """332 and, where it is known who set it and when, 333; nothing without a topic."""
    if not channel.topic:
        return []
    lines = [wire(numerics.RPL_TOPIC, [state.nick, channel.name, channel.topic], server, colon=True)]
    if channel.topic_by and channel.topic_at:
        who = [state.nick, channel.name, channel.topic_by, str(channel.topic_at // 1000)]
        lines.append(wire(numerics.RPL_TOPICWHOTIME, who, server))
    return lines


def names_lines(state: NetworkState, channel: ChannelState, server: str, caps: frozenset[str]) -> list[bytes]:
    """353 lines and the 366 of one channel; symbols and masks as the client's capabilities allow."""
    mark = "@" if "s" in channel.modes else "*" if "p" in channel.modes else "="
    head = [state.nick, mark, channel.name]
    room = _LINE - len(serialise(numerics.RPL_NAMREPLY, [*head, ""], server)) - 2
    names = _names(state, channel, every="multi-prefix" in caps, userhosts="userhost-in-names" in caps)
    lines = [
        wire(numerics.RPL_NAMREPLY, [*head, " ".join(group)], server, colon=True) for group in _pack(names, room + 1)
    ]
    lines.append(wire(numerics.RPL_ENDOFNAMES, [state.nick, channel.name, "End of /NAMES list."], server, colon=True))
    return lines


def _names(state: NetworkState, channel: ChannelState, *, every: bool, userhosts: bool) -> Iterable[str]:
    isupport = state.isupport
    users = state.users
    for nick, letters in channel.members.items():
        shown = modes.symbols(letters if every else letters[:1], isupport) if letters else ""
        userhost = users.find(nick) if userhosts else None
        yield f"{shown}{nick}!{userhost}" if userhost else shown + nick


def _pack(words: Iterable[str], room: int, most: int = _LINE) -> list[list[str]]:
    """Words in groups of at most `most`, each taking no more than `room` bytes with a blank per word."""
    groups: list[list[str]] = []
    left = count = 0
    for word in words:
        size = len(word.encode("utf-8", "surrogateescape")) + 1
        if not groups or size > left or count >= most:
            groups.append([])
            left, count = room, 0
        groups[-1].append(word)
        left -= size
        count += 1
    return groups


def _readdressed(msg: Message, nick: str) -> bytes:
    """A numeric of the network for our nick of today."""
    params = [nick, *msg.params[1:]]
    try:
        return wire(msg.command, params, msg.source, colon=" :" in msg.raw.decode("utf-8", "replace"))
    except UnsafeLineError:
        return b""


def _line(server: str, number: str, nick: str, text: str) -> bytes:
    """A numeric with one text, cut where the line would be too long."""
    line = serialise(number, [nick, text], server, colon=True)
    if len(line) > _LINE - 2:
        line = line[: _LINE - 2].decode("utf-8", "ignore").encode()
    return line + b"\r\n"
