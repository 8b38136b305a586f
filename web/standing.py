"""Owns what stands around a conversation: the list of all of them by server, and how server and channel stand."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from bouncer import browse, tenant
from bouncer.clock import now_ms
from web import present

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bouncer.browse import Entry, ServerEntry
    from bouncer.events import ServerState
    from bouncer.service.talk import Place

QUIET_MS = 30 * 86_400_000
"""A conversation in which nothing was said for this long, and nothing waits, stands behind a fold."""


class Group(NamedTuple):
    """A server with its buffers; `state` is a word for how it stands, "" when it is connected."""

    id: int
    name: str
    state: str
    recent: list[Entry]
    quiet: list[Entry]


class Standing(NamedTuple):
    """The list, and a `mark` that is another one when anything but the number of waiting lines has changed."""

    groups: list[Group]
    entries: list[Entry]
    mark: str


async def standing(states: Mapping[int, ServerState], here: str = "") -> Standing:
    """The list as it stands now; `here` is the key of the buffer that is being looked at. Inside the tenant."""
    servers, entries = await tenant.read(lambda db: (browse.read_servers(db), browse.read_overview(db)))
    return put(servers, entries, states, here)


def put(
    servers: Sequence[ServerEntry], entries: list[Entry], states: Mapping[int, ServerState], here: str = ""
) -> Standing:
    """See `standing`."""
    since = now_ms() - QUIET_MS
    quiet = {one.key for one in entries if one.buffer.conversation_id and not one.unread and one.last < since}
    groups = []
    for server in servers:
        mine = [entry for entry in entries if entry.buffer.server_id == server.id]
        state = states.get(server.id)
        word = "" if state is not None and state.state == "connected" else present.STATES[_kind(state)].word
        behind = quiet - {here}
        recent = [entry for entry in mine if entry.key not in behind]
        groups.append(Group(server.id, server.name, word, recent, [one for one in mine if one.key in behind]))
    facts = [
        *((*server, _kind(states.get(server.id)), _error(states.get(server.id))) for server in servers),
        *((one.key, one.name, one.joined, one.level, one.key in quiet) for one in entries),
    ]
    digest = hashlib.blake2b(repr(facts).encode("utf-8", "replace"), digest_size=8)
    return Standing(groups, entries, digest.hexdigest())


def _kind(state: ServerState | None) -> str:
    return "disconnected" if state is None else state.state


def _error(state: ServerState | None) -> str:
    return "" if state is None or state.state == "connected" else state.error


def trouble(place: Place, state: ServerState | None) -> str:
    """Why nothing can be said to the network now, "" when it can."""
    if _kind(state) == "connected":
        return ""
    words = "Connecting to" if _kind(state) == "connecting" else "Not connected to"
    why = "it is off" if _kind(state) == "disabled" else _error(state)
    return f"{words} {place.server.name}{': ' if why else ''}{why}"
