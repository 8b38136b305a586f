"""Owns how long messages are kept: the operator's bound, a user's rules, what they come to; and what would go by them.

A rule says days. It is for everything, for a server, or for a channel or person; the nearest one counts, and never
keeps longer than `[history] retention`. Days are those of UTC, so that what is kept for n days is kept for n to n + 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import update

from bouncer import counts, tenant
from bouncer.clock import now_ms
from bouncer.counts import DAY_MS
from bouncer.errors import InvalidError, NotFoundError, RefusedError
from bouncer.history import Buffer
from bouncer.models.tenant import Channel, Conversation, Preference, Server
from bouncer.pruning import Span

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from bouncer.config import Config
    from bouncer.service.live import Live

KEEP = "keep_days"
"""The preference that is the user's rule for everything."""
MAX_DAYS = 36_500
FOREVER = 0
MAX_ID = 2**63 - 1
PORTIONS = 5_000
"""Of counting that a preview waits for; a file with more to count is asked for again."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything, a whole server, or one buffer of it; `channel_id` 0 is what the server itself said."""

    server_id: int | None = None
    channel_id: int | None = None
    conversation_id: int | None = None

    @property
    def key(self) -> str:
        """As in an address: "" for everything, `n1` a server, `c5`, `p7` or `s1` as in `browse.key_of`."""
        if self.server_id is None:
            return ""
        if self.channel_id is not None:
            return f"c{self.channel_id}" if self.channel_id else f"s{self.server_id}"
        return f"n{self.server_id}" if self.conversation_id is None else f"p{self.conversation_id}"

    def holds(self, buffer: Buffer) -> bool:
        """Whether that buffer is in it."""
        if self.server_id is None or self.channel_id is self.conversation_id is None:
            return self.server_id in (None, buffer.server_id)
        own = (buffer.channel_id or 0) if buffer.conversation_id is None else None
        return (self.server_id, self.channel_id, self.conversation_id) == (
            buffer.server_id,
            own,
            buffer.conversation_id,
        )


EVERYTHING = Scope()


class Going(NamedTuple):
    """What would go of one buffer: messages, about how many bytes on disk, times (ms) of the first and the last."""

    buffer: Buffer
    server: str
    name: str
    messages: int
    bytes: int
    oldest: int
    newest: int


