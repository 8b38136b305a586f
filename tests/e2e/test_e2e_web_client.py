"""A web client in Chromium on the panel's WebSocket: from the bouncer's own site, and from a stranger's."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from playwright.async_api import expect

from tests.support import browser, daemon
from tests.support.den import BOB
from tests.support.ircd import free_port, inspircd
from tests.support.person import Person, person

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.support.daemon import Bouncer

PAGE = Path(__file__).parent / "page"
CAPS = "message-tags server-time draft/read-marker"


@contextlib.asynccontextmanager
async def site(port: int) -> AsyncIterator[str]:
    """The client's page on an origin of its own."""
    app = web.Application()
    app.add_routes([web.static("/", PAGE)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@contextlib.asynccontextmanager
async def opened(chromium: Browser, origin: str, bouncer: Bouncer, complaints: list[str]) -> AsyncIterator[Page]:
    """The page, about to connect; what goes wrong there is added to `complaints`."""
    context = await chromium.new_context()
    page = await context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{origin}/index.html?socket={bouncer.panel.replace('http', 'ws', 1)}/socket")
    yield page
    await context.close()


@dataclass
class Talk:
    """Bob on the network, alice in the browser, and each word said so far with the buffer it belongs to."""

    bob: Person
    page: Page
    said: list[tuple[str, str]] = field(default_factory=list)

    async def connect(self) -> None:
        await self.page.get_by_label("Name").fill("alice@gamja")
        await self.page.get_by_label("Password").fill("pw")
        await self.page.get_by_role("button", name="Connect", exact=True).click()
        await expect(self.page.locator("#state")).to_have_text("connected")
        await expect(self.page.locator("#networks")).to_have_text("#den")

    async def disconnect(self) -> None:
        await self.page.get_by_role("button", name="Disconnect").click()
        await expect(self.page.locator("#state")).to_have_text("disconnected")

    async def alice_says(self, when: str) -> None:
        for target in ("#den", "bob"):
            word = f"{when}-to-{target.strip('#')}-by-alice"
            await self.page.get_by_label("To").fill(target)
            await self.page.get_by_label("Text").fill(word)
            await self.page.get_by_role("button", name="Send").click()
            assert ":alice!" in await self.bob.until(f"PRIVMSG {target} :{word}")
            self.said.append((target, f"<alice> {word}"))

    async def bob_says(self, when: str) -> None:
        for target, buffer in (("#den", "#den"), ("alice", "bob")):
            word = f"{when}-to-{target.strip('#')}-by-bob"
            self.bob.send(f"PRIVMSG {target} :{word}")
            self.said.append((buffer, f"<bob> {word}"))
        await self.bob.barrier()

    async def shown(self) -> None:
        """Each word is there once, and in its place."""
        await expect(self.page.locator("#log li")).to_have_count(len(self.said))
        found = await self.page.locator("#log li").all_text_contents()
        for buffer in ("#den", "bob"):
            words = [f"{where} {word}" for where, word in self.said if where == buffer]
            assert [one for one in found if one.startswith(f"{buffer} ")] == words


async def test_a_web_client_learns_its_network_binds_to_it_and_comes_back(tmp_path: Path) -> None:
    """Messages, echoes, history and read markers over `text.ircv3.net`; a page of another site gets nothing."""
    port, folder = free_port(), tmp_path / "bouncer"
    folder.mkdir()
    own = f'public_url = "http://127.0.0.1:{port}"'
    bouncer = await asyncio.to_thread(daemon.prepare, folder, web=own)
    complaints: list[str] = []
    with daemon.process(bouncer):
        async with (
            inspircd(tmp_path) as ircd,
            person(ircd.port, *BOB) as bob,
            browser.chromium() as chromium,
            site(port) as origin,
        ):
            await bob.join("#den")
            words = ["--port", str(ircd.port), "--no-tls", "--nick", "alice", "--join", "#den"]
            await asyncio.to_thread(bouncer.cli.ok, "server", "add", "alice", "net", ircd.host, *words)
            await bob.until("JOIN")
            async with opened(chromium, origin, bouncer, complaints) as page:
                await story(bouncer, Talk(bob, page))
            assert complaints == []
            async with site(free_port()) as other, opened(chromium, other, bouncer, complaints) as page:
                await refused(page, complaints)


async def story(bouncer: Bouncer, talk: Talk) -> None:
    """Talk, go, be talked to, come back to what was missed; be sent away; come to all of it with an empty page."""
    await talk.connect()
    await talk.alice_says("early")
    await talk.bob_says("early")
    await talk.shown()
    await read(bouncer, talk.page)

    await talk.disconnect()
    await talk.bob_says("missed")
    await talk.bob_says("missed-too")
    await talk.connect()
    await talk.shown()
    await talk.bob_says("late")
    await talk.alice_says("late")
    await talk.shown()

    await asyncio.to_thread(bouncer.cli.ok, "client", "disconnect", "alice", "gamja")
    await expect(talk.page.locator("#networks")).to_have_text("#den#den")  # back by itself
    await expect(talk.page.locator("#state")).to_have_text("connected")
    await talk.bob_says("after-all")
    await talk.shown()

    marker = await talk.page.locator("#markers li", has_text="#den").text_content()
    await talk.page.reload()
    talk.said = [
        (buffer, word) for buffer, word in talk.said if buffer == "#den"
    ]  # a conversation opens when spoken in
    await talk.connect()
    await talk.shown()
    await expect(talk.page.locator("#markers li", has_text="#den")).to_have_text(marker or "")


async def read(bouncer: Bouncer, page: Page) -> None:
    """What is read there is read for another client."""
    login = (f"PASS {bouncer.login('desk')}", "NICK alice", "USER a 0 * :a", "CAP END")
    async with person(bouncer.port, "CAP LS 302", f"CAP REQ :{CAPS}", *login, ready=" 366 ") as desk:
        await desk.barrier()
        await page.get_by_role("button", name="Read").click()
        line = await desk.until("MARKREAD #den timestamp=")
        await expect(page.locator("#markers li", has_text="#den")).to_have_text(line[line.index("#den") :])


async def refused(page: Page, complaints: list[str]) -> None:
    """The browser says that the bouncer forbids it."""
    async with page.expect_event("console", lambda said: "403" in said.text) as said:
        await page.get_by_role("button", name="Connect", exact=True).click()
    assert "handshake" in (await said.value).text
    # Looked at before the page is told to stop: giving up a try of its own that is under way is an error message too.
    assert complaints
    assert all("403" in words for words in complaints), complaints
    await page.get_by_role("button", name="Disconnect").click()
    await expect(page.locator("#state")).to_have_text("disconnected")
