"""Owns what a network says of itself in RPL_ISUPPORT (005); decides nothing about what clients are told of it.

https://modern.ircdocs.horse/#rplisupport-parameters
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bouncer.irc.casemap import Casemap, casemap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_HEX = re.compile(r"\\x([0-9A-Fa-f]{2})")
_KEY = re.compile(r"\A[A-Za-z0-9./_-]{1,64}\Z")
_PREFIX = re.compile(r"\A\(([^()]*)\)(.*)\Z")
# A network with more than these is broken or hostile; real ones have about 50.
_MAX_TOKENS = 256
_MAX_LETTERS = 64
"""Of modes of one type, or symbols: each is looked for in them, so a hostile network could make that long."""

_DEFAULTS = {
    "CASEMAPPING": "rfc1459",
    "CHANMODES": "b,k,l,imnpst",
    "CHANTYPES": "#&",
    "PREFIX": "(ov)@+",
}


class Isupport:
    """The tokens of one network and what follows from them; defaults are those of RFC 1459.

    Attributes: `casemap`; `chantypes`, such as "#&"; `prefix`, (mode letters, symbols), both highest first;
    `chanmodes`, the letters of the types A (lists), B, C, D; `statusmsg`, symbols that may stand before a channel.
    """

    __slots__ = ("_tokens", "casemap", "chanmodes", "chantypes", "prefix", "statusmsg")

    casemap: Casemap
    chanmodes: tuple[str, str, str, str]
    chantypes: str
    prefix: tuple[str, str]
    statusmsg: str

    def __init__(self) -> None:
        self._tokens: dict[str, str | None] = {}
        self._derive()

    def apply(self, params: Sequence[str], *, same_casemap: bool = False) -> list[str]:
        """Take in the parameters of one 005: nick, tokens, closing words. `same_casemap`: names are folded as before.

        Gives the tokens that changed, as they would be told to a client (`KEY=value`, `KEY`, `-KEY`). Odd tokens are
        passed over, the rest of their line counts.
        """
        changed: list[str] = []
        # Only the closing words hold a blank, and a line may lack them.
        tokens = params[1:-1] if params and " " in params[-1] else params[1:]
        for token in tokens:
            key, equals, value = token.partition("=")
            if key[:1] == "-":
                if key[1:] in self._tokens:
                    del self._tokens[key[1:]]
                    changed.append(key)
                continue
            if not _KEY.match(key) or " " in value:
                continue
            new = value if equals else None
            if key in self._tokens:
                if self._tokens[key] == new:
                    continue
            elif len(self._tokens) >= _MAX_TOKENS:
                continue
            self._tokens[key] = new
            changed.append(token)
        if changed:
            casemap = self.casemap
            self._derive()
            if same_casemap:
                self.casemap = casemap
        return changed

    def get(self, key: str) -> str | None:
        """The value of a token with its escapes undone, "" for one without; None if the network did not say it.

        An escaped CR, LF or NUL is a blank: no line could repeat it.
        """
        if key not in self._tokens:
            return None
        return _HEX.sub(_unescaped, self._tokens[key] or "")

    def number(self, key: str) -> int | None:
        """The value of a token if it is a plain number."""
        value = self.get(key)
        return int(value) if value and value.isascii() and value.isdigit() and len(value) < 10 else None

    @property
    def network(self) -> str:
        """The network's name, "" where it gives none."""
        return self.get("NETWORK") or ""

    @property
    def linelen(self) -> int:
        """Most bytes of a line with its CR LF: at least 512."""
        return max(512, self.number("LINELEN") or 0)

    @property
    def nicklen(self) -> int | None:
        """Most characters of a nick, None where the network does not say."""
        return self.number("NICKLEN")

    def is_channel(self, name: str) -> bool:
        """Whether the name is one of a channel here."""
        return bool(name) and name[0] in self.chantypes

    def split_target(self, target: str) -> tuple[str, str]:
        """(status symbols, target) of a message's target: `@#chan` is ("@", "#chan")."""
        if self.is_channel(target):
            return "", target
        symbols = self.statusmsg or self.prefix[1]
        name = target.lstrip(symbols) if symbols else target
        if name is not target and self.is_channel(name):
            return target[: len(target) - len(name)], name
        return "", target

    def tokens(self) -> list[str]:
        """All tokens as they are written in a 005."""
        return [key if value is None else f"{key}={value}" for key, value in self._tokens.items()]

    def dump(self) -> dict[str, str | None]:
        """The tokens as data for JSON."""
        return dict(self._tokens)

    def load(self, data: Mapping[str, object]) -> None:
        """Put what `dump` gave in place of all that is known; entries of another shape are passed over."""
        self._tokens = {
            key: value for key, value in data.items() if _KEY.match(key) and (value is None or isinstance(value, str))
        }
        self._derive()

    def clear(self) -> None:
        """Forget all: a new connection may find another server."""
        self._tokens.clear()
        self._derive()

    def _value(self, key: str) -> str:
        value = self.get(key)
        return _DEFAULTS[key] if value is None else value

    def _derive(self) -> None:
        self.casemap = casemap(self._value("CASEMAPPING"))
        self.chantypes = self._value("CHANTYPES")[:_MAX_LETTERS]
        found = _PREFIX.match(self._value("PREFIX"))
        if self.get("PREFIX") == "":
            self.prefix = ("", "")
        elif found and len(found[1]) == len(found[2]) <= _MAX_LETTERS:
            self.prefix = (found[1], found[2])
        else:
            self.prefix = ("ov", "@+")
        types = (letters[:_MAX_LETTERS] for letters in self._value("CHANMODES").split(",", 4))
        lists, always, setting, flags, *_ = [*types, "", "", ""]
        self.chanmodes = (lists, always, setting, flags)
        self.statusmsg = (self.get("STATUSMSG") or "")[:_MAX_LETTERS]


def _unescaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return " " if character in "\r\n\0" else character


# What the bouncer speaks itself, whatever the network does.
_OURS = frozenset({"BOUNCER_NETID", "CHATHISTORY", "FILEHOST", "MSGREFTYPES", "VAPID"})


def client_tokens(tokens: Iterable[str], network: Collection[str]) -> list[str]:
    """Those of a network's tokens that are true for a client of ours; `network` holds its capabilities."""
    kept = []
    for token in tokens:
        name = token.partition("=")[0].lstrip("-").upper().removeprefix("DRAFT/").removeprefix("SOJU.IM/")
        if name not in _OURS and (name != "CLIENTTAGDENY" or "message-tags" in network):
            kept.append(token)
    return kept
