"""Runs the migrations of the main database on the connection it is handed."""

from __future__ import annotations

from alembic import context

from bouncer.database import run_migrations
from bouncer.models.main import MainBase

run_migrations(context, MainBase.metadata)
