"""Whole files: backup while writing, restore, check, export; and the vault's key file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from bouncer import tasks, vault
from bouncer.errors import TenantBusyError, TenantDoesNotExistError, TenantSchemaError, VaultError
from bouncer.models.tenant import Channel, Message, Server
from bouncer.tenant import Tenants, read, session, switch

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 30


async def fill(user: str) -> None:
    async with switch(user), session() as unit, unit.begin():
        unit.add(Server(name="libera", address="irc.libera.chat", port=6697, nickname="ada", password="hunter2"))
        await unit.flush()
        unit.add(Channel(server_id=1, name="#Python", folded="#python", key="sesame"))
        await unit.flush()
        for number, (kind, words) in enumerate(
            [("privmsg", "first words"), ("action", "waves"), ("join", ""), ("notice", "grüße")], 1
        ):
            unit.add(
                Message(
                    server_id=1,
                    channel_id=1,
                    target="#Python",
                    sender="bob!b@example.org",
                    message_type=kind,
                    content=words,
                    msgid=f"m{number}",
                    time=1_700_000_000_000 + number,
                    tags='{"account":"bob"}' if number == 1 else None,
                )
            )


async def count(user: str) -> int:
    """By a session and by a reader, which must agree."""
    async with switch(user):
        read_only: int = await read(lambda c: c.execute("SELECT count(*) FROM messages").fetchone()[0])
        async with session() as unit:
            assert await unit.scalar(select(func.count()).select_from(Message)) == read_only
    return read_only


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_backup_while_messages_are_written_is_one_consistent_file(
    tenants: Tenants, tenant: str, tmp_path: Path
) -> None:
    await fill(tenant)
    stop = asyncio.Event()
    some = asyncio.Event()

    def write(number: int) -> None:
        assert lease is not None
        with lease.connection_sync() as connection:  # a pair or nothing
            connection.executemany(
                "INSERT INTO messages (server_id, channel_id, message_type, content, msgid, time)"
                " VALUES (1, 1, 'privmsg', 'pair of words', 'pair', ?)",
                [(number,), (number,)],
            )

    lease = None
    dest = tmp_path / "backup.sqlite3"

    async def writing() -> None:
        nonlocal lease
        number = 0
        while not stop.is_set():
            lease = tenants.try_lease(tenant)
            assert lease is not None
            number += 1
            await tenants.call(tenants.worker_index(tenant), lambda number=number: write(number))  # type: ignore[misc] # a default is no other signature
            lease.release()
            if number == 20:
                some.set()

    async with asyncio.timeout(DEADLINE_S):
        writer = tasks.spawn(writing(), name="writing")
        await some.wait()
        for _ in range(5):
            await tenants.backup(tenant, dest)
            assert ask(dest, "PRAGMA integrity_check") == [("ok",)]
            assert ask(dest, "SELECT count(*) % 2, count(*) >= 40 FROM messages WHERE msgid = 'pair'") == [(0, 1)]
        stop.set()
        await writer
    assert ask(dest, "PRAGMA journal_mode") == [("delete",)]
    assert names(tmp_path) == ["backup.sqlite3", "storage"]
    assert dest.stat().st_mode & 0o777 == 0o600


async def test_a_backup_can_be_restored_over_the_file_and_after_it_is_gone(
    tenants: Tenants, tenant: str, tmp_path: Path
) -> None:
    await fill(tenant)
    dest = tmp_path / "backup.sqlite3"
    await tenants.backup(tenant, dest)
    async with switch(tenant), session() as unit, unit.begin():
        await unit.delete(await unit.get_one(Server, 1))
    assert await count(tenant) == 0
    await tenants.restore(tenant, dest)
    assert await count(tenant) == 4
    await tenants.destroy(tenant)
    await tenants.restore(tenant, dest)
    assert await count(tenant) == 4
    async with switch(tenant), session() as unit:
        assert (await unit.get_one(Server, 1)).password == "hunter2"
    assert {path.name.partition("-")[0] for path in tenants.path(tenant).parent.iterdir()} == {"1.sqlite3"}


async def test_a_restore_waits_for_no_one_for_ever_and_keeps_the_old_file(
    tenants: Tenants, tenant: str, tmp_path: Path
) -> None:
    await fill(tenant)
    await tenants.backup(tenant, tmp_path / "backup.sqlite3")
    async with switch(tenant), session():
        with pytest.raises(TenantBusyError):
            await tenants.restore(tenant, tmp_path / "backup.sqlite3", timeout_s=0.01)
    assert await count(tenant) == 4
    assert list(tenants.path(tenant).parent.glob(".new-*")) == []


@pytest.mark.parametrize(
    "harm",
    [
        "CREATE TRIGGER spy AFTER INSERT ON messages BEGIN DELETE FROM servers; END",
        "CREATE VIEW spy AS SELECT password FROM servers",
        "DROP TABLE delivery_receipts",
        "UPDATE alembic_version SET version_num = '9999'",
        "DELETE FROM messages_fts_docsize",
        "DROP TABLE alembic_version",
    ],
)
async def test_a_backup_that_was_tampered_with_is_not_restored(
    tenants: Tenants, tenant: str, tmp_path: Path, harm: str
) -> None:
    await fill(tenant)
    dest = tmp_path / "backup.sqlite3"
    await tenants.backup(tenant, dest)
    with contextlib.closing(sqlite3.connect(dest)) as connection, connection:
        connection.execute(harm)
    with pytest.raises(TenantSchemaError):
        await tenants.restore(tenant, dest)
    assert await count(tenant) == 4
    assert await tenants.check(tenant) == []


async def test_a_file_that_is_no_database_is_not_restored(tenants: Tenants, tenant: str, tmp_path: Path) -> None:
    await fill(tenant)
    other = tmp_path / "letter.txt"
    await asyncio.to_thread(other.write_text, "dear diary " * 1000)
    with pytest.raises(TenantSchemaError):
        await tenants.restore(tenant, other)
    with pytest.raises(TenantDoesNotExistError):
        await tenants.restore(tenant, tmp_path / "nothing")
    assert await count(tenant) == 4


async def test_check_finds_a_damaged_page_a_lost_parent_and_a_stale_index(tenants: Tenants, tenant: str) -> None:
    await fill(tenant)
    assert await tenants.check(tenant) == []
    with contextlib.closing(sqlite3.connect(tenants.path(tenant))) as connection, connection:
        connection.execute("DELETE FROM channels")  # foreign keys are off on a plain connection
        connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('delete-all')")
    problems = await tenants.check(tenant)
    assert any("messages row 1 refers to a row of channels" in problem for problem in problems)
    assert any("3 messages are missing in the search index" in problem for problem in problems)
    await tenants.destroy(tenant)
    with pytest.raises(TenantDoesNotExistError):
        await tenants.check(tenant)


async def test_check_reads_a_file_with_overwritten_pages_without_falling_over(tenants: Tenants, tenant: str) -> None:
    await fill(tenant)
    await tenants.close()
    path = tenants.path(tenant)
    content = await asyncio.to_thread(path.read_bytes)
    await asyncio.to_thread(path.write_bytes, content[:8192] + b"\xff" * 40960 + content[49152:])
    again = Tenants(path.parent)
    await again.start()
    assert await again.check(tenant) != []
    await again.close()


async def test_export_as_json_lines_has_one_object_for_each_message(
    tenants: Tenants, tenant: str, tmp_path: Path
) -> None:
    await fill(tenant)
    seen: list[tuple[int, int]] = []
    await tenants.export(tenant, tmp_path / "out", "jsonl", lambda done, total: seen.append((done, total)))
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert lines[0] == {
        "id": 1,
        "server": "libera",
        "buffer": "#Python",
        "time": 1_700_000_000_001,
        "at": "2023-11-14T22:13:20.001Z",
        "sender": "bob!b@example.org",
        "type": "privmsg",
        "text": "first words",
        "msgid": "m1",
        "own": False,
        "tags": {"account": "bob"},
    }
    assert [line["text"] for line in lines] == ["first words", "waves", "", "grüße"]
    assert seen == [(4, 4)]


async def test_export_as_text_reads_like_a_log(tenants: Tenants, tenant: str, tmp_path: Path) -> None:
    await fill(tenant)
    await tenants.export(tenant, tmp_path / "out", "text")
    assert (tmp_path / "out").read_text().splitlines() == [
        "=== libera #Python (times in UTC)",
        "[2023-11-14 22:13:20] <bob> first words",
        "[2023-11-14 22:13:20] * bob waves",
        "[2023-11-14 22:13:20] *** bob join",
        "[2023-11-14 22:13:20] -bob- grüße",
    ]


async def test_export_as_sqlite_has_everything_but_the_secrets(tenants: Tenants, tenant: str, tmp_path: Path) -> None:
    await fill(tenant)
    tokens = ask(tenants.path(tenant), "SELECT password FROM servers UNION ALL SELECT key FROM channels")
    await tenants.export(tenant, tmp_path / "out", "sqlite")
    content = await asyncio.to_thread((tmp_path / "out").read_bytes)
    assert len(tokens) == 2
    assert not any(str(token).encode() in content for (token,) in tokens)
    assert ask(tmp_path / "out", "SELECT name, address, password FROM servers") == [("libera", "irc.libera.chat", None)]
    assert ask(tmp_path / "out", "SELECT count(*) FROM messages") == [(4,)]
    assert ask(tmp_path / "out", "PRAGMA integrity_check") == [("ok",)]


async def test_a_failed_export_leaves_no_file(tenants: Tenants, tenant: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pdf"):
        await tenants.export(tenant, tmp_path / "out", "pdf")
    with pytest.raises(TenantDoesNotExistError):
        await tenants.export(404, tmp_path / "out", "jsonl")
    assert names(tmp_path) == ["storage"]


# -- the vault -------------------------------------------------------------------------------------------------------


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    key = tmp_path / "storage" / "secret.key"
    token = vault.Vault(key).encrypt("hunter2 ☂")
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["secret.key"]
    assert vault.Vault(key).decrypt(token) == "hunter2 ☂"


def test_a_new_key_is_used_first_and_old_tokens_stay_readable_until_the_old_key_goes(tmp_path: Path) -> None:
    box = vault.Vault(tmp_path / "secret.key")
    old = box.encrypt("hunter2")
    box.add_key()
    new = box.encrypt("hunter2")
    reopened = vault.Vault(tmp_path / "secret.key")
    assert (reopened.decrypt(old), reopened.decrypt(new)) == ("hunter2", "hunter2")
    reopened.retire_old_keys()
    assert reopened.decrypt(new) == "hunter2"
    with pytest.raises(VaultError):
        reopened.decrypt(old)
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "not a key\n"])
def test_a_key_file_without_keys_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret.key").write_text(content)
    with pytest.raises(VaultError, match=r"secret\.key"):
        vault.Vault(tmp_path / "secret.key")


def test_the_key_comes_from_systemds_credentials_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert vault.key_path(tmp_path) == tmp_path / "secret.key"
    vault.Vault(credentials / "secret.key")
    assert vault.key_path(tmp_path) == credentials / "secret.key"


def test_without_a_vault_no_secret_is_read_or_written() -> None:
    with pytest.raises(VaultError):
        vault.encrypt("hunter2")
    with pytest.raises(VaultError):
        vault.decrypt("token")
