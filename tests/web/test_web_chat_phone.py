"""Conversations on a small phone, in the dark, by keyboard alone: nothing shifts, sticks out or executes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support import browser
from tests.support.house import PASSWORD
from tests.web.chatkit import LISTENS, OWN, in_room, line, said, too_wide
from tests.web.test_web_accessible import AXE, RUN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Page

    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants
    from tests.web.chatkit import Chat

SHIFTS = (
    "window.shifts = []; new PerformanceObserver((all) => window.shifts.push(...all.getEntries()"
    ".filter((one) => !one.hadRecentInput).map((one) => one.value))).observe({ type: 'layout-shift', buffered: true })"
)
BEHIND = (  # how far from the end the view stood in any frame in which lines had come
    "window.behind = 0; new MutationObserver(() => requestAnimationFrame(() => { window.behind = Math.max("
    "window.behind, scroll.scrollHeight - scroll.clientHeight - scroll.scrollTop) }))"
    ".observe(document.getElementById('messages'), { childList: true, subtree: true })"
)
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


@pytest.fixture
async def chat(tmp_path: Path, main_db: MainDatabase, tenants: Tenants) -> AsyncIterator[Chat]:
    async with in_room(tmp_path / "storage", main_db, tenants) as made:
        yield made


async def axe(page: Page) -> list[str]:
    """What axe finds on the page as it is now."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = await page.evaluate(RUN)
    return found


async def test_a_day_on_the_phone(chat: Chat) -> None:
    await chat.says(*(f"line {number} https://example.org/{'path/' * 12}" for number in range(8)))
    await chat.says("one\x02more", "and another", nick="kim")
    async with chat.page(width=browser.PHONE) as page:
        await page.emulate_media(color_scheme="dark")
        await page.get_by_role("link", name="Chat").tap()
        await page.get_by_role("link", name="#Room").tap()
        await expect(page.locator(LISTENS)).to_be_attached()
        assert await too_wide(page) == []
        await expect(page.locator(".buffers")).to_be_hidden()
        surface = "getComputedStyle(document.querySelector('.talk')).backgroundColor"
        assert await page.evaluate(surface) == "rgb(24, 28, 37)", "it is dark"
        # one name for words of one person that follow each other
        names = page.locator(".message:not(.event)", has_text="another").locator(".nick")
        assert await names.evaluate("(one) => one.offsetWidth") <= 1
        field = page.get_by_role("textbox", name="Message to #Room")
        await field.tap()
        await field.press_sequentially("ki")
        await page.locator("#suggest").get_by_role("button", name="kim").tap()
        await expect(field).to_have_value("kim: ")
        await field.press_sequentially("hello")
        await page.get_by_role("button", name="Send").tap()
        await chat.peer.expect("PRIVMSG", "#Room", "kim: hello")
        await expect(page.locator(OWN)).to_have_text("kim: hello")
        await expect(page.locator(OWN)).to_be_in_viewport()
        await page.get_by_role("button", name="People").tap()
        await page.locator("#people").get_by_role("button", name="friend").tap()
        await page.get_by_role("button", name="Message", exact=True).tap()
        await expect(page.get_by_role("heading", name="friend")).to_be_visible()
        await chat.says("hi there", to="alice")
        await expect(line(page, "hi there")).to_be_visible()
        await page.get_by_role("link", name="All conversations").tap()
        await expect(page.get_by_role("link", name="friend")).to_be_visible()
        await chat.says("alice: psst")
        await expect(page.get_by_role("link", name="#Room").locator(".waiting.calls")).to_be_visible()
        assert await too_wide(page) == []


