"""Administration on the panel: people, invitations, the house, backups; and that none of it reads what people keep."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bouncer import tenant
from bouncer.errors import NotFoundError
from tests.web.panelkit import PASSWORD, Browser, add_server, fill
from web.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.web.panelkit import Installation

ADMIN = [route for route in ROUTES if str(route.kwargs["name"]).startswith("admin")]


@pytest.fixture
async def root(installation: Installation) -> AsyncIterator[Browser]:
    """An admin, signed in."""
    await installation.user("root", admin=True)
    person = Browser(installation.url)
    await person.sign_in("root")
    yield person
    await person.close()


def path_of(path: str, number: int) -> str:
    return path.replace("{id:[0-9]+}", str(number)).replace("{name}", "20260101T000000Z").replace("{token}", "x")


async def finished(person: Browser) -> str:
    """Wait for the end of work on backups."""
    async with asyncio.timeout(20):
        while True:
            part = await person.get("/admin/house/state")
            if 'data-follow=""' in part.text:
                return part.text


# -- who may


async def test_for_others_there_is_no_administration(installation: Installation, root: Browser, alice: Browser) -> None:
    del root
    before = await installation.service.audit.count()
    for route in ADMIN:
        answer = await alice.request(route.method, path_of(route.path, 1), data={"name": "root", "words": "x"})
        assert answer.status == 404, route
        assert "root" not in answer.text
    assert await installation.service.audit.count() == before
    assert "/admin" not in (await alice.get("/servers")).text


async def test_an_admin_sees_nothing_of_what_people_say_or_where(
    installation: Installation, root: Browser, alice: Browser
) -> None:
    user = await installation.service.users.get("alice")
    number = await add_server(alice, name="secretnet", address="irc.secret.example")
    channel, conversation = await fill(user.id, number, text="the words of alice")
    last = {"admin.user.delete", "admin.user.access.delete"}
    for route in sorted(ROUTES, key=lambda route: str(route.kwargs["name"]) in last):
        if route.kwargs["name"] in {"session.delete", "events", "socket", "account.delete"}:
            continue
        for target in {1, user.id, number, channel, conversation}:
            answer = await root.request(
                route.method, path_of(route.path, target), data={"name": "x", "words": "x", "format": "jsonl"}
            )
            for secret in ("the words of alice", "secretnet", "irc.secret.example", "#secret", "grace"):
                assert secret not in answer.text, (route, target)
            if route.kwargs["name"] == "session.create":
                await root.sign_in("root")


async def test_no_admin_handler_can_open_the_file_of_another(installation: Installation, root: Browser) -> None:
    """They run inside the admin's own tenant: another one's cannot be entered from there."""
    other = await installation.user("other")
    seen = []
    people = installation.service.house.people

    async def nosy() -> object:
        try:
            async with tenant.switch(other.id):
                seen.append("in")
        except Exception as error:  # noqa: BLE001 - its name is what is looked at
            seen.append(type(error).__name__)
        return await people()

    installation.service.house.people = nosy  # type: ignore[assignment,method-assign]  # a handler that would try
    await root.get("/admin/users")
    assert seen == ["WrongTenantError"]


# -- people


async def test_a_user_is_added_with_a_password_for_one_time(installation: Installation, root: Browser) -> None:
    page = await root.post("/admin/users", {"name": "carol", "email": "carol@example.org"})
    found = re.search(r"<pre>(\S+)</pre>", page.text)
    assert found is not None
    person = Browser(installation.url)
    assert (await person.sign_in("carol", found[1])).location == "/account/password"
    assert found[1] not in (await root.get("/admin/users")).text
    wrong = await root.post("/admin/users", {"name": "Carol!", "email": "x"})
    assert wrong.error_beside("name")
    assert wrong.error_beside("email")
    assert (await root.post("/admin/users", {"name": "carol"})).error_beside("name")
    await person.close()


async def test_limits_are_set_shown_as_bars_and_taken_back(installation: Installation, root: Browser) -> None:
    user = await installation.user("dave")
    page = f"/admin/users/{user.id}"
    assert (await root.post(page, {"max_servers": "2", "max_disk_mb": "1"})).status == 303
    shown = await root.get(page)
    assert "of 2 servers" in shown.text
    assert 'aria-label="' in shown.text
    assert "of 1.0 MB" in shown.text
    for wrong in ("-1", "x", "1.5", "9" * 12, "\u0663"):
        assert (await root.post(page, {"max_servers": wrong})).error_beside("max_servers"), wrong
    assert (await root.post(page, {"max_servers": "", "max_disk_mb": ""})).status == 303
    assert (await installation.service.users.get(user.id)).max_servers is None


async def test_who_is_kept_out_is_out_at_once_and_comes_back(
    installation: Installation, root: Browser, alice: Browser
) -> None:
    user = await installation.service.users.get("alice")
    assert (await root.post(f"/admin/users/{user.id}/access/delete")).status == 303
    assert (await alice.get("/servers")).status == 303
    assert "kept out" in (await root.get("/admin/users")).text
    assert (await root.post(f"/admin/users/{user.id}/access")).status == 303
    assert (await alice.sign_in("alice")).location == "/servers"


async def test_the_last_admin_stays_one(installation: Installation, root: Browser) -> None:
    user = await installation.service.users.get("root")
    page = f"/admin/users/{user.id}"
    assert "only admin" in (await root.post(page, {})).error_beside("admin")
    assert "only admin" in (await root.post(f"{page}/access/delete")).error_beside("admin")
    assert (await root.post(f"{page}/delete", {"name": "root"})).error_beside("name")
    assert (await installation.service.users.get("root")).admin
    await installation.user("second", admin=True)
    assert "on its own page" in (await root.post(f"{page}/delete", {"name": "root"})).error_beside("name")
    assert (await installation.service.users.get("root")).admin
    assert (await root.post(page, {})).status == 303
    assert (await root.get("/admin/users")).status == 404


async def test_somebody_who_lost_everything_gets_in_again(installation: Installation, root: Browser) -> None:
    user = await installation.user("erin")
    page = await root.post(f"/admin/users/{user.id}/password")
    found = re.search(r"<pre>(\S+)</pre>", page.text)
    assert found is not None
    person = Browser(installation.url)
    assert (await person.sign_in("erin")).status == 422
    assert (await person.sign_in("erin", found[1])).location == "/account/password"
    assert (await root.post(f"/admin/users/{user.id}/factor/delete")).status == 303
    trail = (await root.get("/admin/audit")).text
    assert "password set" in trail
    assert "two-factor sign-in off" in trail
    assert "127.0.0.1" in trail
    await person.close()


async def test_a_user_is_deleted_by_their_name_typed(installation: Installation, root: Browser, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice))
    path = tenant.path(user.id)
    assert (await root.post(f"/admin/users/{user.id}/delete", {"name": "root"})).error_beside("name")
    assert path.exists()
    assert (await root.post(f"/admin/users/{user.id}/delete", {"name": "alice"})).status == 303
    assert not path.exists()
    assert (await alice.get("/servers")).status == 303
    assert (await root.get(f"/admin/users/{user.id}")).status == 404
    assert ">alice<" not in (await root.get("/admin/audit")).text


# -- invitations


async def test_an_invitation_makes_one_account(installation: Installation, root: Browser, anonymous: Browser) -> None:
    page = await root.post("/admin/invites", {"note": "for <b>frank</b>"})
    found = re.search(r"<pre>http://[^/]+(/invite/\S+)</pre>", page.text)
    assert found is not None
    assert "<b>frank" not in page.text
    address = found[1]
    assert (await anonymous.get(address)).status == 200
    fields = {"name": "frank", "password": "long enough", "repeat": "long enough"}
    assert (await anonymous.post(address, {**fields, "repeat": "other"})).error_beside("repeat")
    assert (await anonymous.post(address, {**fields, "name": "Frank!"})).error_beside("name")
    assert (await anonymous.post(address, {**fields, "name": "root"})).error_beside("name")
    assert (await anonymous.post(address, fields)).location == "/session/new"
    assert (await anonymous.get(address)).status == 404
    assert (await anonymous.post(address, {**fields, "name": "frank2"})).status == 404
    assert (await anonymous.sign_in("frank", "long enough")).status == 303
    assert not (await installation.service.users.get("frank")).admin


async def test_an_invitation_is_taken_back_and_used_by_one_of_two(
    installation: Installation, root: Browser, anonymous: Browser
) -> None:
    invites = installation.service.invites
    row, token = await invites.create("x")
    assert (await root.post(f"/admin/invites/{row.id}/delete")).status == 303
    assert (await anonymous.get(f"/invite/{token}")).status == 404
    _, token = await invites.create("y")
    both = await asyncio.gather(
        invites.accept(token, "one", PASSWORD), invites.accept(token, "two", PASSWORD), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["NotFoundError", "User"]
    with pytest.raises(NotFoundError):
        await invites.delete(999)


# -- the house


async def test_a_backup_is_made_checked_and_found_damaged(
    installation: Installation, root: Browser, alice: Browser
) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice))
    assert (await root.post("/admin/backups")).status == 303
    assert "every file in it is whole" in await finished(root)
    (made,) = await installation.service.backups.list()
    folder = installation.config.storage.path / "backups" / made.name
    assert made.files == 2
    assert folder.stat().st_mode & 0o777 == 0o700
    copy = folder / "tenants" / f"{user.id}.sqlite3"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (2,)
    with closing(sqlite3.connect(folder / "main.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)
    await root.post(f"/admin/backups/{made.name}/check")
    assert f"{made.name} is whole" in await finished(root)
    data = bytearray(copy.read_bytes())
    data[100:] = bytes(len(data) - 100)
    copy.write_bytes(data)
    await root.post(f"/admin/backups/{made.name}/check")
    text = await finished(root)
    assert "alice:" in text
    for name in ("20260101T000000Z", "..", "x", made.name + "x"):
        assert (await root.post(f"/admin/backups/{name}/check")).status == 404
    assert list((installation.config.storage.path / "backups").glob("*.unfinished")) == []


async def test_the_house_says_how_it_is(root: Browser) -> None:
    page = await root.get("/admin/house")
    assert "irc+insecure://127.0.0.1:6667" in page.text
    assert "No certificate is configured" in page.text
    assert "Free on this disk" in page.text
    refused = await root.post("/admin/broadcast", {"words": "  "})
    assert refused.error_beside("words")
    assert (await root.post("/admin/broadcast", {"words": "x" * 1001})).error_beside("words")
    assert "running" in (await root.post("/admin/broadcast", {"words": "soon"})).error_beside("words")


async def test_the_audit_trail_names_who_did_what_and_is_read_in_pages(
    installation: Installation, root: Browser
) -> None:
    for number in range(105):
        await installation.service.audit.note(f"deed {number:03}")
    first = await root.get("/admin/audit")
    assert "deed 104" in first.text
    assert "deed 003" not in first.text
    assert "deed 003" in (await root.get(first.link("next"))).text
    await root.post("/admin/users", {"name": "gina"})
    newest = (await installation.service.audit.list(limit=1))[0]
    assert (newest.actor, newest.action, newest.subject) == ("root", "user added", "gina")
