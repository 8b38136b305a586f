"""Owns what is said to a network right after it let us in: the user's commands, then channels; sends nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bouncer.errors import UnsafeLineError
from bouncer.irc.message import serialise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

JOIN_BYTES = 400
"""Room for names and keys in one JOIN line."""
MAX_WAIT_S = 120.0


def commands(lines: Iterable[str], nick: str) -> Iterator[bytes | float]:
    """The lines to send (bytes without CR LF), and seconds to wait between them.

    `WAIT n` waits; `/msg` and `/quote` mean what they do in clients, and a slash in front of anything else is left out;
    `{nick}` is our nick.
    """
    for line in lines:
        text = line.strip().replace("{nick}", nick)
        word, _, rest = text.removeprefix("/").partition(" ")
        if word.upper() == "WAIT":
            yield from _seconds(rest)
        elif text.startswith("/") and word.lower() in ("msg", "query"):
            yield from _message(rest)
        else:
            raw = rest if text.startswith("/") and word.lower() in ("quote", "raw") else text.removeprefix("/")
            if raw:
                yield raw.encode("utf-8", "surrogateescape")


def _seconds(text: str) -> Iterator[float]:
    try:
        seconds = float(text)
    except ValueError:
        return
    if math.isfinite(seconds):
        yield min(max(seconds, 0.0), MAX_WAIT_S)


def _message(rest: str) -> Iterator[bytes]:
    target, _, words = rest.partition(" ")
    if target and words:
        try:
            yield serialise("PRIVMSG", [target, words], colon=True)
        except UnsafeLineError:
            return


def joins(wanted: Iterable[tuple[str, str | None]], most: int = 0) -> list[list[str]]:
    """The parameters of as few JOINs as fit, channels with keys first, as their keys have to stand in front.

    `most` is how many channels the network takes in one line, 0 for any number.
    """
    lines: list[list[str]] = []
    names: list[str] = []
    keys: list[str] = []
    for name, key in sorted(wanted, key=lambda join: not join[1]):
        size = len(",".join([*names, *keys, name, key or ""]).encode("utf-8", "surrogateescape"))
        if names and (size > JOIN_BYTES or len(names) == most):
            lines.append(_params(names, keys))
            names, keys = [], []
        names.append(name)
        if key:
            keys.append(key)
    if names:
        lines.append(_params(names, keys))
    return lines


def most_joined(targmax: str | None) -> int:
    """How many channels one JOIN may name: the value of TARGMAX in ISUPPORT; 0 for no limit."""
    limits = dict(item.upper().partition(":")[::2] for item in (targmax or "").split(","))
    text = limits.get("JOIN", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _params(names: list[str], keys: list[str]) -> list[str]:
    return [",".join(names), *([",".join(keys)] if keys else [])]
