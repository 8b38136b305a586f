"""What is submitted is stored once, in order, and told of once; a failing file holds up nobody and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from bouncer import history
from bouncer import journal_sql as sql
from bouncer.journal import ENOUGH_ROWS, Batch, Change, ignore_release
from bouncer.journal_log import LOG_PAGES
from bouncer.journal_sql import CHANNEL_JOINED, ROSTER_PUT
from bouncer.network import known
from bouncer.tenant import path, read, session, switch, write
from tests.support.journalkit import Kit, add_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bouncer.events import Trouble
    from bouncer.tenant import Tenants


async def rows(tenant: str, sql: str) -> list[tuple[object, ...]]:
    async with switch(tenant):
        return await read(lambda connection: connection.execute(sql).fetchall())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds the file's write lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


async def test_batches_are_released_in_order_once_and_have_the_ids_of_their_rows(kit: Kit) -> None:
    batches = [kit.submit(kit.row(f"{n}a"), kit.row(f"{n}b")) for n in range(50)]
    await kit.flush()
    assert kit.released == [(f"{n}{letter}", True) for n in range(50) for letter in "ab"]
    stored = await rows(kit.tenant, "SELECT id, content FROM messages ORDER BY id")
    assert stored == [(i, row.content) for batch in batches for i, row in zip(batch.ids, batch.rows, strict=True)]


async def test_a_batch_is_one_commit_and_batches_of_one_turn_share_theirs(kit: Kit) -> None:
    await kit.store(*(kit.row(str(n)) for n in range(100)))
    assert kit.journal.stats.commits == 1
    for n in range(10):
        kit.submit(kit.row(f"more {n}"))
    await kit.flush()
    assert kit.journal.stats.commits == 2
    assert kit.journal.stats.rows == 110


async def test_ids_are_never_used_again_after_the_newest_message_is_deleted(kit: Kit, tenants: Tenants) -> None:
    first = await kit.store(kit.row("first"))
    with contextlib.closing(sqlite3.connect(tenants.path(kit.tenant))) as connection, connection:
        connection.execute("DELETE FROM messages")
    second = await kit.store(kit.row("second"))
    assert second.ids[0] > first.ids[0]


async def test_an_empty_batch_is_released_in_its_turn(kit: Kit) -> None:
    order: list[str] = []
    full = kit.batch(kit.row("one"))
    full.release = lambda _batch, _stored: order.append("full")
    empty = kit.batch()
    empty.release = lambda _batch, _stored: order.append("empty")
    kit.journal.submit(kit.tenant, full)
    kit.journal.submit(kit.tenant, empty)
    await kit.flush()
    assert order == ["full", "empty"]


async def test_buffers_are_made_for_rows_that_need_one(kit: Kit) -> None:
    await kit.store(
        kit.row("1", target="#Room"), kit.row("2", target="@#room"), kit.row("3", target="Bob"), kit.row("4", target="")
    )
    assert await rows(kit.tenant, "SELECT name, folded, joined, auto_join FROM channels") == [("#Room", "#room", 0, 0)]
    assert await rows(kit.tenant, "SELECT nick, folded FROM conversations") == [("Bob", "bob")]
    kept = await rows(kit.tenant, "SELECT channel_id IS NULL, conversation_id IS NULL FROM messages ORDER BY id")
    assert kept == [(0, 1), (0, 1), (1, 0), (1, 1)]


async def test_changes_come_before_the_rows_of_their_batch(kit: Kit) -> None:
    batch = kit.batch(kit.row("hello"))
    batch.changes = [
        Change(CHANNEL_JOINED, (kit.server_id, "#ROOM", "#room")),
        Change(ROSTER_PUT, [("ada", "Ada", "o", kit.server_id, "#room"), ("bob", "bob", "", kit.server_id, "#room")]),
        Change(CHANNEL_JOINED, (kit.server_id, "#odd", "#odd")),
        Change(
            ROSTER_PUT,
            [
                ("ada", "ada", "", kit.server_id, "#room"),
                ("1e5", "1e5", "", kit.server_id, "#odd"),
                ('{"\\é𐍈', '{"\\É𐍈', "ov", kit.server_id, "#odd"),
                ("null", "null", "", kit.server_id, "#not-there"),
            ],
        ),
    ]
    kit.journal.submit(kit.tenant, batch)
    await kit.flush()
    assert await rows(kit.tenant, "SELECT name, joined FROM channels") == [("#ROOM", 1), ("#odd", 1)]
    assert await rows(kit.tenant, "SELECT channel_id, nickname, modes FROM channel_users ORDER BY 1, folded") == [
        (1, "ada", ""),
        (1, "bob", ""),
        (2, "1e5", ""),
        (2, '{"\\É𐍈', "ov"),
    ]


async def test_a_message_alone_is_stored_like_others(kit: Kit) -> None:
    first = await kit.store(kit.row("first"))
    second = await kit.store(kit.row("second"))
    gone = await kit.store(kit.row("gone")._replace(server_id=999))
    kept = await kit.store(kit.row("third"))
    wanted = await kit.store(kit.row("fourth", notify="highlight"))
    assert [*first.ids, *second.ids, *gone.ids, *kept.ids, *wanted.ids] == [1, 2, 0, 3, 4]
    assert await rows(kit.tenant, "SELECT id, content FROM messages ORDER BY id") == [
        (1, "first"), (2, "second"), (3, "third"), (4, "fourth"),
    ]  # fmt: skip
    found = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH 'second OR third OR fourth' ORDER BY rowid"
    assert await rows(kit.tenant, found) == [(2,), (3,), (4,)]
    assert await rows(kit.tenant, "SELECT message_id FROM notifications") == [(4,)]
    async with switch(kit.tenant), session() as database:
        await database.execute(text("DELETE FROM messages"))
        await database.rollback()
    assert await rows(kit.tenant, "SELECT count(*) FROM messages") == [(4,)], "a session began no transaction"


async def test_a_row_for_a_server_that_is_gone_costs_itself_only(kit: Kit) -> None:
    gone = kit.row("gone")._replace(server_id=999)
    batch = await kit.store(kit.row("before"), gone, kit.row("after", notify="highlight"))
    assert batch.ids[1] == 0
    assert await rows(kit.tenant, "SELECT id, content FROM messages ORDER BY id") == [
        (batch.ids[0], "before"),
        (batch.ids[2], "after"),
    ]
    assert await rows(kit.tenant, "SELECT message_id, reason FROM notifications") == [(batch.ids[2], "highlight")]
    assert [stored for _, stored in kit.released] == [True] * 3
    assert kit.journal.stats.lost == 0  # nobody misses the messages of a server that was removed


async def test_while_the_file_is_locked_lines_go_out_live_and_rows_follow_when_the_lock_ends(
    hasty_kit: Kit, tenants: Tenants
) -> None:
    kit = hasty_kit
    told: list[Trouble | None] = []
    kit.journal.on_trouble = lambda _tenant, trouble: told.append(trouble)
    with locked(tenants.path(kit.tenant)):
        batches = [kit.submit(kit.row("one")), kit.submit(kit.row("two"))]
        await kit.until(lambda: len(kit.released) == 2)
        batches.append(kit.submit(kit.row("three")))
        assert kit.released == [("one", False), ("two", False), ("three", False)]
        assert kit.journal.trouble(kit.tenant) is not None
        assert all(not batch.ids for batch in batches)
    await kit.flush()
    assert kit.released == [("one", False), ("two", False), ("three", False)]
    assert await rows(kit.tenant, "SELECT content FROM messages ORDER BY id") == [("one",), ("two",), ("three",)]
    assert all(batch.ids for batch in batches)
    assert told[0] is not None
    assert told[-1] is None
    assert kit.journal.trouble(kit.tenant) is None


async def test_past_the_bound_rows_are_given_up_but_their_lines_go_out_and_the_loss_is_told(
    hasty_kit: Kit, tenants: Tenants
) -> None:
    kit = hasty_kit
    told: list[Trouble | None] = []
    kit.journal.on_trouble = lambda _tenant, trouble: told.append(trouble)
    with locked(tenants.path(kit.tenant)):
        kit.submit(*(kit.row(f"kept {n}") for n in range(100)))
        kit.submit(kit.row("lost"))
        assert kit.released[-1] == ("lost", False)
    await kit.flush()
    assert await rows(kit.tenant, "SELECT count(*) FROM messages") == [(100,)]
    assert kit.journal.stats.lost == 1
    assert any(trouble is not None and trouble.lost == 1 for trouble in told)


async def test_users_whose_files_fail_share_what_may_wait(hasty_kit: Kit, tenants: Tenants, other_tenant: str) -> None:
    """100 rows may wait: the first has taken them all, the second still gets half."""
    first = hasty_kit
    second = Kit(first.journal, other_tenant, await add_server(other_tenant))
    with locked(tenants.path(first.tenant)), locked(tenants.path(other_tenant)):
        first.submit(*(first.row(str(n)) for n in range(100)))
        await first.until(lambda: len(first.released) == 100)
        for n in range(60):
            second.submit(second.row(str(n)))
        first.submit(first.row("one more"))
    await first.flush()
    await second.flush()
    assert await rows(first.tenant, "SELECT count(*) FROM messages") == [(100,)]
    assert await rows(other_tenant, "SELECT count(*) FROM messages") == [(50,)]
    assert first.journal.stats.lost == 11
    await first.store(*(first.row(f"again {n}") for n in range(100)))
    assert first.journal.stats.lost == 11


async def test_a_locked_file_holds_up_no_other_tenant(hasty_kit: Kit, tenants: Tenants, other_tenant: str) -> None:
    other = Kit(hasty_kit.journal, other_tenant, await add_server(other_tenant))
    with locked(tenants.path(hasty_kit.tenant)):
        hasty_kit.submit(hasty_kit.row("mine"))
        await other.store(other.row("theirs"))
        assert await rows(other_tenant, "SELECT content FROM messages") == [("theirs",)]
    await hasty_kit.flush()


async def test_a_release_that_raises_stops_nobody(kit: Kit) -> None:
    def broken(_batch: object, _stored: bool) -> None:
        raise ValueError("a fault of the caller's")

    batch = kit.batch(kit.row("one"))
    batch.release = broken
    kit.journal.submit(kit.tenant, batch)
    await kit.store(kit.row("two"))
    async with switch(kit.tenant):
        assert len(await history.since(kit.server_id, 0, 10)) == 2


async def test_a_redaction_reaches_the_message_that_came_in_the_same_commit(kit: Kit) -> None:
    """And one of another buffer with that msgid is left alone."""
    who = "op!o@h why"
    batch = kit.batch(kit.row("secret words"), kit.row("other words"))
    for folded in ("#elsewhere", "#room"):
        where = (kit.server_id, "id-secret words", kit.server_id, folded, kit.server_id, folded)
        batch.changes += [Change(sql.REDACT, (who if folded == "#room" else "nobody", *where))]
        batch.changes += [Change(sql.REDACT_TAGMSG, where), Change(sql.REDACT_INDEX, ())]
    kit.journal.submit(kit.tenant, batch)
    await kit.flush()
    async with switch(kit.tenant):
        stored = "SELECT content, redacted FROM messages ORDER BY id"
        assert await read(lambda db: db.execute(stored).fetchall()) == [("", who), ("other words", None)]
        assert [found.content for found in await history.search("words")] == ["other words"]


async def test_a_marker_only_moves_forward_on_disk_too(kit: Kit) -> None:
    for time_ms in (10, 30, 20):
        change = Change(sql.MARKER, ("#room", "#Room", time_ms, 0, kit.server_id))
        kit.journal.submit(kit.tenant, Batch(ignore_release, changes=[change]))
    await kit.flush()
    async with switch(kit.tenant):
        assert (await known.standing(kit.server_id)).markers == {"#room": 30}


@pytest.mark.parametrize("what", ["rows", "changes"])
async def test_a_network_is_read_on_only_when_little_waits(kit: Kit, what: str) -> None:
    """Topics and rosters without a message fill memory as well as messages do."""
    batch = kit.batch()
    if what == "rows":
        batch.rows = [kit.row(f"m{number}") for number in range(ENOUGH_ROWS + 1)]
    else:
        batch.changes = [Change(sql.CHANNEL_LEFT, (kit.server_id, "#room"))] * (ENOUGH_ROWS + 1)
    kit.journal.submit(kit.tenant, batch)
    reading = asyncio.ensure_future(kit.journal.room(kit.tenant))  # noqa: TID251 - awaited below
    await asyncio.sleep(0)
    assert not reading.done()
    await kit.flush()
    async with asyncio.timeout(10):
        await reading


async def test_buffers_are_looked_for_anew_in_a_file_that_was_put_in_the_place_of_the_first(
    kit: Kit, tenants: Tenants, other_tenant: str, tmp_path: Path
) -> None:
    other = Kit(kit.journal, other_tenant, await add_server(other_tenant))
    await kit.store(kit.row("old"))
    await other.store(other.row("elsewhere", target="#other"), other.row("here"))
    await tenants.backup(other_tenant, tmp_path / "backup")
    await tenants.restore(kit.tenant, tmp_path / "backup")
    await kit.store(kit.row("new"))
    sql = "SELECT name, content FROM messages JOIN channels ON channels.id = channel_id ORDER BY messages.id"
    assert await rows(kit.tenant, sql) == [("#other", "elsewhere"), ("#room", "here"), ("#room", "new")]


async def test_the_log_is_written_back_beside_the_commits(kit: Kit) -> None:
    async with switch(kit.tenant):
        before = await write(lambda base: base.execute("PRAGMA wal_autocheckpoint").fetchone())
        await write(lambda base: base.execute("PRAGMA wal_autocheckpoint=0").fetchone())
    assert before[0] > 2 * LOG_PAGES, "SQLite would do it first, in the commit that fills it"
    count, kept = 0, 0

    def in_file() -> int:
        with contextlib.closing(sqlite3.connect(f"{path(kit.tenant).as_uri()}?immutable=1", uri=True)) as base:
            return int(base.execute("SELECT count(*) FROM messages").fetchone()[0])

    first = 0
    async with asyncio.timeout(20):
        while kept <= first or not first:
            first = first or kept
            count += 1
            await kit.store(kit.row(f"m{count}"))
            kept = await asyncio.to_thread(in_file)
    assert kept - first >= LOG_PAGES // 24, "not with each of them"
    assert await rows(kit.tenant, "SELECT count(*) FROM messages") == [(count,)]
