"""Owns the tables of the installation; nothing that IRC brings and nothing that belongs to one person alone.

Times are integers, ms UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bouncer.clock import now_ms
from bouncer.models.types import NAMING, Encrypted, flag, words


class MainBase(DeclarativeBase):
    """The base of every table in the main database."""

    metadata = MetaData(naming_convention=NAMING)


class User(MainBase):
    """A person (or an account of theirs); `id` names the tenant file and is never used again."""

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    email: Mapped[str | None] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(Text())
    password_temporary: Mapped[bool] = flag(default=False)
    admin: Mapped[bool] = flag(default=False)
    enabled: Mapped[bool] = flag(default=True)
    max_servers: Mapped[int | None]
    max_disk_mb: Mapped[int | None]
    created_at: Mapped[int] = mapped_column(BigInteger(), default=now_ms)
    last_seen_at: Mapped[int | None] = mapped_column(BigInteger())


class Session(MainBase):
    """A signed-in browser; the token itself is only in its cookie, here is the SHA-256 of it in hex."""

    __tablename__ = "sessions"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    data: Mapped[str] = words("{}")
    created_at: Mapped[int] = mapped_column(BigInteger(), default=now_ms)
    last_used_at: Mapped[int] = mapped_column(BigInteger(), default=now_ms)
    expires_at: Mapped[int] = mapped_column(BigInteger(), index=True)
    address: Mapped[str] = words()
    agent: Mapped[str] = words()


class Token(MainBase):
    """An app password for one client: a long random secret, of which only what is needed to check it is kept.

    `name` is the client name it is for, "" for any. The SCRAM fields are those of RFC 5802 section 3 (hex), made from
    the same secret. A revoked token stays in the list as one that was.
    """

    __tablename__ = "tokens"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64), default="", server_default="")
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    salt: Mapped[str] = mapped_column(String(64))
    iterations: Mapped[int]
    stored_key: Mapped[str] = mapped_column(String(64))
    server_key: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger(), default=now_ms)
    last_used_at: Mapped[int | None] = mapped_column(BigInteger())
    last_address: Mapped[str] = words()
    revoked_at: Mapped[int | None] = mapped_column(BigInteger())


class ClientCertificate(MainBase):
    """A TLS client certificate that logs its user in; one of the two fingerprints is always there (lower-case hex).

    The other one is written when the certificate is first seen.
    """

    __tablename__ = "client_certificates"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    fingerprint_sha256: Mapped[str | None] = mapped_column(String(64), unique=True)
    fingerprint_sha512: Mapped[str | None] = mapped_column(String(128), unique=True)
    name: Mapped[str] = mapped_column(String(64), default="", server_default="")
    created_at: Mapped[int] = mapped_column(BigInteger(), default=now_ms)
    last_used_at: Mapped[int | None] = mapped_column(BigInteger())
    last_address: Mapped[str] = words()


class SecondFactor(MainBase):
    """The secret of the codes (RFC 6238) that a user signs in with beside the password; IRC takes no password then.

    `last_step` is the newest time step a code was taken for: none is taken twice.
    """

    __tablename__ = "second_factors"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(Encrypted())
    last_step: Mapped[int] = mapped_column(BigInteger(), default=0, server_default="0")
    created_at: Mapped[int] = mapped_column(BigInteger(), default=now_ms)


class RecoveryCode(MainBase):
    """A code that stands in for one of the second factor, once; here is the SHA-256 of it in hex."""

    __tablename__ = "recovery_codes"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))
    used_at: Mapped[int | None] = mapped_column(BigInteger())


class Invite(MainBase):
    """A link with which one person can make themselves an account; of the token only the SHA-256 in hex is here."""

    __tablename__ = "invites"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    note: Mapped[str] = words()
    created_at: Mapped[int] = mapped_column(BigInteger(), default=now_ms)
    expires_at: Mapped[int] = mapped_column(BigInteger())


class AuditEntry(MainBase):
    """What somebody did to the installation or to an account; names are as they were, a deleted user's a number.

    `actor_id` and `subject_id` are ids of users, without a reference: entries outlive them.
    """

    __tablename__ = "audit"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[int] = mapped_column(BigInteger(), default=now_ms)
    actor_id: Mapped[int | None]
    actor: Mapped[str] = words()
    action: Mapped[str] = words()
    subject_id: Mapped[int | None]
    subject: Mapped[str] = words()
    detail: Mapped[str] = words()
    address: Mapped[str] = words()
