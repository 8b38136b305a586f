"""Passwords are hashed with Argon2id, a few at a time, at the same price for everybody."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import closing

import pytest

from bouncer.errors import InvalidError, RefusedError
from bouncer.passwords import MAX_BYTES, Passwords, one_time_password

pytestmark = pytest.mark.usefixtures("full_price")


async def test_a_hash_is_argon2id_and_knows_its_password() -> None:
    with closing(Passwords()) as passwords:
        stored = await passwords.hash("correct horse")
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert await passwords.verify(stored, "correct horse")
        assert not await passwords.verify(stored, "correct horse ")
        assert not passwords.needs_rehash(stored)


async def test_two_hashes_of_one_password_differ() -> None:
    with closing(Passwords(memory_kib=64)) as passwords:
        assert await passwords.hash("x") != await passwords.hash("x")


@pytest.mark.parametrize("stored", [None, "", "$argon2id$broken", "plain"])
async def test_who_is_not_there_has_no_password_that_works(stored: str | None) -> None:
    with closing(Passwords(memory_kib=64)) as passwords:
        assert not await passwords.verify(stored, "")
        assert not await passwords.verify(stored, "anything")


async def test_an_unknown_name_takes_the_same_time_as_a_known_one() -> None:
    with closing(Passwords()) as passwords:
        stored = await passwords.hash("x")

        async def cost_s(of: str | None) -> float:
            times = []
            for _ in range(7):
                begin = time.process_time()
                assert not await passwords.verify(of, "wrong")
                times.append(time.process_time() - begin)
            return min(times)

        known, unknown = await cost_s(stored), await cost_s(None)
        assert known / 2 < unknown < known * 2


async def test_bytes_that_are_not_utf8_are_a_password_too() -> None:
    with closing(Passwords(memory_kib=64)) as passwords:
        secret = b"gr\xfcn".decode("utf-8", "surrogateescape")
        stored = await passwords.hash(secret)
        assert await passwords.verify(stored, secret)
        assert not await passwords.verify(stored, "grün")


async def test_empty_and_endless_passwords_are_refused() -> None:
    with closing(Passwords(memory_kib=64)) as passwords:
        longest = await passwords.hash("x" * MAX_BYTES)
        assert await passwords.verify(longest, "x" * MAX_BYTES)
        assert not await passwords.verify(longest, "x" * (MAX_BYTES + 1))
        for bad in ("", "x" * (MAX_BYTES + 1), "\ud800"):
            with pytest.raises(InvalidError):
                await passwords.hash(bad)


async def test_a_flood_of_sign_ins_is_refused_and_the_queue_recovers() -> None:
    with closing(Passwords(waiting=3)) as passwords:
        results = await asyncio.gather(*(passwords.verify(None, "x") for _ in range(20)), return_exceptions=True)
        assert results.count(False) == 5
        assert sum(isinstance(each, RefusedError) for each in results) == 15
        assert await passwords.verify(None, "x") is False


async def test_the_loop_turns_while_hashes_are_made() -> None:
    with closing(Passwords()) as passwords:
        work = asyncio.gather(*(passwords.verify(None, "x") for _ in range(8)))
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100


async def test_a_waiter_that_gives_up_frees_its_place() -> None:
    with closing(Passwords(workers=1, waiting=1)) as passwords:
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(passwords.verify(None, "x"), 0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(passwords.verify(None, "x"), 0.0001)
        assert await passwords.verify(None, "x") is False


async def test_an_older_cost_is_noticed() -> None:
    with closing(Passwords(memory_kib=64)) as old, closing(Passwords()) as new:
        assert new.needs_rehash(await old.hash("x"))
        assert new.needs_rehash("plain")


def test_a_one_time_password_is_long_and_survives_a_pass_line() -> None:
    made = {one_time_password() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"([a-hj-km-np-z2-9]{5}-){3}[a-hj-km-np-z2-9]{5}", each) for each in made)
