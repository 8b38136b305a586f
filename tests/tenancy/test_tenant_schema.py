"""Schemas: models and migrations agree, old files are brought up once and whole, newer ones are refused."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import IntegrityError

from bouncer import database
from bouncer.database import MainDatabase, migrate_tenant_file, tenant_head, tenant_template
from bouncer.errors import TenantDoesNotExistError, TenantSchemaError
from bouncer.models.choices import AUTH_METHODS, SEARCHABLE_TYPES
from bouncer.models.main import Session, User
from bouncer.models.tenant import Server
from bouncer.tenant import Tenants, read, session, switch

if TYPE_CHECKING:
    from collections.abc import Iterator

NEXT = '''
from alembic import op
import sqlalchemy as sa
MARK = """
INSERT INTO servers (name, address, port, nickname, created_at, updated_at) VALUES ('mark', '', 1, '', 0, 0)
"""
revision, down_revision, branch_labels, depends_on = "9000", "HEAD", None, None
def upgrade():
    op.add_column("servers", sa.Column("colour", sa.Text(), server_default="blue", nullable=False))
    op.execute(MARK)
'''


@pytest.fixture
def old_template() -> bytes:
    """A file of the schema before the one that `newer` adds."""
    return tenant_template()


@pytest.fixture
def newer(old_template: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One more migration than the program has: what an update brings. Returns it, to be changed."""
    del old_template  # made before
    head = tenant_head()
    folders = {name: tmp_path / name for name in ("migrations", "tenant_migrations")}
    root = Path(database.__file__).parent.parent
    for name, folder in folders.items():
        shutil.copytree(root / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    added = folders["tenant_migrations"] / "versions" / "9000_colour.py"
    added.write_text(NEXT.replace("HEAD", head))
    with monkeypatch.context() as patched:
        patched.setattr(database, "_folder", folders.__getitem__)
        _forget()
        yield added
    _forget()


def _forget() -> None:
    database._revisions.cache_clear()
    database.tenant_template.cache_clear()


def version(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def marks(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM servers WHERE name = 'mark'").fetchone()[0])


def _check(folder: str, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = database._config(folder)
        config.attributes["connection"] = connection
        command.check(config)
    engine.dispose()


async def test_models_and_migrations_agree(main_db: MainDatabase, storage: Path, tenants: Tenants, tenant: str) -> None:
    """`alembic check` is clean for both databases."""
    del main_db
    await asyncio.to_thread(_check, "migrations", storage / "main.sqlite3")
    await asyncio.to_thread(_check, "tenant_migrations", tenants.path(tenant))


def test_the_files_of_the_migrations_are_named_by_their_order() -> None:
    """What is taken for the newest schema without asking Alembic is what Alembic takes for it."""
    for folder in ("migrations", "tenant_migrations"):
        scripts = ScriptDirectory.from_config(database._config(folder))
        assert list(database._revisions(folder)) == [one.revision for one in scripts.walk_revisions()][::-1]


async def test_a_start_that_finds_everything_migrated_does_without_alembic(
    main_db: MainDatabase, storage: Path, tenants: Tenants, tenant: str
) -> None:
    del main_db
    code = (
        "import asyncio, sys; from pathlib import Path; from bouncer.database import *\n"
        "asyncio.run(MainDatabase('sqlite+aiosqlite:///' + sys.argv[1]).migrate())\n"
        "assert not migrate_tenant_file(Path(sys.argv[2]))\n"
        "print('alembic' in sys.modules)"
    )
    args = [sys.executable, "-c", code, str(storage / "main.sqlite3"), str(tenants.path(tenant))]
    done = await asyncio.create_subprocess_exec(*args, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(done.communicate(), 30)
    assert (done.returncode, out.decode().strip()) == (0, "False")


async def test_every_migration_can_be_undone_and_done_again(tmp_path: Path) -> None:
    def there_and_back(folder: str) -> None:
        engine = create_engine(f"sqlite:///{tmp_path / folder}.sqlite3")
        config = database._config(folder)
        for verb, target in ((command.upgrade, "head"), (command.downgrade, "base"), (command.upgrade, "head")):
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                verb(config, target)
        engine.dispose()

    for folder in ("migrations", "tenant_migrations"):
        await asyncio.to_thread(there_and_back, folder)


async def test_the_main_database_is_migrated_any_number_of_times(main_db: MainDatabase, storage: Path) -> None:
    await main_db.migrate()
    async with main_db.session() as unit, unit.begin():
        await unit.execute(insert(User).values(name="ada", password_hash="x"))
    await main_db.migrate()
    async with main_db.session() as unit:
        assert list(await unit.scalars(select(User.name))) == ["ada"]
    assert (storage / "main.sqlite3").stat().st_mode & 0o777 == 0o600


async def test_a_new_main_database_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "made" / "main.sqlite3"
    database = MainDatabase(f"sqlite+aiosqlite:///{path}")
    await database.migrate()
    await database.close()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_a_users_browsers_go_with_the_user(main_db: MainDatabase) -> None:
    async with main_db.session() as unit, unit.begin():
        unit.add(User(name="ada", password_hash="x"))
        await unit.flush()
        unit.add(Session(token_hash="0" * 64, user_id=1, expires_at=1))
    assert await main_db.purge_user(1)
    async with main_db.session() as unit:
        assert list(await unit.scalars(select(Session.id))) == []


def test_a_new_file_has_the_newest_schema_and_a_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "1.sqlite3"
    path.write_bytes(tenant_template())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert version(path) == tenant_head()
    assert migrate_tenant_file(path) is False


async def test_an_older_file_is_migrated_when_it_is_opened(tenants: Tenants, old_template: bytes, newer: Path) -> None:
    del newer
    for number in (1, 2):
        await asyncio.to_thread(tenants.path(number).write_bytes, old_template)
    async with switch(1), session() as unit:
        assert list(await unit.scalars(select(Server.name))) == ["mark"]
    async with switch(2):
        assert await read(lambda c: c.execute("SELECT colour FROM servers").fetchall()) == [("blue",)]
    assert [version(tenants.path(number)) for number in (1, 2)] == ["9000", "9000"]


async def test_a_lease_migrates_an_older_file_too(tenants: Tenants, old_template: bytes, newer: Path) -> None:
    del newer
    await asyncio.to_thread(tenants.path(1).write_bytes, old_template)
    lease = tenants.try_lease("1")
    assert lease is not None
    count = await tenants.call(
        tenants.worker_index("1"),
        lambda: lease.connection_sync().execute("SELECT count(colour) FROM servers").fetchone(),
    )
    lease.release()
    assert count == (1,)


async def test_a_file_of_a_newer_program_is_refused(tenants: Tenants, tenant: str) -> None:
    with contextlib.closing(sqlite3.connect(tenants.path(tenant))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    async with switch(tenant):
        with pytest.raises(TenantSchemaError, match=f"tenant {tenant}.*newer"):
            async with session():
                pass
        with pytest.raises(TenantSchemaError):
            await read(lambda connection: connection)
    with pytest.raises(TenantSchemaError):
        await tenants.migrate(tenant)
    assert len(await tenants.check(tenant)) == 1


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to have a header" * 20])
async def test_a_file_that_is_no_tenants_is_refused(tenants: Tenants, content: bytes) -> None:
    await asyncio.to_thread(tenants.path(1).write_bytes, content)
    async with switch(1):
        with pytest.raises(TenantSchemaError):
            async with session():
                pass
    assert await tenants.check(1) != []


def test_alembic_never_runs_twice_at_once(tmp_path: Path, old_template: bytes, newer: Path) -> None:
    """Many files, many threads: each file gets its own migration, once. (Unguarded, all would go to one file.)"""
    del newer
    paths = [tmp_path / f"{number}.sqlite3" for number in range(1, 17)]
    for path in paths:
        path.write_bytes(old_template)
    main = MainDatabase(f"sqlite+aiosqlite:///{tmp_path / 'main.sqlite3'}")
    with ThreadPoolExecutor(16) as pool:
        others = pool.submit(asyncio.run, _migrate(main))
        results = list(pool.map(migrate_tenant_file, [*paths, *paths]))
        others.result()
    assert sorted(results) == [False] * 16 + [True] * 16
    assert [(version(path), marks(path)) for path in paths] == [("9000", 1)] * 16


async def _migrate(main: MainDatabase) -> None:
    await main.migrate()
    await main.close()


def test_a_migration_that_fails_half_way_changes_nothing(tmp_path: Path, old_template: bytes, newer: Path) -> None:
    good = newer.read_text()
    newer.write_text(good + "    op.execute('SELECT no_such_function()')\n")
    path = tmp_path / "1.sqlite3"
    path.write_bytes(old_template)
    before = version(path)
    with pytest.raises(sqlite3.OperationalError, match="no_such_function"):
        migrate_tenant_file(path)
    assert (version(path), marks(path)) == (before, 0)
    newer.write_text(good)
    _forget()
    assert migrate_tenant_file(path) is True
    assert (version(path), marks(path)) == ("9000", 1)


def test_what_is_not_there_is_not_made_by_migrating_it(tmp_path: Path) -> None:
    with pytest.raises(TenantDoesNotExistError):
        migrate_tenant_file(tmp_path / "1.sqlite3")
    assert list(tmp_path.iterdir()) == []


async def test_migrating_all_survives_a_bad_file_and_says_which(
    tenants: Tenants, old_template: bytes, newer: Path
) -> None:
    del newer
    for number in range(1, 6):
        content = b"damaged" * 1000 if number == 3 else old_template
        await asyncio.to_thread(tenants.path(number).write_bytes, content)
    seen: list[tuple[int, int, str, bool]] = []
    failures = await tenants.migrate_all(
        lambda done, total, user, error: seen.append((done, total, user, error is None))
    )
    assert list(failures) == ["3"]
    assert seen == [(number, 5, str(number), number != 3) for number in range(1, 6)]
    assert [version(tenants.path(number)) for number in (1, 2, 4, 5)] == ["9000"] * 4
    assert list(await tenants.migrate_all()) == ["3"]


# -- what the schema itself promises -------------------------------------------------------------------------------


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "empty.sqlite3"
    path.write_bytes(tenant_template())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(
            "INSERT INTO servers (name, address, port, nickname, created_at, updated_at)"
            " VALUES ('Libera', '', 1, '', 0, 0)"
        )
        connection.execute("INSERT INTO channels (server_id, name, folded) VALUES (1, '#python', '#python')")
        connection.commit()
        yield connection


def say(connection: sqlite3.Connection, words: str, kind: str = "privmsg") -> int:
    sql = "INSERT INTO messages (server_id, channel_id, message_type, content, msgid, time) VALUES (1, 1, ?, ?, '', 0)"
    return int(connection.execute(sql, (kind, words)).lastrowid or 0)


def found(connection: sqlite3.Connection, words: str) -> list[int]:
    sql = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?"
    return [row[0] for row in connection.execute(sql, (words,))]


def intact(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")


@pytest.mark.parametrize("kind", ["privmsg", "action", "notice", "topic", "join", "quit", "mode", "server"])
def test_what_people_say_is_found_and_what_servers_do_is_not(empty: sqlite3.Connection, kind: str) -> None:
    number = say(empty, "grüße an alle", kind)
    assert found(empty, "grusse OR gruße") == ([number] if kind in SEARCHABLE_TYPES else [])
    intact(empty)


def test_a_changed_message_is_found_by_its_new_words_only(empty: sqlite3.Connection) -> None:
    number = say(empty, "before")
    empty.execute("UPDATE messages SET content = 'after', time = 5")
    assert (found(empty, "before"), found(empty, "after")) == ([], [number])
    empty.execute("UPDATE messages SET message_type = 'mode'")
    assert found(empty, "after") == []
    empty.execute("UPDATE messages SET message_type = 'notice'")
    assert found(empty, "after") == [number]
    intact(empty)


def test_deleting_a_server_takes_its_messages_out_of_the_search_index(empty: sqlite3.Connection) -> None:
    number = say(empty, "farewell")
    empty.execute("INSERT INTO notifications (message_id, reason, created_at) VALUES (?, 'dm', 0)", (number,))
    empty.execute("DELETE FROM servers")
    left = [
        empty.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - literals
        for table in ("channels", "messages", "notifications")
    ]
    assert left == [0, 0, 0]
    assert found(empty, "farewell") == []
    intact(empty)


def test_ids_of_messages_are_never_used_again(empty: sqlite3.Connection) -> None:
    first = say(empty, "one")
    empty.execute("DELETE FROM messages")
    assert say(empty, "two") > first


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ("channel_id = 1", "ix_messages_channel"),
        ("conversation_id = 1", "ix_messages_conversation"),
        ("server_id = 1 AND channel_id IS NULL AND conversation_id IS NULL", "ix_messages_server"),
    ],
)
def test_a_page_of_history_is_read_from_an_index_without_sorting(
    empty: sqlite3.Connection, where: str, index: str
) -> None:
    sql = f"EXPLAIN QUERY PLAN SELECT * FROM messages WHERE {where} ORDER BY time DESC, id DESC LIMIT 50"  # noqa: S608 - literals
    plan = " ".join(row[3] for row in empty.execute(sql))
    assert index in plan
    assert "TEMP B-TREE" not in plan


async def test_server_names_are_unique_without_case(tenant: str) -> None:
    async with switch(tenant), session() as unit:
        make = functools.partial(Server, address="", port=1, nickname="")
        unit.add_all([make(name="Libera"), make(name="libera")])
        with pytest.raises(IntegrityError):
            await unit.flush()


async def test_only_known_ways_to_identify_are_stored(tenant: str) -> None:
    async with switch(tenant), session() as unit:
        make = functools.partial(Server, address="", port=1, nickname="")
        unit.add_all(make(name=method, auth_method=method) for method in AUTH_METHODS)
        await unit.flush()
        unit.add(make(name="x", auth_method="telepathy"))
        with pytest.raises(IntegrityError):
            await unit.flush()
