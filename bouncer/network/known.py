"""Owns what a user's file says when a network is brought to life: its rows, and how far everybody was; one trip each.

A start brings hundreds of users to life at once, and the ORM costs some ms for each query: here rows are read bare.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from bouncer import tenant
from bouncer.models.tenant import Channel, Preference, Server, TenantBase

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    _Reader = tuple[str, list[tuple[str, Callable[[Any], Any] | None]]]

_DIALECT = sqlite_dialect()
LIVE = "WHERE auto_join OR joined OR detached OR notify <> 'mentions' ORDER BY folded"
"""Channels that a network has to know of from the start."""


class Rows(NamedTuple):
    """Rows of a file with their columns as attributes; secrets decrypted, as the ORM gives them."""

    servers: list[Any]
    channels: list[Any]
    preferences: dict[str, str]


class Standing(NamedTuple):
    """How far everybody was on a server.

    `receipts` are the last acknowledged message by client name, longest ago first; `newest_id` that of the newest
    message, 0 for none; `markers` how far (ms) a folded name has been read; `metadata` key and value by folded target.
    """

    receipts: dict[str, int]
    newest_id: int
    markers: dict[str, int]
    metadata: dict[str, dict[str, str]]


async def rows() -> Rows:
    """All servers, channels to know of, and preferences of the current tenant."""
    return await tenant.write(_rows)


async def standing(server_id: int) -> Standing:
    """What the current tenant's file knows of a server."""
    return await tenant.write(lambda connection: _standing(connection, server_id))


def _reader(model: type[TenantBase]) -> _Reader:
    """The beginning of a SELECT of all columns, and for each how its values become Python's."""
    columns = list(model.__table__.columns)
    names = ", ".join(f'"{column.name}"' for column in columns)
    processors: list[tuple[str, Callable[[Any], Any] | None]] = [
        (column.key, column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)) for column in columns
    ]
    return f"SELECT {names} FROM {model.__tablename__} ", processors  # noqa: S608 - names of our own tables


_SERVERS, _CHANNELS, _PREFERENCES = _reader(Server), _reader(Channel), _reader(Preference)


def _all(connection: sqlite3.Connection, reader: _Reader, rest: str) -> list[SimpleNamespace]:
    sql, columns = reader
    return [
        SimpleNamespace(**{
            name: value if process is None else process(value)
            for (name, process), value in zip(columns, row, strict=True)
        })
        for row in connection.execute(sql + rest)
    ]  # fmt: skip


def _rows(connection: sqlite3.Connection) -> Rows:
    preferences = {row.name: row.value for row in _all(connection, _PREFERENCES, "")}
    return Rows(_all(connection, _SERVERS, "ORDER BY id"), _all(connection, _CHANNELS, LIVE), preferences)


def _standing(connection: sqlite3.Connection, server_id: int) -> Standing:
    asked = (server_id,)
    receipts = "SELECT client, message_id FROM delivery_receipts WHERE server_id = ? ORDER BY updated_at"
    newest = connection.execute("SELECT max(id) FROM messages WHERE server_id = ?", asked).fetchone()
    metadata: dict[str, dict[str, str]] = {}
    sql = "SELECT folded, key, value FROM metadata WHERE server_id = ? ORDER BY folded, key"
    for folded, key, value in connection.execute(sql, asked):
        metadata.setdefault(folded, {})[key] = value
    return Standing(
        dict(connection.execute(receipts, asked).fetchall()),
        int(newest[0] or 0),
        dict(connection.execute("SELECT folded, time FROM read_markers WHERE server_id = ?", asked).fetchall()),
        metadata,
    )
