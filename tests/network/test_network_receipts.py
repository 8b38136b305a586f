"""Receipts that moved: with the next message, alone where none comes, at once for a name that had none."""

from __future__ import annotations

import asyncio

from bouncer import journal_sql as sql
from bouncer.journal import Batch, Change, ignore_release
from bouncer.network.receipts import MovedReceipts


def rows_of(change: Change) -> list[tuple[object, ...]]:
    assert isinstance(change.params, list)
    return change.params


def written(batches: list[Batch]) -> list[list[tuple[object, ...]]]:
    """(client, message, server) of each batch."""
    return [
        [(row[0], row[1], row[3]) for change in batch.changes if change.sql is sql.RECEIPT for row in rows_of(change)]
        for batch in batches
    ]


async def test_they_go_with_the_next_message_and_not_again() -> None:
    alone: list[Batch] = []
    came = asyncio.Event()

    def submit(batch: Batch) -> None:
        alone.append(batch)
        came.set()

    receipts = MovedReceipts(7, submit)
    receipts.move("laptop", 3, at_once=False)
    receipts.move("phone", 2, at_once=False)
    receipts.move("laptop", 4, at_once=False)
    message = Batch(ignore_release)
    receipts.join(message)
    assert written([message]) == [[("laptop", 4, 7), ("phone", 2, 7)]]
    receipts.move("tablet", 9, at_once=False)
    async with asyncio.timeout(5):
        await came.wait()
    assert written(alone) == [[("tablet", 9, 7)]]
    receipts.save()
    assert len(alone) == 1


async def test_a_first_one_waits_for_nothing_and_takes_the_others_along() -> None:
    alone: list[Batch] = []
    receipts = MovedReceipts(7, alone.append)
    receipts.move("laptop", 3, at_once=False)
    receipts.move("phone", 1, at_once=True)
    receipts.move("gone", 5, at_once=False)
    receipts.forget("gone")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert written(alone) == [[("laptop", 3, 7), ("phone", 1, 7)]]