class Rule(NamedTuple):
    """A rule of a server or a buffer; `days` 0 keeps for ever. `name` is "" for the whole server."""

    scope: Scope
    server: str
    name: str
    days: int


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a user: `most` is the operator's bound, `general` the user's own (None: none; 0: for ever)."""

    most: int | None
    general: int | None
    special: Sequence[Rule]

    @property
    def kept(self) -> int | None:
        """For how many days is kept what has no rule of its own; None for ever."""
        return nearest(self.general, most=self.most)


def nearest(*rules: int | None, most: int | None) -> int | None:
    """What rules come to, the nearest first: days, None for ever."""
    days = next((rule for rule in rules if rule is not None), FOREVER) or None
    return days if most is None or (days is not None and days < most) else most


def days_field(text: str) -> int | None:
    """`30`, `30d`, `forever`, or `default` (None) as typed; raises InvalidError (field `days`)."""
    word = text.strip().lower()
    if word == "default":
        return None
    if word in ("forever", "ever"):
        return FOREVER
    if not (match := re.fullmatch(r"([0-9]{1,6})d?", word)) or not 1 <= int(match[1]) <= MAX_DAYS:
        raise InvalidError({"days": f"a number of days from 1 to {MAX_DAYS} (as in 90d), forever, or default"})
    return int(match[1])


_SERVERS = "SELECT id, name, keep_days FROM servers ORDER BY name"
_BUFFERS = (
    "SELECT server_id, id, NULL, name, keep_days FROM channels UNION ALL "
    "SELECT server_id, NULL, id, nick, keep_days FROM conversations ORDER BY 1, 4"
)
_GENERAL = "SELECT value FROM preferences WHERE name = 'keep_days'"


class _Named(NamedTuple):
    """A buffer with its names and its rules, the nearest first."""

    buffer: Buffer
    server: str
    name: str
    rules: tuple[int | None, ...]


def _general(connection: sqlite3.Connection) -> int | None:
    row = connection.execute(_GENERAL).fetchone()
    return int(row[0]) if row and row[0].isdecimal() else None


def _named(connection: sqlite3.Connection, change: tuple[Scope, int | None] | None = None) -> list[_Named]:
    """Every buffer there can be; with `change` as if that rule were set."""
    scope, days = change or (None, None)
    general = days if scope == EVERYTHING else _general(connection)
    servers = {
        number: (name, days if scope == Scope(number) else rule)
        for number, name, rule in connection.execute(_SERVERS).fetchall()
    }
    found = [_Named(Buffer(number), name, "", (rule, general)) for number, (name, rule) in servers.items()]
    for server_id, channel, talk, name, own in connection.execute(_BUFFERS):
        server, rule = servers[server_id]
        rule_here = days if scope == Scope(server_id, channel, talk) else own
        found.append(_Named(Buffer(server_id, channel, talk), server, name, (rule_here, rule, general)))
    return found


def read_range(
    connection: sqlite3.Connection, scope: Scope, after: int | None, before: int | None, upto: int = MAX_ID
) -> list[Span]:
    """The spans of everything in a scope between two moments (ms), without those that are empty."""
    found = [Span(one.buffer, after, before, upto) for one in _named(connection) if scope.holds(one.buffer)]
    return [span for span in found if counts.read_ends(connection, span.buffer, after, before) is not None]


def read_due(
    connection: sqlite3.Connection, most: int | None, now: int, change: tuple[Scope, int | None] | None = None
) -> list[Span]:
    """The spans of what the rules keep no longer, without those that are empty."""
    found = []
    for one in _named(connection, change):
        days = nearest(*one.rules, most=most)
        if days is not None:
            span = Span(one.buffer, None, cutoff(days, now), MAX_ID)
            if counts.read_ends(connection, span.buffer, None, span.before) is not None:
                found.append(span)
    return found


def cutoff(days: int, now: int) -> int:
    """The moment (ms) before which nothing is kept."""
    return (now // DAY_MS - days) * DAY_MS


def read_going(connection: sqlite3.Connection, spans: Sequence[Span]) -> list[Going]:
    """What these spans hold, most first; all has to be counted."""
    names = {one.buffer: one for one in _named(connection)}
    density = counts.density(counts.read_disk(connection), counts.read_sizes(connection))
    found = []
    for span in spans:
        messages, size = counts.read_span(connection, span.buffer, span.after, span.before)
        ends = counts.read_ends(connection, span.buffer, span.after, span.before)
        if messages and ends is not None:
            one = names[span.buffer]
            about = round(counts.weigh(messages, size) * density)
            found.append(Going(span.buffer, one.server, one.name, messages, about, *ends))
    return sorted(found, key=lambda going: (-going.messages, going.server, going.name))


async def count_all() -> None:
    """Count what is not counted yet; raises RefusedError when that is more than one waits for."""
    for _ in range(PORTIONS):
        if not await tenant.write(counts.count_more):
            return
    raise RefusedError("there is much to count still: try again in a minute")


class Retention:
    """All functions take the user's id and go into that tenant themselves."""

    def __init__(self, config: Config, live: Live) -> None:
        self.config = config
        self._live = live

    @property
    def most(self) -> int | None:
        """The operator's bound in days."""
        kept = self.config.history.retention
        return None if kept is None else kept // DAY_MS

    async def rules(self, user_id: int) -> Rules:
        """The user's rules, by server and name."""

        def find(connection: sqlite3.Connection) -> tuple[int | None, list[Rule]]:
            servers = connection.execute(_SERVERS).fetchall()
            found = [Rule(Scope(number), name, "", days) for number, name, days in servers if days is not None]
            names = {number: name for number, name, _ in servers}
            for server_id, channel, talk, name, days in connection.execute(_BUFFERS):
                if days is not None:
                    found.append(Rule(Scope(server_id, channel, talk), names[server_id], name, days))
            return _general(connection), sorted(found, key=lambda rule: (rule.server, rule.name))

        async with tenant.switch(user_id):
            general, special = await tenant.read(find)
        return Rules(self.most, general, special)

    async def rule(self, user_id: int, scope: Scope) -> int | None:
        """The rule of just that scope; raises NotFoundError when there is no such thing."""
        found = await self.rules(user_id)
        await self.name(user_id, scope)
        if scope == EVERYTHING:
            return found.general
        return next((rule.days for rule in found.special if rule.scope == scope), None)

    async def set_rule(self, user_id: int, scope: Scope, days: int | None) -> None:
        """Keep what is in a scope for so many days, 0 for ever, None as what is around it says. Nothing goes yet.

        Raises NotFoundError; InvalidError (field `days`) for more than the operator allows.
        """
        self.check(days)
        await self.name(user_id, scope)
        async with tenant.switch(user_id), tenant.session() as session:
            if scope == EVERYTHING:
                row = await session.get(Preference, KEEP)
                if row is not None:
                    await session.delete(row)
                    await session.flush()
                if days is not None:
                    session.add(Preference(name=KEEP, value=str(days)))
            elif scope.channel_id is not None:
                await session.execute(update(Channel).where(Channel.id == scope.channel_id).values(keep_days=days))
            elif scope.conversation_id is not None:
                talk = update(Conversation).where(Conversation.id == scope.conversation_id)
                await session.execute(talk.values(keep_days=days))
            else:
                await session.execute(update(Server).where(Server.id == scope.server_id).values(keep_days=days))
            await session.commit()

    def check(self, days: int | None) -> None:
        """Raises InvalidError (field `days`) for a rule that would keep longer than the operator allows."""
        if self.most is not None and days is not None and (days == FOREVER or days > self.most):
            raise InvalidError({"days": f"at most {self.most}: that is what this bouncer keeps"})

    async def name(self, user_id: int, scope: Scope) -> str:
        """What a scope is called; raises NotFoundError for one that is not this user's."""
        if scope.server_id is None:
            return "everything"

        def find(connection: sqlite3.Connection) -> tuple[str, str] | None:
            server = connection.execute("SELECT name FROM servers WHERE id = ?", (scope.server_id,)).fetchone()
            if server is None:
                return None
            if not scope.channel_id and scope.conversation_id is None:
                return server[0], "" if scope.channel_id is None else "server messages"
            table, column, number = ("channels", "name", scope.channel_id)
            if scope.conversation_id is not None:
                table, column, number = ("conversations", "nick", scope.conversation_id)
            sql = f"SELECT {column} FROM {table} WHERE id = ? AND server_id = ?"  # noqa: S608 - literals above
            row = connection.execute(sql, (number, scope.server_id)).fetchone()
            return None if row is None else (server[0], row[0])

        async with tenant.switch(user_id):
            found = await tenant.read(find)
        if found is None:
            raise NotFoundError("there is no such channel, conversation or server")
        return " ".join((found[1], "on", found[0])) if found[1] else found[0]

    async def names(self, user_id: int, scopes: Sequence[Scope]) -> Sequence[str]:
        """What scopes are called; "what is gone" for one that is not there any more."""
        found = []
        for scope in scopes:
            try:
                found.append(await self.name(user_id, scope))
            except NotFoundError:
                found.append("what is gone")
        return found

    async def preview_rule(self, user_id: int, scope: Scope, days: int | None) -> Sequence[Going]:
        """What would go if that rule were set now, by all rules together. Raises as `set_rule` does, RefusedError."""
        self.check(days)
        await self.name(user_id, scope)

        def find(connection: sqlite3.Connection) -> list[Going]:
            return read_going(connection, read_due(connection, self.most, now_ms(), (scope, days)))

        return await self._counted(user_id, find)

    async def preview_range(self, user_id: int, scope: Scope, after: int | None, before: int | None) -> Sequence[Going]:
        """What there is in a scope between two moments (ms); raises NotFoundError, RefusedError."""
        await self.name(user_id, scope)
        return await self._counted(
            user_id, lambda connection: read_going(connection, read_range(connection, scope, after, before))
        )

    async def _counted(self, user_id: int, find: Callable[[sqlite3.Connection], list[Going]]) -> Sequence[Going]:
        await self._live.flush(user_id)
        async with tenant.switch(user_id):
            await count_all()
            return await tenant.read(find)
