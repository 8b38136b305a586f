"""Owns the server form: what it shows for a new, a stored and a refused server, and what it posts means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bouncer.service.fields import CLEAR, KEEP, new_server
from web.merging import SEEN, marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bouncer.service.fields import ServerFields

SECRETS = ("password", "auth_password")
CHECKS = ("tls", "tls_verify", "auth_required", "keep_nick", "auto_away", "enabled")
TEXTS = (
    "name",
    "address",
    "port",
    "fallbacks",
    "tls_fingerprint",
    "nickname",
    "alternatives",
    "username",
    "realname",
    "auth_method",
    "auth_account",
    "connect_commands",
    "channels",
    "flood_burst",
    "flood_interval_ms",
    "regain_command",
    "away_message",
    "encoding",
    "quit_message",
)
CONFIRM = ("confirm_password", "confirm_code")
"""Who one is, where stored secrets would go to another place."""
SHOWN = frozenset((*SECRETS, *CHECKS, *TEXTS, *CONFIRM))


@dataclass(frozen=True, slots=True)
class Values:
    """What the fields show, and which secrets are stored; a secret itself is never among the values.

    `seen` are the marks of what was stored when the form was opened, "" for a server that is not there yet.
    """

    shown: Mapping[str, str | bool]
    secrets: frozenset[str] = field(default=frozenset())
    seen: str = ""

    def __getitem__(self, name: str) -> str | bool:
        return self.shown[name]

    def replaced(self, values: Mapping[str, str | bool]) -> Values:
        """The same with other values in it."""
        return replace(self, shown={**self.shown, **values})

    def opened(self, *names: str) -> bool:
        """Whether any of these has something in it, so that its part of the form is opened."""
        return any(self.shown[name] for name in names)


def fresh(user_name: str) -> Values:
    """An empty form: TLS on, connected at once, one's own name as the nick."""
    return copied(new_server(user_name))


def copied(fields: ServerFields) -> Values:
    """The form for a new server that is like these."""
    return replace(stored(fields), secrets=frozenset(), seen="")


def settings(fields: ServerFields) -> dict[str, str | bool]:
    """All but the secrets, as the form shows them."""
    shown: dict[str, str | bool] = {name: getattr(fields, name) for name in CHECKS}
    for name in TEXTS:
        value = getattr(fields, name)
        shown[name] = "" if value is None else str(value)
    return shown | {"channels": "\n".join(join.name for join in fields.channels)}


def stored(fields: ServerFields) -> Values:
    """The form for a server as it is."""
    shown, secrets = settings(fields), frozenset(name for name in SECRETS if getattr(fields, name) is KEEP)
    return Values(shown | _boxes({}), secrets, marks(shown))


def again(posted: Mapping[str, str], fields: ServerFields | None = None) -> Values:
    """The form as it was posted, secrets left out; `fields` are those of the server that is being changed."""
    base = stored(fields) if fields is not None else fresh("")
    shown: dict[str, str | bool] = {name: posted.get(name, base[name]) for name in TEXTS}
    shown |= {name: bool(posted.get(name)) for name in CHECKS}
    return Values(shown | _boxes(posted), base.secrets, posted.get(SEEN, "") if fields is not None else "")


def _boxes(posted: Mapping[str, str]) -> dict[str, str | bool]:
    return {f"{name}_clear": bool(posted.get(f"{name}_clear")) for name in SECRETS} | {"confirm_code": ""}


def raw(posted: Mapping[str, str]) -> dict[str, object]:
    """What to give to the command layer: boxes not ticked are not posted; an empty secret keeps what there is."""
    values: dict[str, object] = {name: posted[name] for name in TEXTS if name in posted}
    values |= {name: posted.get(name, "") for name in CHECKS}
    for name in SECRETS:
        if posted.get(name):
            values[name] = posted[name]
        elif posted.get(f"{name}_clear"):
            values[name] = CLEAR
    return values
