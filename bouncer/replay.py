"""Owns how a stored message becomes a line again: for playback, CHATHISTORY and search; reads nothing itself."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING

from bouncer.errors import UnsafeLineError
from bouncer.irc.format import projector, server_time
from bouncer.irc.lines import split_text
from bouncer.irc.message import Message, escape_tag, wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bouncer.history import StoredMessage

REDACTED = "[redacted]"
"""What stands for the words of a message that was taken back."""

_batch_numbers = itertools.count(1)
_TALK = frozenset({"privmsg", "action", "notice"})
_LINE = 512
_UNSAFE = str.maketrans("\r\n\0", "   ")


def message_of(stored: StoredMessage, own_nick: str) -> Message | None:
    """The line that was, addressed to `own_nick` where it was addressed to us; None for what has no line."""
    kind, text = stored.message_type, stored.content
    tags: dict[str, str] = json.loads(stored.tags) if stored.tags else {}
    if kind in _TALK or kind == "tagmsg":
        to = _target(stored, own_nick)
        if kind == "tagmsg":
            return Message("TAGMSG", [to], source=stored.sender, tags=tags)
        body = f"\x01ACTION {text}\x01" if kind == "action" else text
        return Message("NOTICE" if kind == "notice" else "PRIVMSG", [to, body], source=stored.sender, tags=tags)
    params = _event_params(kind, stored.target, text, own_nick)
    return None if params is None else Message(kind.upper(), params, source=stored.sender, tags=tags)


def _target(stored: StoredMessage, own_nick: str) -> str:
    return stored.target if stored.channel_id is not None or (stored.own and stored.target) else own_nick


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


class _Style:
    """How one client is shown stored messages: what its capabilities leave of them, and the batch they stand in.

    `stamped` puts the time (UTC) before the words for a client that has no server-time.
    """

    def __init__(self, caps: frozenset[str], own_nick: str, *, batch: str = "", stamped: bool = False) -> None:
        self._caps = caps
        self._nick = own_nick
        self._batch = batch
        self._time = bool(caps & {"server-time", "znc.in/server-time-iso"})
        self._tags = "message-tags" in caps
        self._account = "account-tag" in caps
        self._multiline = {"draft/multiline", "batch"} <= caps
        self._redacts = "draft/message-redaction" in caps
        self._stamped = stamped and not self._time
        self._in_batch = f"batch={batch};" if batch else ""

    def lines(self, stored: StoredMessage) -> bytes:
        """Every line of a message (bytes with CR LF); nothing where the client may not have it."""
        kind, text = stored.message_type, stored.content
        if kind not in _TALK:
            return self._event(stored)
        if stored.redacted is not None:
            return self._redacted(stored)
        if "\n" in text:
            return self._many(stored, text.split("\n"))
        return self._line(stored, text)

    def _line(self, stored: StoredMessage, text: str, *, first: bool = True) -> bytes:
        if "\r" in text or "\0" in text:
            text = text.translate(_UNSAFE)
        if self._stamped:
            text = time.strftime("[%H:%M:%S] ", time.gmtime(stored.time // 1000)) + text
        kind = stored.message_type
        if kind == "action":
            text = f"\x01ACTION {text}\x01"
        command = "NOTICE" if kind == "notice" else "PRIVMSG"
        tags = self._in_batch + self._tag_text(stored, msgid=first)
        head = f"@{tags[:-1]} " if tags else ""
        source = f":{stored.sender} " if stored.sender else ""
        line = f"{head}{source}{command} {_target(stored, self._nick)} :{text}\r\n"
        return line.encode("utf-8", "surrogateescape")

    def _tag_text(self, stored: StoredMessage, *, msgid: bool = True) -> str:
        """The tags this client may have, each with a `;` behind it; those of the message itself only with `msgid`."""
        text = f"time={server_time(stored.time)};" if self._time else ""
        if msgid and self._tags:
            text += f"msgid={stored.msgid};"
        if stored.tags and (self._tags or self._account):
            kept: dict[str, str] = json.loads(stored.tags)
            for key, value in kept.items():
                if self._account if key == "account" else self._tags and msgid:
                    text += f"{key}={escape_tag(value)};" if value else f"{key};"
        return text

    def _many(self, stored: StoredMessage, texts: list[str]) -> bytes:
        """A message of several lines: https://ircv3.net/specs/extensions/multiline ."""
        target = _target(stored, self._nick)
        command = "NOTICE" if stored.message_type == "notice" else "PRIVMSG"
        room = max(64, _LINE - len(f":{stored.sender} {command} {target} :\r\n".encode("utf-8", "surrogateescape")))
        parts = [
            (piece, number > 0)
            for text in texts
            for number, piece in enumerate(split_text(text.translate(_UNSAFE), room))
        ]
        if not self._multiline:
            shown = [piece for piece, _ in parts if piece]
            return b"".join(self._line(stored, piece, first=not number) for number, piece in enumerate(shown))
        reference = f"m{next(_batch_numbers)}"
        tags = self._in_batch + self._tag_text(stored)
        opening = f"@{tags[:-1]} " if tags else ""
        closing = f"@{self._in_batch[:-1]} " if self._in_batch else ""
        source = f":{stored.sender} " if stored.sender else ""
        lines = [f"{opening}{source}BATCH +{reference} draft/multiline {target}\r\n"]
        for piece, joins in parts:
            tag = ";draft/multiline-concat" if joins else ""
            lines.append(f"@batch={reference}{tag} {source}{command} {target} :{piece}\r\n")
        lines.append(f"{closing}{source}BATCH -{reference}\r\n")
        return "".join(lines).encode("utf-8", "surrogateescape")

    def _redacted(self, stored: StoredMessage) -> bytes:
        """A placeholder, and who took it back: https://ircv3.net/specs/extensions/message-redaction ."""
        line = self._line(stored, REDACTED)
        if not self._redacts:
            return line
        source, _, reason = (stored.redacted or "").partition(" ")
        to = _target(stored, self._nick)
        if stored.channel_id is None:
            to = stored.target if source.partition("!")[0] == self._nick else self._nick
        tags = self._in_batch + (f"time={server_time(stored.time)};" if self._time else "")
        tags += "draft/chathistory-context;" if self._tags else ""
        params = [to, stored.msgid, *([reason] if reason else [])]
        body = wire("REDACT", params, source or None, colon=bool(reason))
        return line + (f"@{tags[:-1]} ".encode() if tags else b"") + body

    def _event(self, stored: StoredMessage) -> bytes:
        message = message_of(stored, self._nick)
        if message is None:
            return b""
        try:
            line = projector(self._caps)(message, stored.time, stored.msgid, self._nick) or b""
        except UnsafeLineError:
            return b""  # it came in a form that we do not write
        if not line or not self._in_batch:
            return line
        if line[:1] == b"@":
            return b"@" + self._in_batch.encode() + line[1:]
        return f"@{self._in_batch[:-1]} ".encode() + line


