"""Connect commands and the command that regains a nick hold passwords as often as not: encrypted like those."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

from bouncer import vault

if TYPE_CHECKING:
    from collections.abc import Callable

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = ("connect_commands", "regain_command")


def upgrade() -> None:
    _rewrite(vault.encrypt)


def downgrade() -> None:
    _rewrite(vault.decrypt)


def _rewrite(change: Callable[[str], str]) -> None:
    """Each text that is not empty, in its place; secure_delete has SQLite overwrite what stood there."""
    connection = op.get_bind()
    before = connection.exec_driver_sql("PRAGMA secure_delete").scalar()
    connection.exec_driver_sql("PRAGMA secure_delete=ON")
    servers = sa.table("servers", sa.column("id"), *map(sa.column, COLUMNS))
    for row in connection.execute(sa.select(servers)).mappings().all():
        if values := {name: change(row[name]) for name in COLUMNS if row[name]}:
            connection.execute(servers.update().where(servers.c.id == row["id"]).values(values))
    connection.exec_driver_sql(f"PRAGMA secure_delete={before or 0}")
