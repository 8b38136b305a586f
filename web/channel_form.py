"""Owns the channel form: what it shows for a stored and a refused channel, and what it posts means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.service.fields import CLEAR, KEEP
from bouncer.service.show import duration
from web.merging import SEEN, marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bouncer.service.channel_fields import ChannelFields

CHECKS = ("auto_join", "detached")
TEXTS = ("notify", "relay_detached", "reattach_on", "detach_on", "detach_after_s")

Values = dict[str, str | bool]


def settings(fields: ChannelFields) -> Values:
    """All but the key, as the form shows them."""
    shown: Values = {name: getattr(fields, name) for name in (*CHECKS, *TEXTS)}
    after = fields.detach_after_s
    return shown | {"detach_after_s": "" if after is None else duration(after)}


def stored(fields: ChannelFields) -> Values:
    """The form for a channel as it is; `key_stored` says whether there is a key, which is never shown."""
    shown = settings(fields)
    key: Values = {"key": "", "key_clear": False, "key_stored": fields.key is KEEP}
    return shown | key | {SEEN: marks(shown)}


def again(posted: Mapping[str, str], fields: ChannelFields) -> Values:
    """The form as it was posted, without the key; the channel is as `fields` say."""
    shown: Values = {name: posted.get(name, "") for name in TEXTS}
    shown |= {name: bool(posted.get(name)) for name in (*CHECKS, "key_clear")}
    return stored(fields) | shown


def raw(posted: Mapping[str, str]) -> dict[str, object]:
    """What to give to the command layer: boxes not ticked are not posted; an empty key keeps what there is."""
    values: dict[str, object] = {name: posted[name] for name in TEXTS if name in posted}
    values |= {name: posted.get(name, "") for name in CHECKS}
    if posted.get("key"):
        values["key"] = posted["key"]
    elif posted.get("key_clear"):
        values["key"] = CLEAR
    return values
