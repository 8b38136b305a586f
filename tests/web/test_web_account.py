"""One's own account on the panel: two factors, sessions, confirming, data to take away, the end of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING

import pyotp
import pytest
from sqlalchemy import text, update

from bouncer import tenant
from bouncer.errors import NotFoundError
from bouncer.events import ClientInfo
from bouncer.models.main import SecondFactor, Session
from bouncer.service.second_factor import _hash
from tests.web.panelkit import PASSWORD, Browser, add_server, fill, rows
from web.middlewares import FRESH
from web.views.account import browser

if TYPE_CHECKING:
    from tests.web.panelkit import Answer, Installation


def secret_of(page: Answer) -> str:
    found = re.search(r'class="mono secret">([A-Z2-7 ]+)<', page.text)
    assert found is not None
    return found[1].replace(" ", "")


def code(secret: str, step: int = 0) -> str:
    return str(pyotp.TOTP(secret).at(int(time.time()) + 30 * step))


async def turn_on(person: Browser) -> tuple[str, list[str]]:
    """The secret and the recovery codes."""
    page = await person.get("/account/totp")
    secret = secret_of(page)
    answer = await person.post("/account/totp", {**page.fields(), "code": code(secret, -1)})
    assert answer.status == 200, answer.text
    return secret, re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b", answer.text)


async def stale(installation: Installation) -> None:
    """Everybody's password was given a long time ago."""
    async with installation.main.session() as session:
        await session.execute(update(Session).values(data='{"confirmed_at": 1}'))
        await session.commit()


# -- two factors


