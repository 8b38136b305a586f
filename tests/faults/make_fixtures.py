"""Makes what is missing in `fixtures/`: a database of each schema there ever was, with data in it.

    python -m tests.faults.make_fixtures

To be run, and its new files committed, with each new migration; a file that is there is never made again. Tenant files
are made by the migrations up to theirs, from the same rows as ever; secrets are encrypted with `fixtures/secret.key`.
"""

from __future__ import annotations

import contextlib
import lzma
import sqlite3
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from argon2 import PasswordHasher
from sqlalchemy import create_engine, pool

from bouncer import database, vault
from soak.witness import PASSWORD

FIXTURES = Path(__file__).parent / "fixtures"
KEY = FIXTURES / "secret.key"
ENCRYPTED_COMMANDS = "0004"
"""From this schema of the tenants on connect commands are encrypted."""

USERS = tuple(f"user{number}" for number in range(1, 31))
MESSAGES = [f"old words number{number} of ours" for number in range(1, 8)]
RECEIPT = 4
"""The id of the message that the client `desk` has acknowledged."""
COMMANDS = "PRIVMSG NickServ :identify hunter2"
MARKER_MS = 1_700_000_003_000

SERVER = (
    "INSERT INTO servers (id, name, address, port, tls, nickname, connect_commands, trusted, created_at, updated_at)"
    " VALUES (1, 'net', '127.0.0.1', 1, 0, 'nobody', ?, 1, 1700000000000, 1700000000000)"
)
BUFFERS = (
    "INSERT INTO channels (id, server_id, name, folded, auto_join, joined) VALUES (1, 1, '#den', '#den', 1, 1)",
    "INSERT INTO conversations (id, server_id, nick, folded) VALUES (1, 1, 'Bob', 'bob')",
    "INSERT INTO channel_users VALUES (1, 'bob', 'Bob', 'o')",
)
MESSAGE = (
    "INSERT INTO messages (id, server_id, channel_id, target, sender, message_type, content, msgid, time)"
    " VALUES (?, 1, 1, '#den', 'bob!b@host', 'privmsg', ?, ?, ?)"
)
RECORDS = (
    "INSERT INTO notifications (message_id, reason, created_at) VALUES (2, 'highlight', 1700000002000)",
    "INSERT INTO server_events (server_id, time, kind, detail) VALUES (1, 1700000000000, 'registered', '')",
)
RECEIPTS = "INSERT INTO delivery_receipts VALUES (1, 'desk', ?, 1700000004000)"
MARKER = "INSERT INTO read_markers VALUES (1, '#den', '#den', ?, 1700000004000)"
MAIN_ROW = "INSERT INTO users (id, name, password_hash, created_at) VALUES (?, ?, ?, 1700000000000)"


def revisions(folder: str) -> list[str]:
    """Every schema of one of the two histories, oldest first."""
    scripts = ScriptDirectory.from_config(database._config(folder))
    return [script.revision for script in scripts.walk_revisions()][::-1]


def fixture(folder: str, revision: str) -> Path:
    return FIXTURES / f"{folder}-{revision}.sqlite3.xz"


def make(folder: str, revision: str, path: Path) -> None:
    """A new file of that schema with rows."""
    engine = create_engine(f"sqlite:///{path}", poolclass=pool.NullPool)
    with engine.begin() as connection:
        config = database._config(folder)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        (_fill_tenant if folder == "tenant_migrations" else _fill_main)(connection, revision)
        connection.commit()
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode=WAL")


def _fill_tenant(connection: sqlite3.Connection, revision: str) -> None:
    commands = vault.encrypt(COMMANDS) if revision >= ENCRYPTED_COMMANDS else COMMANDS
    connection.execute(SERVER, (commands,))
    for statement in BUFFERS:
        connection.execute(statement)
    for number, text in enumerate(MESSAGES, 1):
        connection.execute(MESSAGE, (number, text, f"id-{number}", 1_700_000_000_000 + number * 1000))
    for statement in RECORDS:
        connection.execute(statement)
    connection.execute(RECEIPTS, (RECEIPT,))
    if revision >= "0002":
        connection.execute(MARKER, (MARKER_MS,))


def _fill_main(connection: sqlite3.Connection, revision: str) -> None:
    del revision
    hashed = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(PASSWORD)
    for number, name in enumerate(USERS, 1):
        connection.execute(MAIN_ROW, (number, name, hashed))


def unpack(folder: str, revision: str, path: Path) -> None:
    """The fixture as a database."""
    path.write_bytes(lzma.decompress(fixture(folder, revision).read_bytes()))


def main() -> None:
    FIXTURES.mkdir(exist_ok=True)
    vault.install(vault.Vault(KEY))
    with tempfile.TemporaryDirectory() as temporary:
        for folder in ("migrations", "tenant_migrations"):
            for revision in revisions(folder):
                packed = fixture(folder, revision)
                if not packed.exists():
                    path = Path(temporary, packed.stem)
                    make(folder, revision, path)
                    packed.write_bytes(lzma.compress(path.read_bytes(), preset=9))


if __name__ == "__main__":
    main()
