"""Whoever is named, the same work; a flood of guesses costs those who are in nothing and locks nobody out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import HealthCheck, given, settings
from sqlalchemy import update

from bouncer import tasks, throttle
from bouncer.errors import RefusedError
from bouncer.models.main import User
from bouncer.passwords import Passwords
from tests.support.house import PASSWORD, Attached
from tests.support.nasty import texts
from tests.support.room import on_room

if TYPE_CHECKING:
    from bouncer.service import Service
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

FLOOD = 500
pytestmark = pytest.mark.usefixtures("full_price")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every Argon2 computation, by the parameters of the hash it was checked against."""
    done: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str | bytes, password: str | bytes) -> bool:
        extract_parameters(str(stored))  # raises, as `verify` will, for what is no hash: that computes nothing
        done.append(str(stored).rpartition("$")[0].rpartition("$")[0])
        return bool(verify(self, stored, password))

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    return done


async def test_each_attempt_is_one_hash_of_the_same_cost_whoever_is_named(
    service: Service, alice: User, bob: User, hashed: list[str]
) -> None:
    await service.users.set_enabled(bob.id, False)
    carol = await service.users.add("carol", password="correct horse battery")
    async with service.main.session() as session, session.begin():
        await session.execute(update(User).where(User.id == carol.id).values(password_hash="no hash of ours"))
    names = [
        alice.name, bob.name, carol.name, "bob@example.org", "nobody", "nobody@example.org", "", "x" * 5000,
        "a' OR 1=1 --",
    ]  # fmt: skip
    for name in names:
        for password in ("wrong", "", "x" * 5000, "wonderland"):
            before = len(hashed)
            service.users.throttle = throttle.Throttle()  # each one is the first
            found = await service.users.authenticate(name, password, address="")
            assert (found is not None) == (name == alice.name and password == "wonderland")
            assert len(hashed) - before == 1, (name, password)
    assert len(set(hashed)) == 1, "the same memory and passes"


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=texts, password=texts)
async def test_nonsense_signs_nobody_in_and_breaks_nothing(
    service: Service, alice: User, name: str, password: str
) -> None:
    del alice
    service.users.throttle = throttle.Throttle()
    assert await service.users.authenticate(name, password, address="") is None
    assert await service.tokens.check(name, password, address="") is None


async def test_a_flood_of_guesses_starves_nobody_who_is_in(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From many networks, so that no throttle but the bounded pool stands in its way."""
    peer = await on_room(house, network)
    client = await house.client("alice/net@one")
    await client.until(" 366 ")
    await client.barrier()
    service, most = house.supervisor.service, 0
    refused: list[str] = []

    async def guess(number: int) -> None:
        address = f"{10 + number // 250}.{number % 250}.0.1"
        try:
            assert await service.users.authenticate(f"user{number}", "guess", address=address) is None
        except RefusedError as error:
            refused.append(str(error))

    original = Passwords._run

    async def watched(self: Passwords, job: object) -> object:
        nonlocal most
        most = max(most, self._pending)
        return await original(self, job)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Passwords, "_run", watched)
    flood = tasks.Group()
    guesses = [flood.spawn(guess(number), name="guess") for number in range(FLOOD)]
    for number in range(8):
        await peer.send(f":friend!f@h PRIVMSG #Room :m{number}")
        await client.until(f"#Room :m{number}")
        client.send(f"PRIVMSG #Room :a{number}")
        await client.barrier()
    under_way = sum(not one.done() for one in guesses)
    await asyncio.wait(guesses)
    assert under_way, "the conversation went on while guesses were looked at"
    assert most <= 66
    assert len(refused) > FLOOD / 2
    assert set(refused) == {"too many people are signing in at once; try again in a moment"}
    again = await house.client("alice/net@two")
    await again.until(" 001 ")


async def test_after_a_restart_all_clients_of_a_house_come_back_at_once(house: House) -> None:
    await house.user("alice")
    await house.user("bob")
    clients = await asyncio.gather(
        *(Attached.connect(house.port, f"{name}@c{number}") for number in range(10) for name in ("alice", "bob"))
    )
    house.clients += clients
    for client in clients:
        assert " 001 " in (await client.until(" 00"))[-1]
    assert len(house.supervisor.service.users.throttle) == 0


async def test_strangers_who_fail_do_not_keep_the_owner_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "ACCOUNT_STEP_MS", 1)
    await house.user("alice")
    service = house.supervisor.service
    for number in range(12):
        assert await service.users.authenticate("alice", "guess", address=f"10.{number}.0.1") is None
    client = await Attached.connect(house.port, "alice", password=PASSWORD)
    house.clients.append(client)
    await client.until(" 001 ")
