"""What the panel keeps out: other sites' requests, markup from IRC, code in pages, more than it can take."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bouncer import tenant
from bouncer.config import Config, Web
from bouncer.endpoints import parse_http
from bouncer.events import ServerState
from bouncer.models.tenant import Channel, ChannelUser, Conversation, Notification, ServerEvent
from bouncer.service import Service
from tests.web.panelkit import SERVER, Browser, add_server, fill, message
from web.app import start_panel
from web.middlewares import CSP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.web.panelkit import Installation

MARKUP = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'><b>"
WEB = Path(__file__).parents[2] / "web"
PAGES = (
    "/session/new", "/servers", "/servers/new", "/servers/1", "/servers/1/edit", "/servers/1/delete",
    "/servers/1/state", "/servers/1/state?view=page", "/servers/1/channels", "/servers/1/messages", "/channels/1",
    "/channels/1/messages", "/conversations/1/messages", "/account", "/account/password", "/nothing", "/servers/999",
    "/chat", "/search", "/search?q=words", "/history", "/notifications", "/notifications?all=1", "/channels/1/days",
    "/conversations/1/days", "/servers/1/days",
)  # fmt: skip


async def test_every_page_forbids_inline_code_and_has_none(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice))
    for path in PAGES:
        answer = await alice.get(path)
        assert answer.headers["Content-Security-Policy"] == CSP, path
        assert "unsafe" not in CSP
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<[^>]*\son[a-z]+=|<[^>]*\sstyle=|<style|javascript:", answer.text), path
        for script in re.findall(r"<script[^>]*>.*?</script>", answer.text, re.DOTALL):
            assert re.fullmatch(r'<script src="/static/[a-z-]+\.js\?v=[0-9a-f]{12}" defer></script>', script), path
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', answer.text):
            assert address.startswith(("/", "#")), (path, address)


def test_no_template_marks_anything_safe_or_has_inline_code() -> None:
    templates = list((WEB / "templates").rglob("*.html"))
    assert len(templates) > 10
    for template in templates:
        text = template.read_text("utf-8")
        assert not re.search(r"\|\s*safe|autoescape|<style|\sstyle=|\son[a-z]+=", text), template


async def test_static_files_are_cached_and_as_guarded(alice: Browser, anonymous: Browser) -> None:
    page = (await alice.get("/servers")).text
    for address in re.findall(r'"(/static/[^"]*)"', page):
        answer = await anonymous.get(address)
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"] == CSP
        assert "max-age" in answer.headers["Cache-Control"]
    for elsewhere in ("/static/none.css?v=1", "/static/panel.css", "/servers?v=1"):
        assert (await alice.get(elsewhere)).headers["Cache-Control"] == "no-store", elsewhere


async def test_markup_from_irc_is_shown_and_never_obeyed(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice, realname=MARKUP)
    evil = f'\x02\x0304{MARKUP}\u202e\x1b https://example.org/"onmouseover=alert(1)'
    installation.live.states[user.id] = {
        server: ServerState("failed", error=MARKUP, nickname=MARKUP, tls=MARKUP, identified=MARKUP)
    }
    async with tenant.switch(user.id), tenant.session() as session:
        channel = Channel(
            server_id=server,
            name=f"#{MARKUP}",
            folded="#x",
            joined=True,
            topic=evil,
            topic_by=MARKUP,
            join_error=MARKUP,
        )
        conversation = Conversation(server_id=server, nick=MARKUP, folded="x")
        session.add_all((channel, conversation, ServerEvent(server_id=server, kind=MARKUP, detail=evil)))
        await session.flush()
        session.add(ChannelUser(channel_id=channel.id, folded="x", nickname=MARKUP, modes="<"))
        for kind in ("privmsg", "action", "notice", "topic", "kick", "nick", "mode", "quit", "server", "<b>"):
            for buffer in ({"channel_id": channel.id}, {"conversation_id": conversation.id}, {}):
                session.add(message(server, evil, sender=f"{MARKUP}!u@h", message_type=kind, target=MARKUP, **buffer))
        await session.flush()
        session.add(Notification(message_id=1, reason="highlight"))
        session.add(Notification(message_id=2, reason=MARKUP))
        await session.commit()
        ids = channel.id, conversation.id
    pages = [
        f"/servers/{server}{part}"
        for part in ("", "/edit", "/delete", "/state", "/state?view=page", "/channels", "/messages")
    ]
    pages += [f"/channels/{ids[0]}", f"/channels/{ids[0]}/messages", f"/conversations/{ids[1]}/messages", "/servers"]
    pages += [f"/channels/{ids[0]}/days", "/chat", "/search?q=script&nick=<b>", "/history", "/notifications?all=1"]
    for path in pages:
        answer = await alice.get(path)
        assert answer.status == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<img src=x" not in answer.text, path
        assert not re.search(r"<[^>&]*\sonmouseover=", answer.text), path
        assert not re.search("[\x02\x03\x1b\u202e]", answer.text), path


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "SELF"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example", "Host": "evil.example"},
    ],
)
async def test_a_post_from_another_site_is_refused(alice: Browser, headers: dict[str, str]) -> None:
    headers = {name: alice.url if value == "SELF" else value for name, value in headers.items()}
    answer = await alice.post("/servers", SERVER, headers)
    assert answer.status == 403
    assert "another site" in answer.text
    assert "irc.libera.chat" not in (await alice.get("/servers")).text


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "SELF"}, {}])
async def test_a_post_from_our_own_pages_is_taken(alice: Browser, headers: dict[str, str]) -> None:
    headers = {name: alice.url if value == "SELF" else value for name, value in headers.items()}
    assert (await alice.post("/servers", SERVER, headers)).status == 303


@pytest.fixture
async def behind_proxy(installation: Installation) -> AsyncIterator[Browser]:
    """Someone who talks to a panel with a public https address."""
    web = Web(listen=parse_http("http://127.0.0.1:0"), public_url="https://irc.example.org")
    config = Config(storage=installation.config.storage, web=web)
    service = Service(config, installation.main, tenant.installed(), installation.live)
    panel = await start_panel(config, service)
    browser = Browser(panel.address)
    yield browser
    await browser.close()
    await panel.close()
    service.close()


async def test_behind_a_proxy_the_public_address_counts_and_the_cookie_is_secure(
    installation: Installation, behind_proxy: Browser
) -> None:
    await installation.user("alice")
    assert (await behind_proxy.post("/session", {}, {"Origin": behind_proxy.url})).status == 403
    posted = {"name": "alice", "password": "correct horse battery"}
    answer = await behind_proxy.post("/session", posted, {"Origin": "https://irc.example.org"})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-bouncer=")
    assert "Secure" in cookie


async def test_bodies_have_a_bound_and_must_be_forms(installation: Installation, alice: Browser) -> None:
    bound = installation.config.limits.panel_body_bytes
    for path in ("/servers", "/session"):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await alice.request("POST", path, data=io.BytesIO(b"name=" + b"x" * bound), headers=form)
        assert answer.status == 413
        assert "larger than" in answer.text
        headers = {"Content-Type": "application/json"}
        assert (await alice.request("POST", path, data=b"{}", headers=headers)).status == 415
    file = b'--b\r\nContent-Disposition: form-data; name="name"; filename="x"\r\n\r\nx\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await alice.request("POST", "/servers", data=file, headers=headers)).status == 415


async def test_odd_input_is_an_error_beside_the_field_and_never_a_failure(alice: Browser) -> None:
    server = await add_server(alice)
    for value in (
        "\x00",
        "a\r\nQUIT",
        "\u202e",
        "x" * 5_000,
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "%",
    ):
        for field in SERVER:
            if field not in ("tls", "tls_verify", "enabled"):
                answer = await alice.post(f"/servers/{server}", {**SERVER, field: value})
                assert answer.status in (303, 422), (field, value)
    broken = await alice.request(
        "POST",
        "/servers",
        data=b"name=%ff%fe&address=%00",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert broken.status in (400, 422)
