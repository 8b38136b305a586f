"""Owns the TLS client certificates that log their users in, known by their fingerprints."""

from __future__ import annotations

import hashlib
import logging
import re
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bouncer.clock import now_ms
from bouncer.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from bouncer.models.main import ClientCertificate, User
from bouncer.service.attempts import Admitted
from bouncer.service.tokens import USED_MS, drop_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from bouncer.database import MainDatabase
    from bouncer.service.live import Live

log = logging.getLogger(__name__)

MAX_CERTIFICATES = 100
"""Certificates of one user."""
_HEX = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
_NAME_BYTES = 64


class Certificates:
    """A certificate is given whole (`der`, bytes) or as the SHA-256 or SHA-512 of it in hex, with or without colons."""

    def __init__(self, main: MainDatabase, live: Live) -> None:
        self._main = main
        self._live = live

    async def enrol(self, user_id: int, certificate: bytes | str, name: str = "") -> ClientCertificate:
        """Let who presents it in as this user; one that may already is given as it is, its name too.

        Raises InvalidError for what is no fingerprint, ConflictError for another user's, RefusedError over the bound.
        """
        sha256, sha512 = _fingerprints(certificate)
        async with self._main.session() as session:
            if await session.get(User, user_id) is None:
                raise NotFoundError("there is no such user")
            known: ClientCertificate | None = await session.scalar(
                select(ClientCertificate).where(_matches(sha256, sha512))
            )
            if known is not None:
                if known.user_id != user_id:
                    raise ConflictError("this certificate is somebody else's")
                return known
            mine = select(func.count()).select_from(ClientCertificate).where(ClientCertificate.user_id == user_id)
            if (await session.scalar(mine) or 0) >= MAX_CERTIFICATES:
                raise RefusedError(f"there are {MAX_CERTIFICATES} certificates already; remove one first")
            row = ClientCertificate(
                user_id=user_id,
                fingerprint_sha256=sha256,
                fingerprint_sha512=sha512,
                name=_clean(name),
                created_at=now_ms(),
            )
            session.add(row)
            try:
                await session.commit()
            except IntegrityError as error:
                raise ConflictError("this certificate has just been enrolled") from error
        return row

    async def list(self, user_id: int) -> Sequence[ClientCertificate]:
        """Oldest first."""
        query = select(ClientCertificate).where(ClientCertificate.user_id == user_id).order_by(ClientCertificate.id)
        async with self._main.session() as session:
            return list(await session.scalars(query))

    async def remove(self, user_id: int, which: int | bytes | str) -> ClientCertificate:
        """By id, by fingerprint, or the certificate itself; ends the connections that came in with it."""
        this = ClientCertificate.id == which if isinstance(which, int) else _matches(*_fingerprints(which))
        async with self._main.session() as session:
            row: ClientCertificate | None = await session.scalar(
                select(ClientCertificate).where(ClientCertificate.user_id == user_id, this)
            )
            if row is None:
                raise NotFoundError("there is no such certificate")
            await session.delete(row)
            await session.commit()
        await drop_all(self._live, user_id, f"certificate {row.id}", "the certificate was removed")
        return row

    async def check(self, der: bytes, who: str = "", *, address: str) -> Admitted | None:
        """The enabled user whose certificate this is (and, where a name was said, who is called that).

        Where two have enrolled it, each by another fingerprint, the name has to be said.
        """
        sha256, sha512 = _fingerprints(der)
        query = select(ClientCertificate, User).join(User, User.id == ClientCertificate.user_id)
        async with self._main.session() as session:
            rows = (await session.execute(query.where(_matches(sha256, sha512), User.enabled))).all()
        mine = [row for row in rows if who in ("", row[1].name)]
        if len({row[1].id for row in mine}) != 1:
            return None
        row = mine[0]
        await self._used(row[0], sha256, sha512, address)
        return Admitted(row[1], f"certificate {row[0].id}", "")

    async def _used(self, row: ClientCertificate, sha256: str | None, sha512: str | None, address: str) -> None:
        known = row.fingerprint_sha256 and row.fingerprint_sha512 and row.last_address == address
        if known and row.last_used_at is not None and now_ms() - row.last_used_at < USED_MS:
            return
        values = {
            "fingerprint_sha256": sha256,
            "fingerprint_sha512": sha512,
            "last_used_at": now_ms(),
            "last_address": address,
        }
        try:
            async with self._main.session() as session:
                await session.execute(update(ClientCertificate).where(ClientCertificate.id == row.id).values(values))
                await session.commit()
        except SQLAlchemyError as error:  # a note for the list: nobody is kept out for it
            log.warning("the use of a certificate could not be noted: %s", error)


def _fingerprints(certificate: bytes | str) -> tuple[str | None, str | None]:
    """SHA-256 and SHA-512, as far as they can be known."""
    if isinstance(certificate, bytes):
        return hashlib.sha256(certificate).hexdigest(), hashlib.sha512(certificate).hexdigest()
    text = certificate.replace(":", "").strip().lower()
    if not _HEX.fullmatch(text):
        raise InvalidError({"fingerprint": "must be the SHA-256 (64 hex digits) or SHA-512 (128) of a certificate"})
    return (text, None) if len(text) == 64 else (None, text)


def _matches(sha256: str | None, sha512: str | None) -> ColumnElement[bool]:
    conditions = []
    if sha256 is not None:
        conditions.append(ClientCertificate.fingerprint_sha256 == sha256)
    if sha512 is not None:
        conditions.append(ClientCertificate.fingerprint_sha512 == sha512)
    return or_(*conditions)


def _clean(name: str) -> str:
    """At most 64 bytes of printable text: a client's wish is bent, not refused."""
    text = "".join(one if one.isprintable() else " " for one in name).strip()
    return text.encode("utf-8", "ignore")[:_NAME_BYTES].decode("utf-8", "ignore").strip()
