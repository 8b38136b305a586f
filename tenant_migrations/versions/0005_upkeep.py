"""How long messages are kept, what is counted of them by day, and the work of deleting."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEEPERS = ("servers", "channels", "conversations")

# What came in is counted afterwards, up to `upto`, so that storing a message costs nothing more; what is counted and
# goes, or changes, is taken off at once.
BYTES = (
    "length(CAST({0}.content AS BLOB)) + length(CAST({0}.sender AS BLOB)) + length(CAST({0}.target AS BLOB)) "
    "+ coalesce(length(CAST({0}.tags AS BLOB)), 0) + length(CAST({0}.msgid AS BLOB))"
)
DAY = "{0}.server_id, coalesce({0}.channel_id, 0), coalesce({0}.conversation_id, 0), {0}.time / 86400000"
TAKE_OFF = f"""UPDATE message_days SET messages = messages - 1, bytes = bytes - ({BYTES.format("old")})
       WHERE (server_id, channel_id, conversation_id, day) = ({DAY.format("old")});"""  # noqa: S608 - constants only
COUNTED = "old.id <= (SELECT upto FROM message_counting)"
TRIGGERS = (
    f"""CREATE TRIGGER message_days_delete AFTER DELETE ON messages WHEN {COUNTED}
       BEGIN {TAKE_OFF} END""",
    f"""CREATE TRIGGER message_days_update
       AFTER UPDATE OF server_id, channel_id, conversation_id, target, sender, content, tags, msgid, time ON messages
       WHEN {COUNTED}
       BEGIN {TAKE_OFF}
       INSERT INTO message_days (server_id, channel_id, conversation_id, day, messages, bytes)
       VALUES ({DAY.format("new")}, 1, {BYTES.format("new")})
       ON CONFLICT (server_id, channel_id, conversation_id, day)
       DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes; END""",  # noqa: S608 - constants only
)


def upgrade() -> None:
    for table in KEEPERS:
        op.add_column(table, sa.Column("keep_days", sa.Integer()))
    op.create_table(
        "message_days",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "channel_id", "conversation_id", "day", name="pk_message_days"),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name="fk_message_days_server_id_servers", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message_counting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("upto", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message_counting"),
    )
    op.execute("INSERT INTO message_counting (id, upto) VALUES (1, 0)")
    op.create_table(
        "upkeep_jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("server_id", sa.Integer()),
        sa.Column("channel_id", sa.Integer()),
        sa.Column("conversation_id", sa.Integer()),
        sa.Column("after", sa.Integer()),
        sa.Column("before", sa.Integer()),
        sa.Column("upto", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("freed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("begun_at", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.Integer()),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_upkeep_jobs"),
        sqlite_autoincrement=True,
    )
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    for name in ("message_days_update", "message_days_delete"):
        op.execute(f"DROP TRIGGER {name}")
    for table in ("upkeep_jobs", "message_counting", "message_days"):
        op.drop_table(table)
    for table in KEEPERS:
        op.drop_column(table, "keep_days")
