"""Owns the cut between bytes and lines, both ways, with a bound; does not look inside a line."""

from __future__ import annotations

from bouncer.errors import LineTooLongError

MAX_TAGS = 4096
"""Bytes of a client's tags with the @ and the blank: https://ircv3.net/specs/extensions/message-tags#size-limit ."""


def fits(line: bytes, most: int) -> bool:
    """Whether a client's line (without CR LF) keeps within MAX_TAGS and, behind its tags, `most` bytes with CR LF."""
    tags = 0
    if line[:1] == b"@":
        blank = line.find(b" ")
        tags = len(line) if blank < 0 else blank + 1
    return tags <= MAX_TAGS and len(line) - tags + 2 <= most


class LineBuffer:
    """Collects bytes and hands out complete lines.

    `limit` is the most bytes one line may have, without its CR LF: what is kept between two reads never exceeds it.
    """

    __slots__ = ("_rest", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends; blank ones are left out.

        Raises LineTooLongError at the first line over the limit, finished or not; its `complete` has the lines before.
        The buffer is empty after that: whoever goes on reads from whatever comes next.
        """
        pieces = (self._rest + data).split(b"\n")
        rest = pieces.pop()
        limit = self.limit
        lines: list[bytes] = []
        for piece in pieces:
            line = piece.rstrip(b"\r")
            if len(line) > limit:
                self._rest = b""
                raise LineTooLongError(limit, lines)
            if line:
                lines.append(line)
        if len(rest) > limit and len(rest.rstrip(b"\r")) > limit:
            self._rest = b""
            raise LineTooLongError(limit, lines)
        # A flood of nothing but CR is no line yet and must not grow without bound.
        self._rest = rest[: limit + 1]
        return lines


def split_text(text: str, room: int) -> list[str]:
    """`text` in pieces of at most `room` bytes each (UTF-8), which joined give it again.

    Cuts behind a blank where the last half of a piece has one, and never inside a character.
    Raises ValueError for a room of less than 4 bytes, which not every character fits.
    """
    if room < 4:
        raise ValueError("room for at least one character is needed")
    data = text.encode("utf-8", "surrogateescape")
    pieces: list[str] = []
    start = 0
    while len(data) - start > room:
        end = start + room
        blank = data.rfind(b" ", start + room // 2, end)
        end = blank + 1 if blank >= 0 else _character_boundary(data, start, end)
        pieces.append(data[start:end].decode("utf-8", "surrogateescape"))
        start = end
    pieces.append(data[start:].decode("utf-8", "surrogateescape"))
    return pieces


def _character_boundary(data: bytes, start: int, end: int) -> int:
    """The last cut at or before `end` that parts no UTF-8 sequence; bytes that are no UTF-8 may be parted anywhere."""
    cut = end
    while cut > start and end - cut < 4 and data[cut] & 0xC0 == 0x80:
        cut -= 1
    # Four continuation bytes in a row are no UTF-8, nor is a piece without a beginning.
    return cut if cut > start and data[cut] & 0xC0 != 0x80 else end
