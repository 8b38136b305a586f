"""The panel in a real Chromium: with and without script, wide and narrow, no policy broken, nothing sticking out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from bouncer.events import ClientInfo, Event, ServerState
from tests.support import browser
from tests.web.panelkit import PASSWORD, SERVER, connected, fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from playwright.async_api import Browser as Chromium
    from playwright.async_api import Page

    from bouncer.models.main import User
    from tests.web.panelkit import Installation

WIDTHS = (1280, 390)


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    async with browser.chromium() as started:
        yield started


def page_of(
    chromium: Chromium, url: str, *, width: int = 1280, script: bool = True, name: str = "ada"
) -> AbstractAsyncContextManager[Page]:
    """A signed-in page; whatever the browser complains about fails the test."""
    return browser.signed_in(chromium, url, name, PASSWORD, width=width, script=script)


async def wider_than_the_window(page: Page) -> list[str]:
    """What sticks out to the right, the page itself first."""
    found: list[str] = await page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            const out = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width);
            return ["the page", ...out.map((e) => `${e.tagName} ${e.className}`)];
        }"""
    )
    return found


@pytest.fixture
async def ada(installation: Installation) -> User:
    return await installation.user("ada")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
async def test_a_server_is_added_changed_and_deleted(
    installation: Installation, ada: User, chromium: Chromium, width: int, script: bool
) -> None:
    async with page_of(chromium, installation.url, width=width, script=script) as page:
        await page.get_by_role("link", name="Add server").click()
        await page.get_by_label("Name", exact=True).fill("lib era")
        await page.get_by_label("Address", exact=True).fill("irc.libera.chat")
        await page.get_by_label("Channels to join").fill("#python")
        await page.get_by_role("button", name="Add server").click()
        field = page.get_by_label("Name", exact=True)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_value("lib era")
        await field.fill("libera")
        await page.get_by_role("button", name="Add server").click()
        await expect(page.get_by_role("heading", name="libera", exact=True)).to_be_visible()
        await expect(page.get_by_text("libera is added.")).to_be_visible()
        await expect(page.get_by_role("link", name="#python", exact=True)).to_be_visible()

        await page.get_by_role("link", name="Edit").click()
        await page.get_by_label("Address", exact=True).fill("irc.oftc.net")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("irc.oftc.net:6697").first).to_be_visible()
        await page.get_by_role("button", name="Disconnect").click()
        await expect(page.get_by_text("Off", exact=True)).to_be_visible()
        assert not (await installation.service.servers.by_name(ada.id, "libera")).enabled

        await page.get_by_role("link", name="Delete").click()
        await expect(page.get_by_role("heading", name="Delete libera?")).to_be_visible()
        await page.get_by_role("button", name="Delete with its history").click()
        await expect(page.get_by_text("libera and its history are deleted.")).to_be_visible()
        assert await installation.service.servers.list(ada.id) == []


async def test_state_changes_on_the_page_without_reloading(
    installation: Installation, ada: User, chromium: Chromium
) -> None:
    row = await installation.service.servers.add(ada.id, {"name": "libera", "address": "irc.libera.chat"})
    async with page_of(chromium, installation.url) as page:
        await page.evaluate("window.here = true")
        await page.wait_for_function("stream !== null && stream.readyState === 1")
        live = installation.live
        live.states[ada.id] = {row.id: connected("ada")}
        live.hub(ada.id).publish(Event("server", row.id))
        await expect(page.get_by_text("Connected", exact=True)).to_be_visible()
        await expect(page.get_by_text("2 hours ago")).to_be_visible()
        live.states[ada.id] = {row.id: ServerState("failed", error="Connection refused", attempt=3, next_attempt_s=42)}
        live.hub(ada.id).publish(Event("server", row.id))
        await expect(page.get_by_text("Connection refused")).to_be_visible()
        await expect(page.locator("[data-as=countdown]")).to_have_text(re.compile(r"^(4[0-2]|3\d) s$"))
        await installation.service.servers.add(ada.id, {"name": "oftc", "address": "irc.oftc.net"})
        live.hub(ada.id).publish(Event("servers"))
        await expect(page.get_by_role("heading", name="oftc")).to_be_visible()
        assert await page.evaluate("window.here === true")


