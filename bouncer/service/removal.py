"""Owns deleting much history without holding the file for long: small portions, bounded by time, then a clean file.

Call inside `tenant.switch`. Between two portions others have their turn for as long as the portion took.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import delete

from bouncer import counts, pruning, tenant
from bouncer.errors import TenantError
from bouncer.history import Buffer
from bouncer.models.tenant import Server
from bouncer.pruning import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

BUDGET_S = 0.02
"""What one portion may take; the next is halved when it took longer, doubled when it took less than half."""
FIRST_PORTION, SMALLEST_PORTION, LARGEST_PORTION = 100, 10, 1_000
LOG_BYTES = 16_000_000
"""Of the write-ahead log, from which on it is written back between two portions. The next commit begins it anew and
waits for the disk, so this is not done after every second portion."""
LOG_TRIES, LOG_WAIT_S = 20, 0.25
"""How often the log is tried to be cut off while readers need it."""
MAX_ID = 2**63 - 1
IN_LOG = "somebody was reading: some of the words may stay in the write-ahead log until it is used again"
NO_ROOM = "the file could not be written anew ({}): its free space stays in it, to be used again"


async def remove_server(server_id: int) -> None:
    """Delete a server of the current tenant with everything that hangs on it."""
    sizes = await tenant.read(counts.read_sizes)
    buffers = {size.buffer for size in sizes if size.buffer.server_id == server_id}
    for buffer in (*buffers, Buffer(server_id)):
        await remove(Span(buffer, None, None, MAX_ID))
    async with tenant.session() as session:
        await session.execute(delete(Server).where(Server.id == server_id))
        await session.commit()
    await merge_index()
    await give_space_back()


async def remove(span: Span, also: Callable[[sqlite3.Connection, int], bool] | None = None) -> int | None:
    """Delete the messages of a span, and reactions to them; how many, None when `also` said no.

    `also(connection, number)` is called in the transaction of each portion.
    """
    try:
        return await _remove(span, also)
    except Exception:
        with contextlib.suppress(sqlite3.Error, TenantError):
            await tenant.write(pruning.usual_log)
        raise


async def _remove(span: Span, also: Callable[[sqlite3.Connection, int], bool] | None) -> int | None:
    portion, removed = FIRST_PORTION, 0
    while True:
        size, began = portion, time.monotonic()
        count = await tenant.write(partial(pruning.delete_some, span=span, most=size, also=also))
        if count is None:
            return None
        removed += count
        took = time.monotonic() - began
        portion = max(SMALLEST_PORTION, portion // 2) if took > BUDGET_S else portion
        portion = min(LARGEST_PORTION, portion * 2) if took < BUDGET_S / 2 else portion
        await _write_back()
        if count < size:
            break
        await asyncio.sleep(took)
    if removed and span.before is not None:
        for day in range(pruning.LATE_DAYS):
            begin = span.before + day * counts.DAY_MS
            await _portion(partial(pruning.delete_reactions, buffer=span.buffer, begin=begin))
    return removed


async def forget_empty(buffers: Sequence[Buffer]) -> None:
    """Forget those of the conversations that have no message left."""
    numbers = [buffer.conversation_id for buffer in buffers if buffer.conversation_id is not None]
    await _portion(lambda base: pruning.delete_empty(base, numbers))


async def merge_index() -> None:
    """Have the full-text index forget the words of deleted messages."""
    await _portion(pruning.merge_begin)
    while await _portion(pruning.merge_more):
        pass


async def give_space_back() -> str:
    """Make the file as small as what is in it, and leave nothing of what was; in words, what could not be done.

    A file that an earlier version made cannot do it bit by bit: it is written anew, once, in one go.
    """
    disk = await tenant.read(counts.read_disk)
    if not disk.gives_back:
        try:
            await tenant.rebuild(tenant.current(), pruning.rebuild)
        except sqlite3.Error as error:
            return NO_ROOM.format(error)
    while await _portion(pruning.free_some):
        pass
    for _ in range(LOG_TRIES):
        if await _portion(pruning.empty_log):
            return ""
        await asyncio.sleep(LOG_WAIT_S)
    return IN_LOG


async def _portion(function: Callable[[sqlite3.Connection], T]) -> T:
    """One short piece of work, then a pause of the same length."""
    began = time.monotonic()
    outcome = await tenant.write(function)
    took = time.monotonic() - began
    await _write_back()
    await asyncio.sleep(took)
    return outcome


async def _write_back() -> None:
    """Keep the write-ahead log short without anybody's commit waiting for that."""
    path = tenant.path(tenant.current())
    if await asyncio.to_thread(_size, path.with_name(f"{path.name}-wal")) > LOG_BYTES:
        with contextlib.suppress(sqlite3.Error):
            await tenant.rebuild(tenant.current(), pruning.write_back)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
