"""What ceases to count lets nobody stay and nobody in, not even who was half-way through the door."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest

from tests.support.house import PASSWORD, Attached

if TYPE_CHECKING:
    from tests.support.house import House


async def half_way(house: House, login: str, password: str) -> Attached:
    """A client that is logged in and has not registered yet."""
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(client)
    plain = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
    client.send("CAP LS 302", "CAP REQ sasl", "AUTHENTICATE PLAIN", f"AUTHENTICATE {plain}")
    client.send("NICK me", "USER me 0 * :me")
    await client.until(" 903 ")
    return client


async def attached(house: House, login: str, password: str = PASSWORD) -> Attached:
    client = await Attached.connect(house.port, login, password=password)
    house.clients.append(client)
    await client.until(" 422 ")
    return client


async def test_a_new_password_ends_the_clients_of_the_old_one_and_no_others(house: House) -> None:
    alice, _ = await house.user("alice"), await house.user("bob")
    call = house.supervisor.service
    _, secret = await call.tokens.create(alice, "phone")
    old, phone = await attached(house, "alice"), await attached(house, "alice@phone", secret)
    bob = await attached(house, "bob")
    entering, bob_entering = await half_way(house, "alice", PASSWORD), await half_way(house, "bob", PASSWORD)
    await call.users.set_password(alice, "another one")
    assert "the password was changed" in (await old.until("ERROR"))[-1]
    entering.send("CAP END")
    assert "counts no more" in (await entering.until("ERROR"))[-1]
    bob_entering.send("CAP END")
    await bob_entering.until(" 001 ")
    await phone.barrier()
    await bob.barrier()
    await attached(house, "alice", "another one")


async def test_who_asks_for_it_keeps_the_clients_that_are_there(house: House) -> None:
    alice = await house.user("alice")
    await house.supervisor.service.users.set_admin(alice, True)
    client, entering = await attached(house, "alice"), await half_way(house, "alice", PASSWORD)
    client.send("PRIVMSG BouncerServ :user passwd alice --password second --keep-clients")
    await client.until("password of alice changed")
    entering.send("CAP END")
    await entering.until(" 001 ")
    client.send("PRIVMSG BouncerServ :user passwd alice --password third")
    assert "the password was changed" in (await client.until("ERROR"))[-1]
    await entering.until("ERROR")


@pytest.mark.parametrize("name", ["phone", ""])
async def test_an_app_password_that_is_revoked_lets_nobody_in_who_is_still_registering(house: House, name: str) -> None:
    alice = await house.user("alice")
    call = house.supervisor.service
    token, secret = await call.tokens.create(alice, name)
    other, other_secret = await call.tokens.create(alice, "other")
    client, stays = await half_way(house, "alice@phone", secret), await half_way(house, "alice@other", other_secret)
    await call.tokens.revoke(alice, token.id)
    client.send("CAP END")
    assert "counts no more" in (await client.until("ERROR"))[-1]
    stays.send("CAP END")
    await stays.until(" 001 ")
    assert [one.credential for one in house.supervisor.clients(alice)] == [f"token {other.id}"]
    await call.tokens.revoke(alice, other.id)
    await stays.until("ERROR")
    assert not house.supervisor._entering
