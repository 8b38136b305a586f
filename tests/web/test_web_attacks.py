"""What a stranger or another site tries at the door: where it leads, what it leaves in the log, what it costs."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pyotp
import pytest
from sqlalchemy import func, select, update

from bouncer import vault
from bouncer.clock import now_ms
from bouncer.models.main import Session, User
from tests.web.panelkit import PASSWORD, Browser, add_server, fill
from web.context import SESSIONS, STRANGERS_BYTES
from web.middlewares import FRESH
from web.routes import ROUTES

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.web.panelkit import Installation

DEADLINE_S = 10.0
ELSEWHERE = (
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/x\r\nSet-Cookie: bouncer=x",
    "/x\u2028y",
    "/\N{FULLWIDTH SOLIDUS}evil.example",
    "//[",
    "evil.example",
    "/" + "x" * 2_000,
)


@pytest.mark.parametrize("wanted", ELSEWHERE)
async def test_nobody_is_led_elsewhere(alice: Browser, anonymous: Browser, wanted: str) -> None:
    assert (await anonymous.sign_in("alice", then=wanted)).location == "/servers"
    fields = {"password": PASSWORD, "next": wanted}
    assert (await alice.post("/account/confirm", fields)).location == "/servers"


async def test_who_is_signed_in_is_led_to_paths_of_this_site_only(alice: Browser) -> None:
    for wanted in ELSEWHERE[:3]:
        assert (await alice.get(f"/session/new?next={quote(wanted)}")).location == "/servers"
    assert (await alice.get("/session/new?next=/clients")).location == "/clients"


TRICKS = (
    "//evil.example/",
    "//servers",
    "/servers/1/../../admin",
    "/./servers",
    "/servers;x=1",
    "/%2e%2e/servers",
    "/admin%2fusers",
    "/SERVERS",
    "/servers/",
    "/static/..%2fapp.py",
    "/static/%2e%2e%2fapp.py",
    "/static/../app.py",
    "/static/panel.css%00",
    "/invite/%2e%2e",
    "/invite/x%0aforged",
)


@pytest.mark.parametrize("path", TRICKS)
async def test_a_path_is_what_it_says_or_nothing(installation: Installation, path: str) -> None:
    answer = await sent(installation, f"GET {path} HTTP/1.1\r\nHost: panel\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"Location" not in answer


@pytest.mark.parametrize("number", ["9" * 18, "9" * 19, "9" * 200])
async def test_an_id_that_no_row_can_have_is_not_there(alice: Browser, number: str) -> None:
    for path in ("/servers/{}", "/channels/{}", "/channels/{}/messages", "/conversations/{}/messages"):
        assert (await alice.get(path.format(number))).status == 404, path


@pytest.mark.parametrize("time", ["9" * 17, "9" * 19, "-1", "1e3", "\u0663"])
async def test_a_moment_beyond_all_time_marks_nothing_as_read(
    installation: Installation, alice: Browser, time: str
) -> None:
    user = await installation.service.users.get("alice")
    channel, _ = await fill(user.id, await add_server(alice))
    assert (await alice.post(f"/channels/{channel}/read", {"time": time})).status == 400
    assert (await alice.post(f"/channels/{channel}/read", {"time": "9" * 13})).status == 303


async def age(installation: Installation, **values: object) -> None:
    """Change the rows of all sessions, or of all users for `enabled`."""
    async with installation.main.session() as session:
        await session.execute(update(User if "enabled" in values else Session).values(**values))
        await session.commit()


ASKED_AGAIN = {
    "token.create",
    "certificate.create",
    "account.email",
    "account.totp",
    "account.totp.create",
    "account.totp.delete",
    "account.codes.create",
    "account.export.create",
    "account.export.file",
    "account.delete",
    "history.deletion",
    "history.deletion.create",
    "history.rules",
    "history.rules.update",
    "admin.user.create",
    "admin.user.update",
    "admin.user.password",
    "admin.user.access",
    "admin.user.factor.delete",
    "admin.user.delete",
    "admin.invite.create",
}


async def test_what_changes_who_is_let_in_or_takes_all_along_asks_for_the_password_again(
    installation: Installation,
) -> None:
    assert ASKED_AGAIN == FRESH
    await installation.user("root", admin=True)
    root = Browser(installation.url)
    await root.sign_in("root")
    await age(installation, data='{"confirmed_at": 1}')
    routes = {str(route.kwargs["name"]): route for route in ROUTES}
    for name in sorted(ASKED_AGAIN):
        route = routes[name]
        path = route.path.replace("{id:[0-9]+}", "1")
        answer = await root.request(route.method, path, headers={"Referer": "http://["})  # no address at all
        assert answer.status == 303, name
        assert answer.location.startswith("/account/confirm?next="), name
    await root.close()


async def test_the_password_counts_for_a_quarter_of_an_hour(installation: Installation, alice: Browser) -> None:
    for minutes, status in ((14, 200), (16, 303)):
        given = now_ms() - minutes * 60_000
        await age(installation, data=json.dumps({"confirmed_at": given}))
        assert (await alice.get("/account/totp")).status == status, minutes


async def test_a_session_ends_with_its_time_and_with_its_user_even_where_its_row_is_left(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    for person in (alice, bob):
        assert (await person.get("/servers")).status == 200
    await age(installation, enabled=False)
    assert (await alice.get("/servers")).location == "/session/new"
    app = installation.panel._runner.app
    assert app is not None
    async with installation.main.session() as session:
        numbers = list(await session.scalars(select(Session.id)))
    assert len(numbers) == 2
    assert not [number for number in numbers if await app[SESSIONS].alive(number)]
    await age(installation, enabled=True)
    assert (await bob.get("/servers")).status == 200
    assert await app[SESSIONS].alive(numbers[1])
    await age(installation, expires_at=1)
    assert (await bob.get("/servers")).location == "/session/new"
    assert not await app[SESSIONS].alive(numbers[1])


async def test_signing_in_ends_the_session_that_the_browser_brought(installation: Installation, alice: Browser) -> None:
    """Nobody can be given a session beforehand that is theirs afterwards."""
    (brought,) = [cookie.value for cookie in alice.http.cookie_jar]
    made = await alice.sign_in("alice")
    assert brought not in made.headers["Set-Cookie"]
    async with installation.main.session() as session:
        assert await session.scalar(select(func.count()).select_from(Session)) == 1
    other = Browser(installation.url)
    assert (await other.get("/servers", {"Cookie": f"bouncer={brought}"})).location == "/session/new"
    made_up = await other.post("/session", {"name": "alice", "password": PASSWORD}, {"Cookie": f"bouncer={'A' * 43}"})
    assert "A" * 43 not in made_up.headers["Set-Cookie"]
    await other.close()


async def test_the_proof_of_a_password_ends_after_minutes_and_with_the_account(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    page = await alice.get("/account/totp")
    secret = re.sub(r"\s", "", page.text.partition('class="mono secret">')[2].partition("<")[0])
    clock = pyotp.TOTP(secret)
    await alice.post("/account/totp", {**page.fields(), "code": clock.at(now_ms() // 1000 - 30)})
    fields = (await anonymous.sign_in("alice")).fields()
    user_id, until, mark = json.loads(vault.decrypt(fields["proof"]))
    assert 0 < until - now_ms() <= 5 * 60_000
    old = {**fields, "proof": vault.encrypt(json.dumps([user_id, now_ms() - 1, mark]))}
    for posted, enabled, status in ((old, True, 422), (fields, False, 422), (fields, True, 303)):
        await age(installation, enabled=enabled)
        assert (await anonymous.post("/session", {**posted, "code": clock.now()})).status == status


UNREADABLE = (
    b"GET /servers HTTP/1.1\r\nHost: x\r\nCookie: bouncer=%s\0\r\n\r\n",
    b"GET /servers HTTP/1.1\r\nHost: x\r\nCookie: bouncer=%s" + b"x" * 9_000 + b"\r\n\r\n",
    b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nX: %s\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01%s\r\n\r\n",
)


async def sent(installation: Installation, data: bytes, *, end: bool = False) -> bytes:
    """What comes back."""
    port = int(installation.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if end:
        writer.write_eof()
    async with asyncio.timeout(DEADLINE_S):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


@pytest.mark.parametrize("request_", UNREADABLE)
async def test_a_request_that_cannot_be_read_is_refused_and_leaves_nothing_in_the_log(
    installation: Installation, caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    """Or strangers fill the disk with it; and the log would quote cookies."""
    answer = await sent(installation, request_ % b"s3cr3tt0ken")
    assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert "s3cr3tt0ken" not in caplog.text
    assert "Traceback" not in caplog.text
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_who_goes_in_the_middle_of_a_form_leaves_nothing_in_the_log(
    installation: Installation, alice: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    (cookie,) = alice.http.cookie_jar
    port, house = int(installation.url.rpartition(":")[2]), installation.panel.connections
    head = f"Host: x\r\nCookie: bouncer={cookie.value}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    for path in ("/session", "/notifications/read"):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {path} HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\nname=".encode())
        async with asyncio.timeout(DEADLINE_S):
            while not any(one.at_work for one in house.open.values()):  # noqa: ASYNC110 - until it is being read
                await asyncio.sleep(0.005)
            before = house.answers.total()
            writer.transport.abort()
            while house.answers.total() == before:  # noqa: ASYNC110 - until it was given up
                await asyncio.sleep(0.005)
    assert (await alice.get("/servers")).status == 200
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_of_a_strangers_form_no_more_is_read_than_is_taken(installation: Installation) -> None:
    """It is answered before it has ended."""
    head = b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    long = b"%x\r\n%s\r\n" % (STRANGERS_BYTES + 1, b"a" * (STRANGERS_BYTES + 1))
    answer = await sent(installation, head + b"Transfer-Encoding: chunked\r\n\r\n" + long)
    assert answer.startswith(b"HTTP/1.1 413 ")
    answer = await sent(installation, head + b"Content-Length: 900000\r\n\r\n" + b"a" * (STRANGERS_BYTES + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")


class TestWithTls:
    """A proxy in front of the panel does TLS."""

    @pytest.fixture
    def config(self, config: Config) -> Config:
        return replace(config, web=replace(config.web, public_url="https://irc.example.org"))

    async def test_signing_out_takes_the_cookie_away_in_a_way_that_browsers_obey(
        self, installation: Installation, anonymous: Browser
    ) -> None:
        await installation.user("alice")
        made = (await anonymous.sign_in("alice")).headers["Set-Cookie"]
        flags = {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"}
        assert flags <= set(made.split("; "))
        token = made.partition(";")[0]
        gone = (await anonymous.post("/session/delete", headers={"Cookie": token})).headers["Set-Cookie"]
        assert gone.startswith('__Host-bouncer=""; ')
        assert flags | {"Max-Age=0"} <= set(gone.split("; ")), "one with this name is set and ended with Secure only"

    @pytest.mark.parametrize(
        "origin", ["http://irc.example.org", "https://irc.example.org.evil.example", "https://x.irc.example.org"]
    )
    async def test_only_the_public_address_is_our_own(self, anonymous: Browser, origin: str) -> None:
        assert (await anonymous.post("/session", {}, {"Origin": origin})).status == 403
        assert (await anonymous.post("/session", {}, {"Origin": "https://irc.example.org"})).status == 422
        socket = {"Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade"}
        assert (await anonymous.get("/socket", socket)).status == 403
