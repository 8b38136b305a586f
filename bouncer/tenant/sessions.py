"""Owns SQLAlchemy's side of a tenant: engines that share one dialect, sessions and the guards on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import StaticPool

from bouncer.errors import WrongTenantError
from bouncer.models.guard import HomeSession, admit_statement
from bouncer.models.tenant import TenantBase
from bouncer.tenant.scope import current, current_or_none

if TYPE_CHECKING:
    from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction

    from bouncer.tenant.handles import Handle


class TenantEngine(Engine):
    """The engine of one tenant's file; refuses every statement that another tenant's code sends to it."""

    tenant_id: str


class Engines:
    """Makes engines over one dialect and one cache of compiled statements: an open tenant costs a third that way."""

    def __init__(self) -> None:
        self._pattern = create_async_engine("sqlite+aiosqlite://").sync_engine

    async def start(self) -> None:
        """Let the dialect learn what this SQLite can do, from an empty database in memory."""
        engine = AsyncEngine(self._pattern)
        async with engine.connect():
            pass
        await engine.dispose()

    def engine(self, handle: Handle) -> AsyncEngine:
        """The handle's engine, made on first use; its one connection is the handle's."""
        if handle.engine is None:
            handle.engine = AsyncEngine(self._make(handle))
        return handle.engine

    def _make(self, handle: Handle) -> TenantEngine:
        async def connection() -> Any:
            return await handle.connection

        dialect: Any = self._pattern.dialect
        pool = StaticPool(lambda: dialect.loaded_dbapi.connect(async_creator_fn=connection), dialect=dialect)
        engine = TenantEngine(pool, dialect, self._pattern.url, hide_parameters=True)
        engine._compiled_cache = self._pattern._compiled_cache  # noqa: SLF001 - Engine takes a size only, not a cache
        engine.tenant_id = handle.tenant_id
        return engine


@event.listens_for(TenantEngine, "before_cursor_execute")
def _guard_engine(
    connection: Any,
    cursor: object,
    statement: str,
    parameters: object,
    context: Any,
    executemany: bool,
) -> None:
    del cursor, statement, parameters, executemany
    _must_be_in(connection.engine.tenant_id, "connection")
    admit_statement(context, TenantBase.metadata)


def _must_be_in(tenant: str, what: str) -> None:
    if (now := current()) != tenant:
        raise WrongTenantError(f"a {what} of tenant {tenant} was used in tenant {now}")


class TenantSession(HomeSession):
    """A session of one tenant (`info["tenant"]`); it refuses rows of any other and use outside that tenant's block."""

    home = TenantBase.metadata

    def merge(self, instance: Any, **options: Any) -> Any:
        """As SQLAlchemy's; raises WrongTenantError for a row of another tenant."""
        _check(self, instance)
        return super().merge(instance, **options)


class TenantAsyncSession(AsyncSession):
    """What `tenant.session()` yields."""

    sync_session_class = TenantSession


def _check(session: Session, instance: object) -> None:
    tenant = session.info["tenant"]
    _must_be_in(tenant, "session")
    if isinstance(instance, TenantBase) and instance.tenant_id not in (None, tenant):
        name = type(instance).__name__
        raise WrongTenantError(f"a {name} of tenant {instance.tenant_id} was given to a session of tenant {tenant}")


def _stamp(session: Session, instance: object) -> None:
    instance.__dict__["_tenant"] = session.info["tenant"]


event.listen(TenantSession, "before_attach", _check)
event.listen(TenantSession, "after_attach", _stamp)
event.listen(TenantSession, "loaded_as_persistent", _stamp)


@event.listens_for(TenantSession, "do_orm_execute")
def _guard_query(state: ORMExecuteState) -> None:
    _must_be_in(state.session.info["tenant"], "session")


@event.listens_for(TenantSession, "before_flush")
def _guard_flush(session: Session, context: UOWTransaction, instances: object) -> None:
    del context, instances
    _must_be_in(session.info["tenant"], "session")


@event.listens_for(TenantSession, "before_commit")
def _guard_commit(session: Session) -> None:
    _must_be_in(session.info["tenant"], "session")


@event.listens_for(TenantBase, "init", propagate=True)
def _born(instance: TenantBase, args: object, kwargs: object) -> None:
    """A row belongs to the tenant in whose block it is made, before any session has seen it."""
    del args, kwargs
    if (tenant := current_or_none()) is not None:
        instance.__dict__["_tenant"] = tenant
