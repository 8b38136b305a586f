"""Servers, channels, conversations, history with its search index, notifications, receipts, the lifecycle log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

AUTH_METHOD = "auth_method IN ('none', 'nickserv', 'sasl-plain', 'sasl-scram', 'sasl-external')"

# The index keeps no copy of the text: it reads it through the view, and the triggers tell it what the text was.
# The deletion comes BEFORE an update and the insertion AFTER it, because triggers of one kind have no order.
SEARCH = (
    """CREATE VIEW searchable_messages AS SELECT id, content FROM messages
       WHERE message_type IN ('privmsg', 'action', 'notice', 'topic')""",
    """CREATE VIRTUAL TABLE messages_fts USING fts5 (
       content, content='searchable_messages', content_rowid='id', tokenize='unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages
       WHEN new.message_type IN ('privmsg', 'action', 'notice', 'topic')
       BEGIN INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content); END""",
    """CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages
       WHEN old.message_type IN ('privmsg', 'action', 'notice', 'topic')
       BEGIN INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content); END""",
    """CREATE TRIGGER messages_fts_update_old BEFORE UPDATE OF content, message_type ON messages
       WHEN old.message_type IN ('privmsg', 'action', 'notice', 'topic')
         AND (old.content IS NOT new.content OR old.message_type IS NOT new.message_type)
       BEGIN INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content); END""",
    """CREATE TRIGGER messages_fts_update_new AFTER UPDATE OF content, message_type ON messages
       WHEN new.message_type IN ('privmsg', 'action', 'notice', 'topic')
         AND (old.content IS NOT new.content OR old.message_type IS NOT new.message_type)
       BEGIN INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content); END""",
)


def upgrade() -> None:
    _create_networks()
    _create_messages()
    _create_records()
    for statement in SEARCH:
        op.execute(statement)


def _create_networks() -> None:
    op.create_table(
        "servers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(32, collation="NOCASE"), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("tls", sa.Boolean(), server_default=sa.text("1"), nullable=False),
        sa.Column("tls_verify", sa.Boolean(), server_default=sa.text("1"), nullable=False),
        sa.Column("tls_fingerprint", sa.String()),
        sa.Column("nickname", sa.String(), nullable=False),
        sa.Column("alternatives", sa.Text(), server_default="", nullable=False),
        sa.Column("username", sa.Text(), server_default="", nullable=False),
        sa.Column("realname", sa.Text(), server_default="", nullable=False),
        sa.Column("password", sa.Text()),
        sa.Column("auth_method", sa.Text(), server_default="none", nullable=False),
        sa.Column("auth_account", sa.String()),
        sa.Column("auth_password", sa.Text()),
        sa.Column("client_certificate", sa.Text()),
        sa.Column("auth_required", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("connect_commands", sa.Text(), server_default="", nullable=False),
        sa.Column("flood_burst", sa.Integer()),
        sa.Column("flood_interval_ms", sa.Integer()),
        sa.Column("keep_nick", sa.Boolean(), server_default=sa.text("1"), nullable=False),
        sa.Column("quit_message", sa.Text(), server_default="", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("1"), nullable=False),
        sa.Column("trusted", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("known_nick", sa.Text(), server_default="", nullable=False),
        sa.Column("known_isupport", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
        sa.UniqueConstraint("name", name="uq_servers_name"),
        sa.CheckConstraint(AUTH_METHOD, name=op.f("ck_servers_auth_method")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("auto_join", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("joined", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("detached", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("topic", sa.Text()),
        sa.Column("topic_by", sa.String()),
        sa.Column("topic_at", sa.Integer()),
        sa.Column("join_error", sa.String()),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.UniqueConstraint("server_id", "folded", name="uq_channels_server_id_folded"),
        _of("channels", "server_id", "servers"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("nick", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
        sa.UniqueConstraint("server_id", "folded", name="uq_conversations_server_id_folded"),
        _of("conversations", "server_id", "servers"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "channel_users",
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("nickname", sa.String(), nullable=False),
        sa.Column("modes", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "folded", name="pk_channel_users"),
        _of("channel_users", "channel_id", "channels"),
        sqlite_with_rowid=False,
    )


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer()),
        sa.Column("conversation_id", sa.Integer()),
        sa.Column("target", sa.Text(), server_default="", nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("message_type", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", sa.Text()),
        sa.Column("msgid", sa.String(), nullable=False),
        sa.Column("time", sa.Integer(), nullable=False),
        sa.Column("own", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        _of("messages", "server_id", "servers"),
        _of("messages", "channel_id", "channels"),
        _of("messages", "conversation_id", "conversations"),
        sqlite_autoincrement=True,
    )
    for name, column, where in (
        ("channel", "channel_id", "channel_id IS NOT NULL"),
        ("conversation", "conversation_id", "conversation_id IS NOT NULL"),
        ("server", "server_id", "channel_id IS NULL AND conversation_id IS NULL"),
    ):
        op.create_index(f"ix_messages_{name}", "messages", [column, "time", "id"], sqlite_where=sa.text(where))
    op.create_index("ix_messages_msgid", "messages", ["msgid"])


def _create_records() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("read_at", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        _of("notifications", "message_id", "messages"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_message_id", "notifications", ["message_id"])
    op.create_index("ix_notifications_unread", "notifications", ["created_at"], sqlite_where=sa.text("read_at IS NULL"))
    op.create_table(
        "delivery_receipts",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "client", name="pk_delivery_receipts"),
        _of("delivery_receipts", "server_id", "servers"),
    )
    op.create_table(
        "server_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("time", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_server_events"),
        _of("server_events", "server_id", "servers"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_server_events_server_id_time", "server_events", ["server_id", "time"])


def _of(table: str, column: str, parent: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"fk_{table}_{column}_{parent}", ondelete="CASCADE")


def downgrade() -> None:
    op.execute("DROP TABLE messages_fts")
    op.execute("DROP VIEW searchable_messages")
    for table in (
        "server_events", "delivery_receipts", "notifications", "messages",
        "channel_users", "conversations", "channels", "servers",
    ):  # fmt: skip
        op.drop_table(table)
