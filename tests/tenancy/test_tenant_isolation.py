"""What one tenant has, no other sees: by switch, by session, by row, by table and by engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Boolean, Integer, Table, func, insert, select, text

from bouncer import tasks
from bouncer.errors import (
    BadTenantIdError,
    NoTenantError,
    TenantBusyError,
    TenantDoesNotExistError,
    TenantError,
    TenantScopeClosedError,
    WrongTenantError,
)
from bouncer.models.main import User
from bouncer.models.tenant import Channel, Server, TenantBase
from bouncer.tenant import LogFilter, Tenants, current, read, session, switch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.database import MainDatabase


def a_server(address: str, name: str = "net") -> Server:
    return Server(name=name, address=address, port=6697, nickname="ada")


async def add(user: str, *rows: TenantBase) -> None:
    async with switch(user), session() as unit, unit.begin():
        unit.add_all(rows)


async def addresses(user: str) -> list[str]:
    async with switch(user), session() as unit:
        return list(await unit.scalars(select(Server.address)))


async def test_user_a_cannot_see_user_bs_servers(tenant: str, other_tenant: str) -> None:
    """User A cannot see User B's servers."""
    await add(other_tenant, a_server("irc.example.org"))
    assert await addresses(tenant) == []
    assert await addresses(other_tenant) == ["irc.example.org"]
    async with switch(tenant), session() as unit:
        assert await unit.get(Server, 1) is None


async def test_tenant_switch_scopes_queries(tenant: str, other_tenant: str) -> None:
    """Tenant switch scopes queries."""
    await add(tenant, a_server("irc.libera.chat"))
    await add(other_tenant, a_server("irc.efnet.org"))
    found = await addresses(tenant)
    assert "irc.libera.chat" in found
    assert "irc.efnet.org" not in found


