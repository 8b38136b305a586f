"""The command layer: one set of functions behind the command line, BouncerServ and the panel; owns no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bouncer.service.facade import Service

__all__ = ["Service"]


def __getattr__(name: str) -> object:
    """`Service`, imported when first used: a command told to a running bouncer needs the grammar, not the databases."""
    if name != "Service":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bouncer.service.facade import Service  # noqa: PLC0415 - see the docstring

    return Service
