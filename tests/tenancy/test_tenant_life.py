"""How tenants come and go: made whole, removed without a trace; few files are open, and writers take turns."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from bouncer import tasks
from bouncer.database import open_tenant
from bouncer.errors import TenantBusyError, TenantDoesNotExistError, TenantExistsError
from bouncer.models.main import User
from bouncer.models.tenant import Message, Server
from bouncer.tenant import Lease, Tenants, handles, read, session, switch

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.database import MainDatabase
    from bouncer.vault import Vault

DEADLINE_S = 10


def a_server(address: str, name: str = "net") -> Server:
    return Server(name=name, address=address, port=6697, nickname="ada")


def write_sync(lease: Lease, address: str) -> None:
    """What the journal's hop does, for one row."""
    connection = lease.connection_sync()
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO servers (name, address, port, nickname, created_at, updated_at) VALUES (?, ?, 1, '', 0, 0)",
            (address, address),
        )


def same_worker(tenants: Tenants) -> tuple[str, str]:
    """Two ids that share a worker thread."""
    by_worker: dict[int, str] = {}
    for number in range(1, 100):
        user = str(number)
        if (first := by_worker.setdefault(tenants.worker_index(user), user)) != user:
            return first, user
    raise AssertionError


# -- making and removing -----------------------------------------------------------------------------------------


async def test_a_new_tenant_is_there_whole_and_for_its_owner_only(tenants: Tenants) -> None:
    assert not await tenants.exists(7)
    assert await tenants.create(7) == "7"
    assert await tenants.exists(7)
    assert tenants.path(7).stat().st_mode & 0o777 == 0o600
    assert tenants.path(7).parent.stat().st_mode & 0o777 == 0o700
    assert await tenants.check(7) == []
    assert await tenants.ids() == ["7"]


async def test_one_user_gets_one_tenant_however_many_ask_at_once(tenants: Tenants) -> None:
    made = await asyncio.gather(*(tenants.create(7) for _ in range(8)), return_exceptions=True)
    assert made.count("7") == 1
    assert [type(result) for result in made if result != "7"] == [TenantExistsError] * 7


async def test_what_a_crash_left_half_made_is_no_tenant_and_goes_at_the_next_start(storage: Path) -> None:
    folder = storage / "tenants"
    folder.mkdir()
    (folder / ".new-abc").write_bytes(b"half")
    (folder / "README.sqlite3").write_bytes(b"not an id of ours")
    registry = Tenants(folder)
    await registry.start()
    assert await registry.ids() == []
    assert [path.name for path in folder.iterdir()] == ["README.sqlite3"]
    await registry.close()


async def test_a_tenant_made_by_another_process_is_found(tenants: Tenants, storage: Path) -> None:
    elsewhere = Tenants(storage / "tenants")
    await elsewhere.start()
    await elsewhere.create(9)
    await elsewhere.close()
    async with tenants.switch(9) as user:
        assert user == "9"


async def test_ids_come_in_the_order_of_numbers(tenants: Tenants) -> None:
    for number in (10, 9, 100):
        await tenants.create(number)
    assert await tenants.ids() == ["9", "10", "100"]


async def test_destroying_waits_for_a_session_refuses_new_use_and_leaves_no_file(tenants: Tenants, tenant: str) -> None:
    opened, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with switch(tenant), session() as unit, unit.begin():
            unit.add(a_server("irc.example.org"))
            await unit.flush()
            opened.set()
            await done.wait()

    async with asyncio.timeout(DEADLINE_S), switch(tenant):
        await read(lambda connection: connection.execute("SELECT 1").fetchone())
        worker = tasks.spawn(work(), name="work")
        await opened.wait()
        destroying = tasks.spawn(tenants.destroy(tenant), name="destroy")
        await asyncio.sleep(0)
        assert not await tenants.exists(tenant)
        assert tenants.path(tenant).exists()
        assert not destroying.done()
        with pytest.raises(TenantDoesNotExistError):
            async with switch(tenant):
                pass
        with pytest.raises(TenantDoesNotExistError):
            async with session():
                pass
        with pytest.raises(TenantDoesNotExistError):
            await read(lambda connection: connection)
        with pytest.raises(TenantDoesNotExistError):
            tenants.try_lease(tenant)
        done.set()
        await worker
        await destroying
    assert list(tenants.path(tenant).parent.iterdir()) == []
    assert await tenants.ids() == []