def _filled(table: Table) -> dict[str, Any]:
    """Values for every column that must have one; each parent is row 1."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.server_default is not None or (column.nullable and not column.foreign_keys):
            continue
        if isinstance(column.type, Integer):
            values[column.name] = 1
        else:
            values[column.name] = True if isinstance(column.type, Boolean) else "words"
    return values


async def _fill(unit: AsyncSession, table: Table) -> None:
    for key in table.foreign_keys:
        if (await unit.scalar(select(func.count()).select_from(key.column.table))) == 0:
            await _fill(unit, key.column.table)
    await unit.execute(table.insert().values(_filled(table)))


@pytest.mark.parametrize("table", TenantBase.metadata.sorted_tables, ids=lambda table: table.name)
async def test_a_row_in_any_table_is_not_seen_by_another_tenant(tenant: str, other_tenant: str, table: Table) -> None:
    for user in (tenant, other_tenant):  # some tables have a row from the start
        async with switch(user), session() as unit, unit.begin():
            await unit.execute(table.delete())
    async with switch(tenant), session() as unit, unit.begin():
        await _fill(unit, table)
    count = f"SELECT count(*) FROM {table.name}"  # noqa: S608 - a name from our own metadata
    seen = []
    for user in (tenant, other_tenant):
        async with switch(user):
            by_read = await read(lambda connection: connection.execute(count).fetchone()[0])
            async with session() as unit:
                by_session = await unit.scalar(select(func.count()).select_from(table))
        seen.append((by_read, by_session))
    assert seen == [(1, 1), (0, 0)]


async def test_outside_a_switch_there_is_no_tenant(tenant: str) -> None:
    del tenant
    with pytest.raises(NoTenantError):
        current()
    with pytest.raises(NoTenantError):
        async with session():
            pass
    with pytest.raises(NoTenantError):
        await read(lambda connection: connection)


async def test_a_switch_ends_with_its_block(tenant: str) -> None:
    async with switch(tenant) as inside:
        assert current() == inside == tenant
    with pytest.raises(NoTenantError):
        current()


async def test_a_user_row_can_be_switched_to(tenant: str) -> None:
    async with switch(User(id=int(tenant), name="ada")):
        assert current() == tenant


async def test_a_switch_inside_another_tenants_is_refused(tenant: str, other_tenant: str) -> None:
    async with switch(tenant):
        with pytest.raises(WrongTenantError):
            async with switch(other_tenant):
                pass
        assert current() == tenant


async def test_a_switch_inside_the_same_tenants_is_allowed(tenant: str) -> None:
    async with switch(tenant):
        async with switch(tenant):
            assert current() == tenant
        assert current() == tenant


async def test_a_switch_can_be_entered_once(tenant: str) -> None:
    once = switch(tenant)
    async with once:
        pass
    with pytest.raises(TenantError):
        async with once:
            pass


async def test_a_switch_to_nobody_is_refused(tenants: Tenants) -> None:
    with pytest.raises(TenantDoesNotExistError):
        async with tenants.switch(404):
            pass


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../1", "a/b", "A", "1.sqlite3", "a\0", "ä", "-a", "a" * 65, None, "1\n"]
)
async def test_an_id_that_could_be_a_path_is_refused(tenants: Tenants, name: Any) -> None:
    with pytest.raises(BadTenantIdError):
        tenants.path(name)
    with pytest.raises(BadTenantIdError):
        await tenants.create(name)


async def test_a_task_that_outlives_its_block_loses_the_tenant_loudly(tenant: str) -> None:
    left = asyncio.Event()

    async def leak() -> None:
        assert current() == tenant
        async with session() as unit:
            await left.wait()
            with pytest.raises(TenantScopeClosedError):
                await unit.scalars(select(Server))
            unit.add(Server())

    async with switch(tenant):
        task = asyncio.get_running_loop().create_task(leak())
        await asyncio.sleep(0)
    left.set()
    with pytest.raises(TenantScopeClosedError):
        await task


async def test_a_task_that_outlives_its_block_cannot_commit_what_it_has_begun(tenant: str) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def leak() -> None:
        async with session() as unit:
            unit.add(a_server("irc.example.org"))
            await unit.flush()
            begun.set()
            await left.wait()
            await unit.commit()

    async with switch(tenant):
        task = asyncio.get_running_loop().create_task(leak())
        await begun.wait()
    left.set()
    with pytest.raises(TenantScopeClosedError):
        await task
    assert await addresses(tenant) == []


async def test_a_task_of_our_own_starts_outside_every_tenant(tenant: str) -> None:
    async def outside() -> None:
        current()

    async with switch(tenant):
        task = tasks.spawn(outside(), name="outside")
        with pytest.raises(NoTenantError):
            await task


async def test_a_switch_in_an_async_generator_is_refused(tenant: str) -> None:
    async def rows() -> AsyncIterator[str]:
        async with switch(tenant):
            yield current()

    with pytest.raises(TenantError, match="generator"):
        await anext(rows())
    with pytest.raises(NoTenantError):
        current()


async def test_a_switch_in_a_context_manager_works_and_not_where_a_generator_uses_that(tenant: str) -> None:
    @contextlib.asynccontextmanager
    async def inside() -> AsyncIterator[str]:
        async with switch(tenant) as name:
            yield name

    async def rows() -> AsyncIterator[str]:
        async with inside():
            yield current()

    async with inside():
        assert current() == tenant
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(inside())
        assert current() == tenant
    with pytest.raises(TenantError, match="generator"):
        await anext(rows())


async def test_rows_of_two_tenants_with_one_id_are_not_equal(tenant: str, other_tenant: str) -> None:
    found = []
    for user in (tenant, other_tenant):
        await add(user, a_server("irc.example.org"))
        async with switch(user), session() as unit:
            found.append(await unit.get_one(Server, 1))
    mine, theirs = found
    assert (mine.id, mine.tenant_id) == (1, tenant)
    assert (theirs.id, theirs.tenant_id) == (1, other_tenant)
    assert mine != theirs
    assert len({mine, theirs}) == 2


@pytest.mark.parametrize("verb", ["add", "merge", "delete"])
async def test_a_row_refuses_another_tenants_session(tenant: str, other_tenant: str, verb: str) -> None:
    row = a_server("irc.example.org")
    await add(tenant, row)
    await add(other_tenant, a_server("irc.example.net"))
    async with switch(other_tenant), session() as unit:
        with pytest.raises(WrongTenantError):
            getattr(unit.sync_session, verb)(row)
    assert await addresses(other_tenant) == ["irc.example.net"]


async def test_a_row_that_was_never_saved_belongs_to_the_block_it_was_made_in(tenant: str, other_tenant: str) -> None:
    async with switch(tenant):
        row = a_server("irc.example.org")
    async with switch(other_tenant), session() as unit:
        with pytest.raises(WrongTenantError):
            unit.add(row)


async def test_a_session_refuses_to_work_in_another_tenants_block(tenant: str, other_tenant: str) -> None:
    async with switch(tenant), session() as unit:

        async def elsewhere(query: Any) -> None:
            async with switch(other_tenant):
                await query()

        for query in (
            lambda: unit.scalars(select(Server)),
            lambda: unit.execute(text("SELECT 1")),
            lambda: unit.get(Server, 1),
            unit.commit,
        ):
            with pytest.raises(WrongTenantError):
                await tasks.spawn(elsewhere(query), name="elsewhere")
            await unit.rollback()


async def test_the_engine_itself_refuses_a_statement_for_another_tenant(tenant: str, other_tenant: str) -> None:
    async with switch(tenant), session() as unit:
        connection = await unit.connection()

    async def elsewhere() -> None:
        async with switch(other_tenant), connection.engine.connect() as stolen:
            await stolen.execute(text("SELECT 1"))

    with pytest.raises(WrongTenantError):
        await tasks.spawn(elsewhere(), name="elsewhere")


async def test_models_of_the_main_database_are_not_reachable_from_a_tenants_session(tenant: str) -> None:
    async with switch(tenant), session() as unit:
        for statement in (
            select(User),
            select(Server.id, User.id),
            select(Server).where(Server.id.in_(select(User.id))),
            User.__table__.select(),
            insert(User).values(name="x"),
        ):
            with pytest.raises(WrongTenantError):
                await unit.execute(statement)
        with pytest.raises(WrongTenantError):
            unit.add(User(name="ada"))


async def test_models_of_a_tenant_are_not_reachable_from_the_main_database(main_db: MainDatabase, tenant: str) -> None:
    async with switch(tenant), main_db.session() as unit:
        for statement in (select(Server), select(User).join(Server, Server.id == User.id), Channel.__table__.select()):
            with pytest.raises(NoTenantError):
                await unit.execute(statement)
        with pytest.raises(NoTenantError):
            unit.add(a_server("irc.example.org"))


async def test_a_reading_connection_cannot_write(tenant: str) -> None:
    async with switch(tenant):
        with pytest.raises(Exception, match="readonly"):
            await read(lambda connection: connection.execute("DELETE FROM servers"))
        assert await read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)


async def test_reading_does_not_wait_for_an_open_transaction_and_sees_what_was_committed(tenant: str) -> None:
    await add(tenant, a_server("irc.example.org"))
    async with switch(tenant), session() as unit:
        unit.add(a_server("irc.example.net", name="second"))
        await unit.flush()
        found = await read(lambda connection: connection.execute("SELECT address FROM servers").fetchall())
    assert found == [("irc.example.org",)]


async def test_a_session_inside_a_session_of_the_same_task_is_refused_at_once(tenant: str) -> None:
    async with switch(tenant), session():
        with pytest.raises(TenantBusyError):
            async with session():
                pass


async def test_what_was_not_committed_is_rolled_back_even_when_the_task_is_cancelled(tenant: str) -> None:
    begun = asyncio.Event()

    async def half() -> None:
        async with switch(tenant), session() as unit:
            unit.add(a_server("irc.example.org"))
            await unit.flush()
            begun.set()
            await asyncio.Event().wait()

    task = tasks.spawn(half(), name="half")
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await addresses(tenant) == []


async def test_every_log_record_names_its_tenant(tenant: str, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("test")
    with caplog.filtering(LogFilter()):  # pytest keeps the handler for later tests
        log.warning("outside")
        async with switch(tenant):
            log.warning("inside")
    assert [vars(record)["tenant"] for record in caplog.records] == ["-", tenant]


async def test_secrets_are_plain_in_python_and_tokens_in_the_file(tenant: str, tenants: Tenants) -> None:
    row = a_server("irc.example.org")
    row.password = "correct horse"
    await add(tenant, row)
    async with switch(tenant), session() as unit:
        assert (await unit.get_one(Server, 1)).password == "correct horse"
    path: Path = tenants.path(tenant)
    raw = path.read_bytes() + path.with_name(path.name + "-wal").read_bytes()  # noqa: ASYNC240 - a test may wait
    assert b"irc.example.org" in raw
    assert b"correct horse" not in raw
