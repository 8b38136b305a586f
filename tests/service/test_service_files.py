"""Users' files as a whole: one bad file does not end work on the others, and secrets get a new key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bouncer import vault
from bouncer.errors import CommandError, TenantSchemaError, VaultError

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.service import Service
    from bouncer.tenant import Tenants

LIBERA: dict[str, object] = {"name": "Libera", "address": "irc.libera.chat"}


class Seen:
    """What progress said."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, str, bool]] = []

    def __call__(self, done: int, total: int, name: str, failure: str) -> None:
        self.calls.append((done, total, name, bool(failure)))


def spoil(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever it is called" * 200)


async def test_one_bad_file_is_named_and_the_others_are_done(
    service: Service, alice: User, bob: User, tenants: Tenants
) -> None:
    carol = await service.users.add("carol", password="x")
    spoil(tenants.path(bob.id))
    for act in (service.tenants.migrate, service.tenants.check):
        seen = Seen()
        with pytest.raises(CommandError, match=r"^1 of 3 failed: bob \(") as caught:
            await act([alice, bob, carol], seen)
        assert "\n" not in str(caught.value)
        assert seen.calls == [(1, 3, "alice", False), (2, 3, "bob", True), (3, 3, "carol", False)]


async def test_a_backup_comes_back_as_it_was(service: Service, bob: User, tmp_path: Path) -> None:
    await service.servers.add(bob.id, {**LIBERA, "password": "sesame"})
    await service.tenants.backup(bob.id, tmp_path / "backup")
    with closing(sqlite3.connect(tmp_path / "backup")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    row = await service.servers.by_name(bob.id, "libera")
    await service.servers.delete(bob.id, row.id)
    await service.tenants.restore(bob.id, tmp_path / "backup")
    assert (await service.servers.by_name(bob.id, "libera")).password == "sesame"


async def test_what_is_no_backup_changes_nothing(service: Service, bob: User, tmp_path: Path) -> None:
    await service.servers.add(bob.id, LIBERA)
    spoil(tmp_path / "bad")
    with pytest.raises(TenantSchemaError):
        await service.tenants.restore(bob.id, tmp_path / "bad")
    assert len(await service.servers.list(bob.id)) == 1


async def test_exports_carry_no_secret(service: Service, bob: User, tmp_path: Path) -> None:
    await service.servers.add(bob.id, {**LIBERA, "password": "sesame"})
    stored = vault.encrypt("sesame")
    for form in ("jsonl", "text", "sqlite"):
        await service.tenants.export(bob.id, tmp_path / form, form)
        assert stored[:10].encode() not in (tmp_path / form).read_bytes()
    with closing(sqlite3.connect(tmp_path / "sqlite")) as connection:
        assert connection.execute("SELECT name, password FROM servers").fetchall() == [("Libera", None)]


async def test_after_a_rotation_only_the_new_key_is_left_and_reads_everything(
    service: Service, bob: User, storage: Path
) -> None:
    old = vault.encrypt("before")
    key = (storage / "secret.key").read_text("ascii")
    secrets = {"password": "pw", "auth_method": "sasl-plain", "auth_account": "bob", "auth_password": "apw"}
    row = await service.servers.add(bob.id, {**LIBERA, **secrets, "channels": "#a key"})
    await service.tenants.rotate_secrets(Seen())
    assert (storage / "secret.key").read_text("ascii").split() != key.split()
    assert len((storage / "secret.key").read_text("ascii").split()) == 1
    with pytest.raises(VaultError):
        vault.decrypt(old)
    row = await service.servers.get(bob.id, row.id)
    assert (row.password, row.auth_password) == ("pw", "apw")
    assert [view.row.key for view in await service.channels.list(bob.id, row.id)] == ["key"]


async def test_a_rotation_that_could_not_do_every_file_keeps_the_old_key(
    service: Service, alice: User, bob: User, storage: Path, tenants: Tenants
) -> None:
    row = await service.servers.add(alice.id, {**LIBERA, "password": "pw"})
    spoil(tenants.path(bob.id))
    with pytest.raises(CommandError, match="bob"):
        await service.tenants.rotate_secrets(Seen())
    assert len((storage / "secret.key").read_text("ascii").split()) == 2
    assert (await service.servers.get(alice.id, row.id)).password == "pw"
