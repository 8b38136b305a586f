"""How long a message takes from the network's socket to the screen of an open conversation, in Chromium.

    python -m benchmarks.screen [MESSAGES]

Network, bouncer and panel run in this process, Chromium in its own. A message is on the screen when the frame after the
one with its line begins. Both clocks are the machine's.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import aiohttp
from playwright.async_api import expect

from bouncer.config import Web
from bouncer.endpoints import parse_http
from tests.support import browser
from tests.support.house import PASSWORD, opened
from tests.support.network import ScriptedNetwork
from tests.support.room import on_room
from web.app import start_panel

WATCH = """
window.shown = {};
const seen = (lines) => requestAnimationFrame(() => requestAnimationFrame(() => {
    for (const line of lines) window.shown[line] = performance.timeOrigin + performance.now();
}));
new MutationObserver((all) => seen(all.flatMap((one) => [...one.addedNodes])
    .filter((one) => one.matches?.('.message')).map((one) => one.querySelector('.text').textContent)))
    .observe(document.getElementById('messages'), { childList: true });
"""
APART_S = 0.05


async def delays(count: int) -> list[float]:
    """Milliseconds from the write to the network's socket to the screen, for that many messages one after the other."""
    with tempfile.TemporaryDirectory(prefix="bouncer-screen-") as name:
        async with opened(Path(name)) as house, ScriptedNetwork() as network, browser.chromium() as chromium:
            peer = await on_room(house, network)
            supervisor = house.supervisor
            config = replace(supervisor.config, web=Web(listen=parse_http("http://127.0.0.1:0")))
            panel = await start_panel(config, supervisor.service)
            try:
                async with browser.signed_in(chromium, panel.address, "alice", PASSWORD) as page:
                    await page.goto("/channels/1/messages")
                    await expect(page.locator("body[data-link=open]")).to_be_attached()
                    await page.evaluate(WATCH)
                    sent = {}
                    for number in range(count):
                        text = f"message {number}"
                        sent[text] = time.time() * 1000
                        await peer.send(f":friend!f@example PRIVMSG #Room :{text}")
                        await asyncio.sleep(APART_S)
                    await page.wait_for_function(f"Object.keys(window.shown).length === {count}")
                    shown = await page.evaluate("window.shown")
                    return [shown[text] - moment for text, moment in sent.items()]
            finally:
                await panel.close()


async def main(count: int) -> None:
    """Print the median, the 99th of a hundred and the worst."""
    warnings.filterwarnings("ignore", category=aiohttp.web.NotAppKeyWarning)
    found = await delays(count)
    high = statistics.quantiles(found, n=100)[98]
    print(f"{count} messages, from the network's socket to the screen, ms: median, 99th, worst")
    print(f"{statistics.median(found):.1f} {high:.1f} {max(found):.1f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
