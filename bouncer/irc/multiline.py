"""Owns the shape of messages of several lines; sends nothing: https://ircv3.net/specs/extensions/multiline ."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bouncer.irc.message import serialise

if TYPE_CHECKING:
    from collections.abc import Iterable

CONCAT = "draft/multiline-concat"
MULTILINE = frozenset({"draft/multiline", "multiline"})


class Part(NamedTuple):
    """One line of it; `concat` joins it to the one before without a break."""

    text: str
    concat: bool = False


def joined(parts: Iterable[Part]) -> str:
    r"""The whole text, its lines parted by `\n`: what is stored."""
    text = ""
    for number, part in enumerate(parts):
        text += part.text if part.concat or not number else "\n" + part.text
    return text


def parted(text: str) -> tuple[Part, ...]:
    """The parts of a stored text; () for one that has a single line."""
    return tuple(Part(line) for line in text.split("\n")) if "\n" in text else ()


def in_batch(
    parts: Iterable[Part], command: str, target: str, source: str | None, *, reference: str, tags: str, inner: str
) -> list[bytes]:
    """BATCH +, a line a part, BATCH - (bytes with CR LF).

    `tags` (as on the wire, without `@`) belong to the message, so they stand on the opening line; `inner` on the
    others, and `batch` is among them.
    """
    head = f"@{tags} ".encode("utf-8", "surrogateescape") if tags else b""
    lines = [head + serialise("BATCH", [f"+{reference}", "draft/multiline", target], source) + b"\r\n"]
    for part in parts:
        tag = f"@{inner};{CONCAT} " if part.concat else f"@{inner} "
        line = serialise(command, [target, part.text], source, colon=True)
        lines.append(tag.encode("utf-8", "surrogateescape") + line + b"\r\n")
    lines.append(serialise("BATCH", [f"-{reference}"], source) + b"\r\n")
    return lines


def apart(parts: Iterable[Part], command: str, target: str, source: str | None) -> list[bytes]:
    """A line a part (bytes without tags and CR LF) for those who know only lines; empty ones say nothing there."""
    return [serialise(command, [target, part.text], source, colon=True) for part in parts if part.text]
