"""The pages over HTTP: signing in and out, one's own servers, forms and their errors, sessions."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.events import ClientInfo
from bouncer.models.main import Session
from bouncer.models.tenant import Channel, Server
from bouncer.service.fields import CLEAR, KEEP
from tests.web.panelkit import PASSWORD, SERVER, Browser, add_server, connected, fill, message, rows
from web.sessions import LIFETIME_S

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.web.panelkit import Installation


async def test_authenticated_user_only_sees_their_data(installation: Installation) -> None:
    await installation.user("alice")
    await installation.user("bob")
    browser = Browser(installation.url)
    try:
        assert (await browser.sign_in("alice")).location == "/servers"
        answer = await browser.post("/servers", SERVER)
        assert answer.status == 303
        assert "irc.libera.chat" in (await browser.get("/servers")).text
        assert (await browser.post("/session/delete")).location == "/session/new"
        assert (await browser.get("/servers")).location == "/session/new"

        assert (await browser.sign_in("bob")).location == "/servers"
        page = await browser.get("/servers")
        assert page.status == 200
        assert "libera" not in page.text
        assert (await browser.get(answer.location)).status == 404
    finally:
        await browser.close()


async def test_the_same_id_is_another_server_for_each_user(alice: Browser, bob: Browser) -> None:
    mine = await add_server(alice, name="libera", address="irc.libera.chat")
    theirs = await add_server(bob, name="efnet", address="irc.efnet.org")
    assert mine == theirs == 1
    assert "irc.libera.chat" in (await alice.get("/servers/1")).text
    page = (await bob.get("/servers/1")).text
    assert "irc.efnet.org" in page
    assert "libera" not in page


async def test_one_signs_in_with_name_or_email(installation: Installation, anonymous: Browser) -> None:
    await installation.user("alice")
    for name in ("alice", "Alice@Example.org"):
        assert (await anonymous.sign_in(name)).location == "/servers"


async def test_a_refused_sign_in_says_the_same_whatever_was_wrong(
    installation: Installation, anonymous: Browser
) -> None:
    await installation.user("alice")
    carol = await installation.user("carol")
    await installation.service.users.set_enabled(carol.id, False)
    answers = [
        await anonymous.sign_in("alice", "wrong"),
        await anonymous.sign_in("nobody", PASSWORD),
        await anonymous.sign_in("carol", PASSWORD),
        await anonymous.sign_in("", ""),
    ]
    pages = {
        a.text.replace(f'value="{name}"', 'value=""')
        for a, name in zip(answers, ("alice", "nobody", "carol", ""), strict=True)
    }
    assert [answer.status for answer in answers] == [422] * 4
    assert len(pages) == 1
    assert "Set-Cookie" not in answers[0].headers


async def test_too_many_wrong_passwords_are_throttled(installation: Installation, anonymous: Browser) -> None:
    await installation.user("alice")
    for _ in range(4):
        answer = await anonymous.sign_in("alice", "wrong")
    answer = await anonymous.sign_in("alice", PASSWORD)
    assert answer.status == 429
    assert "too many attempts" in answer.text


async def test_after_signing_in_one_is_where_one_wanted_to_go(alice: Browser) -> None:
    server = await add_server(alice)
    await alice.post("/session/delete")
    answer = await alice.get(f"/servers/{server}/edit")
    assert answer.status == 303
    assert answer.location == f"/session/new?next=%2Fservers%2F{server}%2Fedit"
    form = await alice.get(answer.location)
    assert f'name="next" value="/servers/{server}/edit"' in form.text
    assert (await alice.sign_in("alice", then=f"/servers/{server}/edit")).location == f"/servers/{server}/edit"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\tx",
        "servers",
        "/%00\n",
        "/é",
    ],
)
async def test_nobody_is_sent_to_another_site_after_signing_in(
    installation: Installation, anonymous: Browser, elsewhere: str
) -> None:
    await installation.user("alice")
    assert (await anonymous.sign_in("alice", then=elsewhere)).location == "/servers"
    await anonymous.post("/session/delete")
    form = await anonymous.request("GET", "/session/new?next=" + elsewhere.replace("\t", "%09").replace("\n", "%0A"))
    assert 'name="next" value="/servers"' in form.text


async def test_a_one_time_password_has_to_be_replaced_first(installation: Installation, anonymous: Browser) -> None:
    await installation.user("alice", temporary=True)
    assert (await anonymous.sign_in("alice")).location == "/account/password"
    assert (await anonymous.get("/servers")).location == "/account/password"
    assert (await anonymous.post("/servers", SERVER)).location == "/account/password"
    assert (await anonymous.get("/events")).status == 401
    for posted, field in (
        ({"current": "wrong", "password": "a new password", "repeat": "a new password"}, "current"),
        ({"current": PASSWORD, "password": "short", "repeat": "short"}, "password"),
        ({"current": PASSWORD, "password": PASSWORD, "repeat": PASSWORD}, "password"),
        ({"current": PASSWORD, "password": "a new password", "repeat": "another one"}, "repeat"),
    ):
        answer = await anonymous.post("/account/password", posted)
        assert answer.status == 422
        assert answer.error_beside(field)
    posted = {"current": PASSWORD, "password": "a new password", "repeat": "a new password"}
    assert (await anonymous.post("/account/password", posted)).location == "/servers"
    assert (await anonymous.get("/servers")).status == 200
    assert (await anonymous.sign_in("alice", "a new password")).location == "/servers"


async def test_a_new_password_signs_every_other_browser_out(installation: Installation, alice: Browser) -> None:
    other = Browser(installation.url)
    try:
        await other.sign_in("alice")
        posted = {"current": PASSWORD, "password": "a new password", "repeat": "a new password"}
        assert (await alice.post("/account/password", posted)).location == "/account"
        assert (await alice.get("/account")).status == 200
        assert (await other.get("/account")).location.startswith("/session/new")
    finally:
        await other.close()


async def test_other_browsers_can_be_signed_out(installation: Installation, alice: Browser) -> None:
    other = Browser(installation.url)
    try:
        await other.sign_in("alice")
        assert "Sign out the others" in (await alice.get("/account")).text
        assert (await alice.post("/account/sessions/delete")).location == "/account"
        assert "Sign out the others" not in (await alice.get("/account")).text
        assert (await other.get("/servers")).status == 303
    finally:
        await other.close()


async def test_the_session_token_is_stored_as_a_hash_only(
    installation: Installation, config: Config, anonymous: Browser
) -> None:
    await installation.user("alice")
    answer = await anonymous.sign_in("alice")
    cookie = answer.headers["Set-Cookie"]
    token = cookie.partition(";")[0].partition("=")[2]
    assert {part.strip() for part in cookie.split(";")[1:]} >= {"HttpOnly", "Path=/", "SameSite=Strict"}
    async with installation.main.session() as db:
        row = (await db.scalars(select(Session))).one()
    assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert row.address == "127.0.0.1"
    files = await asyncio.to_thread(lambda: [f.read_bytes() for f in config.storage.path.rglob("*") if f.is_file()])
    assert not any(token.encode() in content for content in files)


async def test_signing_in_replaces_the_session_and_its_token(installation: Installation, alice: Browser) -> None:
    async with installation.main.session() as db:
        before = (await db.scalars(select(Session))).one()
    await alice.sign_in("alice")
    async with installation.main.session() as db:
        after = (await db.scalars(select(Session))).one()
    assert after.id != before.id
    assert after.token_hash != before.token_hash


async def test_a_session_ends_by_time_by_disabling_and_by_signing_out(
    installation: Installation, alice: Browser
) -> None:
    async with installation.main.session() as db:
        row = (await db.scalars(select(Session))).one()
        assert row.expires_at - row.created_at == LIFETIME_S * 1000
        await db.execute(update(Session).values(expires_at=now_ms() - 1))
        await db.commit()
    assert (await alice.get("/servers")).status == 303
    await alice.sign_in("alice")
    assert (await alice.get("/servers")).status == 200
    user = await installation.service.users.get("alice")
    await installation.user("boss", admin=True)
    await installation.service.users.set_enabled(user.id, False)
    assert (await alice.get("/servers")).status == 303
    await installation.service.users.set_enabled(user.id, True)
    await alice.sign_in("alice")
    await alice.post("/session/delete")
    async with installation.main.session() as db:
        assert (await db.scalars(select(Session))).first() is None


async def test_the_last_use_of_a_session_is_written_at_most_once_a_minute(
    installation: Installation, alice: Browser
) -> None:
    async def last_used() -> int:
        async with installation.main.session() as db:
            return (await db.scalars(select(Session.last_used_at))).one()

    first = await last_used()
    await alice.get("/servers")
    assert await last_used() == first
    async with installation.main.session() as db:
        await db.execute(update(Session).values(last_used_at=first - 61_000))
        await db.commit()
    await alice.get("/servers")
    assert await last_used() >= first


async def test_a_form_with_errors_comes_back_filled_with_words_beside_the_fields(alice: Browser) -> None:
    fields = {
        **SERVER,
        "name": "lib era",
        "port": "70000",
        "nickname": "9lives",
        "channels": "python",
        "realname": "<b>",
    }
    answer = await alice.post("/servers", {**fields, "password": "hunter2", "auth_method": "sasl-plain"})
    assert answer.status == 422
    for name in ("name", "port", "nickname", "channels", "auth_account", "auth_password"):
        assert answer.error_beside(name), name
    assert not answer.error_beside("address")
    for value in (
        'value="lib era"',
        'value="70000"',
        'value="irc.libera.chat"',
        'value="&lt;b&gt;"',
        ">\npython</textarea>",
    ):
        assert value in answer.text
    assert "hunter2" not in answer.text
    assert '<option value="sasl-plain" selected>' in answer.text
    assert "Add your first network" in (await alice.get("/servers")).text


async def test_adding_a_server_twice_says_so_beside_its_name(alice: Browser) -> None:
    await add_server(alice)
    answer = await alice.post("/servers", {**SERVER, "name": "LIBERA"})
    assert answer.status == 422
    assert "already" in answer.error_beside("name")


async def test_two_submits_at_once_add_one_server(alice: Browser) -> None:
    answers = await asyncio.gather(*(alice.post("/servers", SERVER) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [303, 422, 422, 422]


async def test_secrets_are_kept_replaced_or_cleared_and_never_shown(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    secrets = {
        "password": "s3rver-pass",
        "auth_method": "sasl-plain",
        "auth_account": "alice",
        "auth_password": "acc0unt-pass",
    }
    server = await add_server(alice, **secrets)

    async def stored() -> tuple[str | None, str | None]:
        row = await installation.service.servers.get(user.id, server)
        return row.password, row.auth_password

    form = (await alice.get(f"/servers/{server}/edit")).text
    assert "s3rver-pass" not in form
    assert "acc0unt-pass" not in form
    assert 'placeholder="unchanged"' in form
    fields = {**SERVER, "auth_method": "sasl-plain", "auth_account": "alice", "password": "", "auth_password": ""}
    await alice.post(f"/servers/{server}", fields)
    assert await stored() == ("s3rver-pass", "acc0unt-pass")
    await alice.post(f"/servers/{server}", {**fields, "password": "n3w", "auth_password": "n3w too"})
    assert await stored() == ("n3w", "n3w too")
    await alice.post(f"/servers/{server}", {**fields, "password_clear": "on"})
    assert await stored() == (None, "n3w too")
    shown = await installation.service.servers.fields(user.id, server)
    assert (shown.password, shown.auth_password) == (CLEAR, KEEP)
    for page in ("", "/edit", "/channels", "/delete", "/state"):
        assert "n3w" not in (await alice.get(f"/servers/{server}{page}")).text


async def test_a_server_is_changed_and_its_boxes_can_be_emptied(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice)
    fields = {name: value for name, value in SERVER.items() if name not in {"tls", "tls_verify"}}
    answer = await alice.post(
        f"/servers/{server}", {**fields, "address": "irc.oftc.net", "port": "6667", "channels": "#c"}
    )
    assert answer.location == f"/servers/{server}"
    row = await installation.service.servers.get(user.id, server)
    assert (row.address, row.port, row.tls, row.enabled) == ("irc.oftc.net", 6667, False, True)
    async with tenant.switch(user.id), tenant.session() as session:
        wanted = list(await session.scalars(select(Channel.name).where(Channel.auto_join)))
    assert wanted == ["#c"]
    assert "libera is saved" in (await alice.get(f"/servers/{server}")).text
    assert "libera is saved" not in (await alice.get(f"/servers/{server}")).text


async def test_the_edit_form_posts_back_what_it_shows(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(
        alice, connect_commands="MODE alice +x\r\n/msg bot hi", flood_burst="5", quit_message="so long"
    )
    before = await installation.service.servers.fields(user.id, server)
    answer = await alice.post(f"/servers/{server}", (await alice.get(f"/servers/{server}/edit")).fields())
    assert answer.status == 303, answer.text
    assert await installation.service.servers.fields(user.id, server) == before


async def test_deleting_asks_first_and_then_leaves_nothing(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice)
    await fill(user.id, server)
    page = await alice.get(f"/servers/{server}/delete")
    assert page.status == 200
    assert "cannot be undone" in page.text
    assert (await alice.get(f"/servers/{server}")).status == 200
    assert (await alice.post(f"/servers/{server}/delete")).location == "/servers"
    assert (await alice.get(f"/servers/{server}")).status == 404
    assert (await alice.post(f"/servers/{server}/delete")).status == 404
    left = await asyncio.to_thread(rows, tenant.path(user.id))
    assert not [row for row in left if "words of alice" in row]


async def test_connecting_and_disconnecting_change_what_is_wanted(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice)
    assert (await alice.post(f"/servers/{server}/connection/delete")).location == f"/servers/{server}"
    assert not (await installation.service.servers.get(user.id, server)).enabled
    assert "Off" in (await alice.get(f"/servers/{server}/state")).text
    assert (await alice.post(f"/servers/{server}/connection", {"back": "list"})).location == "/servers"
    assert (await installation.service.servers.get(user.id, server)).enabled


async def test_the_list_shows_how_each_server_is_doing(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice)
    assert "Not connected" in (await alice.get("/servers")).text
    installation.live.states[user.id] = {server: connected("alice_")}
    for path in ("/servers", f"/servers/{server}/state", f"/servers/{server}/state?view=page"):
        page = (await alice.get(path)).text
        for words in ("Connected", "alice_", "42 ms"):
            assert words in page, (path, words)


async def test_the_client_card_names_host_port_and_login(alice: Browser) -> None:
    server = await add_server(alice)
    page = (await alice.get(f"/servers/{server}")).text
    assert "/server add -auto -network bouncer-libera 127.0.0.1 6667 alice/libera@irssi:PASSWORD" in page
    assert (
        "/server add bouncer-libera 127.0.0.1/6667 -notls -autoconnect -password=alice/libera@weechat:PASSWORD" in page
    )
    assert "alice/libera@hexchat:PASSWORD" in page


async def test_channels_are_joined_shown_and_left(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice, channels="")
    channel, conversation = await fill(user.id, server)
    page = (await alice.get(f"/servers/{server}/channels")).text
    assert "#secret" in page
    assert f"/conversations/{conversation}/messages" in page
    bad = await alice.post(f"/servers/{server}/channels", {"name": "python", "key": ""})
    assert bad.status == 422
    assert bad.error_beside("name")
    assert 'value="python"' in bad.text
    answer = await alice.post(f"/servers/{server}/channels", {"name": "#python", "key": "k3y"})
    assert answer.location == f"/servers/{server}/channels"
    page = (await alice.get(answer.location)).text
    assert "#python" in page
    assert "k3y" not in page
    page = (await alice.get(f"/channels/{channel}")).text
    for words in ("of alice", "Operators", "grace"):
        assert words in page
    assert (await alice.post(f"/channels/{channel}/delete")).location == f"/servers/{server}/channels"


async def test_a_channel_is_detached_and_its_key_kept_or_removed(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    channel, _ = await fill(user.id, await add_server(alice, channels=""))
    posted = {
        "auto_join": "on", "detached": "on", "relay_detached": "highlight", "reattach_on": "none",
        "detach_on": "default", "detach_after_s": "90m", "key": "k3y",
    }  # fmt: skip
    assert (await alice.post(f"/channels/{channel}", posted)).location == f"/channels/{channel}"
    row = (await installation.service.channels.get(user.id, channel)).row
    assert (row.detached, row.relay_detached, row.reattach_on, row.detach_after_s) == (True, "highlight", "none", 5400)
    page = (await alice.get(f"/channels/{channel}")).text
    assert 'value="90m"' in page
    assert "k3y" not in page
    bad = await alice.post(f"/channels/{channel}", {**posted, "key": "", "detach_after_s": "soon"})
    assert bad.status == 422
    assert bad.error_beside("detach_after_s")
    await alice.post(f"/channels/{channel}", {**posted, "key": "", "detached": ""})
    row = (await installation.service.channels.get(user.id, channel)).row
    assert (row.key, row.detached) == ("k3y", False)
    await alice.post(f"/channels/{channel}", {**posted, "key": "", "key_clear": "on"})
    assert (await installation.service.channels.get(user.id, channel)).row.key is None


async def test_what_a_server_does_once_connected_goes_through_the_form(
    installation: Installation, alice: Browser
) -> None:
    user = await installation.service.users.get("alice")
    more = {
        "fallbacks": "irc2.example.org 7000\r\n192.0.2.1 6697", "encoding": "KOI8-R", "away_message": "gone",
        "regain_command": "/msg NickServ REGAIN {nick}", "connect_commands": "MODE alice +x\r\nWAIT 5",
        "auth_method": "sasl-external", "auth_required": "on",
    }  # fmt: skip
    server = await add_server(alice, **more)
    row = await installation.service.servers.get(user.id, server)
    assert (row.fallbacks, row.encoding) == ("irc2.example.org 7000\n192.0.2.1 6697", "koi8-r")
    assert (row.regain_command, row.away_message, row.auto_away) == ("PRIVMSG NickServ :REGAIN {nick}", "gone", False)
    assert (row.connect_commands, row.auth_required) == ("MODE alice +x\nWAIT 5", True)
    page = (await alice.get(f"/servers/{server}")).text
    view = await installation.service.servers.view(user.id, server)
    assert "irc2.example.org 7000, 192.0.2.1 6697" in page
    assert f"/msg NickServ CERT ADD {view.fingerprint}<" in page
    assert f"/msg NickServ CERT ADD {view.fingerprint_sha512}<" in page
    bad = await alice.post("/servers", {**SERVER, "name": "x", "fallbacks": "nowhere", "connect_commands": "WAIT"})
    assert bad.error_beside("fallbacks")
    assert bad.error_beside("connect_commands")


async def test_app_passwords_are_made_shown_once_and_revoked(installation: Installation, alice: Browser) -> None:
    made = await alice.post("/tokens", {"token_name": "phone"})
    assert made.status == 200
    secret = made.text.partition("<pre>")[2].partition("</pre>")[0]
    assert await installation.service.tokens.check("alice", secret, address="") is not None
    page = (await alice.get("/clients")).text
    assert "phone" in page
    assert secret not in page
    again = await alice.post("/tokens", {"token_name": "phone"})
    assert again.status == 422
    assert "revoke it first" in again.error_beside("token_name")
    assert (await alice.post("/tokens", {"token_name": "a b"})).error_beside("token_name")
    assert (await alice.post("/tokens/1/delete")).location == "/clients"
    assert await installation.service.tokens.check("alice", secret, address="") is None


async def test_clients_and_their_certificates_are_shown_and_sent_away(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    user = await installation.service.users.get("alice")
    one = ClientInfo(7, "laptop", "libera", "192.0.2.9", True, now_ms(), (), "password")
    installation.live.here[user.id] = [one]
    assert "laptop" in (await alice.get("/clients")).text
    assert (await bob.post("/clients/7/delete")).status == 404
    assert installation.live.here[user.id] == [one]
    assert (await alice.post("/clients/7/delete")).location == "/clients"
    assert installation.live.here[user.id] == []
    assert (await alice.post("/certificates", {"fingerprint": "abc"})).error_beside("fingerprint")
    assert (await alice.post("/certificates", {"fingerprint": "AB" * 32, "certificate_name": "laptop"})).status == 303
    assert "ab" * 32 in (await alice.get("/clients")).text
    assert "ab" * 32 not in (await bob.get("/clients")).text
    taken = await bob.post("/certificates", {"fingerprint": "ab" * 32})
    assert taken.status == 422
    for path in ("/certificates/1/delete", "/tokens/1/delete"):
        assert (await bob.post(path)).status == 404
    assert (await alice.post("/certificates/1/delete")).location == "/clients"
    assert await installation.service.certificates.list(user.id) == []


async def test_a_client_name_gets_times_in_text_and_is_forgotten(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    await alice.post("/clients", {"name": "phone", "text_timestamps": "on"})
    assert [one.text_timestamps for one in await installation.service.clients.known(user.id)] == [True]
    assert "Times in text: on" in (await alice.get("/clients")).text
    await alice.post("/clients", {"name": "phone"})
    assert [one.text_timestamps for one in await installation.service.clients.known(user.id)] == [False]
    assert (await alice.post("/clients", {"name": "phone", "forget": "on"})).location == "/clients"
    assert await installation.service.clients.known(user.id) == []
    assert (await alice.post("/clients", {"name": "phone", "forget": "on"})).status == 404


async def test_a_certificate_for_a_network_is_made_and_removed(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice)
    assert "Make a certificate" in (await alice.get(f"/servers/{server}")).text
    fingerprints = set()
    for _ in range(2):
        assert (await alice.post(f"/servers/{server}/certificate")).location == f"/servers/{server}"
        fingerprints.add((await installation.service.servers.view(user.id, server)).fingerprint)
    assert len(fingerprints) == 2
    assert (await alice.post(f"/servers/{server}/certificate/delete")).location == f"/servers/{server}"
    assert (await installation.service.servers.view(user.id, server)).fingerprint == ""


async def test_history_is_read_page_by_page_without_gap_or_repeat(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice)
    channel, _ = await fill(user.id, server)
    async with tenant.switch(user.id), tenant.session() as session:
        for number in range(249):
            # a hundred share a millisecond: the id decides
            session.add(
                message(server, f"line {number:03d}.", channel_id=channel, time=1_700_000_000_000 + number // 100)
            )
        await session.commit()
    seen: list[str] = []
    page = await alice.get(f"/channels/{channel}/messages")
    assert "Wednesday, 15 November 2023" not in page.text  # the day is UTC's
    assert "Tuesday, 14 November 2023" in page.text
    while True:
        seen = page.numbers() + seen
        older = page.link("prev")
        if not older:
            break
        page = await alice.get(older)
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 249
    forward: list[str] = page.numbers()
    while newer := page.link("next"):
        page = await alice.get(newer)
        forward += page.numbers()
    assert forward == seen
    for wrong in ("before=x", "after=1", "before=1-" + "9" * 30):
        assert (await alice.get(f"/channels/{channel}/messages?{wrong}")).status == 400


async def test_a_conversation_and_the_servers_own_lines_can_be_read(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    server = await add_server(alice)
    _, conversation = await fill(user.id, server)
    async with tenant.switch(user.id), tenant.session() as session:
        session.add(message(server, "welcome to the network", sender="irc.libera.chat", message_type="server"))
        await session.commit()
    assert (await alice.get(f"/conversations/{conversation}")).location.startswith(
        f"/conversations/{conversation}/messages"
    )
    assert "the words of alice" in (await alice.get(f"/conversations/{conversation}/messages")).text
    assert "welcome to the network" in (await alice.get(f"/servers/{server}/messages")).text


async def test_the_number_of_servers_is_bounded_with_words_in_the_form(
    installation: Installation, alice: Browser
) -> None:
    user = await installation.service.users.get("alice")
    await installation.service.users.set_limits(user.id, max_servers=1)
    await add_server(alice)
    answer = await alice.post("/servers", {**SERVER, "name": "second"})
    assert answer.status == 422
    assert "No more than 1 servers" in answer.text
    assert 'value="second"' in answer.text


async def test_a_user_who_is_no_admin_gets_no_trusted_server(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    await add_server(alice)
    async with tenant.switch(user.id), tenant.session() as session:
        assert not (await session.scalars(select(Server.trusted))).one()
