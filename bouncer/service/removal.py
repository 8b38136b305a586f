"""Owns deleting much history without holding the file for long: small batches, bounded by time, then a clean index."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from bouncer import tenant
from bouncer.models.tenant import Message, Server

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

BUDGET_S = 0.05
"""What one statement may take; the next batch is halved when it took longer, doubled when it took less than half."""
FIRST_BATCH, LARGEST_BATCH = 200, 5_000


async def remove_server(server_id: int) -> None:
    """Delete a server of the current tenant with everything that hangs on it."""
    await remove_messages(Message.server_id == server_id)
    async with tenant.session() as session:
        await session.execute(delete(Server).where(Server.id == server_id))
        await session.commit()


async def remove_messages(*conditions: ColumnElement[bool]) -> int:
    """Delete the current tenant's messages for which all conditions hold; gives how many.

    The index keeps deleted words readable until it is optimised, so that is done when there were any.
    """
    size, last, removed = FIRST_BATCH, 0, 0
    while True:
        began = time.monotonic()
        async with tenant.session() as session:
            query = select(Message.id).where(*conditions, Message.id > last)
            ids = list(await session.scalars(query.order_by(Message.id).limit(size)))
            if not ids:
                break
            these = (*conditions, Message.id > last, Message.id <= ids[-1])
            await session.execute(delete(Message).where(*these).execution_options(synchronize_session=False))
            await session.commit()
        last, removed = ids[-1], removed + len(ids)
        took = time.monotonic() - began
        size = max(50, size // 2) if took > BUDGET_S else min(LARGEST_BATCH, size * 2 if took < BUDGET_S / 2 else size)
        await asyncio.sleep(0)
    if removed:
        async with tenant.session() as session:
            await session.execute(text("INSERT INTO messages_fts (messages_fts) VALUES ('optimize')"))
            await session.commit()
    return removed
