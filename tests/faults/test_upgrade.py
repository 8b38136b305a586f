"""Files of every schema there ever was are brought up to date, killed half-way or not; a newer one is refused."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from bouncer import vault
from bouncer.database import MainDatabase, migrate_tenant_file, tenant_head, tenant_template
from bouncer.tenant.tools import check
from soak.kill import until_written
from soak.world import World, without_privileges
from tests.faults import make_fixtures as made
from tests.faults.make_fixtures import MESSAGES, RECEIPT, USERS, revisions, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN, TENANT = revisions("migrations"), revisions("tenant_migrations")
OLD = dict(zip(USERS, TENANT, strict=False))
"""User -> the schema of their file."""
BROKEN = dict(zip(USERS[len(OLD) :], ("newer", "empty", "noise", "folder", "forbidden", "missing"), strict=False))
"""User -> what is wrong with their file."""
READ_ONLY = USERS[len(OLD) + len(BROKEN)]
"""Whose file may be read, but not written."""
EVERYBODY = (*OLD, *BROKEN, READ_ONLY)
SAID = {
    "newer": "written by a newer version",
    "empty": "not a tenant file",
    "noise": "not a tenant file",
    "folder": "unable to open database file",
    "forbidden": "unable to open database file",
    "missing": "does not exist",
}


@pytest.mark.parametrize("folder", ["migrations", "tenant_migrations"])
def test_there_is_a_file_of_each_schema(folder: str) -> None:
    """A new migration comes with one: `python -m tests.faults.make_fixtures`."""
    assert [one for one in revisions(folder) if not made.fixture(folder, one).exists()] == []


@pytest.fixture
def keys() -> Iterator[vault.Vault]:
    keys = vault.Vault(made.KEY)
    vault.install(keys)
    yield keys
    vault.install(None)


@pytest.mark.parametrize("revision", TENANT)
def test_a_users_file_of_that_schema_has_all_it_had(tmp_path: Path, revision: str, keys: vault.Vault) -> None:
    path = tmp_path / "1.sqlite3"
    unpack("tenant_migrations", revision, path)
    assert migrate_tenant_file(path) == (revision != tenant_head())
    assert check(path) == []
    with contextlib.closing(sqlite3.connect(path)) as connection:

        def one(sql: str) -> object:
            return connection.execute(sql).fetchone()

        assert connection.execute("SELECT content, msgid FROM messages ORDER BY id").fetchall() == [
            (text, f"id-{number}") for number, text in enumerate(MESSAGES, 1)
        ]
        assert one("SELECT rowid FROM messages_fts WHERE messages_fts MATCH 'number3'") == (3,)
        assert one("SELECT message_id FROM delivery_receipts WHERE client = 'desk'") == (RECEIPT,)
        assert one("SELECT message_id, reason FROM notifications") == (2, "highlight")
        (commands,) = connection.execute("SELECT connect_commands FROM servers").fetchone()
        assert keys.decrypt(commands) == made.COMMANDS
        if revision >= "0002":
            assert one("SELECT time FROM read_markers") == (made.MARKER_MS,)


@pytest.mark.parametrize("revision", MAIN)
async def test_a_main_database_of_that_schema_has_all_users(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "main.sqlite3"
    unpack("migrations", revision, path)
    main = MainDatabase(f"sqlite+aiosqlite:///{path}")
    await main.migrate()
    await main.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id, name FROM users ORDER BY id").fetchall() == list(enumerate(USERS, 1))
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(MAIN[-1],)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def lay_out(world: World) -> None:
    """The oldest main database with a user for each old schema, and one for each way in which a file can be broken."""
    tenants = world.cli.storage / "tenants"
    tenants.mkdir(parents=True)
    shutil.copyfile(made.KEY, world.cli.storage / "secret.key")
    (world.cli.storage / "secret.key").chmod(0o600)
    unpack("migrations", MAIN[0], world.cli.storage / "main.sqlite3")
    with contextlib.closing(sqlite3.connect(world.cli.storage / "main.sqlite3")) as main, main:
        main.execute("UPDATE users SET last_seen_at = 1, enabled = id <= ?", (len(EVERYBODY),))
    for user, revision in OLD.items():
        put(world, user, revision)
    for user, how in BROKEN.items():
        path = world.path(user)
        if how == "newer":
            put(world, user, TENANT[-1])
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
        elif how == "empty":
            path.touch()
        elif how == "noise":
            path.write_bytes(b"noise" + tenant_template()[5:])
        elif how == "folder":
            path.mkdir()
        elif how == "forbidden":
            put(world, user, TENANT[-1], mode=0o000)
    put(world, READ_ONLY, TENANT[-1], mode=0o400)


def put(world: World, user: str, revision: str, *, mode: int = 0o600) -> None:
    """A file of that schema whose server leads to the network of `world`."""
    path = world.path(user)
    whole = path.with_name("being-made")
    unpack("tenant_migrations", revision, whole)
    with contextlib.closing(sqlite3.connect(whole)) as connection, connection:
        connection.execute("UPDATE servers SET port = ?, nickname = ?", (world.network.port, user))
    if path.is_dir():
        path.rmdir()
    whole.chmod(mode)
    whole.rename(path)


async def test_killed_in_each_migration_and_started_again_all_is_there_and_broken_files_keep_nobody_down(
    tmp_path: Path,
) -> None:
    async with World.made(tmp_path, EVERYBODY, prepare=lay_out) as world:
        world.talking(*OLD)
        for database in (world.cli.storage / "main.sqlite3", world.path(USERS[0])):
            with world.process() as process:
                await asyncio.to_thread(until_written, database)
                process.kill()
        with world.process(*without_privileges()) as process:
            await world.listening(process)
            await world.connected(*OLD, READ_ONLY)
            clients = {user: await world.attach(user, "desk") for user in EVERYBODY}
            for user in OLD:
                await clients[user].until(lambda one: one.caught_up)
                old = [said.msgid for said in clients[user].shown if said.text in MESSAGES]
                assert old == [f"id-{number}" for number in range(RECEIPT + 1, len(MESSAGES) + 1)]
            for user, how in BROKEN.items():
                await clients[user].until(lambda one: any("cannot be read" in line for line in one.notices))
                (line,) = [line for line in clients[user].notices if "cannot be read" in line]
                assert SAID[how] in line
            watcher = clients[READ_ONLY]
            await watcher.until(lambda one: one.caught_up)
            world.talking(READ_ONLY)
            await watcher.until(lambda one: any("attempt to write a readonly" in line for line in one.notices))
            world.path(READ_ONLY).chmod(0o600)
            await watcher.until(lambda one: any("Storage works again" in line for line in one.notices))
            for user in BROKEN:
                await asyncio.to_thread(put, world, user, TENANT[-1])
            await world.connected()
            world.quiet()
            await world.stopped(process)
        for user in EVERYBODY:
            assert await asyncio.to_thread(check, world.path(user)) == []


async def test_a_newer_main_database_is_refused_with_one_sentence(tmp_path: Path) -> None:
    async with World.made(tmp_path, EVERYBODY, prepare=lay_out) as world:
        main = world.cli.storage / "main.sqlite3"
        for harm, words in (
            ("UPDATE alembic_version SET version_num = '9999'", "schema 9999 is not known here"),
            ("noise", "file is not a database"),
        ):
            if harm == "noise":
                main.write_bytes(b"noise" * 1000)
            else:
                with contextlib.closing(sqlite3.connect(main)) as connection, connection:
                    connection.execute(harm)
            done = await asyncio.to_thread(world.cli, "run")
            assert done.code == 1
            last = done.err.splitlines()[-1]
            assert last.startswith("bouncer: ")
            assert words in last
            assert "Traceback" not in done.err
