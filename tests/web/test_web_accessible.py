"""Every page in a real Chromium, looked at by axe-core in both themes and two widths: nothing serious is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from bouncer.clock import now_ms
from bouncer.events import ClientInfo, ServerState
from tests.support import browser
from tests.web.panelkit import PASSWORD, connected, fill
from web.middlewares import FRAGMENTS
from web.routes import ROUTES

if TYPE_CHECKING:
    from playwright.async_api import Page

    from bouncer.models.main import User
    from tests.web.panelkit import Installation

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RUN = """
async () => {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    return found.violations
        .filter((one) => ["serious", "critical"].includes(one.impact))
        .map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
}
"""
NO_PAGES = FRAGMENTS | {
    "events",
    "socket",
    "static",
    "home",
    "admin",
    "account.export.file",
    "session.new",
    "session.create",
}


async def furnished(installation: Installation) -> tuple[User, dict[str, int]]:
    """An admin with something on every page."""
    call = installation.service
    user = await installation.user("ada", admin=True)
    await installation.user("bob")
    one = await call.servers.add(user.id, {"name": "libera", "address": "irc.libera.chat", "channels": "#python"})
    two = await call.servers.add(user.id, {"name": "efnet", "address": "irc.efnet.org"})
    channel, conversation = await fill(user.id, one.id, text="see https://example.org \x0304red\x03 \x02bold\x02")
    failed = ServerState("failed", error="connection refused", attempt=3, next_attempt_s=42)
    installation.live.states[user.id] = {one.id: connected("ada_"), two.id: failed}
    lags = tuple((now_ms() - 60_000 * age, 40 + age) for age in range(9, 0, -1))
    installation.live.states[user.id][one.id] = ServerState("connected", connected_since=1, nickname="ada", lags=lags)
    here = ClientInfo(1, "phone", "libera", "192.0.2.1", True, now_ms(), ("batch",), "token 1", now_ms())
    installation.live.here[user.id] = [here]
    await call.tokens.create(user.id, "phone")
    await call.certificates.enrol(user.id, "ab" * 32, "laptop")
    await call.clients.set_timestamps(user.id, "old", True)
    _, token = await call.invites.create("for carol")
    return user, {"servers": one.id, "channels": channel, "conversations": conversation, "users": user.id, token: 0}


def addresses(ids: dict[str, int]) -> list[str]:
    """Every page there is to see, by the route table; a new route is looked at without being named here."""
    token = next(name for name, number in ids.items() if not number)
    found = []
    for route in ROUTES:
        if route.method == "GET" and route.kwargs["name"] not in NO_PAGES:
            parts = route.path.split("/")
            number = next((ids[part] for part in parts if part in ids), 1)
            found.append(route.path.replace("{id:[0-9]+}", str(number)).replace("{token}", token))
    return sorted(set(found))


async def looked_at(page: Page, path: str) -> list[str]:
    """What axe finds on the page, with everything on it opened; pages only, not parts of them."""
    answer = await page.goto(path)
    assert answer is not None
    assert answer.status == 200, path
    if not (answer.headers["content-type"].startswith("text/html") and await page.locator("main").count()):
        return []
    await page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    return [f"{path}: {words}" for words in await page.evaluate(RUN)]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
async def test_axe_finds_nothing_serious_on_any_page(installation: Installation, width: int, scheme: str) -> None:
    _, ids = await furnished(installation)
    found: list[str] = []
    async with (
        browser.chromium() as started,
        browser.signed_in(started, installation.url, "ada", PASSWORD, width=width) as page,
    ):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for path in addresses(ids):
            found += await looked_at(page, path)
        await page.goto("/servers/new")
        await page.get_by_role("button", name="Add server").click()
        await expect(page.locator(".error").first).to_be_visible()
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        found += await page.evaluate(RUN)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        found += await looked_at(page, "/session/new")
    assert found == []
