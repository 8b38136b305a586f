"""A form that is open in two windows, and one that would take stored secrets to another place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from bouncer.models.main import Session
from bouncer.service.bouncerserv import BouncerServ
from tests.support.network import ScriptedNetwork
from tests.web.panelkit import PASSWORD, add_server, fill
from web.merging import marks, merged

if TYPE_CHECKING:
    from tests.web.panelkit import Browser, Installation

SECRET = {"password": "hunter2", "auth_method": "sasl-plain", "auth_account": "alice", "auth_password": "sesame"}


async def stale(installation: Installation) -> None:
    """Everybody's password was given a long time ago."""
    async with installation.main.session() as session:
        await session.execute(update(Session).values(data='{"confirmed_at": 1}'))
        await session.commit()


# -- two windows


def test_what_only_one_window_changed_is_kept_and_what_both_changed_is_told() -> None:
    opened: dict[str, str | bool] = {"name": "a", "nick": "n", "text": "one\ntwo", "tls": True, "away": False}
    mine = {"seen": marks(opened), "name": "b", "nick": "mine", "text": "one\r\ntwo \r\n", "tls": "on"}
    now: dict[str, str | bool] = {**opened, "nick": "theirs", "text": "one\nthree", "tls": False, "away": True}
    fields, clashes = merged(mine, now)
    assert (fields["name"], fields["text"], fields["away"], "tls" in fields) == ("b", "one\nthree", "on", False)
    assert list(clashes) == ["nick"]
    assert clashes["nick"] == "was changed elsewhere meanwhile, to “theirs”; save again to put yours in its place"
    assert merged({**mine, "nick": "theirs"}, now)[1] == {}
    assert merged({**mine, "seen": ""}, now) == ({**mine, "seen": ""}, {})


async def test_the_second_of_two_windows_keeps_what_the_first_one_saved(
    installation: Installation, alice: Browser
) -> None:
    server = await add_server(alice)
    first = (await alice.get(f"/servers/{server}/edit")).fields()
    second = dict(first)
    assert (
        await alice.post(f"/servers/{server}", {**first, "address": "irc.oftc.net", "nickname": "one"})
    ).status == 303
    await alice.post(f"/servers/{server}/channels", {"name": "#new"})
    told = await alice.post(f"/servers/{server}", {**second, "realname": "Two", "nickname": "two"})
    assert told.status == 422
    assert told.error_beside("nickname").startswith("Was changed elsewhere meanwhile, to “one”")
    form = told.fields()
    assert (form["nickname"], form["realname"], form["address"]) == ("two", "Two", "irc.oftc.net")
    assert "#new" in form["channels"]
    assert (await alice.post(f"/servers/{server}", form)).status == 303
    row = await installation.service.servers.get((await installation.service.users.get("alice")).id, server)
    assert (row.nickname, row.realname, row.address) == ("two", "Two", "irc.oftc.net")


