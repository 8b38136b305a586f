"""App passwords and client certificates: what lets a client in beside the password."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bouncer import tls
from bouncer.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from bouncer.sasl import ScramSha256
from bouncer.scram import ScramServer
from bouncer.service import certificates, tokens

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.service import Service

DER = tls.self_signed(["localhost"]).cert_pem


def written(storage: Path) -> bytes:
    return b"".join(file.read_bytes() for file in storage.glob("main.sqlite3*"))


async def prove(service: Service, who: str, client: str | None, secret: str) -> bool:
    """Whether a SCRAM exchange with this secret works out."""
    found = await service.tokens.lookup(who, client)
    us, them = ScramServer(), ScramSha256(who, secret)
    us.first(them.step(b""))
    right = us.finish(them.step(us.challenge(found.keys))) is not None
    assert not right or found.found is not None
    return right


async def test_an_app_password_lets_its_user_in_and_is_kept_as_a_hash(
    service: Service, alice: User, bob: User, storage: Path
) -> None:
    token, secret = await service.tokens.create(alice.id, "phone")
    admitted = await service.tokens.check("alice", secret, address="192.0.2.1")
    assert admitted is not None
    assert (admitted.user.id, admitted.credential, admitted.client) == (alice.id, f"token {token.id}", "phone")
    assert await service.tokens.check(bob.name, secret, address="") is None
    assert await service.tokens.check("alice", secret + "x", address="") is None
    assert await service.tokens.check("alice\udce9", "\udce9", address="") is None
    (listed,) = await service.tokens.list(alice.id)
    assert listed.last_address == "192.0.2.1"
    assert listed.last_used_at is not None
    assert secret.encode() not in await asyncio.to_thread(written, storage)


async def test_the_use_of_an_app_password_is_noted_once_a_minute(service: Service, alice: User) -> None:
    _, secret = await service.tokens.create(alice.id)
    noted = []
    for _ in range(3):
        await service.tokens.check("alice", secret, address="192.0.2.1")
        noted.append((await service.tokens.list(alice.id))[0].last_used_at)
    assert len(set(noted)) == 1


async def test_what_is_revoked_does_not_count_and_can_be_made_anew(service: Service, alice: User, bob: User) -> None:
    token, secret = await service.tokens.create(alice.id, "phone")
    with pytest.raises(ConflictError, match="phone"):
        await service.tokens.create(alice.id, "phone")
    found = (await service.tokens.lookup("alice", "phone")).found
    assert found is not None
    with pytest.raises(NotFoundError):
        await service.tokens.revoke(bob.id, token.id)
    assert (await service.tokens.revoke(alice.id, "phone")).id == token.id
    assert await service.tokens.check("alice", secret, address="") is None
    assert await service.tokens.proved(found, address="") is None
    assert not await prove(service, "alice", "phone", secret)
    assert list(await service.tokens.list(alice.id)) == []
    assert len(await service.tokens.list(alice.id, revoked=True)) == 1
    await service.tokens.create(alice.id, "phone")


async def test_the_bounds_of_app_passwords(service: Service, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a b", "a/b", "a@b", "x" * 65, "a\n"):
        with pytest.raises(InvalidError):
            await service.tokens.create(alice.id, name)
    with pytest.raises(NotFoundError):
        await service.tokens.create(99)
    monkeypatch.setattr(tokens, "MAX_TOKENS", 1)
    await service.tokens.create(alice.id)
    with pytest.raises(RefusedError):
        await service.tokens.create(alice.id)


async def test_scram_takes_the_app_password_of_the_client_else_one_for_any(service: Service, alice: User) -> None:
    _, phone = await service.tokens.create(alice.id, "phone")
    assert await prove(service, "alice", "phone", phone)
    assert not await prove(service, "alice", "desk", phone)
    _, spare = await service.tokens.create(alice.id)
    assert await prove(service, "alice", "desk", spare)
    assert await prove(service, "alice", None, spare)
    assert await prove(service, "alice", "phone", phone)
    assert not await prove(service, "alice", "phone", spare)


async def test_an_unknown_name_has_a_salt_that_stays(service: Service, alice: User) -> None:
    await service.tokens.create(alice.id, "phone")
    real = (await service.tokens.lookup("alice", "phone")).keys
    for who, client in (("nobody", None), ("alice", None), ("alice", "desk")):
        first, again = [await service.tokens.lookup(who, client) for _ in range(2)]
        assert first == again
        assert first.found is None
        assert (len(first.keys.salt), first.keys.rounds) == (len(real.salt), real.rounds)
    assert (await service.tokens.lookup("nobody", None)).keys != (await service.tokens.lookup("other", None)).keys


async def test_wrong_proofs_slow_down_like_wrong_passwords(service: Service) -> None:
    for _ in range(4):
        await service.tokens.failed("alice", address="192.0.2.1")
    with pytest.raises(RefusedError, match="too many"):
        await service.tokens.failed("alice", address="192.0.2.1")


async def test_a_certificate_lets_its_user_in(service: Service, alice: User, bob: User) -> None:
    row = await service.certificates.enrol(alice.id, DER, "the\nlaptop " + "é" * 60)
    assert row.name.startswith("the laptop é")
    assert len(row.name.encode()) <= 64
    assert (await service.certificates.enrol(alice.id, DER, "another name")).name == row.name
    with pytest.raises(ConflictError):
        await service.certificates.enrol(bob.id, DER)
    admitted = await service.certificates.check(DER, address="192.0.2.1")
    assert admitted is not None
    assert (admitted.user.id, admitted.credential) == (alice.id, f"certificate {row.id}")
    assert await service.certificates.check(DER, "alice", address="") is not None
    assert await service.certificates.check(DER, "bob", address="") is None
    assert await service.certificates.check(DER + b"x", address="") is None
    with pytest.raises(NotFoundError):
        await service.certificates.remove(bob.id, row.id)
    await service.certificates.remove(alice.id, DER)
    assert await service.certificates.check(DER, address="") is None


@pytest.mark.parametrize("number", [0, 1])
async def test_either_fingerprint_will_do_and_the_other_is_learnt(service: Service, alice: User, number: int) -> None:
    both = certificates._fingerprints(DER)
    written = ":".join((both[number] or "")[at : at + 2] for at in range(0, len(both[number] or ""), 2)).upper()
    await service.certificates.enrol(alice.id, written)
    assert await service.certificates.check(DER, address="::1") is not None
    (row,) = await service.certificates.list(alice.id)
    assert (row.fingerprint_sha256, row.fingerprint_sha512, row.last_address) == (*both, "::1")
    await service.certificates.remove(alice.id, both[1 - number] or "")


async def test_what_is_no_fingerprint_and_too_many(
    service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidError):
        await service.certificates.enrol(alice.id, "abc")
    with pytest.raises(NotFoundError):
        await service.certificates.enrol(99, DER)
    monkeypatch.setattr(certificates, "MAX_CERTIFICATES", 0)
    with pytest.raises(RefusedError):
        await service.certificates.enrol(alice.id, DER)


async def test_nobody_gets_in_with_what_a_disabled_or_deleted_user_had(service: Service, bob: User) -> None:
    _, secret = await service.tokens.create(bob.id)
    await service.certificates.enrol(bob.id, DER)
    await service.users.set_enabled(bob.id, enabled=False)
    assert await service.tokens.check("bob", secret, address="") is None
    assert not await prove(service, "bob", None, secret)
    assert await service.certificates.check(DER, address="") is None
    await service.users.delete(bob.id)
    assert list(await service.tokens.list(bob.id, revoked=True)) == []
    assert list(await service.certificates.list(bob.id)) == []
