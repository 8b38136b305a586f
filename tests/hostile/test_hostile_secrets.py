"""What is secret stands in no file, whatever was done with it, and no rotation of the key loses any of it."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pyotp
import pytest
from alembic import command
from sqlalchemy import create_engine, select

from bouncer import config, database, tenant, vault
from bouncer.cli.parts import Parts
from bouncer.models.main import MainBase, SecondFactor
from bouncer.models.tenant import TenantBase
from bouncer.models.types import Encrypted
from bouncer.service.second_factor import new_secret
from bouncer.tenant.exports import FORMATS
from tests.cli.clikit import Cli
from tests.support.warm import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.service import Service

HIDDEN = {
    "password": "server-door-7f3a", "auth_password": "account-door-91cc", "channels": "#den key-door-55e1",
    "connect_commands": "/msg Q AUTH bob command-door-08b2",
    "regain_command": "/msg NickServ REGAIN {nick} regain-door-c4d9",
}  # fmt: skip
SERVER = {"name": "net", "address": "irc.example.org", "auth_method": "sasl-plain", "auth_account": "bob", **HIDDEN}
MARK = re.compile(r"[a-z]+-door-[0-9a-f]{4}")
MARKS = sorted(MARK.findall(" ".join(HIDDEN.values())))


def everything(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file but the key, as bytes."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != vault.KEY_NAME:
            yield path, path.read_bytes()


def found(folder: Path, *secrets: str) -> list[tuple[str, str]]:
    return [(path.name, one) for path, data in everything(folder) for one in secrets if one.encode() in data]


async def test_no_secret_stands_in_any_file(service: Service, bob: User, storage: Path, tmp_path: Path) -> None:
    assert len(MARKS) == len(HIDDEN)
    server = await service.servers.add(bob.id, SERVER)
    await service.servers.make_certificate(bob.id, server.id)
    pem = (await service.servers.get(bob.id, server.id)).client_certificate or ""
    key_lines = [line for line in pem.splitlines() if len(line) == 64 and not line.startswith("-")]
    assert len(key_lines) > 3
    await service.users.set_password(bob.id, "user-door-1d1d")
    secret = new_secret()
    recovery = await service.second_factors.enable(bob, secret, pyotp.TOTP(secret).now())
    app_password = (await service.tokens.create(bob.id, "phone"))[1]
    invitation = (await service.invites.create("for carol"))[1]
    await service.servers.update(bob.id, server.id, {**HIDDEN, "password": "later-door-2e2e"})
    work = await service.backups.run()
    await service.backups.finished()
    assert work.problems == []
    for form in FORMATS:
        await service.tenants.export(bob.id, tmp_path / f"export.{form}", form)
    hidden = [*MARKS, "later-door-2e2e", "user-door-1d1d", secret, *recovery, app_password, invitation, *key_lines]
    assert found(tmp_path, *hidden) == []
    assert found(storage, "irc.example.org"), "the search finds what is not hidden"
    row = await service.servers.get(bob.id, server.id)
    assert MARK.findall(row.connect_commands + row.regain_command) == ["command-door-08b2", "regain-door-c4d9"]
    with closing(sqlite3.connect(tmp_path / "export.sqlite")) as taken:
        for table in TenantBase.metadata.sorted_tables:
            for column in (one.name for one in table.columns if isinstance(one.type, Encrypted)):
                sql = f"SELECT count(*) FROM {table.name} WHERE coalesce({column}, '') <> ''"  # noqa: S608 - our names
                assert taken.execute(sql).fetchone() == (0,), f"{column}: not even as a token"


def test_what_may_hold_a_secret_is_encrypted() -> None:
    """A column that is new and sounds like one has to be: or stand here, with the reason."""
    plain = {
        "users.password_hash",  # Argon2id
        "users.password_temporary",  # a flag
        "sessions.token_hash", "tokens.token_hash", "invites.token_hash", "recovery_codes.code_hash",  # random secrets'
        "tokens.stored_key", "tokens.server_key", "tokens.salt",  # RFC 5802: made of a random secret
        "metadata.key",  # a name
    }  # fmt: skip
    for base in (MainBase, TenantBase):
        for table in base.metadata.sorted_tables:
            for column in table.columns:
                name = f"{table.name}.{column.name}"
                if re.search("pass|secret|key|token|command|certificate$|code", column.name) and name not in plain:
                    assert isinstance(column.type, Encrypted), name


@pytest.mark.parametrize("open_elsewhere", [False, True])
async def test_commands_of_an_older_file_are_encrypted_when_it_is_opened(
    service: Service, bob: User, *, open_elsewhere: bool
) -> None:
    await service.servers.add(bob.id, SERVER)
    path = tenant.path(bob.id)
    await asyncio.to_thread(_downgrade, path)
    assert found(path.parent, "command-door-08b2", "regain-door-c4d9")
    with closing(sqlite3.connect(path)) as reader:
        if open_elsewhere:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM servers").fetchall()
        await asyncio.to_thread(database.migrate_tenant_file, path, busy_ms=200)
        reader.rollback()
    row = await service.servers.by_name(bob.id, "net")
    assert row.connect_commands == "PRIVMSG Q :AUTH bob command-door-08b2"
    assert row.regain_command == "PRIVMSG NickServ :REGAIN {nick} regain-door-c4d9"
    if not open_elsewhere:
        assert found(path.parent, *MARKS) == []


def _downgrade(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        scripts = database._config("tenant_migrations")
        scripts.attributes["connection"] = connection
        command.downgrade(scripts, "0003")
    engine.dispose()


ROTATE = """
import asyncio, sys, time
from pathlib import Path
from bouncer import config
from bouncer.cli.parts import Parts

