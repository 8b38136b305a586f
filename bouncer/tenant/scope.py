"""Owns which tenant the running code is in: safe ids, the contextvar and the block that sets it; pins no file."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import logging
import re
import sys
from typing import TYPE_CHECKING, Protocol

from bouncer.errors import BadTenantIdError, NoTenantError, TenantError, TenantScopeClosedError, WrongTenantError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import FrameType

# ASCII without dot, slash or capitals: no path can escape, and no two ids share a file where case does not count.
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_scope: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("tenant_scope", default=None)


class HasId(Protocol):
    """A user row, or whatever else carries a user's id."""

    @property
    def id(self) -> int:
        """The id that the file is named by."""


UserOrId = HasId | int | str


def tenant_id(user: UserOrId) -> str:
    """The tenant id of a user (or of an id); raises BadTenantIdError for what could not be a file name of ours."""
    name = str(getattr(user, "id", user))
    if not _ID.fullmatch(name):
        raise BadTenantIdError(f"{name!r} is not a tenant id")
    return name


def current() -> str:
    """The id of the tenant this task is in.

    Raises NoTenantError outside any switch and TenantScopeClosedError in a task that outlived its block.
    """
    scope = _scope.get()
    if scope is None:
        raise NoTenantError("no tenant: use `async with tenant.switch(user)`")
    if not scope.open:
        raise TenantScopeClosedError(f"the switch to tenant {scope.tenant_id} that this task was started in has ended")
    return scope.tenant_id


def current_or_none() -> str | None:
    """The id of the tenant this task is in, None where `current` would raise."""
    scope = _scope.get()
    return scope.tenant_id if scope is not None and scope.open else None


class Scope:
    """One `async with` block in a tenant; enter it once. Yields the tenant's id.

    On exit it is closed for every task that copied this context. Entering raises WrongTenantError inside another
    tenant's block, TenantDoesNotExistError, and TenantError inside an async generator: its consumer would be switched.
    """

    __slots__ = ("_admit", "_token", "open", "tenant_id")

    def __init__(self, tenant: str, admit: Callable[[str], Awaitable[None]]) -> None:
        self.tenant_id = tenant
        self.open = False
        self._admit = admit
        self._token: contextvars.Token[Scope | None] | None = None

    def __aenter__(self) -> Coroutine[None, None, str]:
        # A plain function, so that the calling frame is still the one with the `async with`.
        _refuse_generators(sys._getframe(1))  # noqa: SLF001 - the documented way to the calling frame
        return self._enter()

    async def _enter(self) -> str:
        if self._token is not None:
            raise TenantError("a switch can be entered once")
        outer = current_or_none()
        if outer is not None and outer != self.tenant_id:
            raise WrongTenantError(f"in tenant {outer} already: switching to {self.tenant_id} is refused")
        await self._admit(self.tenant_id)
        self._token = _scope.set(self)
        self.open = True
        return self.tenant_id

    async def __aexit__(self, *_exc: object) -> None:
        self.open = False  # tasks that copied this context are cut off from here on
        if self._token is not None:
            _scope.reset(self._token)


def _refuse_generators(frame: FrameType | None) -> None:
    """Raise if the block is in an async generator, unless contextlib drives it and its user is no generator either."""
    while True:
        while frame is not None and frame.f_code.co_filename == contextlib.__file__:
            frame = frame.f_back
        if frame is None or not frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR:
            return
        driver = frame.f_back
        if driver is None or driver.f_code.co_filename != contextlib.__file__:
            raise TenantError("a switch inside an async generator would leak the tenant to its consumer")
        frame = driver


class LogFilter(logging.Filter):
    """Sets `record.tenant`: the id of the tenant whose code logged, `-` outside any."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.tenant = current_or_none() or "-"
        return True
