"""Every form on every page, as a hostile sender would fill it in: each field with each kind of nonsense, and twice."""

from __future__ import annotations

import asyncio
import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.web.test_web_accessible import addresses, furnished
from web.routes import ROUTES

if TYPE_CHECKING:
    from tests.web.panelkit import Answer, Browser, Installation

NONSENSE = {
    "control": "a\x00b\x07\x1b[31mc\x7f",
    "lines": "a\r\nQUIT :x\r\n",
    "bidi": "\u202eevil\u2066\u200f",
    "markup": "\"'><script>alert(1)</script>{{7*7}}",
    "type": "-1.5e9",
    "megabyte": "w" * 1_000_000,
}
OUT = {"/session/delete"}
"""Ends the session of the test itself."""
LAST = ("/delete", "/password", "/access", "/sessions")
"""What ends or changes what other forms need."""
ANSWERS = {303, 400, 404, 409, 413, 422}
SHOWN = (
    "token.create",
    "history.deletion.create",
    "admin.invite.create",
    "admin.user.create",
    "server.trial",
    "server.trial.create",
)
"""What answers with a page: a secret that is shown once, the report of a test, what would go."""


@dataclass(frozen=True)
class Form:
    """A form as a page has it: where it goes, what it would send as it is, and which fields are secret or hidden."""

    action: str
    fields: tuple[tuple[str, str], ...]
    secret: frozenset[str]
    hidden: frozenset[str]


def forms(page: str) -> list[Form]:
    """The forms of a page that are sent by POST, each address it may go to (`formaction`) as one."""
    found = []
    for head, body in re.findall(r'<form ([^>]*method="post"[^>]*)>(.*?)</form>', page, re.DOTALL):
        fields, secret, hidden = dict[str, str](), set[str](), set[str]()
        for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", body):
            given = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
            kind = given.get("type", "")
            if kind == "checkbox" and " checked" not in tag:
                continue
            fields[given["name"]] = html.unescape(given.get("value", ""))
            secret |= {given["name"]} if kind == "password" else set()
            hidden |= {given["name"]} if kind in ("hidden", "checkbox") or " hidden" in tag else set()
        for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n?(.*?)</textarea>', body, re.DOTALL):
            fields[name] = html.unescape(text)
        for name, value in re.findall(r'<select [^>]*name="(\w+)".*?value="([^"]*)" selected', body, re.DOTALL):
            fields[name] = value
        actions = [*re.findall(r'action="([^"]*)"', head), *re.findall(r'formaction="([^"]*)"', body)]
        found += [Form(action, tuple(fields.items()), frozenset(secret), frozenset(hidden)) for action in actions]
    return found


async def all_forms(installation: Installation, person: Browser) -> list[Form]:
    _, ids = await furnished(installation)
    await person.sign_in("ada")
    found: dict[str, Form] = {}
    for path in addresses(ids):
        for form in forms((await person.get(path)).text):
            found.setdefault(re.sub(r"\d+", "1", form.action) + " ".join(name for name, _ in form.fields), form)
    return [form for form in found.values() if form.action not in OUT]


def route_of(action: str) -> str:
    """The name of the route, for an address of the panel."""
    for route in ROUTES:
        pattern = re.sub(r"\{\w+:([^}]*)\}", r"\1", route.path)
        pattern = re.sub(r"\{\w+\}", "[^/]+", pattern)
        if route.method == "POST" and re.fullmatch(pattern, action):
            return str(route.kwargs["name"])
    raise AssertionError(action)


def allowed(form: Form) -> set[int]:
    return ANSWERS | ({200} if route_of(form.action) in SHOWN else set())


def complaints(form: Form, field: str, value: str, answer: Answer) -> list[str]:
    """What is wrong with an answer to a form whose `field` was nonsense."""
    what = f"{form.action} {field} {value[:12]!r}: {answer.status}"
    if answer.status not in allowed(form):
        return [what]
    found = []
    if answer.status == 422 and not re.search(r'class="error"|class="notice bad"', answer.text):
        found.append(f"{what} without words")
    if answer.status == 422 and field not in form.hidden and f'id="{field}-error"' not in answer.text:
        others = re.findall(r'id="(\w+)-error"', answer.text)
        found += [f"{what}, words beside {others}"] if not others else []
    if field in form.secret and html.escape(value) in answer.text:
        found.append(f"{what} shows the secret")
    if "<script>alert" in answer.text:
        found.append(f"{what} says it as it is")
    return found


def nowhere(form: Form) -> dict[str, str]:
    """For a test of a connection: where nobody answers."""
    return {"address": "127.0.0.1", "port": "9"} if form.action.endswith("/trial") else {}


async def test_no_field_of_any_form_takes_nonsense_further(installation: Installation, anonymous: Browser) -> None:
    wrong, tried = list[str](), 0
    for form in sorted(await all_forms(installation, anonymous), key=lambda form: form.action.endswith(LAST)):
        for field, _ in form.fields:
            for value in list(NONSENSE.values())[: 1 if form.action.endswith("/trial") else None]:
                answer = await anonymous.post(form.action, {**dict(form.fields), **nowhere(form), field: value})
                wrong += complaints(form, field, value, answer)
                tried += 1
                if answer.location.startswith("/session/new"):
                    await anonymous.sign_in("ada")
    assert wrong == []
    assert tried > 400


async def test_every_form_may_be_sent_twice_at_once(installation: Installation, anonymous: Browser) -> None:
    wrong = []
    for form in sorted(await all_forms(installation, anonymous), key=lambda form: form.action.endswith(LAST)):
        posted = {**dict(form.fields), **nowhere(form)}
        answers = await asyncio.gather(*(anonymous.post(form.action, posted) for _ in range(2)))
        wrong += [f"{form.action} {answer.status}" for answer in answers if answer.status not in allowed(form)]
        if any(answer.location.startswith("/session/new") for answer in answers):
            await anonymous.sign_in("ada")
    assert wrong == []
    call = installation.service
    (ada, bob) = [user for user in await call.users.list() if user.name in ("ada", "bob")]
    names = [view.row.name for view in await call.servers.list(ada.id)]
    assert len(names) == len(set(names))
    assert not await call.servers.list(bob.id)


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
async def test_no_form_is_taken_from_another_site(
    installation: Installation, anonymous: Browser, headers: dict[str, str]
) -> None:
    _, ids = await furnished(installation)
    await anonymous.sign_in("ada")
    users = [user.name for user in await installation.service.users.list()]
    for route in ROUTES:
        if route.method == "POST":
            path = re.sub(r"\{\w+:?[^}]*\}", "1", route.path)
            answer = await anonymous.post(path, {"name": "taken-over"}, headers)
            assert answer.status == 403, path
    assert [user.name for user in await installation.service.users.list()] == users
    assert ids
