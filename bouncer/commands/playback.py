"""Owns `*playback` of znc.in/playback: a client asks for what it missed, by time: https://wiki.znc.in/Playback ."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from bouncer import history, replay
from bouncer import journal_sql as sql
from bouncer.clock import now_ms
from bouncer.commands.table import Command, forward
from bouncer.commands.znc import hint, is_znc
from bouncer.history import Position
from bouncer.journal import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bouncer.commands.table import Session
    from bouncer.downstream import Client
    from bouncer.history import NamedBuffer
    from bouncer.irc.message import Message
    from bouncer.network.network import Network

TARGET = "*playback"
MASK = "*playback!playback@bouncer"
CLEARED = "bouncer/cleared"
"""The metadata key that keeps since when a buffer is played: clearing it for playback deletes no history."""

_SECONDS = re.compile(r"(\d{1,11})(?:\.(\d*))?", re.ASCII)
_USAGE = {
    "PLAY": "Usage: PLAY <buffer(s)> [from] [to]",
    "CLEAR": "Usage: CLEAR <buffer(s)>",
    "LIST": "Usage: LIST [buffer(s)]",
    "LIMIT": "Usage: LIMIT [lines]",
}

_limits: WeakKeyDictionary[Client, int] = WeakKeyDictionary()


async def command(session: Session, text: str) -> None:
    """One line said to `*playback`."""
    verb, *words = text.split() or [""]
    network, verb = session.network, verb.upper()
    if network is None:
        _say(session, "This connection is not bound to a network")
    elif verb == "PLAY" and 1 <= len(words) <= 3 and all(_ms(word) is not None for word in words[1:]):
        times = [_ms(word) for word in words[1:]]
        await _play(session, network, words[0], *times)
    elif verb == "CLEAR" and len(words) == 1:
        await _clear(session, network, words[0])
    elif verb == "LIST" and len(words) <= 1:
        await _list(session, network, words[0] if words else "*")
    elif verb == "LIMIT" and len(words) <= 1 and all(word.isascii() and word.isdigit() for word in words):
        _limit(session, words)
    elif verb in _USAGE:
        _say(session, _USAGE[verb])
    else:
        for line in _USAGE.values():
            _say(session, line)


async def _play(
    session: Session, network: Network, names: str, start: int | None = None, end: int | None = None
) -> None:
    """Messages strictly between two times (ms), the newest where there are too many: a batch for each buffer."""
    client = session.client
    limit = _limits.get(client, history.MAX_PAGE)
    stamped = await history.wants_times(client.name)
    for found in await _buffers(network, names):
        after = max(start or 0, _cleared(network, found))
        page = await history.page(
            found.buffer,
            limit,
            after=Position.after_time(after) if after else None,
            before=Position.before_time(end) if end is not None else None,
            events=False,
        )
        if page:
            # The spelling of a nick is that of its last message.
            name = found.name if found.buffer.channel_id is not None else page[-1].target or found.name
            session.answer.write(
                replay.batch(
                    "znc.in/playback", [name], page, client.caps, network.nick, source=network.source, stamped=stamped
                )
            )
            await session.answer.flush()


async def _clear(session: Session, network: Network, names: str) -> None:
    """From now on these are played from now on; CHATHISTORY and the panel still have it all."""
    now, cleared = now_ms(), await _buffers(network, names)
    for found in cleared:
        network.metadata.set(found.folded, CLEARED, str(now))
    rows: list[tuple[object, ...]] = [(found.folded, CLEARED, str(now), now, network.server_id) for found in cleared]
    if rows:
        network.keep(Change(sql.METADATA_SET, rows))
    _say(session, f"{len(cleared)} cleared for playback")


async def _list(session: Session, network: Network, names: str) -> None:
    """Name, first and last time (s) of each buffer that has something to play."""
    for found in await _buffers(network, names):
        cleared = _cleared(network, found)
        after = Position.after_time(cleared) if cleared else None
        first = await history.page(found.buffer, 1, after=after, newest=False, events=False)
        last = await history.page(found.buffer, 1, after=after, events=False)
        if first and last:
            _say(session, f"{found.name} {first[0].time / 1000:.3f} {last[0].time / 1000:.3f}")


def _limit(session: Session, words: list[str]) -> None:
    if words:
        _limits[session.client] = max(1, min(int(words[0][:9]), history.MAX_PAGE))
    _say(session, f"At most {_limits.get(session.client, history.MAX_PAGE)} lines of each buffer are played")


async def _buffers(network: Network, names: str) -> list[NamedBuffer]:
    """Channels and conversations that one of the comma-separated patterns (`*` and `?`) names, each once."""
    patterns = list(_patterns(network, names))
    return [
        found
        for found in await history.buffers(network.server_id)
        if any(pattern.fullmatch(found.folded) for pattern in patterns)
    ]


def _patterns(network: Network, names: str) -> Iterator[re.Pattern[str]]:
    for name in names.split(",")[:100]:
        if name:
            # A bracket is a letter of nicks.
            yield re.compile(fnmatch.translate(re.sub(r"\[", "[[]", network.fold(name[:200]))))


def _cleared(network: Network, found: NamedBuffer) -> int:
    value = network.metadata.of(found.folded).get(CLEARED, "0")
    return int(value) if value.isascii() and value.isdigit() else 0


def _ms(text: str) -> int | None:
    """Ms of seconds with a fraction; None for what is no time."""
    match = _SECONDS.fullmatch(text)
    return int(match[1]) * 1000 + int(((match[2] or "") + "000")[:3]) if match else None


def _say(session: Session, text: str) -> None:
    session.answer.reply("PRIVMSG", session.client.nick, text, source=MASK)


async def znc(session: Session, msg: Message) -> None:
    """`ZNC *playback PLAY …`: what /znc types; for *status and other modules there is a hint."""
    module = msg.param(0) if msg.param(0)[:1] == "*" else "*status"
    text = " ".join(msg.params[1:] if msg.param(0)[:1] == "*" else msg.params)
    if module.lower() == TARGET:
        await command(session, text)
    elif is_znc(module):
        hint(session, text, module)
    else:
        await forward(session, msg)


async def attach(session: Session, msg: Message) -> None:
    """`ATTACH` and `DETACH`, which ZNC takes without *status too."""
    hint(session, f"{msg.command} {msg.param(0)}")


table = {"ZNC": Command(znc), "ATTACH": Command(attach), "DETACH": Command(attach)}