async def test_other_forms_tell_of_a_second_window_too(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    channel, _ = await fill(user.id, await add_server(alice))
    other = await installation.user("bob")
    await installation.service.users.set_admin(user.id, True)
    cases = (
        (f"/channels/{channel}", f"/channels/{channel}", "detach_after_s", "30m", "2h"),
        ("/notifications", "/notifications/rules", "words", "sqlite", "python"),
        (f"/admin/users/{other.id}", f"/admin/users/{other.id}", "max_servers", "3", "4"),
    )
    for page, action, field, one, two in cases:
        form = (await alice.get(page)).fields()
        assert (await alice.post(action, {**form, field: one})).status == 303, action
        told = await alice.post(action, {**form, field: two})
        assert told.status == 422, action
        assert f"to “{one}”" in told.error_beside(field), action
        assert (await alice.post(action, {**form, field: two, "seen": told.fields()["seen"]})).status == 303, action
        assert (await alice.get(page)).fields()[field] == two, action


# -- stored secrets


@pytest.mark.parametrize(
    "change",
    [{"address": "irc.evil.example"}, {"port": "7000"}, {"fallbacks": "irc.evil.example 6697"}, {"tls": ""},
     {"tls_verify": ""}, {"tls_fingerprint": "ab" * 32}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
async def test_stored_secrets_go_to_another_place_only_for_who_confirms(
    installation: Installation, alice: Browser, change: dict[str, str]
) -> None:
    server = await add_server(alice, **SECRET)
    form = (await alice.get(f"/servers/{server}/edit")).fields()
    await stale(installation)
    user = await installation.service.users.get("alice")
    before = await installation.service.servers.fields(user.id, server)
    asked = await alice.post(f"/servers/{server}", {**form, "realname": "Alice B.", **change})
    assert asked.status == 422
    assert "another place" in asked.error_beside("password")
    assert "another place" in asked.error_beside("auth_password")
    assert asked.fields()["realname"] == "Alice B."
    assert await installation.service.servers.fields(user.id, server) == before
    wrong = await alice.post(f"/servers/{server}", {**form, **change, "confirm_password": "wrong"})
    assert wrong.error_beside("confirm_password") == "Is not right."
    assert await installation.service.servers.fields(user.id, server) == before
    assert (await alice.post(f"/servers/{server}", {**form, **change, "confirm_password": PASSWORD})).status == 303
    row = await installation.service.servers.get(user.id, server)
    assert (row.password, row.auth_password) == ("hunter2", "sesame")


async def test_what_takes_no_stored_secret_along_asks_nothing(installation: Installation, alice: Browser) -> None:
    server = await add_server(alice, **SECRET)
    form = (await alice.get(f"/servers/{server}/edit")).fields()
    await stale(installation)
    assert (await alice.post(f"/servers/{server}", {**form, "nickname": "other"})).status == 303
    typed = {"address": "irc.oftc.net", "password_clear": "on", "auth_password": "new"}
    assert (await alice.post(f"/servers/{server}", {**form, **typed})).status == 303


async def test_keys_of_channels_are_stored_secrets_too(installation: Installation, alice: Browser) -> None:
    server = await add_server(alice, channels="#plain\n#secret key")
    form = (await alice.get(f"/servers/{server}/edit")).fields()
    await stale(installation)
    asked = await alice.post(f"/servers/{server}", {**form, "address": "irc.evil.example"})
    assert "#secret" in asked.error_beside("channels")
    assert "#plain" not in asked.error_beside("channels")
    left = {**form, "address": "irc.evil.example", "channels": "#plain\n#secret other"}
    assert (await alice.post(f"/servers/{server}", left)).status == 303


async def test_a_test_takes_stored_secrets_nowhere_else_either(installation: Installation, alice: Browser) -> None:
    server = await add_server(alice, **SECRET)
    form = (await alice.get(f"/servers/{server}/edit")).fields()
    await stale(installation)
    async with ScriptedNetwork() as network:
        there = {**form, "address": "127.0.0.1", "port": str(network.port), "tls": ""}
        asked = await alice.post(f"/servers/{server}/trial", {**there, "do": "test"})
        assert asked.status == 422
        assert "another place" in asked.error_beside("auth_password")
        assert 'id="confirm_password"' in asked.text
        assert network.connections == []


async def test_the_other_doors_hold_them_as_well(installation: Installation) -> None:
    call = installation.service.servers
    user = await installation.user("dora")
    row = await call.add(user.id, {"name": "net", "address": "irc.example.org", **SECRET})
    serv = BouncerServ(installation.service)
    said = await serv.handle(user.id, "server update net --address irc.evil.example", server=None)
    assert [line.partition(" is stored")[0] for line in said] == ["Error: password:", "Error: --account-password:"]
    assert (await call.get(user.id, row.id)).address == "irc.example.org"
    again = "server update net --address irc.other.example --no-password --account-password new"
    assert await serv.handle(user.id, again, server=None) == ["server net updated"]
