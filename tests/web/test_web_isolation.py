"""Every route and method of the panel, walked as a stranger and as another user."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from bouncer import tenant
from tests.web.panelkit import SERVER, add_server, fill, rows
from web.middlewares import FRAGMENTS, OPEN, PUBLIC
from web.routes import ROUTES

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from tests.web.panelkit import Browser, Installation

PATHS = sorted({route.path for route in ROUTES})
WITH_ID = [route for route in ROUTES if "{id" in route.path]
FIELDS = {**SERVER, "name": "taken-over", "address": "irc.evil.example", "key": "k", "back": "list", "format": "jsonl"}
FIELDS |= {"text": "the words of bob", "time": "5", "notify": "all", "words": "mine"}


def at(route: web.RouteDef, number: int) -> str:
    return there(route.path, number)


def there(path: str, number: int = 1) -> str:
    return path.replace("{id:[0-9]+}", str(number)).replace("{name}", "x").replace("{token}", "x")


def name(route: web.RouteDef) -> str:
    return str(route.kwargs["name"])


async def dump(file: Path) -> list[str]:
    return await asyncio.to_thread(rows, file)


async def test_a_stranger_gets_nothing_but_the_way_to_the_sign_in(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice))
    before = await dump(tenant.path(user.id))
    for route in ROUTES:
        if name(route) in PUBLIC | OPEN:
            continue
        answer = await anonymous.request(route.method, at(route, 1), data=FIELDS if route.method == "POST" else None)
        if name(route) in FRAGMENTS:
            assert answer.status == 401, route
        else:
            assert (answer.status, answer.location.partition("?")[0]) == (303, "/session/new"), route
        assert "alice" not in answer.text
    assert await dump(tenant.path(user.id)) == before


async def test_ids_of_another_user_are_not_there_and_nothing_of_theirs_changes(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice))
    before = await dump(tenant.path(user.id))
    for number in (1, 2, 999, 10**17, 10**30):
        for route in WITH_ID:
            if name(route) == "account.session.delete" and number == 2:
                continue  # sessions are the installation's, with ids that nobody shares: this one is Bob's own
            answer = await bob.request(route.method, at(route, number), data=FIELDS if route.method == "POST" else None)
            assert answer.status == 404, (route, number)
            assert "Nothing here" in answer.text
    assert await dump(tenant.path(user.id)) == before


async def test_with_ids_that_both_have_each_reaches_their_own(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice, name="alices-own"))
    before = await dump(tenant.path(user.id))
    other = await installation.service.users.get("bob")
    await fill(other.id, await add_server(bob, name="efnet", address="irc.efnet.org"))
    async with tenant.switch(other.id), tenant.session() as session:
        await session.execute(text("UPDATE messages SET content = 'the words of bob'"))
        await session.execute(text("UPDATE server_events SET detail = 'irc.efnet.org'"))
        await session.execute(text("UPDATE channels SET topic = 'of bob'"))
        await session.commit()
    last = ("server.delete", "channel.delete")
    for route in sorted(ROUTES, key=lambda route: (name(route) in last, route.method)):
        if name(route) in {*PUBLIC, *OPEN, "session.delete", "events"}:
            continue
        answer = await bob.request(route.method, at(route, 1), data=FIELDS if route.method == "POST" else None)
        assert answer.status in (200, 303, 404, 409, 422), route
        assert "of alice" not in answer.text, route
        assert "alices-own" not in answer.text, route
    assert await dump(tenant.path(user.id)) == before


@pytest.mark.parametrize("path", PATHS)
async def test_every_other_method_is_refused(alice: Browser, path: str) -> None:
    known = {route.method for route in ROUTES if route.path == path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - known:
        answer = await alice.request(method, there(path))
        assert answer.status == 405, method
        assert known <= set(answer.headers["Allow"].split(","))


async def test_what_is_no_address_of_the_panel_is_a_page_that_says_so(alice: Browser, anonymous: Browser) -> None:
    for browser in (alice, anonymous):
        for path in (
            "/nothing",
            "/servers/",
            "/servers/x",
            "/servers/-1",
            "/servers/1/",
            "/static/",
            "/static/../app.py",
            "/static/x",
        ):
            answer = await browser.get(path)
            assert answer.status in (403, 404), path
            assert "<h1>" in answer.text
