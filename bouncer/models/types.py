"""Owns the column types and column helpers that both databases use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Text, TypeDecorator, text
from sqlalchemy.orm import MappedColumn, mapped_column

from bouncer import vault

if TYPE_CHECKING:
    from sqlalchemy import Dialect

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Encrypted(TypeDecorator[str]):
    """Text that is plain in Python and a token of the installed vault in the file; compare it in Python only.

    Empty text stays empty: it is what a column that is never NULL says when there is no secret.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Encrypt on the way to the file."""
        del dialect
        return vault.encrypt(value) if value else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """Decrypt on the way back; raises VaultError when no key fits."""
        del dialect
        return vault.decrypt(value) if value else value


def flag(*, default: bool) -> MappedColumn[bool]:
    """A boolean column that is never NULL, whoever inserts the row."""
    return mapped_column(Boolean(), default=default, server_default=text("1" if default else "0"))


def secret_words() -> MappedColumn[str]:
    """As `words`, encrypted in the file."""
    return mapped_column(Encrypted(), default="", server_default="")


def words(default: str = "") -> MappedColumn[str]:
    """A text column that is never NULL, whoever inserts the row."""
    return mapped_column(Text(), default=default, server_default=default)