@pytest.mark.parametrize("width", [1280, 390, 360])
async def test_no_page_is_wider_than_the_window_nor_breaks_the_policy(
    installation: Installation, ada: User, chromium: Chromium, width: int
) -> None:
    long = "W" * 32
    row = await installation.service.servers.add(
        ada.id, {"name": long, "address": f"{'w' * 60}.{'w' * 60}.example.org", "nickname": "N" * 60}
    )
    channel, conversation = await fill(ada.id, row.id, name="#" + "W" * 190, text="W" * 5_000)
    error = "E" * 500
    installation.live.states[ada.id] = {row.id: ServerState("failed", error=error, attempt=99, next_attempt_s=500)}
    installation.live.here[ada.id] = [ClientInfo(1, "c" * 64, "S" * 32, "2001:db8::1", True, 1, (), "password")]
    await installation.service.tokens.create(ada.id, "t" * 64)
    await installation.service.certificates.enrol(ada.id, "ab" * 64, "W" * 64)
    await installation.service.clients.set_timestamps(ada.id, "k" * 64, True)
    base = f"/servers/{row.id}"
    paths = [
        "/servers",
        "/servers/new",
        base,
        *(f"{base}/{part}" for part in ("edit", "delete", "channels", "messages")),
    ]
    paths += [f"/channels/{channel}", f"/channels/{channel}/messages", f"/conversations/{conversation}/messages"]
    paths += ["/chat", f"/channels/{channel}/days", "/search?q=W*", "/history", "/notifications?all=1"]
    async with page_of(chromium, installation.url, width=width) as page:
        for path in [*paths, "/clients", "/account", "/account/password"]:
            await page.goto(path)
            await page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
            assert await wider_than_the_window(page) == [], path


async def test_history_shows_the_readers_own_days_and_opens_links_elsewhere(
    installation: Installation, ada: User, chromium: Chromium
) -> None:
    row = await installation.service.servers.add(ada.id, {"name": "libera", "address": "irc.libera.chat"})
    channel, _ = await fill(ada.id, row.id, text="see https://example.org/x \x02now\x02")
    async with page_of(chromium, installation.url) as page:
        await page.goto(f"/channels/{channel}/messages")
        await expect(page.locator(".day")).to_have_count(1)
        link = page.locator("#messages").get_by_role("link", name="https://example.org/x")
        await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
        await expect(page.locator("#messages .f-b")).to_have_text("now")


async def test_everything_can_be_reached_by_keyboard(installation: Installation, ada: User, chromium: Chromium) -> None:
    await installation.service.servers.add(ada.id, {"name": "libera", "address": "irc.libera.chat"})
    async with page_of(chromium, installation.url) as page:
        await page.goto("/servers")
        reached = []
        for _ in range(15):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent.trim()"))
        for name in (
            "Skip to the content", "Servers", "Clients", "Account", "Sign out", "Add server", "libera", "Edit libera",
        ):  # fmt: skip
            assert name in reached, name


async def test_two_windows_of_one_person_and_one_of_another_keep_apart(
    installation: Installation, ada: User, chromium: Chromium
) -> None:
    bob = await installation.user("bob")
    one = await installation.service.servers.add(ada.id, {"name": "libera", "address": "irc.libera.chat"})
    two = await installation.service.servers.add(bob.id, {"name": "efnet", "address": "irc.efnet.org"})
    assert one.id == two.id
    async with (
        page_of(chromium, installation.url) as hers,
        page_of(chromium, installation.url, name="bob") as his,
    ):
        await hers.wait_for_function("stream !== null && stream.readyState === 1")
        await his.wait_for_function("stream !== null && stream.readyState === 1")
        installation.live.states[ada.id] = {one.id: connected("ada")}
        installation.live.hub(ada.id).publish(Event("server", one.id))
        await expect(hers.get_by_text("Connected", exact=True)).to_be_visible()
        await expect(his.get_by_text("Not connected")).to_be_visible()
        await expect(his.get_by_text("libera")).to_have_count(0)


async def test_after_signing_out_the_back_button_shows_nothing_of_before(
    chromium: Chromium, installation: Installation, ada: User
) -> None:
    await installation.service.servers.add(ada.id, {**SERVER, "name": "hush-hush", "channels": ""})
    async with page_of(chromium, installation.url) as page:
        await page.goto("/servers/1")
        await expect(page.get_by_role("heading", name="hush-hush")).to_be_visible()
        await page.goto("/servers")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password")).to_be_visible()
        for _ in range(2):
            await page.go_back()
            await expect(page.get_by_label("Password")).to_be_visible()
            assert "hush-hush" not in await page.content()
