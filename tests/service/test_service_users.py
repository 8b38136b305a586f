"""Users: rows, files, passwords."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from bouncer.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from bouncer.models.main import Session, User

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.service import Service
    from bouncer.tenant import Tenants


def all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_a_new_user_has_a_row_and_a_file(service: Service, bob: User, tenants: Tenants) -> None:
    assert (await service.users.get("bob")).id == bob.id
    assert (await service.users.get(bob.id)).email == "bob@example.org"
    assert await tenants.exists(bob.id)


async def test_names_and_addresses_are_taken_once(service: Service, bob: User) -> None:
    with pytest.raises(ConflictError, match="bob"):
        await service.users.add(bob.name, password="x")
    with pytest.raises(ConflictError, match="e-mail"):
        await service.users.add("robert", password="x", email="bob@example.ORG")


async def test_of_two_who_take_a_name_at_once_one_gets_it(service: Service) -> None:
    results = await asyncio.gather(
        *(service.users.add("carol", password="x") for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(result, User) for result in results) == 1
    assert all(isinstance(result, (User, ConflictError)) for result in results)


async def test_a_user_whose_file_cannot_be_made_is_not_there(service: Service, storage: Path) -> None:
    tenants = storage / "tenants"
    tenants.rename(storage / "elsewhere")
    with pytest.raises(OSError, match="tenants"):
        await service.users.add("carol", password="x")
    (storage / "elsewhere").rename(tenants)
    with pytest.raises(NotFoundError):
        await service.users.get("carol")
    assert (await service.users.add("carol", password="x")).id > 1


async def test_who_lost_their_file_in_a_crash_gets_one_before_the_first_sign_in(
    service: Service, bob: User, tenants: Tenants
) -> None:
    await tenants.destroy(bob.id)
    await service.users.repair()
    assert await tenants.exists(bob.id)
    await service.users.authenticate("bob", "builder", address="")
    await tenants.destroy(bob.id)
    await service.users.repair()
    assert not await tenants.exists(bob.id)


async def test_one_signs_in_by_name_or_address_and_only_with_the_password(service: Service, bob: User) -> None:
    for name, password, right in (
        ("bob", "builder", True), ("BOB@example.org", "builder", True), ("bob", "Builder", False),
        ("nobody", "builder", False), ("bob", "", False), ("", "", False),
    ):  # fmt: skip
        user = await service.users.authenticate(name, password, address="192.0.2.1")
        assert (user is not None and user.id == bob.id) is right
    assert (await service.users.get(bob.id)).last_seen_at is not None


async def test_too_many_wrong_passwords_are_refused_unseen_from_there_only(service: Service, bob: User) -> None:
    for _ in range(4):
        assert await service.users.authenticate(bob.name, "wrong", address="192.0.2.1") is None
    with pytest.raises(RefusedError, match=r"too many attempts, wait \d+ s"):
        await service.users.authenticate(bob.name, "builder", address="192.0.2.1")
    assert await service.users.authenticate(bob.name, "builder", address="198.51.100.1") is not None


async def add_session(service: Service, user: User, token: str) -> int:
    async with service.main.session() as session:
        row = Session(token_hash=token, user_id=user.id, expires_at=1, address="", agent="")
        session.add(row)
        await session.commit()
        return row.id


async def sessions(service: Service) -> list[int]:
    async with service.main.session() as session:
        return list(await session.scalars(select(Session.id).order_by(Session.id)))


async def test_a_new_password_ends_the_other_web_sessions(service: Service, alice: User, bob: User) -> None:
    mine, other = await add_session(service, bob, "1"), await add_session(service, bob, "2")
    foreign = await add_session(service, alice, "3")
    await service.users.set_password(bob.id, "new", keep_session=mine)
    assert await sessions(service) == [mine, foreign]
    assert other not in await sessions(service)
    assert await service.users.authenticate("bob", "new", address="") is not None
    assert await service.users.authenticate("bob", "builder", address="") is None


async def test_a_disabled_user_cannot_sign_in_and_keeps_the_data(service: Service, bob: User, tenants: Tenants) -> None:
    await add_session(service, bob, "1")
    await service.users.set_enabled(bob.id, False)
    assert await service.users.authenticate("bob", "builder", address="") is None
    assert await sessions(service) == []
    assert await tenants.exists(bob.id)
    await service.users.set_enabled(bob.id, True)
    assert await service.users.authenticate("bob", "builder", address="") is not None


async def test_a_deleted_user_leaves_no_row_and_no_byte(
    service: Service, bob: User, storage: Path, tenants: Tenants
) -> None:
    await service.servers.add(bob.id, {"name": "zanzibar", "address": "irc.example.org", "channels": "#zanzibar"})
    await add_session(service, bob, "1")
    path = tenants.path(bob.id)
    await service.users.delete(bob.id)
    assert not list(path.parent.glob(f"{path.name}*"))
    left = all_bytes(storage)
    assert b"bob@example.org" not in left
    assert b"zanzibar" not in left
    carol = await service.users.add("carol", password="x")
    assert carol.id > bob.id, "an id is never used again"


async def test_the_last_admin_stays(service: Service, alice: User, bob: User) -> None:
    for act in (service.users.delete(alice.id), service.users.set_enabled(alice.id, False)):
        with pytest.raises(RefusedError, match="only admin"):
            await act
    await service.users.add("carol", password="x", admin=True)
    await service.users.delete(alice.id)
    assert [user.name for user in await service.users.list()] == [bob.name, "carol"]


async def test_limits_are_set_one_by_one_and_taken_back(service: Service, bob: User) -> None:
    assert (await service.users.set_limits(bob.id, max_servers=2)).max_servers == 2
    user = await service.users.set_limits(bob.id, max_disk_mb=100)
    assert (user.max_servers, user.max_disk_mb) == (2, 100)
    assert (await service.users.set_limits(bob.id, max_servers=None)).max_servers is None
    with pytest.raises(InvalidError):
        await service.users.set_limits(bob.id, max_servers=-1)


async def test_the_first_admin_is_made_once(service: Service) -> None:
    made = await service.users.first_admin()
    assert made is not None
    user, password = made
    assert user.admin
    assert user.password_temporary
    assert await service.users.authenticate(user.name, password, address="") is not None
    assert await service.users.first_admin() is None
    async with service.main.session() as session:
        assert await session.scalar(select(func.count()).select_from(User)) == 1


async def test_a_password_must_fit_one_line(service: Service) -> None:
    for password in ("", "a\nb", "a\0b", "x" * 301):
        with pytest.raises(InvalidError) as caught:
            await service.users.add("carol", password=password)
        assert list(caught.value.fields) == ["password"]