async def test_from_signing_in_to_the_next_conversation_without_a_mouse(chat: Chat) -> None:
    await chat.enter("#other")
    context = await chat.chromium.new_context(base_url=chat.url, viewport={"width": 1280, "height": 844})
    page, complaints = await context.new_page(), list[str]()
    keys = page.keyboard
    page.on("console", lambda words: complaints.append(words.text) if words.type in ("error", "warning") else None)
    await page.goto("/channels/1/messages")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    for _ in range(6):
        if await page.evaluate("document.activeElement.name") == "name":
            break
        await keys.press("Tab")
    await keys.type("alice")
    await keys.press("Tab")
    await keys.type(PASSWORD)
    await keys.press("Enter")
    await expect(page.locator(LISTENS)).to_be_attached()
    await keys.type("by keyboard")
    await keys.press("Enter")
    await chat.peer.expect("PRIVMSG", "#Room", "by keyboard")
    await keys.type("/jo")
    await keys.press("Tab")
    await expect(page.get_by_role("textbox", name="Message to")).to_have_value("/join ")
    await keys.type("#ot")
    await keys.press("Tab")
    await expect(page.get_by_role("textbox", name="Message to")).to_have_value("/join #other ")
    await keys.press("Control+a")
    await keys.press("Control+b")
    await expect(page.get_by_role("textbox", name="Message to")).to_have_value("\x02/join #other \x02")
    await keys.press("Control+a")
    await keys.press("Delete")
    await chat.says("alice: here", to="#other")
    await expect(page.locator(".buffer .waiting.calls")).to_be_visible()
    await keys.press("Alt+a")
    await expect(page.get_by_role("heading", name="#other")).to_be_visible()
    await keys.press("Alt+ArrowUp")
    await expect(page.get_by_role("heading", name="#Room")).to_be_visible()
    await keys.press("Control+k")
    await keys.type("other")
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await expect(page.get_by_role("heading", name="#other")).to_be_visible()
    await keys.press("Alt+p")
    await keys.press("Alt+p")
    await expect(page.locator("#people")).to_be_visible()
    await page.get_by_role("textbox", name="Message to #other").press("Shift+Tab")
    seen = set()
    name = "document.activeElement.id || document.activeElement.textContent.trim().split('\\n')[0]"
    for _ in range(25):  # backwards, through lines, head and list up to the top
        seen.add(await page.evaluate(name))
        await keys.press("Shift+Tab")
    assert {"scroll", "Search here", "More", "People", "#Room"} <= seen
    assert complaints == []
    await context.close()


@pytest.mark.parametrize("up", [False, True], ids=["at the end", "scrolled up"])
async def test_two_hundred_lines_shift_nothing(chat: Chat, up: bool) -> None:
    await chat.says(*(f"line {number}" for number in range(90)))
    async with chat.page(width=browser.PHONE) as page:
        await chat.room(page)
        if up:
            await page.evaluate("scroll.scrollTop = 400")
        await page.evaluate(SETTLED)
        await page.evaluate(SHIFTS)
        await page.evaluate(BEHIND)
        place = "document.querySelector('#messages .message:nth-of-type(30)').getBoundingClientRect().top"
        before = await page.evaluate(place)
        for start in range(0, 200, 20):
            words = [f"new {number} {'and more words ' * (number % 7)}" for number in range(start, start + 20)]
            await chat.says(*words[:10], nick="kim")
            await chat.peer.send(":lee!l@h JOIN #Room", ":lee!l@h QUIT :gone")
            await chat.says(*words[10:])
            last = page.locator("#messages .message:not(.event)").last
            await expect(last).to_contain_text(f"new {start + 19} ")
            await page.evaluate(SETTLED)
        assert await page.locator("#messages .message", has_text="new ").count() == 200
        if up:
            assert await page.evaluate(place) == before
            await expect(page.get_by_role("button", name="200 new messages")).to_be_visible()
        else:
            await expect(last).to_be_in_viewport()
            assert await page.evaluate("window.behind") < 2
        assert sum(await page.evaluate("window.shifts")) < 0.01


async def test_each_open_sheet_is_accessible(chat: Chat) -> None:
    await chat.says("hello", "alice: you?", "see https://example.org")
    found: list[str] = []
    async with chat.page(width=browser.PHONE) as page:
        await chat.room(page)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            for keys in ("Control+k", "Alt+p"):
                await page.keyboard.press(keys)
                await expect(page.locator("dialog:modal")).to_be_visible()
                found += await axe(page)
                await page.keyboard.press("Escape")
            await page.locator(".sayer").first.tap()
            found += await axe(page)
            await page.get_by_role("button", name="Close").tap()
            await page.locator("summary[title=More]").tap()
            found += await axe(page)
            await page.get_by_role("button", name="Keys and commands").tap()
            found += await axe(page)
            assert await too_wide(page) == []
            await page.get_by_role("button", name="Close").tap()
            await page.evaluate("complain('Not sent'); document.getElementById('link').hidden = false")
            found += await axe(page)
        await chat.peer.send(":friend!f@example TOPIC #Room :a topic", ":friend!f@example KICK #Room alice :out")
        await expect(page.locator(".standing")).to_be_visible()
        await page.locator("summary.topic").tap()
        found += await axe(page)
    assert found == []


