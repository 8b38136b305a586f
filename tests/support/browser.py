"""A real Chromium on the panel, signed in; the system's, else Playwright's own."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from playwright.async_api import async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 30_000
"""How long anything may take on two busy cores: a wait ends as soon as it is there."""
expect.set_options(timeout=PATIENCE_MS)
PHONE = 360
"""As wide as a small phone: a page of that width is touched, and as high as one is."""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Started, without a page. AssertionError says what to install."""
    async with async_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which(playwright.chromium.executable_path)
        assert found, "these tests need Chromium: apt-get install chromium, or playwright install chromium"
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def signed_in(
    browser: Browser,
    url: str,
    name: str,
    password: str,
    *,
    width: int = 1280,
    script: bool = True,
    bears: tuple[str, ...] = (),
) -> AsyncIterator[Page]:
    """On the list of servers; whatever the browser complains about, but a 422 and what a test `bears`, fails it."""
    context = await browser.new_context(
        viewport={"width": width, "height": 740 if width == PHONE else 844},
        java_script_enabled=script,
        base_url=url,
        locale="en-GB",
        has_touch=width == PHONE,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto("/session/new")
    await page.get_by_label("Name or e-mail").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Servers")).to_be_visible()
    try:
        yield page
        bad = [words for words in complaints if not any(borne in words for borne in ("422", *bears))]
        assert not bad, bad
    finally:
        await context.close()