async def rotate():
    parts = await Parts.open(config.load(Path(sys.argv[1])))
    def progress(done, total, name, words):
        print(done, flush=True)
        time.sleep(float(sys.argv[2]))
    await parts.service.tenants.rotate_secrets(progress)
    await parts.close()

asyncio.run(rotate())
"""
USERS = 2
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


async def _people(cli: Cli) -> None:
    """Several people with secrets, whose files are closed."""
    parts = await Parts.open(config.load(cli.config))
    for number in range(USERS):
        user = await parts.service.users.add(f"u{number}", password="pw")
        await parts.service.servers.add(user.id, {**SERVER, "enabled": False})
    await parts.service.second_factors.enable(user, TOTP, pyotp.TOTP(TOTP).now())
    await parts.close()
    vault.install(None)


async def _readable(cli: Cli) -> None:
    parts = await Parts.open(config.load(cli.config))
    try:
        for user in await parts.service.users.list():
            row = await parts.service.servers.by_name(user.id, "net")
            (channel,) = await parts.service.channels.list(user.id, row.id)
            held = f"{row.password} {row.auth_password} {row.connect_commands} {row.regain_command} {channel.row.key}"
            assert sorted(MARK.findall(held)) == MARKS, user.name
        async with parts.main.session() as session:
            assert list(await session.scalars(select(SecondFactor.secret))) == [TOTP]
    finally:
        await parts.close()
        vault.install(None)


def test_a_rotation_that_is_killed_loses_no_secret_and_can_be_done_again(tmp_path: Path) -> None:
    cli = Cli.make(tmp_path, "")
    asyncio.run(_people(cli))
    key = cli.storage / vault.KEY_NAME
    for lines in (0, 1):  # killed as the new key is there, and between two files
        words = [sys.executable, "-c", ROTATE, str(cli.config), "0.05"]
        before = key.read_bytes()
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=cli.env(), cwd=ROOT) as process:
            assert process.stdout is not None
            while key.read_bytes() == before:
                assert process.poll() is None
            for _ in range(lines):
                process.stdout.readline()
            process.kill()
        asyncio.run(_readable(cli))
    left = cli.storage / ".key-of-a-killed-one"
    shutil.copyfile(key, left)
    subprocess.run([sys.executable, "-c", ROTATE, str(cli.config), "0"], check=True, env=cli.env(), cwd=ROOT)
    assert len(key.read_text("ascii").split()) == 1
    assert not left.exists(), "no old key stays beside the new one"
    asyncio.run(_readable(cli))
