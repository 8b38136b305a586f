"""The pages over HTTP: signing in, whose data is seen, forms and their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.panelkit import SERVER, Browser

if TYPE_CHECKING:
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
