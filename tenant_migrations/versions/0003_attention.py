"""What one wants to be told of: a level per channel, and preferences by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Spelled out because a column's own CHECK is what SQLite can add, and drop again, without a new table.
    op.execute(
        "ALTER TABLE channels ADD COLUMN notify TEXT NOT NULL DEFAULT 'mentions' "
        "CONSTRAINT ck_channels_notify CHECK (notify IN ('all', 'mentions', 'none'))"
    )
    op.create_table(
        "preferences",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_preferences"),
    )


def downgrade() -> None:
    op.drop_table("preferences")
    op.drop_column("channels", "notify")
