"""Conversations in Chromium on a running bouncer with a scripted network behind it: what several tests stand on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from playwright.async_api import expect

from bouncer.config import Web
from bouncer.endpoints import parse_http
from bouncer.supervisor import Supervisor
from tests.support import browser
from tests.support.house import PASSWORD, House, quick_config, running
from tests.support.network import ScriptedNetwork
from tests.support.room import UPSTREAM, on_room
from web.app import start_panel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from playwright.async_api import Browser as Chromium
    from playwright.async_api import Locator, Page

    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants
    from tests.support.network import Peer

LISTENS = "body[data-link=open]"
OWN = ".message.own:not(.event) .text"


@dataclass
class Chat:
    """alice in #Room, and her panel."""

    house: House
    peer: Peer
    url: str
    chromium: Chromium

    def page(
        self, *, width: int = 1280, script: bool = True, bears: tuple[str, ...] = ()
    ) -> AbstractAsyncContextManager[Page]:
        return browser.signed_in(self.chromium, self.url, "alice", PASSWORD, width=width, script=script, bears=bears)

    async def room(self, page: Page) -> None:
        """Open #Room and wait until it is live."""
        await page.goto("/channels/1/messages")
        await expect(page.locator(LISTENS)).to_be_attached()

    async def says(self, *texts: str, nick: str = "friend", to: str = "#Room") -> None:
        await self.peer.send(*(f":{nick}!f@example PRIVMSG {to} :{text}" for text in texts))
        await self.peer.barrier()
        await self.house.supervisor.flush(self.house.ids["alice"])

    async def enter(self, name: str) -> None:
        """alice joins one more channel."""
        await self.house.supervisor.service.channels.join(self.house.ids["alice"], 1, name)
        await self.peer.expect("JOIN", name)
        await self.peer.let_in(name)
        await self.peer.barrier()
        await self.house.supervisor.flush(self.house.ids["alice"])


def line(page: Page, text: str) -> Locator:
    """A line of the conversation with exactly this text, or that of its name and text."""
    return page.locator("#messages .text").get_by_text(text, exact=True)


async def said(page: Page) -> list[str]:
    """What was said, in the order of the page."""
    found: list[str] = await page.evaluate(
        "[...document.querySelectorAll('#messages .message:not(.event) > .text')].map((e) => e.textContent)"
    )
    return found


async def too_wide(page: Page) -> list[str]:
    """What sticks out to the right of the window, the page itself first; [] when nothing scrolls sideways."""
    found: list[str] = await page.evaluate(
        """() => {
            const wider = [document.documentElement, ...document.querySelectorAll(".scroll, .buffers, dialog[open]")]
                .filter((one) => one.scrollWidth > one.clientWidth && one.clientWidth);
            const edge = document.documentElement.clientWidth + 1;
            const out = [...document.body.querySelectorAll("*")]
                .filter((one) => one.getBoundingClientRect().right > edge);
            return wider.length ? [...wider, ...out].map((one) => `${one.tagName} ${one.className}`) : [];
        }"""
    )
    return found


@contextlib.asynccontextmanager
async def in_room(
    folder: Path, main_db: MainDatabase, tenants: Tenants, *, caps: tuple[str, ...] = UPSTREAM
) -> AsyncIterator[Chat]:
    """alice in #Room of a network with these capabilities, and the panel."""
    config = replace(quick_config(folder), web=Web(listen=parse_http("http://127.0.0.1:0")))
    async with (
        running(Supervisor(config, main_db, tenants)) as house,
        ScriptedNetwork() as network,
        browser.chromium() as chromium,
    ):
        peer = await on_room(house, network, caps=caps)
        await house.supervisor.flush(house.ids["alice"])
        panel = await start_panel(config, house.supervisor.service)
        try:
            yield Chat(house, peer, panel.address, chromium)
        finally:
            await panel.close()
