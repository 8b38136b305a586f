"""Owns what a person may decide about one channel, as a frozen record; touches no database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bouncer.errors import InvalidError
from bouncer.models.choices import DETACH_TRIGGERS, NOTIFY_LEVELS
from bouncer.service import checks
from bouncer.service.fields import KEEP, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFields:
    """`detached`: joined but hidden from clients. `detach_after_s` is seconds of silence, None for never.

    `relay_detached`, `reattach_on`, `detach_on` are one of DETACH_TRIGGERS. `notify` is what one is told of: `all`,
    `mentions` or `none`. `key`: a new value, KEEP or CLEAR.
    """

    auto_join: bool = True
    detached: bool = False
    relay_detached: str = "default"
    reattach_on: str = "default"
    detach_on: str = "default"
    detach_after_s: int | None = None
    notify: str = "mentions"
    key: str | Secret = KEEP


def _trigger(value: object) -> str:
    if value not in DETACH_TRIGGERS:
        raise ValueError(f"one of {', '.join(DETACH_TRIGGERS)}")
    return str(value)


def _level(value: object) -> str:
    if value not in NOTIFY_LEVELS:
        raise ValueError(f"one of {', '.join(NOTIFY_LEVELS)}")
    return str(value)


def _after(value: object) -> int | None:
    text = "" if value is None else str(value).strip()
    return None if text in {"", "0", "never"} else checks.duration_s(text)


def _key(value: object) -> str | Secret:
    return value if isinstance(value, Secret) else checks.channel_key(str(value).strip())


_CHECKS: dict[str, Callable[[object], Any]] = {
    "auto_join": checks.flag,
    "detached": checks.flag,
    "relay_detached": _trigger,
    "reattach_on": _trigger,
    "detach_on": _trigger,
    "detach_after_s": _after,
    "notify": _level,
    "key": _key,
}


def channel_fields(raw: Mapping[str, object], base: ChannelFields) -> ChannelFields:
    """`base` with the values of `raw` in it; an empty key leaves the stored one. Raises InvalidError."""
    values: dict[str, Any] = {}
    wrong = {name: "there is no such field" for name in raw if name not in _CHECKS}
    for name, check in _CHECKS.items():
        if name not in raw or (name == "key" and raw[name] == ""):
            continue
        try:
            values[name] = check(raw[name])
        except ValueError as error:
            wrong[name] = str(error)
    if wrong:
        raise InvalidError(wrong)
    return replace(base, **values)
