"""Conversations in Chromium on a running bouncer with a scripted network behind it: read, answered, never twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.house import PASSWORD
from tests.web.chatkit import LISTENS, OWN, in_room, line, said
from tests.web.panelkit import Browser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants
    from tests.web.chatkit import Chat


@pytest.fixture
async def chat(tmp_path: Path, main_db: MainDatabase, tenants: Tenants) -> AsyncIterator[Chat]:
    async with in_room(tmp_path / "storage", main_db, tenants) as made:
        yield made


@pytest.mark.parametrize("width", [1280, 390])
async def test_lines_come_and_go_without_reloading(chat: Chat, width: int) -> None:
    async with chat.page(width=width) as page:
        await chat.room(page)
        await page.evaluate("window.here = true")
        await chat.says("hello \x02alice\x02", "and <b>welcome</b>")
        await expect(line(page, "and <b>welcome</b>")).to_be_visible()
        await expect(page.locator(".message .f-b")).to_have_text("alice")
        field = page.get_by_label("Message to #Room")
        await field.fill("thank you")
        await field.press("Enter")
        await chat.peer.expect("PRIVMSG", "#Room", "thank you")
        await expect(page.locator(OWN)).to_have_text("thank you")
        await expect(field).to_have_value("")
        await field.fill("/me waves")
        await page.get_by_role("button", name="Send").click()
        await chat.peer.expect("PRIVMSG", "#Room", "\x01ACTION waves\x01")
        await expect(page.locator(".message.action")).to_contain_text("alice waves")
        assert await said(page) == ["hello alice", "and <b>welcome</b>", "thank you", "alice waves"]
        assert await page.evaluate("window.here === true")
        await page.reload()
        assert await said(page) == ["hello alice", "and <b>welcome</b>", "thank you", "alice waves"]


async def test_what_cannot_be_sent_stays_with_the_reason(chat: Chat) -> None:
    async with chat.page() as page:
        await chat.room(page)
        field = page.get_by_label("Message to #Room")
        await field.fill("/nonsense at all")
        await field.press("Enter")
        await expect(page.locator("#text-error")).to_contain_text("There is no command /nonsense")
        await expect(field).to_have_value("/nonsense at all")
        chat.peer.answer_pings = False
        await field.fill("hello?")
        await field.press("Enter")
        await chat.peer.expect("PRIVMSG", "#Room")
        await chat.peer.send(":irc.test 404 alice #Room :Cannot send to channel")
        chat.peer.answer_pings = True
        ping = await chat.peer.expect("PING")
        await chat.peer.send(f":irc.test PONG irc.test :{ping.param(0)}")
        await expect(page.locator("#text-error")).to_contain_text("Cannot send to channel")
        await expect(field).to_have_value("hello?")
        assert await said(page) == []


async def test_after_being_offline_nothing_is_missing_and_nothing_is_double(chat: Chat) -> None:
    async with chat.page() as page:
        await chat.room(page)
        await chat.says("one")
        await expect(line(page, "one")).to_be_visible()
        await page.evaluate("hush()")  # as when a phone sleeps
        await chat.says("two", "three")
        await page.evaluate("listen()")
        await expect(line(page, "three")).to_be_visible()
        await page.evaluate("hush(); listen(); hush(); listen()")
        await chat.says("four")
        await expect(line(page, "four")).to_be_visible()
        assert await said(page) == ["one", "two", "three", "four"]
        await page.evaluate("hush()")
        await chat.says(*(f"many {number}" for number in range(250)))
        await page.evaluate("listen()")  # too many to push: the page begins anew
        await expect(line(page, "many 249")).to_be_visible()
        shown = await said(page)
        assert len(shown) == len(set(shown))


async def test_a_form_that_is_sent_twice_says_it_once(chat: Chat) -> None:
    person = Browser(chat.url)
    try:
        await person.sign_in("alice", PASSWORD)
        for text, nonce in (("one", "a"), ("one", "a"), ("two", "a"), ("one", "b"), ("end", "")):
            answer = await person.post("/channels/1/messages", {"text": text, "nonce": nonce})
            assert (answer.status, answer.location) == (303, "/channels/1/messages#newest")
    finally:
        await person.close()
    await chat.peer.expect("PRIVMSG", "#Room", "end")
    assert [line.rpartition(" :")[2].split()[-1] for line in chat.peer.seen("PRIVMSG")] == ["one", "two", "one", "end"]


async def test_two_windows_and_a_client_see_the_same(chat: Chat) -> None:
    client = await chat.house.client("alice/net")
    await client.until(" 366 ")
    async with chat.page() as one, chat.page(width=390) as two:
        await chat.room(one)
        await chat.room(two)
        await one.get_by_label("Message to #Room").fill("from the first")
        await one.get_by_label("Message to #Room").press("Enter")
        await expect(two.locator(OWN)).to_have_text("from the first")
        client.send("PRIVMSG #Room :from the client")
        await expect(line(one, "from the client")).to_be_visible()
        await expect(line(two, "from the client")).to_be_visible()
        assert await said(one) == await said(two) == ["from the first", "from the client"]
        await client.until("from the first")


async def test_older_lines_come_as_one_scrolls_and_what_is_read_stays_in_place(chat: Chat) -> None:
    await chat.says(*(f"line {number:03d}" for number in range(350)))
    async with chat.page() as page:
        await page.emulate_media(reduced_motion="reduce")
        await chat.room(page)
        assert await page.locator("#messages .message:not(.event)").count() <= 100
        first = page.locator("#messages .message:not(.event)").first
        await first.scroll_into_view_if_needed()
        for number in (155, 55, 0):
            await page.evaluate("scroll.scrollTop = 0")
            await expect(line(page, f"line {number:03d}")).to_be_attached()
        assert await said(page) == [f"line {number:03d}" for number in range(350)]
        await expect(page.get_by_text("This is the beginning.")).to_be_attached()
        at = "document.querySelector('#messages .message:nth-of-type(30)').getBoundingClientRect().top"
        before = await page.evaluate(f"scroll.scrollTop = 900; {at}")
        await chat.says("meanwhile")
        await expect(page.get_by_role("button", name="1 new message")).to_be_visible()
        assert await page.evaluate(at) == before
        await page.get_by_role("button", name="1 new message").click()
        await expect(line(page, "meanwhile")).to_be_in_viewport()


async def test_lines_that_arrive_shift_nothing(chat: Chat) -> None:
    await chat.says(*(f"line {number}" for number in range(60)))
    async with chat.page() as page:
        await chat.room(page)
        await page.evaluate(
            "window.shifts = []; new PerformanceObserver((all) => window.shifts.push(...all.getEntries()"
            ".filter((one) => !one.hadRecentInput).map((one) => one.value))).observe({ type: 'layout-shift' })"
        )
        for number in range(12):
            await chat.says(f"new {number}")
            await expect(line(page, f"new {number}")).to_be_in_viewport()
        assert sum(await page.evaluate("window.shifts")) < 0.1


async def test_comings_and_goings_are_folded_also_as_they_come(chat: Chat) -> None:
    await chat.says("a word")
    async with chat.page() as page:
        await chat.room(page)
        for event in ("kim!k@h JOIN #Room", "lee!l@h JOIN #Room", "kim!k@h QUIT :bye"):
            await chat.peer.send(f":{event}")
            await chat.peer.barrier()
        fold = page.locator("details.fold").last
        await expect(fold.locator(".words")).to_have_text("2 joined, 1 quit")
        await expect(line(page, "kim quit (bye)")).to_be_hidden()
        await fold.locator("summary").click()
        await expect(line(page, "kim quit (bye)")).to_be_visible()
        await page.reload()
        await expect(page.locator("details.fold .words").last).to_have_text("2 joined, 1 quit")


async def test_reading_moves_the_marker_for_the_clients_and_ends_the_notification(chat: Chat) -> None:
    await chat.enter("#other")
    await chat.says("alice: are you there?", to="#other")
    client = await chat.house.client("alice/net", caps="draft/read-marker")
    await client.until(" 366 ")
    async with chat.page() as page:
        await chat.room(page)
        await expect(page).to_have_title("(1) #Room on net · Bouncer")
        link = page.get_by_role("navigation", name="Conversations").get_by_role("link", name="#other")
        await expect(link.locator(".waiting")).to_have_text("1 unread")
        await chat.says("alice: hello?", to="#other")
        await expect(link.locator(".waiting")).to_have_text("2 unread")
        await expect(page).to_have_title("(2) #Room on net · Bouncer")
        await page.keyboard.press("Alt+a")
        await expect(page.get_by_role("heading", name="#other")).to_be_visible()
        assert "MARKREAD #other timestamp=" in (await client.until("MARKREAD #other timestamp="))[-1]
        await expect(page).to_have_title("#other on net · Bouncer")
        await expect(page.locator("#notices")).to_be_hidden()


async def test_the_unread_begin_where_reading_ended(chat: Chat) -> None:
    client = await chat.house.client("alice/net", caps="draft/read-marker server-time")
    await client.until(" 366 ")
    await chat.says("seen")
    time = (await client.until("seen"))[-1].split(" ")[0].removeprefix("@time=")
    client.send(f"MARKREAD #Room timestamp={time}")
    await client.until("MARKREAD")
    await chat.says("not seen", "nor this")
    async with chat.page() as page:
        await chat.room(page)
        shown = await page.evaluate(
            "[...document.querySelectorAll('#messages > :is(.unread, .message:not(.event))')]"
            ".map((e) => e.textContent.trim())"
        )
        assert [one == "New" for one in shown] == [False, True, False, False]


async def test_keys_lead_everywhere(chat: Chat) -> None:
    await chat.enter("#other")
    await chat.says("hello", nick="friendly")
    async with chat.page() as page:
        await chat.room(page)
        field = page.get_by_role("textbox", name="Message to")
        await expect(field).to_be_focused()
        await field.press_sequentially("frie")
        await field.press("Tab")
        await expect(field).to_have_value("friendly: ")
        await field.press("Tab")
        await expect(field).to_have_value("friend: ")
        await field.fill("first")
        await field.press("Enter")
        await expect(line(page, "first")).to_be_visible()
        await field.press("ArrowUp")
        await expect(field).to_have_value("first")
        await field.press("ArrowDown")
        await expect(field).to_have_value("")
        await field.fill("a draft")
        await page.keyboard.press("Alt+ArrowDown")
        await expect(page.get_by_role("heading", name="#other")).to_be_visible()
        await expect(page.get_by_role("textbox", name="Message to #other")).to_have_value("")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("roo")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="#Room")).to_be_visible()
        await expect(page.get_by_role("textbox", name="Message to #Room")).to_have_value("a draft")
        await page.locator("#scroll").focus()
        await page.keyboard.press("?")
        await expect(page.get_by_role("heading", name="Keys and commands")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("heading", name="Keys and commands")).to_be_hidden()


async def test_commands_answer_in_the_page_and_lead_where_they_mean(chat: Chat) -> None:
    async with chat.page() as page:
        await chat.room(page)
        field = page.get_by_role("textbox", name="Message to")
        await field.fill("/whois friend")
        await field.press("Enter")
        await chat.peer.expect("WHOIS", "friend")
        await chat.peer.numeric(311, "friend", "f", "host.example", "*", "A Friend")
        await chat.peer.numeric(318, "friend", "End of /WHOIS list.")
        await expect(page.locator(".message.answer")).to_contain_text("friend is f@host.example: A Friend")
        await field.fill("/query somebody")
        await field.press("Enter")
        await expect(page.get_by_role("heading", name="somebody")).to_be_visible()
        await page.get_by_role("textbox", name="Message to somebody").fill("psst")
        await page.keyboard.press("Enter")
        await chat.peer.expect("PRIVMSG", "somebody", "psst")
        await expect(page.locator(OWN)).to_contain_text("psst")


async def test_without_script_one_reads_and_sends(chat: Chat) -> None:
    await chat.says(*(f"line {number:03d}" for number in range(120)))
    async with chat.page(script=False, width=390) as page:
        await page.goto("/chat")
        await page.get_by_role("link", name="#Room").click()
        await expect(line(page, "line 119")).to_be_visible()
        await page.get_by_label("Message to #Room").fill("by form")
        await page.get_by_role("button", name="Send").click()
        await chat.peer.expect("PRIVMSG", "#Room", "by form")
        await expect(line(page, "by form")).to_be_visible()
        await page.get_by_label("Message to #Room").fill("/me")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("#text-error")).to_contain_text("Say what you do")
        await expect(page.get_by_label("Message to #Room")).to_have_value("/me")
        await page.get_by_role("link", name="Older").click()
        await expect(line(page, "line 000")).to_be_attached()
        await page.get_by_role("link", name="Newest").click()
        await page.get_by_role("button", name="Mark as read").click()
        await expect(page.get_by_role("button", name="Mark as read")).to_have_count(0)


async def test_a_search_leads_to_the_line_among_its_neighbours(chat: Chat) -> None:
    await chat.says(*(f"line {number:03d} {'needle' if number == 40 else 'hay'}" for number in range(250)))
    async with chat.page() as page:
        await page.goto("/search")
        await page.get_by_label("Words").fill("needle")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator(".finding")).to_have_count(1)
        await page.locator(".finding a").first.click()
        found = page.locator(".message.found")
        await expect(found).to_contain_text("line 040 needle")
        await expect(found).to_be_in_viewport()
        await expect(line(page, "line 041 hay")).to_be_visible()
        for number in (139, 239, 249):
            await page.evaluate("scroll.scrollTop = scroll.scrollHeight")
            await expect(line(page, f"line {number} hay")).to_be_attached()
        await expect(page.locator(LISTENS)).to_be_attached()
        await chat.says("and now live")
        await expect(line(page, "and now live")).to_be_visible()
        shown = await said(page)
        assert shown[-2:] == ["line 249 hay", "and now live"]
        assert len(shown) == len(set(shown))
