"""Read markers, metadata, clients; rules of detached channels; what else of a network is known or wanted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TRIGGERS = "'message', 'highlight', 'none', 'default'"
DETACHED_RULES = ("relay_detached", "reattach_on", "detach_on")
SERVER_TEXTS = {
    "fallbacks": "",
    "known_caps": "{}",
    "known_server": "",
    "away_message": "",
    "regain_command": "",
    "encoding": "",
}


def upgrade() -> None:
    for name, default in SERVER_TEXTS.items():
        op.add_column("servers", sa.Column(name, sa.Text(), server_default=default, nullable=False))
    op.add_column("servers", sa.Column("auto_away", sa.Boolean(), server_default=sa.text("1"), nullable=False))
    for name in DETACHED_RULES:
        # Spelled out because a column's own CHECK is what SQLite can add, and drop again, without a new table.
        op.execute(
            f"ALTER TABLE channels ADD COLUMN {name} TEXT NOT NULL DEFAULT 'default' "
            f"CONSTRAINT ck_channels_{name} CHECK ({name} IN ({TRIGGERS}))"
        )
    op.add_column("channels", sa.Column("detach_after_s", sa.Integer()))
    op.add_column("messages", sa.Column("redacted", sa.Text()))
    op.create_table(
        "read_markers",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("time", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "folded", name="pk_read_markers"),
        _of_server("read_markers"),
    )
    op.create_table(
        "metadata",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "folded", "key", name="pk_metadata"),
        _of_server("metadata"),
    )
    op.create_table(
        "clients",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("text_timestamps", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("last_seen_at", sa.Integer()),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_clients"),
    )


def _of_server(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["server_id"], ["servers.id"], name=f"fk_{table}_server_id_servers", ondelete="CASCADE"
    )


def downgrade() -> None:
    for table in ("clients", "metadata", "read_markers"):
        op.drop_table(table)
    op.drop_column("messages", "redacted")
    for name in ("detach_after_s", *DETACHED_RULES):
        op.drop_column("channels", name)
    for name in ("auto_away", *SERVER_TEXTS):
        op.drop_column("servers", name)
