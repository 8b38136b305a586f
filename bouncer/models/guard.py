"""Owns the wall between the two databases: no row and no query of one gets into a session or engine of the other."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Column, MetaData, Table, event
from sqlalchemy.orm import Session
from sqlalchemy.sql import visitors

from bouncer.errors import NoTenantError, WrongTenantError
from bouncer.models.main import MainBase
from bouncer.models.tenant import TenantBase

if TYPE_CHECKING:
    from sqlalchemy.engine import Compiled, ExecutionContext
    from sqlalchemy.orm import ORMExecuteState


class HomeSession(Session):
    """A session of one of the two databases; `home` is the metadata of the tables it may touch."""

    home: ClassVar[MetaData]


def _admit(metadata: MetaData, home: MetaData | None, what: str) -> None:
    """Raise unless tables of `metadata` may be used where `home` lives (None: a session that is neither of ours)."""
    if metadata is TenantBase.metadata and home is not TenantBase.metadata:
        raise NoTenantError(f"{what} belongs to a tenant: use tenant.session() inside tenant.switch(user)")
    if metadata is MainBase.metadata and home is TenantBase.metadata:
        raise WrongTenantError(f"{what} belongs to the main database and is not reachable from a tenant's session")


@event.listens_for(Session, "before_attach")
def _attach(session: Session, instance: object) -> None:
    if isinstance(instance, MainBase | TenantBase):
        _admit(instance.metadata, getattr(session, "home", None), type(instance).__name__)


@event.listens_for(Session, "do_orm_execute")
def _execute(state: ORMExecuteState) -> None:
    for mapper in state.all_mappers:
        if issubclass(mapper.class_, MainBase | TenantBase):
            _admit(mapper.class_.metadata, getattr(state.session, "home", None), mapper.class_.__name__)


_admitted: weakref.WeakSet[Compiled] = weakref.WeakSet()


def admit_statement(context: ExecutionContext | None, home: MetaData) -> None:
    """Check every table of the statement about to run against `home`; each compiled statement is looked at once.

    Call from an engine's `before_cursor_execute`. Raises NoTenantError or WrongTenantError. Statements given as text
    are not looked into: the file they run in has none of the other's tables.
    """
    compiled: Any = context.compiled if context is not None else None
    if compiled is None or compiled.statement is None or compiled in _admitted:
        return
    for element in visitors.iterate(compiled.statement):
        table = element.table if isinstance(element, Column) else element
        if isinstance(table, Table):
            _admit(table.metadata, home, f"table {table.name}")
    _admitted.add(compiled)
