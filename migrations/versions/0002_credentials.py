"""App passwords and client certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), server_default="", nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("iterations", sa.Integer(), nullable=False),
        sa.Column("stored_key", sa.String(64), nullable=False),
        sa.Column("server_key", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("last_address", sa.Text(), server_default="", nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_tokens_token_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id_users", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_table(
        "client_certificates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint_sha256", sa.String(64)),
        sa.Column("fingerprint_sha512", sa.String(128)),
        sa.Column("name", sa.String(64), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("last_address", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_client_certificates"),
        sa.UniqueConstraint("fingerprint_sha256", name="uq_client_certificates_fingerprint_sha256"),
        sa.UniqueConstraint("fingerprint_sha512", name="uq_client_certificates_fingerprint_sha512"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_client_certificates_user_id_users", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_client_certificates_user_id", "client_certificates", ["user_id"])


def downgrade() -> None:
    op.drop_table("client_certificates")
    op.drop_table("tokens")
