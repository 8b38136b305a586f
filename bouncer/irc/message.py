"""Owns one line of IRC: bytes to fields and back, exactly; knows no command and no connection.

Grammar: https://modern.ircdocs.horse/#message-format and https://ircv3.net/specs/extensions/message-tags
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from bouncer.errors import MalformedLineError, UnsafeLineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNSAFE = re.compile(r"[\r\n\0]")
_BAD_TAG_KEY = re.compile(r"[\r\n\0 ;=]")
_ESCAPE = str.maketrans({";": "\\:", " ": "\\s", "\\": "\\\\", "\r": "\\r", "\n": "\\n"})
_NEEDS_ESCAPE = re.compile(r"[; \\\r\n]")
_UNESCAPE = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


def escape_tag(value: str) -> str:
    """The form of a tag's value on the wire."""
    return value.translate(_ESCAPE) if _NEEDS_ESCAPE.search(value) else value


def unescape_tag(value: str) -> str:
    r"""The value a tag's wire form stands for; an unknown `\x` is `x`, a lone `\` at the end is nothing."""
    if "\\" not in value:
        return value
    return _ESCAPED.sub(lambda found: _UNESCAPE.get(found[1], found[1]), value)


def split_source(source: str) -> tuple[str, str, str]:
    """(nick or server, user, host) of `nick!user@host`; what is missing is an empty string."""
    rest, _, host = source.partition("@")
    nick, _, user = rest.partition("!")
    return nick, user, host


def is_middle(text: str) -> bool:
    """Whether it can be any parameter of a line, not only the last."""
    return text != "" and text[0] != ":" and " " not in text


def middle(text: str) -> str:
    """It as a parameter that is not the last: `*` for what could only stand there."""
    return text if is_middle(text) else "*"


