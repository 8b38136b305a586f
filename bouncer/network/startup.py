"""Owns what is said to a network right after it let us in: the user's commands, then channels; sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
            try:
                yield min(max(float(rest), 0.0), MAX_WAIT_S)
            except ValueError:
                continue
        elif text.startswith("/") and word.lower() in ("msg", "query"):
            target, _, words = rest.partition(" ")
            if target and words:
                yield serialise("PRIVMSG", [target, words], colon=True)
        elif text.startswith("/") and word.lower() in ("quote", "raw"):
            yield rest.encode("utf-8", "surrogateescape")
        elif text:
            yield text.removeprefix("/").encode("utf-8", "surrogateescape")


def joins(wanted: Iterable[tuple[str, str | None]]) -> list[list[str]]:
    """The parameters of as few JOINs as fit, channels with keys first, as their keys have to stand in front."""
    lines: list[list[str]] = []
    names: list[str] = []
    keys: list[str] = []
    for name, key in sorted(wanted, key=lambda join: join[1] is None):
        if names and len(",".join([*names, *keys, name, key or ""]).encode("utf-8", "surrogateescape")) > JOIN_BYTES:
            lines.append(_params(names, keys))
            names, keys = [], []
        names.append(name)
        if key:
            keys.append(key)
    if names:
        lines.append(_params(names, keys))
    return lines


def _params(names: list[str], keys: list[str]) -> list[str]:
    return [",".join(names), *([",".join(keys)] if keys else [])]
