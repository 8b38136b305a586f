"""Owns the second factor of a sign-in to the panel: time-based codes (RFC 6238), and codes that stand in for them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING

import pyotp
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm.attributes import flag_modified

from bouncer.clock import now_ms
from bouncer.errors import InvalidError, RefusedError
from bouncer.models.main import RecoveryCode, SecondFactor
from bouncer.service.attempts import attempt
from bouncer.service.tokens import drop_all
from bouncer.throttle import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.database import MainDatabase
    from bouncer.models.main import User
    from bouncer.service.audit import Audit
    from bouncer.service.live import Live
    from bouncer.throttle import Throttle

STEP_S = 30
WINDOW = 1
"""Steps before and after the present one whose code is taken: clocks differ, people type."""
RECOVERY_CODES = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what looks alike."""
ISSUER = "Bouncer"


def new_secret() -> str:
    """160 random bits in Base32, as RFC 4226 section 4 asks."""
    return pyotp.random_base32()


def address_of(secret: str, name: str) -> str:
    """What an authenticator reads from a QR code: `otpauth://…`."""
    return str(pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER))


class SecondFactors:
    """All functions take the user's id. Secrets are encrypted at rest, recovery codes are hashes only."""

    def __init__(self, main: MainDatabase, throttle: Throttle, live: Live, audit: Audit) -> None:
        self._main = main
        self._throttle = throttle
        self._live = live
        self._audit = audit

    async def on(self, user_id: int) -> bool:
        """Whether the user signs in with one."""
        async with self._main.session() as session:
            return await session.scalar(select(SecondFactor.user_id).where(SecondFactor.user_id == user_id)) is not None

    async def users(self) -> frozenset[int]:
        """The ids of all who do."""
        async with self._main.session() as session:
            return frozenset(await session.scalars(select(SecondFactor.user_id)))

    async def enable(self, user: User, secret: str, code: str) -> Sequence[str]:
        """Begin, once `code` shows that the secret arrived; gives the recovery codes, this once.

        Clients that came in with the password are sent away: from now on IRC takes app passwords and certificates only.
        Raises InvalidError for a wrong code, RefusedError when it is on already.
        """
        step = _step(secret, code, 0)
        if step is None:
            raise InvalidError({"code": "is not the one of this moment; look at the clocks of both machines"})
        codes = _recovery_codes()
        async with self._main.session() as session:
            if await session.get(SecondFactor, user.id) is not None:
                raise RefusedError("two-factor sign-in is on already")
            session.add(SecondFactor(user_id=user.id, secret=secret, last_step=step, created_at=now_ms()))
            await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
            session.add_all(RecoveryCode(user_id=user.id, code_hash=_hash(one)) for one in codes)
            await session.commit()
        await self._audit.note("two-factor sign-in on", user.id, user.name)
        await drop_all(self._live, user.id, "password", "two-factor sign-in is on: use an app password")
        return codes

    async def disable(self, user: User) -> None:
        """End it: the password alone is enough again."""
        async with self._main.session() as session:
            await session.execute(delete(SecondFactor).where(SecondFactor.user_id == user.id))
            await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
            await session.commit()
        await self._audit.note("two-factor sign-in off", user.id, user.name)

    async def renew_codes(self, user: User) -> Sequence[str]:
        """New recovery codes; the old ones count no more."""
        codes = _recovery_codes()
        async with self._main.session() as session:
            await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
            session.add_all(RecoveryCode(user_id=user.id, code_hash=_hash(one)) for one in codes)
            await session.commit()
        await self._audit.note("new recovery codes", user.id, user.name)
        return codes

    async def encrypt_anew(self) -> None:
        """Encrypt every secret with the newest key."""
        async with self._main.session() as session:
            for row in await session.scalars(select(SecondFactor)):
                flag_modified(row, "secret")
            await session.commit()

    async def codes_left(self, user_id: int) -> int:
        """Recovery codes that were not used."""
        unused = (RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
        async with self._main.session() as session:
            return await session.scalar(select(func.count()).select_from(RecoveryCode).where(*unused)) or 0

    async def check(self, user_id: int, code: str, *, address: str) -> bool:
        """Whether this is the code of the moment, or a recovery code; neither is taken twice.

        Guessing is slowed like guessing passwords, counted apart: who knows the password cannot begin the count anew.
        Raises RefusedError while too many were wrong.
        """
        async with attempt(self._throttle, f"code {user_id}", address) as verdict:
            right = await self._take(user_id, "".join(code.split()).lower()[:32])
            verdict.outcome = Outcome.RIGHT if right else Outcome.WRONG
        return right

    async def _take(self, user_id: int, code: str) -> bool:
        async with self._main.session() as session:
            row = await session.get(SecondFactor, user_id)
            if row is None:
                return False
            step = _step(row.secret, code, row.last_step)
            change = (
                update(SecondFactor)
                .where(SecondFactor.user_id == user_id, SecondFactor.last_step < step)
                .values(last_step=step)
                if step is not None
                else update(RecoveryCode)
                .where(
                    RecoveryCode.user_id == user_id,
                    RecoveryCode.code_hash == _hash(code),
                    RecoveryCode.used_at.is_(None),
                )
                .values(used_at=now_ms())
            )
            done = await session.execute(change)
            await session.commit()
            return bool(done.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


def _step(secret: str, code: str, after: int) -> int | None:
    """The time step, later than `after`, whose code this is."""
    digits = "".join(code.split())
    if len(digits) != 6 or not digits.isascii() or not digits.isdigit():
        return None
    totp, now = pyotp.TOTP(secret, interval=STEP_S), int(time.time()) // STEP_S
    for step in range(now - WINDOW, now + WINDOW + 1):
        if hmac.compare_digest(totp.generate_otp(step), digits) and step > after:
            return step
    return None


def _recovery_codes() -> list[str]:
    return ["-".join((_random(5), _random(5))) for _ in range(RECOVERY_CODES)]


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _hash(code: str) -> str:
    """About 49 random bits, guessed only through the throttle; without the hyphen people may leave out."""
    return hashlib.sha256(f"recovery {code.replace('-', '')}".encode()).hexdigest()
