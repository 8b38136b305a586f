"""What people may try through the command layer against others, and what is left of those who go."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bouncer import tenant, tls
from bouncer.service import downloads
from bouncer.service.bouncerserv import BouncerServ
from bouncer.service.checks import encoding

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.service import Service

DER = tls.self_signed(["localhost"]).cert_pem


async def test_salts_do_not_tell_which_names_there_are(service: Service, alice: User) -> None:
    await service.tokens.create(alice.id, "phone")
    await service.tokens.create(alice.id)
    for who in ("alice", "nobody"):
        salts = {(await service.tokens.lookup(who, client)).keys.salt for client in ("phone", "desk", "", None)}
        assert len(salts) == 1


async def test_enrolling_anothers_certificate_by_its_other_fingerprint_takes_nothing_from_them(
    service: Service, alice: User, bob: User
) -> None:
    await service.certificates.enrol(bob.id, hashlib.sha512(DER).hexdigest())
    await service.certificates.enrol(alice.id, hashlib.sha256(DER).hexdigest())
    for user in (alice, bob):
        admitted = await service.certificates.check(DER, user.name, address="")
        assert admitted is not None
        assert admitted.user.id == user.id
    assert await service.certificates.check(DER, address="") is None


async def test_nothing_of_a_deleted_user_is_left_in_the_audit_trail_or_among_downloads(
    service: Service, alice: User, storage: Path
) -> None:
    del alice
    user = await service.users.add("zanzibar", password="x")
    made = await service.downloads.start(user.id, "jsonl")
    async with asyncio.timeout(10):
        while not made.ready:  # noqa: ASYNC110 - on another thread
            await asyncio.sleep(0.01)
    await service.users.delete(user.id)
    assert not made.path.exists()
    assert [entry.subject for entry in await service.audit.list()][-2:] == [f"user {user.id}", "alice"]
    left = await asyncio.to_thread(lambda: b"".join(f.read_bytes() for f in storage.rglob("*") if f.is_file()))
    assert b"zanzibar" not in left


async def test_a_file_to_take_away_goes_by_itself(
    service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "KEPT_MS", 50)
    made = await service.downloads.start(alice.id, "jsonl")
    async with asyncio.timeout(10):
        while not made.ready or made.path.exists():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def test_the_audit_trail_names_who_asked_on_irc(service: Service, alice: User, bob: User) -> None:
    await BouncerServ(service).handle(alice.id, f"user disable {bob.name}", server=None)
    entry = (await service.audit.list())[0]
    assert (entry.actor, entry.action, entry.subject) == ("alice", "user disabled", "bob")


async def test_errors_of_the_databases_tell_no_values(service: Service, alice: User) -> None:
    statement, values = text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "hunter2"}
    async with tenant.switch(alice.id), tenant.session() as of_alice, service.main.session() as main:
        for session in (of_alice, main):
            with pytest.raises(SQLAlchemyError) as caught:
                await session.execute(statement, values)
            assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["unicode_escape", "raw_unicode_escape", "utf_7", "punycode", "idna", "rot13", "zlib"])
def test_an_encoding_that_makes_line_breaks_of_text_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="an encoding such as"):
        encoding(name)