async def test_destroying_gives_up_at_its_deadline_and_the_tenant_stays(tenants: Tenants, tenant: str) -> None:
    async with switch(tenant), session() as unit:
        with pytest.raises(TenantBusyError):
            await tenants.destroy(tenant, timeout_s=0.01)
        unit.add(a_server("irc.example.org"))
        await unit.commit()
    async with switch(tenant), session() as unit:
        assert await unit.scalar(select(func.count()).select_from(Server)) == 1


async def test_what_does_not_exist_cannot_be_destroyed(tenants: Tenants, tenant: str) -> None:
    await tenants.destroy(tenant)
    with pytest.raises(TenantDoesNotExistError):
        await tenants.destroy(tenant)


async def test_a_file_that_vanished_is_said_to_be_gone(tenants: Tenants, tenant: str) -> None:
    tenants.path(tenant).unlink()
    async with switch(tenant):
        with pytest.raises(TenantDoesNotExistError):
            async with session():
                pass
    with pytest.raises(TenantDoesNotExistError):
        async with switch(tenant):
            pass


async def test_a_deleted_user_leaves_no_byte_in_storage(
    main_db: MainDatabase, tenants: Tenants, storage: Path, secrets: Vault
) -> None:
    del secrets
    marks = [b"zebulon-name", b"zebulon-mail", b"zebulon-irc", b"zebulon-words"]
    async with main_db.session() as unit, unit.begin():
        user = User(name="zebulon-name", email="zebulon-mail@example.org", password_hash="x")
        unit.add(user)
    await tenants.create(user)
    async with switch(user), session() as own, own.begin():
        own.add(a_server("zebulon-irc.example.org"))
        await own.flush()
        own.add(Message(server_id=1, message_type="privmsg", content="zebulon-words", msgid="m", time=1))

    def bytes_of_storage() -> bytes:
        return b"".join(path.read_bytes() for path in storage.rglob("*") if path.is_file())

    assert all(mark in bytes_of_storage() for mark in marks)
    await tenants.destroy(user)
    assert await main_db.purge_user(user.id)
    left = bytes_of_storage()
    assert [mark for mark in marks if mark in left] == []


