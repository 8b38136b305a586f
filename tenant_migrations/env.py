"""Runs the migrations of a tenant's file on the connection it is handed."""

from __future__ import annotations

from alembic import context

from bouncer.database import run_migrations
from bouncer.models.tenant import TenantBase

run_migrations(context, TenantBase.metadata)