def lines(
    messages: Iterable[StoredMessage], caps: frozenset[str], own_nick: str, *, stamped: bool = False
) -> list[bytes]:
    """Each message as one client sees it (bytes with CR LF, several lines in one); what it may not have is left out."""
    style = _Style(caps, own_nick, stamped=stamped)
    return [line for stored in messages if (line := style.lines(stored))]


def batches(caps: frozenset[str]) -> bool:
    """Whether a client knows what a batch is, by either name."""
    return "batch" in caps or "znc.in/batch" in caps


def wrap(kind: str, params: list[str], shown: list[bytes], caps: frozenset[str], *, source: str) -> bytes:
    """Single lines in a batch (bytes), or bare for a client without: https://ircv3.net/specs/extensions/batch ."""
    if not batches(caps):
        return b"".join(shown)
    reference = f"h{next(_batch_numbers)}"
    tag = b"@batch=" + reference.encode()
    inside = [tag + (b";" + line[1:] if line[:1] == b"@" else b" " + line) for line in shown]
    return b"".join([_begin(reference, kind, params, source), *inside, wire("BATCH", [f"-{reference}"], source)])


def batch(
    kind: str,
    params: list[str],
    messages: Iterable[StoredMessage],
    caps: frozenset[str],
    own_nick: str,
    *,
    source: str,
    stamped: bool = False,
) -> bytes:
    """Stored messages as `wrap` gives them; `stamped` is for clients that want times in the text."""
    if not batches(caps):
        return b"".join(lines(messages, caps, own_nick, stamped=stamped))
    reference = f"h{next(_batch_numbers)}"
    style = _Style(caps, own_nick, batch=reference, stamped=stamped)
    inside = [style.lines(stored) for stored in messages]
    return b"".join([_begin(reference, kind, params, source), *inside, wire("BATCH", [f"-{reference}"], source)])


def _begin(reference: str, kind: str, params: list[str], source: str) -> bytes:
    return wire("BATCH", [f"+{reference}", kind, *params], source)