LONG = "W" * 10_000
ZALGO = "Z" + "\u0301\u0324\u0489" * 60
BIDI = "\u202egnp.exe\u202c\u2066\u2067x\u200f"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&amp;{{7*7}}"
CONTROL = "\x1b[31m\x07\x08\x7f\x85\x9b0m"
HOSTILE = {"markup": MARKUP, "bidi": BIDI, "zalgo": ZALGO, "control": CONTROL, "long": LONG}


async def cut_off(page: Page) -> list[str]:
    """Long words that end beyond the window, where nobody can read them: a line clips what sticks out of it."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("#messages .text")].filter((line) => {
            if (line.textContent.includes("\\u0489")) return false; // marks piled on one letter are cut off
            const words = document.createRange();
            words.selectNodeContents(line);
            return words.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
        }).map((line) => line.textContent.slice(0, 40))"""
    )
    return found


async def test_hostile_text_neither_executes_nor_breaks_the_page(chat: Chat) -> None:
    """In every field that the view shows: text, nick, topic, channel, reasons, real name, what the server says."""
    peer, nick = chat.peer, "<b>\u202enick" + "W" * 40
    channel = "#<script>alert(3)</script>\u202e" + "W" * 150
    await chat.enter(channel)
    for text in HOSTILE.values():
        cut = text[:6_000]
        await peer.send(
            *(f":{nick}!{who}@h PRIVMSG {where} :{cut}" for who in ("u",) for where in ("#Room", channel, "alice")),
            f":{nick}!u@h NOTICE #Room :{cut}",
            f":{nick}!u@h PRIVMSG #Room :\x01ACTION {cut}\x01",
            f":{nick}!u@h JOIN #Room",
            f":{nick}!u@h TOPIC #Room :{cut}",
            f":{nick}!u@h PART #Room :{cut}",
            f":{nick}!u@h JOIN #Room",
            f":{nick}!u@h QUIT :{cut}",
            f":irc.test NOTICE alice :{cut}",
        )
        await peer.barrier()
    await chat.says(LONG[:4000] + " end of it")
    async with chat.page(width=browser.PHONE) as page:
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        for where in ("#Room", channel, nick):
            await page.goto("/chat")
            assert await too_wide(page) == []
            await page.locator("a.buffer").nth(("#Room", channel, nick).index(where)).tap()
            await expect(page.locator(LISTENS)).to_be_attached()
            await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            await page.evaluate("for (const one of document.querySelectorAll('details.menu')) one.open = false")
            assert await too_wide(page) == []
            shown = await page.locator("#messages").inner_text()
            assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b\x07\x08\x7f\x85\x9b]", shown)
            assert await page.locator("#messages :is(img, script)").count() == 0
            if await page.locator("summary.topic").count():
                await page.locator("summary.topic").tap()
                assert await too_wide(page) == []
                await page.locator("summary.topic").tap()
            # a tall stack of marks paints over no other line
            for text in (MARKUP, LONG[:3000]):
                await chat.says(text, nick=nick, to="alice" if where == nick else where)
            await expect(page.locator("#messages .text").last).to_contain_text("WWW")
            assert await too_wide(page) == []
            assert await cut_off(page) == [], "what is too long goes on in the next line"
        await page.goto("/channels/1/messages")
        await page.get_by_role("textbox", name="Message to").fill("/whois evil")
        await page.keyboard.press("Enter")
        await peer.expect("WHOIS", "evil")
        await peer.numeric(311, "evil", "u", "h", "*", MARKUP + LONG[:300])
        await peer.numeric(318, "evil", "End")
        await expect(page.locator(".message.answer")).to_contain_text("<img src=x")
        assert await too_wide(page) == []
        await page.locator(".sayer").first.tap()
        assert await too_wide(page) == []
        await page.keyboard.press("Escape")
        await page.goto("/servers/1/messages")
        await expect(page.get_by_text("<img src=x").first).to_be_attached()
        assert await too_wide(page) == []
        assert dialogs == []
        assert "alert" in " ".join(await said(page))