def as_text(text: str, encoding: str = "") -> str:
    """Text fit for storage and HTML: a string with bytes that are not UTF-8 is read in `encoding` as a whole.

    "" is Windows-1252, which IRC used before.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape").decode(encoding or "cp1252", "replace")
        except UnicodeEncodeError:  # a surrogate that never was a byte, as JSON can spell one
            return text.encode("utf-8", "replace").decode()
    return text


def serialise(
    command: str,
    params: Sequence[str] = (),
    source: str | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    colon: bool = False,
) -> bytes:
    """One line without CR LF.

    `colon` writes the last parameter with its colon even where it needs none, as servers do for text.
    Raises UnsafeLineError for CR, LF or NUL, and for fields that would be read back as something else.
    """
    parts: list[str] = []
    if tags:
        if any(not key or _BAD_TAG_KEY.search(key) for key in tags):
            raise UnsafeLineError("a tag's name cannot be written")
        parts.append("@" + ";".join(f"{key}={escape_tag(value)}" if value else key for key, value in tags.items()))
    if source:
        parts.append(":" + source)
    if not command or " " in command or command[0] in ":@" or (source and " " in source):
        raise UnsafeLineError("a command or source that cannot be written")
    parts.append(command)
    if params:
        for middle in params[:-1]:
            if not middle or " " in middle or middle[0] == ":":
                raise UnsafeLineError("only the last parameter may be empty, hold a blank or begin with a colon")
            parts.append(middle)
        last = params[-1]
        parts.append(":" + last if colon or not last or " " in last or last[0] == ":" else last)
    line = " ".join(parts)
    if _UNSAFE.search(line):
        raise UnsafeLineError("CR, LF or NUL inside a line")
    return line.encode("utf-8", "surrogateescape")


def wire(
    command: str,
    params: Sequence[str] = (),
    source: str | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    colon: bool = False,
) -> bytes:
    """`serialise` with CR LF: ready for a socket."""
    return serialise(command, params, source, tags, colon=colon) + b"\r\n"


class Message:
    """One line; treat it as immutable.

    `source` is str or None, `command` upper-case, `params` a list of str. Every str is UTF-8 with surrogateescape:
    encoded again it gives exactly the bytes that came.
    """

    __slots__ = ("_raw", "_tag_text", "_tags", "command", "params", "source")

    _raw: bytes | None
    _tag_text: str
    _tags: dict[str, str] | None

    def __init__(
        self,
        command: str,
        params: Sequence[str] = (),
        *,
        source: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.command = command.upper()
        self.params = list(params)
        self.source = source
        self._tags = dict(tags) if tags else {}
        self._tag_text = ""
        self._raw = None

    @classmethod
    def parse(cls, raw: bytes) -> Message:
        """The message in one line (bytes, no CR LF). Raises MalformedLineError where there is no command."""
        self = cls.__new__(cls)
        self._raw = raw
        self._tags = None
        text = raw.decode("utf-8", "surrogateescape")
        if text[:1] == "@":
            tag_text, _, text = text.partition(" ")
            self._tag_text = tag_text
            if text[:1] == " ":
                text = text.lstrip(" ")
        else:
            self._tag_text = ""
            if text[:1] == " ":
                text = text.lstrip(" ")
        if text[:1] == ":":
            source, _, text = text.partition(" ")
            self.source = source[1:]
            if text[:1] == " ":
                text = text.lstrip(" ")
        else:
            self.source = None
        head, has_trailing, trailing = text.partition(" :")
        words = head.split(" ")
        if "" in words:
            words = [word for word in words if word]
            if not words:
                raise MalformedLineError("no command")
        if words[0][0] in ":@":  # without the tags in front of it, it would be read as tags
            raise MalformedLineError("no command")
        self.command = words.pop(0).upper()
        if has_trailing:
            words.append(trailing)
        self.params = words
        return self

    @property
    def raw(self) -> bytes:
        """The exact bytes, without CR LF; a constructed message is serialised now (UnsafeLineError)."""
        if self._raw is None:
            self._raw = serialise(self.command, self.params, self.source, self._tags)
        return self._raw

    @property
    def body(self) -> bytes:
        """The exact bytes after the tags section."""
        raw = self.raw
        return raw.partition(b" ")[2].lstrip(b" ") if raw[:1] == b"@" else raw

    @property
    def tags(self) -> dict[str, str]:
        """Tag names to unescaped values, "" for a tag without one; the last of equal names counts."""
        tags = self._tags
        if tags is None:
            tags = self._tags = {}
            if self._tag_text:
                for item in self._tag_text[1:].split(";"):
                    key, _, value = item.partition("=")
                    if key:
                        tags[key] = unescape_tag(value)
        return tags

    def tag_items(self) -> list[str]:
        """The tags as written, `key=escaped` or `key`, in their order."""
        if self._raw is None or not self._tag_text:
            return [f"{key}={escape_tag(value)}" if value else key for key, value in self.tags.items()]
        return self._tag_text[1:].split(";")

    @property
    def has_tags(self) -> bool:
        """Whether the line carried tags, known without decoding them."""
        return bool(self._tag_text or self._tags)

    @property
    def nick(self) -> str:
        """The sender's nick (or the server's name); "" without a source."""
        source = self.source
        if source is None:
            return ""
        nick, mark, _ = source.partition("!")
        return nick if mark else nick.partition("@")[0]

    @property
    def userhost(self) -> str:
        """`user@host` of the sender; "" where the source does not tell."""
        if self.source is None:
            return ""
        _, mark, userhost = self.source.partition("!")
        return userhost if mark else ""

    def param(self, index: int) -> str:
        """The parameter at `index`, "" where the line has fewer."""
        return self.params[index] if index < len(self.params) else ""

    def __repr__(self) -> str:
        return f"Message({self.command!r}, {self.params!r}, source={self.source!r}, tags={self.tags!r})"


_MAX_SEQUENCE = 0xFFFFF
_MAX_MS = (1 << 48) - 1


class MsgidFactory:
    """Makes message ids: unique across processes, each greater (as a string) than the one before, only [0-9a-f].

    Layout: 12 digits of ms, 5 of sequence within it, 16 random ones per factory. A time that goes back is held
    at the latest one seen, so the order is that of the calls.
    """

    __slots__ = ("_last_ms", "_salt", "_sequence")

    def __init__(self) -> None:
        self._salt = secrets.token_hex(8)
        self._last_ms = 0
        self._sequence = 0

    def __call__(self, time_ms: int) -> str:
        """An id for a message of `time_ms` (ms UTC)."""
        if time_ms > self._last_ms:
            self._last_ms = min(time_ms, _MAX_MS)
            self._sequence = 0
        elif self._sequence < _MAX_SEQUENCE:
            self._sequence += 1
        else:
            self._last_ms += 1
            self._sequence = 0
        return f"{self._last_ms:012x}{self._sequence:05x}{self._salt}"
