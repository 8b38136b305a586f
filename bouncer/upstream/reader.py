"""Owns the cut from bytes to messages on a hostile wire: nothing that comes stops it, and what it keeps is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.errors import MalformedLineError
from bouncer.irc.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable


class Reader:
    """Turns each read into messages; `odd(why, raw)` is told of every line passed over (W16), the rest goes on.

    Unlike `irc.lines.LineBuffer`, which serves clients and gives up on them, a line over `limit` bytes costs that line
    only. Between two reads at most `limit` bytes are kept.
    """

    __slots__ = ("_limit", "_odd", "_rest", "_skipping")

    def __init__(self, limit: int, odd: Callable[[str, bytes], None]) -> None:
        self._limit = limit
        self._odd = odd
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order."""
        if self._rest:
            data = self._rest + data
        pieces = data.split(b"\n")
        rest = pieces.pop()
        if self._skipping and pieces:
            self._skipping = False
            del pieces[0]
        if self._skipping:
            rest = b""
        elif len(rest) > self._limit:
            self._odd(f"a line of more than {self._limit} bytes", rest)
            self._skipping = True
            rest = b""
        self._rest = rest
        return self._parse(pieces, suspect=b"\0" in data or data.count(b"\r") != data.count(b"\r\n"))

    def _parse(self, pieces: list[bytes], *, suspect: bool) -> list[Message]:
        """`suspect` tells that a NUL or a lone CR may be in there: one look at the read instead of one at each line."""
        messages: list[Message] = []
        parse, add, limit = Message.parse, messages.append, self._limit
        for piece in pieces:
            raw = piece[:-1] if piece[-1:] == b"\r" else piece
            if suspect:
                raw = raw.rstrip(b"\r")
                if b"\0" in raw or b"\r" in raw:
                    self._odd("NUL or CR inside a line", raw)
                    continue
            if len(raw) > limit:
                self._odd(f"a line of more than {limit} bytes", raw)
                continue
            if not raw:
                continue
            try:
                message = parse(raw)
            except MalformedLineError:
                self._odd("a line without a command", raw)
                continue
            add(message)
        return messages
