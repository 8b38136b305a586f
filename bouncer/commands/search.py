"""Owns SEARCH of soju.im/search: messages by words, sender, place and time, in a batch."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from bouncer import history, replay
from bouncer.commands.history import middle, parse_time
from bouncer.commands.table import Command
from bouncer.errors import TenantError
from bouncer.irc.message import as_text, unescape_tag

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message
    from bouncer.network.network import Network

DEFAULT_LIMIT = 100
_ATTRIBUTES = frozenset({"in", "from", "after", "before", "text", "limit"})


class _Bad(Exception):  # noqa: N818 - an answer, not a fault
    """FAIL SEARCH INVALID_PARAMS: the attribute and why."""


async def search(session: Session, msg: Message) -> None:
    """`SEARCH in=#chan;from=nick;text=words`: what matches all of it, oldest first."""
    network, answer = session.network, session.answer
    if network is None:
        answer.fail("SEARCH", "INVALID_PARAMS", "*", "This connection is not bound to a network")
        return
    try:
        found = await _found(network, _attributes(msg.param(0)))
    except _Bad as bad:
        answer.fail("SEARCH", "INVALID_PARAMS", *bad.args)
        return
    except (TenantError, sqlite3.Error):
        answer.fail("SEARCH", "INTERNAL_ERROR", "The search could not be run")
        return
    answer.write(replay.batch("soju.im/search", [], found, session.client.caps, network.nick, source=network.source))


def _attributes(text: str) -> dict[str, str]:
    """What is asked, as tags are written. Raises _Bad."""
    wanted: dict[str, str] = {}
    for item in text.split(";"):
        key, _, value = item.partition("=")
        if key in _ATTRIBUTES:  # others are somebody else's, as with tags
            wanted[key] = as_text(unescape_tag(value))
    if not wanted:
        raise _Bad(middle(text), "Use some of in from after before text limit")
    return wanted


async def _found(network: Network, wanted: dict[str, str]) -> list[history.StoredMessage]:
    limit = wanted.get("limit", str(DEFAULT_LIMIT))
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9:
        raise _Bad(middle(f"limit={limit}"), "The limit is a number")
    after, before = _time(wanted, "after"), _time(wanted, "before")
    buffer = None
    if "in" in wanted:
        named = await history.find_buffer(network.server_id, network.fold(wanted["in"]))
        if named is None:
            return []
        buffer = named.buffer
    found = await history.search(
        wanted.get("text", ""),
        limit=int(limit),
        server_id=network.server_id,
        buffer=buffer,
        sender=wanted.get("from", ""),
        # These bounds take the messages at them in; those of the search leave them out.
        after_ms=None if after is None else after - 1,
        before_ms=None if before is None else before + 1,
        oldest=after is not None,
        said=True,
    )
    return sorted(found, key=lambda message: message.position)


def _time(wanted: dict[str, str], key: str) -> int | None:
    if key not in wanted:
        return None
    found = parse_time(wanted[key])
    if found is None:
        raise _Bad(middle(f"{key}={wanted[key]}"), "A time looks like 2026-01-31T12:00:00.000Z")
    return found


table = {"SEARCH": Command(search, 1)}
