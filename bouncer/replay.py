"""Owns how a stored message becomes a line again: for playback, CHATHISTORY and search; reads nothing itself."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

from bouncer.irc.format import project
from bouncer.irc.message import Message, wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bouncer.history import StoredMessage

_batch_numbers = itertools.count(1)


def message_of(stored: StoredMessage, own_nick: str) -> Message | None:
    """The line that was, addressed to `own_nick` where it was addressed to us; None for what has no line."""
    kind, text = stored.message_type, stored.content
    tags: dict[str, str] = json.loads(stored.tags) if stored.tags else {}
    if kind in ("privmsg", "action", "notice", "tagmsg"):
        to = stored.target if stored.channel_id is not None or stored.own else own_nick
        if kind == "tagmsg":
            return Message("TAGMSG", [to], source=stored.sender, tags=tags)
        body = f"\x01ACTION {text}\x01" if kind == "action" else text
        return Message("NOTICE" if kind == "notice" else "PRIVMSG", [to, body], source=stored.sender, tags=tags)
    params = _event_params(kind, stored.target, text, own_nick)
    return None if params is None else Message(kind.upper(), params, source=stored.sender, tags=tags)


def _event_params(  # noqa: PLR0911 - one line of a table each
    kind: str, target: str, text: str, own_nick: str
) -> list[str] | None:
    match kind:
        case "join":
            return [target]
        case "part":
            return [target, text] if text else [target]
        case "quit":
            return [text]
        case "nick":
            return [text]
        case "topic":
            return [target, text]
        case "mode":
            return [target, *text.split(" ")]
        case "kick":
            nick, _, reason = text.partition(" ")
            return [target, nick, reason]
        case "invite":
            return [own_nick, target]
        case _:
            return None


def lines(messages: Iterable[StoredMessage], caps: frozenset[str], own_nick: str) -> list[bytes]:
    """Each message as one client sees it (bytes with CR LF); what it may not have is left out."""
    shown = []
    for stored in messages:
        message = message_of(stored, own_nick)
        line = project(message, caps, stored.time, stored.msgid, own_nick) if message is not None else None
        if line is not None:
            shown.append(line)
    return shown


def wrap(kind: str, params: list[str], shown: list[bytes], caps: frozenset[str], *, source: str) -> bytes:
    """Lines in a batch (bytes), or bare for a client without `batch`: https://ircv3.net/specs/extensions/batch ."""
    if "batch" not in caps:
        return b"".join(shown)
    reference = f"h{next(_batch_numbers)}"
    tag = b"@batch=" + reference.encode()
    inside = [tag + (b";" + line[1:] if line[:1] == b"@" else b" " + line) for line in shown]
    begin = wire("BATCH", [f"+{reference}", kind, *params], source)
    return b"".join([begin, *inside, wire("BATCH", [f"-{reference}"], source)])


def batch(
    kind: str, params: list[str], messages: Iterable[StoredMessage], caps: frozenset[str], own_nick: str, *, source: str
) -> bytes:
    """Stored messages as `wrap` gives them."""
    return wrap(kind, params, lines(messages, caps, own_nick), caps, source=source)
