"""Owns password hashing: Argon2id in a few threads of its own, so that neither the loop nor the memory suffers."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bouncer.errors import InvalidError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_BYTES = 1024
MEMORY_KIB = 19_456
PASSES = 2
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread, nothing that IRC or a shell would split at


def one_time_password() -> str:
    """Four groups of five, like `k7mfp-…`: 99 bits, safe in a PASS line, a URL and a shell."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


class Passwords:
    """Hashes and checks passwords, at most `workers` at once and `waiting` queued; more are refused.

    The cost (19 MiB, 2 passes, 1 lane; some 30 ms) is what OWASP's Password Storage Cheat Sheet asks of Argon2id. Two
    threads bound what a flood of sign-ins can take: two cores' worth of time at most, 38 MiB.
    """

    def __init__(self, *, workers: int = 2, waiting: int = 64, memory_kib: int | None = None) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=memory_kib or MEMORY_KIB, parallelism=1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="password")
        self._bound = workers + waiting
        self._pending = 0
        # The first job of the queue, so no later one can wait for it in vain.
        self._nobody: Future[str] = self._pool.submit(self._hasher.hash, secrets.token_bytes(32))

    async def hash(self, password: str) -> str:
        """The PHC string to store; raises InvalidError over 1,024 bytes or empty, RefusedError when too many wait."""
        secret = _encode(password)
        if not 0 < len(secret) <= MAX_BYTES:
            raise InvalidError({"password": f"must have 1 to {MAX_BYTES} bytes"})
        return await self._run(lambda: self._hasher.hash(secret))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one `stored` was made from; None (no such user) takes the same work and is False.

        Raises RefusedError when too many wait.
        """
        return await self._run(lambda: self._check(stored, _encode(password)))

    def room(self) -> None:
        """Raise RefusedError when too many wait."""
        if self._pending >= self._bound:
            raise RefusedError("too many people are signing in at once; try again in a moment")

    def needs_rehash(self, stored: str) -> bool:
        """Whether `stored` was made at another cost than today's: hash again after a successful `verify`."""
        try:
            return self._hasher.check_needs_rehash(stored)
        except InvalidHashError:
            return True

    @property
    def pending(self) -> int:
        """Hashes at work or waiting."""
        return self._pending

    def close(self) -> None:
        """Drop what waits; does not wait for what runs (tens of ms)."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, stored: str | None, secret: bytes) -> bool:
        possible = stored is not None and 0 < len(secret) <= MAX_BYTES
        try:
            return (
                self._matches(stored if possible and stored else self._nobody.result(), secret[:MAX_BYTES]) and possible
            )
        except InvalidHashError:  # not a hash of ours: nobody's password, at the same price
            self._matches(self._nobody.result(), secret[:MAX_BYTES])
            return False

    def _matches(self, stored: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(stored, secret)
        except VerificationError:
            return False

    async def _run(self, job: Callable[[], T]) -> T:
        self.room()
        future = self._pool.submit(job)
        self._pending += 1
        try:
            return await asyncio.wrap_future(future)
        finally:
            # A cancelled waiter of a running job leaves the job running: it ends within tens of ms.
            self._pending -= 1


def _encode(password: str) -> bytes:
    """The bytes a client typed: lines are decoded with surrogateescape; other surrogates are nobody's password."""
    try:
        return password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b""