async def test_a_second_factor_is_set_up_and_asked_for(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    page = await alice.get("/account/totp")
    assert "<svg" in page.text
    assert "style=" not in page.text
    wrong = await alice.post("/account/totp", {**page.fields(), "code": "000000"})
    assert wrong.status == 422
    assert secret_of(wrong) == secret_of(page)
    secret, codes = await turn_on(alice)
    assert len(set(codes)) == 10
    user = await installation.service.users.get("alice")
    stored = rows(installation.config.storage.path / "main.sqlite3")
    assert not [row for row in stored if secret in row or codes[0] in row]

    asked = await anonymous.sign_in("alice", then="/clients")
    assert asked.status == 200
    assert not asked.headers.get("Set-Cookie")
    assert (await anonymous.get("/servers")).status == 303
    fields = asked.fields()
    assert set(fields) == {"next", "proof", "code"}
    assert PASSWORD not in asked.text
    refused = await anonymous.post("/session", {**fields, "code": "123456"})
    assert refused.status == 422
    assert "not right" in refused.text
    inside = await anonymous.post("/session", {**refused.fields(), "code": code(secret)})
    assert (inside.status, inside.location) == (303, "/clients")
    assert await installation.service.second_factors.on(user.id)


async def test_a_code_is_taken_once_and_a_recovery_code_too(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    secret, codes = await turn_on(alice)
    now = code(secret)
    whole = {"name": "alice", "password": PASSWORD}
    assert (await anonymous.post("/session", {**whole, "code": now})).status == 303
    again = Browser(installation.url)
    assert (await again.post("/session", {**whole, "code": now})).status == 422
    spelled = codes[0].upper().replace("-", " ")
    assert (await again.post("/session", {**whole, "code": spelled})).status == 303
    third = Browser(installation.url)
    assert (await third.post("/session", {**whole, "code": codes[0]})).status == 422
    assert "9 of your recovery codes" in (await again.get("/account")).text
    for person in (again, third):
        await person.close()


async def test_guessing_codes_is_slowed_even_for_who_knows_the_password(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    await turn_on(alice)
    user = await installation.service.users.get("alice")
    for guess in range(5):
        answer = await anonymous.post("/session", {"name": "alice", "password": PASSWORD, "code": f"{guess:06}"})
    assert "too many attempts" in answer.text.lower()
    assert not await alive(installation, user.id, besides=1)


async def alive(installation: Installation, user_id: int, *, besides: int) -> bool:
    async with installation.main.session() as session:
        count = await session.scalar(text("SELECT count(*) FROM sessions WHERE user_id = :id").bindparams(id=user_id))
    return bool(count - besides)


@pytest.mark.parametrize("proof", ["", "x", "gAAAA", "é", "0" * 5000])
async def test_a_proof_that_is_none_signs_nobody_in(anonymous: Browser, alice: Browser, proof: str) -> None:
    del alice
    answer = await anonymous.post("/session", {"proof": proof, "code": "123456"})
    assert answer.status == 422
    assert (await anonymous.get("/servers")).status == 303


async def test_a_proof_ends_with_the_password_it_was_for(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    secret, _ = await turn_on(alice)
    asked = await anonymous.sign_in("alice")
    user = await installation.service.users.get("alice")
    await installation.service.users.set_password(user.id, "another one entirely")
    answer = await anonymous.post("/session", {**asked.fields(), "code": code(secret)})
    assert answer.status == 422


async def test_turning_it_off_lets_the_password_in_again(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    await turn_on(alice)
    assert (await alice.post("/account/totp/delete")).status == 303
    assert (await anonymous.sign_in("alice")).status == 303
    user = await installation.service.users.get("alice")
    assert await installation.service.second_factors.codes_left(user.id) == 0


async def test_secrets_follow_a_new_key(installation: Installation, alice: Browser, anonymous: Browser) -> None:
    secret, _ = await turn_on(alice)
    before = rows(installation.config.storage.path / "main.sqlite3")
    await installation.service.tenants.rotate_secrets(lambda *_: None)
    assert rows(installation.config.storage.path / "main.sqlite3") != before
    answer = await anonymous.post("/session", {"name": "alice", "password": PASSWORD, "code": code(secret)})
    assert answer.status == 303


async def test_recovery_codes_are_made_anew(installation: Installation, alice: Browser) -> None:
    _, old = await turn_on(alice)
    page = await alice.post("/account/codes")
    assert len(re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b", page.text)) == 10
    assert old[0] not in page.text
    assert _hash(old[0]) == _hash(old[0].replace("-", ""))
    user = await installation.service.users.get("alice")
    assert not await installation.service.second_factors.check(user.id, old[0], address="")


# -- confirming


async def test_what_changes_who_gets_in_asks_for_the_password_again(installation: Installation, alice: Browser) -> None:
    await stale(installation)
    answer = await alice.request(
        "POST", "/tokens", data={"token_name": "x"}, headers={"Referer": f"{installation.url}/clients"}
    )
    assert (answer.status, answer.location) == (303, "/account/confirm?next=%2Fclients")
    user = await installation.service.users.get("alice")
    assert await installation.service.tokens.list(user.id) == []
    page = await alice.get(answer.location)
    wrong = await alice.post("/account/confirm", {**page.fields(), "password": "wrong"})
    assert wrong.status == 422
    assert wrong.error_beside("password") == "Is not right."
    right = await alice.post("/account/confirm", {**page.fields(), "password": PASSWORD})
    assert (right.status, right.location) == (303, "/clients")
    assert (await alice.post("/tokens", {"token_name": "x"})).status == 200


async def test_every_route_that_needs_a_fresh_password_exists_and_the_second_factor_is_asked_too(
    installation: Installation, alice: Browser
) -> None:
    secret, _ = await turn_on(alice)
    await stale(installation)
    page = await alice.get("/account/confirm?next=//evil.example")
    assert page.fields()["next"] == "/servers"
    only = await alice.post("/account/confirm", {"password": PASSWORD, "next": "/account"})
    assert only.error_beside("code")
    both = await alice.post("/account/confirm", {"password": PASSWORD, "next": "/account", "code": code(secret)})
    assert both.location == "/account"
    assert "token.create" in FRESH


# -- browsers, e-mail


async def test_browsers_are_listed_and_signed_out_one_by_one(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    other = Browser(installation.url)
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    await other.request("POST", "/session", data={"name": "alice", "password": PASSWORD}, headers=agent)
    page = await alice.get("/account")
    assert "Firefox on Linux" in page.text
    assert "this one" in page.text
    found = re.search(r"/account/sessions/(\d+)/delete", page.text)
    assert found is not None
    assert (await bob.post(found[0])).status == 404
    assert (await other.get("/servers")).status == 200
    assert (await alice.post(found[0])).status == 303
    assert (await other.get("/servers")).status == 303
    assert (await alice.post(found[0])).status == 404
    await other.close()


def test_a_browser_is_named_by_what_it_says() -> None:
    assert browser("curl/8.1") == "curl/8.1"
    assert browser("") == "Unknown"
    assert browser("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1") == "Safari on iPhone"
    assert browser("\x02é" * 99) == "?" * 40


async def test_the_address_to_sign_in_with_is_changed(installation: Installation, alice: Browser, bob: Browser) -> None:
    del bob
    taken = await alice.post("/account/email", {"email": "bob@example.org"})
    assert taken.error_beside("email") == "This e-mail address is taken."
    assert (await alice.post("/account/email", {"email": "no address"})).status == 422
    assert (await alice.post("/account/email", {"email": "Al@Example.org"})).status == 303
    person = Browser(installation.url)
    assert (await person.sign_in("al@example.org")).status == 303
    await person.close()
    assert (await alice.post("/account/email", {"email": ""})).status == 303


# -- data


async def made(person: Browser) -> str:
    """Wait until the file is there."""
    async with asyncio.timeout(20):
        while True:
            part = await person.get("/account/exports/state")
            if "is being made" not in part.text:
                return part.text


@pytest.mark.parametrize("form", ["text", "jsonl", "sqlite"])
async def test_ones_data_is_taken_away(installation: Installation, alice: Browser, bob: Browser, form: str) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice, password="hush"))
    assert (await alice.post("/account/exports", {"format": form})).status == 303
    assert "is ready" in await made(alice)
    async with alice.http.get(f"{alice.url}/account/exports/file") as response:
        assert response.status == 200
        assert response.headers["Content-Disposition"].startswith('attachment; filename="bouncer-alice.')
        assert response.headers["Cache-Control"] == "no-store"
        data = await response.read()
    assert b"the words of alice" in data
    assert b"hush" not in data
    if form == "jsonl":
        assert {json.loads(line)["text"] for line in data.splitlines()} == {"the words of alice"}
    assert (await bob.get("/account/exports/file")).status == 404
    assert (await bob.get("/account/data")).status == 200
    page = await alice.get("/account/data")
    assert "2 messages" in page.text
    assert (await alice.post("/account/exports", {"format": "exe"})).status in (409, 422)


async def test_an_account_is_deleted_by_its_name_typed(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    del bob
    user = await installation.service.users.get("alice")
    number = await add_server(alice)
    await fill(user.id, number)
    await alice.post("/account/exports", {"format": "text"})
    await made(alice)
    wrong = await alice.post("/account/delete", {"name": "bob"})
    assert wrong.error_beside("name")
    path = tenant.path(user.id)
    assert path.exists()
    gone = await alice.post("/account/delete", {"name": "alice"})
    assert (gone.status, gone.location) == (303, "/session/new")
    assert not path.exists()
    assert list((installation.config.storage.path / "downloads").iterdir()) == []
    with pytest.raises(NotFoundError):
        await installation.service.users.get("alice")
    assert (await alice.get("/servers")).status == 303
    trail = await installation.service.audit.list()
    assert "alice" not in " ".join(f"{entry.actor} {entry.subject} {entry.detail}" for entry in trail)
    assert f"user {user.id}" in {entry.subject for entry in trail}


async def test_the_last_admin_cannot_delete_themselves(installation: Installation) -> None:
    await installation.user("root", admin=True)
    person = Browser(installation.url)
    await person.sign_in("root")
    answer = await person.post("/account/delete", {"name": "root"})
    assert "only admin" in answer.error_beside("name")
    assert (await person.get("/account")).status == 200
    await person.close()


async def test_nothing_of_a_second_factor_outlives_its_user(installation: Installation, alice: Browser) -> None:
    await turn_on(alice)
    await alice.post("/account/delete", {"name": "alice"})
    async with installation.main.session() as session:
        for table in (SecondFactor.__tablename__, "recovery_codes", "sessions"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0  # noqa: S608 - our own names


# -- the password


@pytest.mark.parametrize(("box", "left"), [({}, ["token 1"]), ({"keep_clients": "on"}, ["password", "token 1"])])
async def test_a_new_password_sends_the_clients_of_the_old_one_away_unless_asked_not_to(
    installation: Installation, alice: Browser, box: dict[str, str], left: list[str]
) -> None:
    user = (await installation.service.users.get("alice")).id
    ways = ("password", "token 1")
    clients = [ClientInfo(number, "", "", "", True, 0, (), way) for number, way in enumerate(ways, 1)]
    installation.live.here[user] = clients
    page = await alice.get("/account/password")
    assert 'name="keep_clients"' in page.text
    fields = {"current": PASSWORD, "password": "a longer one", "repeat": "a longer one"}
    assert (await alice.post("/account/password", {**fields, **box})).status == 303
    assert [client.credential for client in installation.live.here[user]] == left


async def test_a_browser_too_many_signs_out_the_one_used_the_longest_ago(
    installation: Installation, alice: Browser, anonymous: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.sessions.MAX_SESSIONS", 2)
    third = Browser(installation.url)
    try:
        for browser in anonymous, third:
            await browser.sign_in("alice")
        assert [(await browser.get("/servers")).status for browser in (alice, anonymous, third)] == [303, 200, 200]
    finally:
        await third.close()
