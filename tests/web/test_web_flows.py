"""Flows of account and administration in a real Chromium: trials, two factors, downloads, backups."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pyotp
import pytest
from playwright.async_api import expect

from tests.support import browser
from tests.support.network import ScriptedNetwork
from tests.web.panelkit import PASSWORD, fill

if TYPE_CHECKING:
    from tests.support.network import Peer
    from tests.web.panelkit import Installation


async def welcomes(peer: Peer) -> None:
    await peer.welcome()
    await peer.play()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
async def test_settings_are_tried_before_they_are_saved(installation: Installation, script: bool) -> None:
    await installation.user("ada")
    async with (
        ScriptedNetwork() as network,
        browser.chromium() as started,
        browser.signed_in(started, installation.url, "ada", PASSWORD, width=390, script=script) as page,
    ):
        network.serve(welcomes)
        await page.goto("/servers/new")
        await page.get_by_label("Name", exact=True).fill("here")
        await page.get_by_label("Address", exact=True).fill("127.0.0.1")
        await page.get_by_label("Port").fill(str(network.port))
        await page.get_by_label("Encrypt the connection (TLS)").uncheck()
        await page.get_by_label("Port").fill(str(network.port))
        await page.get_by_text("Server password", exact=True).first.click()
        await page.get_by_label("Server password").fill("of the server")
        await page.get_by_role("button", name="Test connection").click()
        await expect(page.get_by_role("heading", name="It works")).to_be_visible()
        await expect(page.get_by_text("Let in as ada")).to_be_visible()
        if script:  # the page was not left, so what was typed is still there
            await expect(page.get_by_label("Server password")).to_have_value("of the server")
        await page.get_by_role("button", name="Add server").click()
        await expect(page.get_by_role("heading", name="here", exact=True)).to_be_visible()
    assert network.connections[0].welcomed.password == "of the server"


async def test_two_factors_are_set_up_and_used(installation: Installation) -> None:
    await installation.user("ada")
    async with (
        browser.chromium() as started,
        browser.signed_in(started, installation.url, "ada", PASSWORD) as page,
    ):
        await page.goto("/account")
        await page.get_by_role("link", name="Set up").click()
        await expect(page.get_by_role("img", name="QR code with the letters below")).to_be_visible()
        secret = (await page.locator(".secret").inner_text()).replace(" ", "")
        totp, now = pyotp.TOTP(secret), int(time.time())
        await page.get_by_label("The code it shows").fill(totp.at(now - 30))
        await page.get_by_role("button", name="Turn on").click()
        codes = (await page.locator("#codes").inner_text()).split()
        assert len(codes) == 10
        await page.get_by_role("link", name="I have them").click()
        await expect(page.get_by_text("10 of your recovery codes are left.")).to_be_visible()

        await page.get_by_role("button", name="Sign out", exact=True).first.click()
        await page.get_by_label("Name or e-mail").fill("ada")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Code").fill("000 000")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("not right")
        await page.get_by_label("Code").fill(codes[0])
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Servers")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
async def test_ones_data_is_made_and_downloaded(installation: Installation, script: bool) -> None:
    user = await installation.user("ada")
    row = await installation.service.servers.add(user.id, {"name": "libera", "address": "irc.libera.chat"})
    await fill(user.id, row.id, text="to take away")
    async with (
        browser.chromium() as started,
        browser.signed_in(started, installation.url, "ada", PASSWORD, script=script) as page,
    ):
        await page.goto("/account/data")
        make = page.get_by_role("button", name="Make Text logs")
        if script:
            await make.click()
        else:
            async with page.expect_navigation():
                await make.click()
            await installation.service.downloads.finished()
            await page.reload()
        ready = page.get_by_role("link", name="Download it")
        await expect(ready).to_be_visible()
        async with page.expect_download() as waiting:
            await ready.click()
        download = await waiting.value
        assert download.suggested_filename == "bouncer-ada.txt"
        assert "to take away" in (await download.path()).read_text(encoding="utf-8")


async def test_an_admin_invites_and_backs_up(installation: Installation) -> None:
    await installation.user("ada", admin=True)
    async with (
        browser.chromium() as started,
        browser.signed_in(started, installation.url, "ada", PASSWORD, width=390) as page,
    ):
        await page.get_by_role("link", name="Admin").click()
        await page.get_by_label("Whom it is for").fill("grace")
        await page.get_by_role("button", name="Make a link").click()
        link = await page.locator("pre").first.inner_text()
        await page.goto("/admin/house")
        await page.get_by_role("button", name="Back up now").click()
        await expect(page.get_by_text(re.compile("every file in it is whole"))).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(link.splitlines()[0])
        await page.get_by_label("Name").fill("grace")
        await page.get_by_label("Password", exact=True).fill("long enough")
        await page.get_by_label("Password again").fill("long enough")
        await page.get_by_role("button", name="Make it").click()
        await page.get_by_label("Name or e-mail").fill("grace")
        await page.get_by_label("Password").fill("long enough")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Servers", exact=True)).to_be_visible()