async def test_a_deleted_users_bytes_leave_the_log_once_nobody_reads_in_it(
    main_db: MainDatabase, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bouncer.database.CHECKPOINT_AGAIN_S", 0.01)
    main_db._pragmas = tuple(pragma.replace("busy_timeout=5000", "busy_timeout=1") for pragma in main_db._pragmas)
    async with main_db.session() as unit, unit.begin():
        user = User(name="zebulon", password_hash="x")
        unit.add(user)
    with contextlib.closing(sqlite3.connect(storage / "main.sqlite3")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM users").fetchall()
        assert not await main_db.purge_user(user.id)
        assert b"zebulon" in (storage / "main.sqlite3-wal").read_bytes()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.wait(main_db._cutting._tasks)
    assert b"zebulon" not in (storage / "main.sqlite3").read_bytes()


async def test_the_id_of_a_deleted_user_is_never_used_again(main_db: MainDatabase) -> None:
    ids = []
    for number in range(3):
        async with main_db.session() as unit, unit.begin():
            user = User(name=f"user-{number}", password_hash="x")
            unit.add(user)
        ids.append(user.id)
        await main_db.purge_user(user.id)
    assert ids == [1, 2, 3]


# -- open files ----------------------------------------------------------------------------------------------------


async def test_few_files_are_open_and_one_in_use_is_never_closed(tenants: Tenants) -> None:
    everyone = [await tenants.create(number) for number in range(1, 31)]

    async def visit(user: str) -> None:
        async with switch(user), session() as other:
            await other.scalars(select(Server))

    await visit(everyone[0])  # it has been idle before
    async with switch(everyone[0]), session() as unit:
        unit.add(a_server("irc.example.org"))
        await unit.flush()
        for user in everyone[1:]:
            await tasks.spawn(visit(user), name="visit")
            assert tenants.open_files <= 8
        await unit.commit()
    async with switch(everyone[0]), session() as unit:
        assert await unit.scalar(select(Server.address)) == "irc.example.org"


async def test_more_in_use_than_the_bound_all_work_and_the_bound_holds_again_after(tenants: Tenants) -> None:
    everyone = [await tenants.create(number) for number in range(1, 21)]
    together = asyncio.Barrier(len(everyone))

    async def visit(user: str) -> None:
        async with switch(user), session() as unit:
            await together.wait()
            await unit.scalars(select(Server))

    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(tasks.spawn(visit(user), name="visit") for user in everyone))
    assert tenants.open_files <= 8


# -- one writer at a time --------------------------------------------------------------------------------------------


async def test_a_lease_is_not_given_while_a_session_is_open_and_is_offered_when_it_ends(
    tenants: Tenants, tenant: str
) -> None:
    free = asyncio.Event()
    async with switch(tenant), session():
        assert tenants.try_lease(tenant) is None
        tenants.when_free(tenant, free.set)
        assert not free.is_set()
    async with asyncio.timeout(DEADLINE_S):
        await free.wait()
    lease = tenants.try_lease(tenant)
    assert lease is not None
    await tenants.call(tenants.worker_index(tenant), lambda: write_sync(lease, "irc.example.org"))
    lease.release()
    lease.release()
    async with switch(tenant), session() as unit:
        assert await unit.scalar(select(Server.address)) == "irc.example.org"


async def test_a_session_waits_for_a_lease(tenants: Tenants, tenant: str) -> None:
    lease = tenants.try_lease(tenant)
    assert lease is not None
    entered = asyncio.Event()

    async def work() -> None:
        async with switch(tenant), session():
            entered.set()

    worker = tasks.spawn(work(), name="work")
    await tenants.call(tenants.worker_index(tenant), lambda: write_sync(lease, "irc.example.org"))
    assert not entered.is_set()
    lease.release()
    async with asyncio.timeout(DEADLINE_S):
        await worker
    assert entered.is_set()


async def test_a_lease_finds_no_transaction_that_somebody_left_open(tenants: Tenants, tenant: str) -> None:
    worker = tenants.worker_index(tenant)
    careless = tenants.try_lease(tenant)
    assert careless is not None
    await tenants.call(worker, lambda: careless.connection_sync().execute("BEGIN IMMEDIATE"))
    careless.release()
    lease = tenants.try_lease(tenant)
    assert lease is not None
    await tenants.call(worker, lambda: write_sync(lease, "irc.example.org"))
    lease.release()


async def test_a_discarded_connection_is_opened_anew_by_whoever_comes_next(tenants: Tenants, tenant: str) -> None:
    async with switch(tenant), session() as unit:
        await unit.scalars(select(Server))
    lease = tenants.try_lease(tenant)
    assert lease is not None
    await tenants.call(tenants.worker_index(tenant), lease.discard_sync)
    lease.release()
    async with switch(tenant), session() as unit:
        assert list(await unit.scalars(select(Server))) == []


async def test_sessions_one_after_the_other_cannot_starve_the_journal(tenants: Tenants, tenant: str) -> None:
    stop = False
    free = asyncio.Event()

    async def sessions() -> None:
        while not stop:
            async with switch(tenant), session() as unit:
                await unit.scalars(select(Server))

    crowd = [tasks.spawn(sessions(), name="crowd") for _ in range(4)]
    lease = None
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.sleep(0)
        assert tenants.try_lease(tenant) is None
        while lease is None:
            tenants.when_free(tenant, free.set)
            await free.wait()
            free.clear()
            lease = tenants.try_lease(tenant)
        lease.release()
        stop = True
        await asyncio.gather(*crowd)


async def test_no_hop_opens_more_files_than_the_bound(tenants: Tenants) -> None:
    everyone = [await tenants.create(number) for number in range(1, 31)]
    worker = tenants.worker_index(everyone[0])
    mine = [user for user in everyone if tenants.worker_index(user) == worker]
    leases = [lease for user in mine if (lease := tenants.try_lease(user)) is not None]
    assert len(leases) == 4  # max_open of 8 over two workers
    offered = asyncio.Event()
    tenants.when_free(mine[-1], offered.set)
    assert tenants.try_lease(mine[-1]) is None
    for lease in leases:
        lease.release()
    async with asyncio.timeout(DEADLINE_S):
        await offered.wait()
    last = tenants.try_lease(mine[-1])
    assert last is not None
    last.release()


async def test_a_missing_file_is_the_trouble_of_its_lease_alone(tenants: Tenants) -> None:
    gone, well = same_worker(tenants)
    for user in (gone, well):
        await tenants.create(user)
    tenants.path(gone).unlink()
    results: list[type[Exception] | None] = []
    leases = [tenants.try_lease(user) for user in (gone, well)]

    def hop() -> None:
        for lease in leases:
            assert lease is not None
            try:
                write_sync(lease, "irc.example.org")
                results.append(None)
            except TenantDoesNotExistError as error:
                results.append(type(error))

    await tenants.call(tenants.worker_index(well), hop)
    for lease in leases:
        assert lease is not None
        lease.release()
    assert results == [TenantDoesNotExistError, None]


async def test_a_locked_file_fails_soon_and_holds_up_nobody_on_its_worker(tenants: Tenants) -> None:
    locked, well = same_worker(tenants)
    for user in (locked, well):
        await tenants.create(user)
    with contextlib.closing(open_tenant(tenants.path(locked), "rw")) as culprit:
        culprit.execute("BEGIN EXCLUSIVE")
        async with asyncio.timeout(DEADLINE_S):
            async with switch(locked), session() as unit:
                unit.add(a_server("irc.example.org"))
                with pytest.raises(OperationalError, match="locked"):
                    await unit.commit()
            async with switch(well), session() as unit:
                unit.add(a_server("irc.example.org"))
                await unit.commit()
        culprit.execute("ROLLBACK")
    async with switch(locked), session() as unit:
        unit.add(a_server("irc.example.org"))
        await unit.commit()
        (waits_ms,) = (await unit.execute(text("PRAGMA busy_timeout"))).one()
    assert waits_ms <= 20, "so long does everybody else on that thread wait"


async def test_a_cancelled_statement_leaves_the_tenant_usable(tenants: Tenants, tenant: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(DEADLINE_S)

    async def work() -> None:
        async with switch(tenant), session() as unit:
            unit.add(a_server("irc.example.org"))
            await unit.flush()
            blocker = tenants.call(tenants.worker_index(tenant), slow)
            await unit.scalars(select(Server))
            await blocker

    worker = tasks.spawn(work(), name="work")
    assert await asyncio.to_thread(begun.wait, DEADLINE_S)
    worker.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await worker
    async with asyncio.timeout(DEADLINE_S), switch(tenant), session() as unit:
        assert await unit.scalar(select(func.count()).select_from(Server)) == 0


async def test_waiting_for_the_lock_ends_at_its_deadline_and_the_next_in_line_gets_it() -> None:
    lock = handles.WriteLock()
    assert lock.try_acquire()
    with pytest.raises(TenantBusyError):
        await lock.acquire(timeout_s=0.01)
    waiting = tasks.spawn(lock.acquire(timeout_s=DEADLINE_S), name="waiting")
    cancelled = tasks.spawn(lock.acquire(timeout_s=DEADLINE_S), name="cancelled")
    await asyncio.sleep(0)
    cancelled.cancel()
    lock.release()
    await waiting
    assert lock.held
    lock.release()
    assert not lock.held


async def test_a_read_that_takes_too_long_is_stopped(tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bouncer.tenant.readers.READ_LIMIT_S", 0.05)
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    async with asyncio.timeout(DEADLINE_S), switch(tenant):
        with pytest.raises(TenantBusyError):
            await read(lambda connection: connection.execute(endless).fetchone())
        assert await read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)


async def test_a_read_sees_one_moment_however_many_queries_it_makes(tenants: Tenants, tenant: str) -> None:
    counted, written = threading.Event(), threading.Event()

    def twice(connection: sqlite3.Connection) -> tuple[int, int]:
        first = connection.execute("SELECT count(*) FROM servers").fetchone()[0]
        counted.set()
        written.wait(DEADLINE_S)
        return first, connection.execute("SELECT count(*) FROM servers").fetchone()[0]

    async def reading() -> tuple[int, int]:
        async with switch(tenant):
            return await read(twice)

    task = tasks.spawn(reading(), name="reading")
    assert await asyncio.to_thread(counted.wait, DEADLINE_S)
    lease = tenants.try_lease(tenant)
    assert lease is not None
    await tenants.call(tenants.worker_index(tenant), lambda: write_sync(lease, "irc.example.org"))
    lease.release()
    written.set()
    assert await task == (0, 0)


async def test_closing_ends_every_thread_and_leaves_no_log_behind(storage: Path) -> None:
    before = set(threading.enumerate())
    registry = Tenants(storage / "tenants", max_open=4)
    await registry.start()
    for number in range(1, 9):
        await registry.create(number)
        async with registry.switch(number), registry.session() as unit, unit.begin():
            unit.add(a_server("irc.example.org"))
        async with registry.switch(number):
            await registry.read(lambda connection: connection.execute("SELECT 1").fetchone())
    await registry.close()
    assert {thread for thread in set(threading.enumerate()) - before if thread.name.startswith("tenant")} == set()
