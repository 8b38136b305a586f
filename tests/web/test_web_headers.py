"""Every route of the table, asked by anybody: the same protections on each answer, and no door without the guard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.web.panelkit import SERVER, add_server, fill
from web.middlewares import FOREVER, HEADERS
from web.routes import ROUTES

if TYPE_CHECKING:
    from aiohttp import web

    from tests.web.panelkit import Answer, Browser, Installation

WEB = Path(__file__).parents[2] / "web"
LAST = (
    "account.session.delete",
    "account.password.update",
    "session.delete",
    "account.delete",
    "server.delete",
    "channel.delete",
)
"""What takes away what others need."""


def at(route: web.RouteDef) -> str:
    return re.sub(r"\{[a-z]+(:\[0-9\]\+)?\}", lambda found: "1" if found[1] else "x", route.path)


def name(route: web.RouteDef) -> str:
    return str(route.kwargs["name"])


def guarded(answer: Answer, route: web.RouteDef) -> None:
    for header, value in HEADERS.items():
        assert answer.headers.get(header) == value, (route, header)
    expected = {"no-store"} | ({FOREVER} if name(route) == "static" else set())
    assert answer.headers["Cache-Control"] in expected, route
    assert "Server" not in answer.headers, route
    assert answer.status < 500 or answer.status == 503, route
    for cookie in answer.headers.getall("Set-Cookie", []):  # type: ignore[attr-defined]  # aiohttp's headers have it
        assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; ")), route


def test_the_protections_are_these() -> None:
    policy = dict(part.strip().partition(" ")[::2] for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert HEADERS["X-Frame-Options"] == "DENY"
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Referrer-Policy"] == "same-origin"
    assert HEADERS["Cross-Origin-Opener-Policy"] == HEADERS["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_every_answer_carries_the_protections(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    user = await installation.service.users.get("alice")
    await fill(user.id, await add_server(alice))
    for route in sorted(ROUTES, key=lambda route: name(route) in LAST):
        if name(route) == "events":
            continue  # a stream that does not end; its first answer is the same
        form = SERVER if route.method == "POST" else None
        guarded(await anonymous.request(route.method, at(route), data=form), route)
        if (await alice.get("/account")).status != 200:
            assert (await alice.sign_in("alice")).status == 303, "the last route has signed her out"
        guarded(await alice.request(route.method, at(route), data=form), route)
    guarded(await anonymous.get("/nowhere"), ROUTES[0])


async def test_no_unsafe_method_of_any_route_is_taken_from_another_site(alice: Browser, anonymous: Browser) -> None:
    routes = [route for route in ROUTES if route.method not in {"GET", "HEAD"}]
    assert len(routes) > 40
    for route in routes:
        for browser in (alice, anonymous):
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
                answer = await browser.request(route.method, at(route), data=SERVER, headers=headers)
                assert answer.status == 403, (route, headers)
                guarded(answer, route)
    assert (await alice.get("/servers")).status == 200, "nobody was signed out"


def test_nothing_is_marked_as_safe_but_what_was_escaped_piece_by_piece() -> None:
    marked = {
        f"{path.relative_to(WEB)}"
        for path in WEB.rglob("*.py")
        if re.search(r"\bMarkup\(|__html__|autoescape|\bEnvironment\(", path.read_text("utf-8"))
    }
    assert marked <= {"charts.py", "views/second_factor.py", "irctext.py"}, "look at each new one, then name it here"
    for template in (WEB / "templates").rglob("*"):
        if template.is_file():
            assert template.suffix == ".html", "only these are escaped by themselves"
            assert not re.search(r"\|\s*(safe|tojson|xmlattr)|Markup|\{%-?\s*autoescape", template.read_text("utf-8"))
    for script in (WEB / "static").glob("*.js"):
        text = script.read_text("utf-8")
        assert not re.search(r"\b(eval|Function)\(|(inner|outer)HTML|insertAdjacentHTML|document\.write", text), script
