"""What changes while one looks: lines, the list, the head; after sleep, without network, after the bouncer died."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support import browser, daemon
from tests.support.ircd import inspircd
from tests.support.person import person
from tests.support.room import UPSTREAM
from tests.web.chatkit import LISTENS, OWN, in_room, line, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Page

    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants
    from tests.web.chatkit import Chat

OFFLINE = ("ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION", "ERR_NETWORK", "ERR_INCOMPLETE", "ERR_EMPTY_RESPONSE")


@pytest.fixture
async def chat(tmp_path: Path, main_db: MainDatabase, tenants: Tenants) -> AsyncIterator[Chat]:
    caps = (*UPSTREAM, "draft/message-redaction", "echo-message")
    async with in_room(tmp_path / "storage", main_db, tenants, caps=caps) as made:
        yield made


async def sleep(page: Page) -> None:
    """As a phone that is put away: nothing is held, and nothing heard."""
    await page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


async def wake(page: Page) -> None:
    await page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


async def test_what_was_said_while_one_was_offline_comes_once_and_in_order(chat: Chat) -> None:
    async with chat.page(bears=OFFLINE) as page:
        await chat.room(page)
        await chat.says("one")
        await expect(line(page, "one")).to_be_visible()
        await page.context.set_offline(True)
        field = page.get_by_role("textbox", name="Message to #Room")
        await field.fill("while offline")
        await field.press("Enter")
        await expect(page.locator("#text-error")).to_contain_text("Not sent")
        await expect(field).to_have_value("while offline")
        await page.evaluate("hush(); listen()")  # the connection breaks
        await expect(page.get_by_text("Not connected to the bouncer")).to_be_visible()
        await chat.says("two", "three")
        await page.context.set_offline(False)
        await expect(line(page, "three")).to_be_visible()
        await expect(page.get_by_text("Not connected to the bouncer")).to_be_hidden()
        await field.press("Enter")
        await chat.peer.expect("PRIVMSG", "#Room", "while offline")
        await chat.says("while offline", nick="alice")
        await expect(page.locator(OWN)).to_have_text("while offline")
        assert await said(page) == ["one", "two", "three", "while offline"]
        assert len(chat.peer.seen("PRIVMSG")) == 1


async def test_a_stream_that_died_unseen_is_begun_anew(chat: Chat) -> None:
    """After a sleep the old connection may hang for minutes without an error."""
    async with chat.page() as page:
        await chat.room(page)
        await page.evaluate("stream.close()")  # which the page is not told of
        await chat.says("unheard")
        assert await said(page) == []
        await page.evaluate("heardAt = Date.now() - 2 * SILENT_MS")
        await expect(line(page, "unheard")).to_be_visible()
        await chat.says("heard")
        await expect(line(page, "heard")).to_be_visible()
        assert await said(page) == ["unheard", "heard"]


async def test_after_sleep_the_unread_begin_where_one_left(chat: Chat) -> None:
    async with chat.page(width=browser.PHONE) as page:
        await chat.room(page)
        await chat.says("seen")
        await expect(line(page, "seen")).to_be_visible()
        await sleep(page)
        await expect(page.locator(LISTENS)).to_have_count(0)
        await chat.says(*(f"missed {number:02d}" for number in range(40)))
        await wake(page)
        await expect(line(page, "missed 39")).to_be_attached()
        await expect(page.locator(".unread")).to_be_in_viewport()
        before = "document.querySelector('.unread').previousElementSibling.querySelector('.text').textContent"
        assert await page.evaluate(before) == "seen"
        await expect(line(page, "missed 00")).to_be_in_viewport()
        await page.evaluate("scroll.scrollTop = scroll.scrollHeight")
        await chat.says("now")
        await expect(line(page, "now")).to_be_in_viewport()
        assert await page.locator(".unread").count() == 1


async def test_the_bouncer_is_killed_and_comes_back_under_an_open_page(tmp_path: Path) -> None:
    """Everything real: InspIRCd, somebody on it, `bouncer run` as a process, killed in the middle of a conversation."""
    async with (
        inspircd(tmp_path) as server,
        person(server.port, "NICK grace", "USER g 0 * :g") as grace,
        browser.chromium() as chromium,
    ):
        await grace.join("#room")
        bouncer = daemon.prepare(tmp_path)
        bouncer.cli.ok("server", "add", "alice", "net", "127.0.0.1", "--port", str(server.port), "--no-tls",
                       "--nick", "alice", "--join", "#room")  # fmt: skip
        with daemon.process(bouncer) as first:
            await grace.until("JOIN :#room")
            async with browser.signed_in(chromium, bouncer.panel, "alice", "pw", bears=OFFLINE) as page:
                await page.goto("/channels/1/messages")
                await expect(page.locator(LISTENS)).to_be_attached()
                grace.send("PRIVMSG #room :before")
                await expect(line(page, "before")).to_be_visible()
                await page.get_by_role("textbox", name="Message to #room").fill("a draft")
                first.kill()
                first.wait()
                await expect(page.get_by_text("Not connected to the bouncer")).to_be_visible()
                with daemon.process(bouncer):
                    await grace.until("JOIN :#room")
                    grace.send("PRIVMSG #room :after")
                    await expect(line(page, "after")).to_be_visible()
                    await expect(page.get_by_text("Not connected to the bouncer")).to_be_hidden()
                    field = page.get_by_role("textbox", name="Message to #room")
                    await expect(field).to_have_value("a draft")
                    await field.press("Enter")
                    await grace.until("PRIVMSG #room :a draft")
                    await expect(page.locator(OWN)).to_have_text("a draft")
                    assert await said(page) == ["before", "after", "a draft"]


async def test_what_was_taken_back_goes_and_reactions_come_while_one_looks_and_after_sleep(chat: Chat) -> None:
    peer = chat.peer

    async def does(*lines: str) -> None:
        await peer.send(*lines)
        await peer.barrier()
        await chat.house.supervisor.flush(chat.house.ids["alice"])

    await does(*(f"@msgid=id{n} :friend!f@example PRIVMSG #Room :line {n}" for n in range(3)))
    async with chat.page() as page:
        await chat.room(page)
        await does(":friend!f@example REDACT #Room id0 :oops")
        await expect(line(page, "line 0")).to_have_count(0)
        await expect(page.locator(".message.gone .text")).to_have_text("was taken back")
        await does(
            "@+draft/react=yes;+draft/reply=id1 :friend!f@example TAGMSG #Room",
            "@+draft/react=yes;+draft/reply=id1 :kim!k@example TAGMSG #Room",
            "@+draft/reply=id1;msgid=id3 :kim!k@example PRIVMSG #Room :an answer",
        )
        await expect(page.locator(".chip")).to_have_text(re.compile("yes 2"))
        await expect(page.locator(".chip")).to_have_attribute("title", "friend, kim")
        await expect(page.locator(".quote")).to_contain_text("friend: line 1")
        await page.locator(".quote").click()
        await expect(page.locator(".message.found .text")).to_have_text("line 1")
        await sleep(page)
        await expect(page.locator(LISTENS)).to_have_count(0)
        await does(
            ":friend!f@example REDACT #Room id2",
            "@+draft/unreact=yes;+draft/reply=id1 :kim!k@example TAGMSG #Room",
        )
        await wake(page)
        await expect(page.locator(".message.gone .text")).to_have_text(["was taken back"] * 2)
        await expect(page.locator(".chip")).to_have_text(re.compile("yes 1"))
        shown = await page.locator("#messages").inner_text()
        await page.reload()
        assert await page.locator("#messages").inner_text() == shown


async def test_the_list_and_the_head_follow(chat: Chat) -> None:
    async with chat.page() as page:
        await chat.room(page)
        await page.evaluate("window.here = true")
        buffers = page.get_by_role("navigation", name="Conversations")
        await chat.says("psst", nick="stranger", to="alice")
        new = buffers.get_by_role("link", name="stranger")
        await expect(new.locator(".waiting")).to_have_text("1 unread")
        await chat.enter("#later")
        await expect(buffers.get_by_role("link", name="#later")).to_be_visible()
        await chat.peer.send(":friend!f@example TOPIC #Room :about \x02this\x02 https://example.org/faq")
        await expect(page.locator("summary.topic")).to_contain_text("about this https://example.org/faq")
        await page.locator("summary.topic").click()
        await expect(page.locator(".topic-menu").get_by_role("link")).to_have_attribute(
            "href", "https://example.org/faq"
        )
        await page.get_by_role("heading", name="#Room").click()
        await chat.peer.send(":friend!f@example KICK #Room alice :enough")
        await expect(page.locator(".standing")).to_contain_text("You are not in this channel")
        await expect(buffers.get_by_role("link", name="#Room")).to_have_class(re.compile(r"\baway\b"))
        await page.get_by_role("button", name="Join").click()
        await chat.peer.expect("JOIN", "#Room")
        await chat.peer.let_in("#Room", "@friend")
        await expect(page.locator(".standing")).to_have_count(0)
        chat.peer.break_off()
        await expect(buffers.locator(".down")).to_be_visible()
        await expect(page.locator(".standing")).to_contain_text(re.compile("(Not connected|Connecting) to net"))


async def test_people_stand_at_the_side_and_one_can_speak_to_them(chat: Chat) -> None:
    async with chat.page() as page:
        await chat.room(page)
        people = page.locator("#people")
        await expect(people.get_by_role("button", name="@ friend")).to_be_visible()
        await chat.peer.send(":kim!k@h JOIN #Room")
        await expect(people.get_by_role("button", name="kim")).to_be_visible()
        await page.get_by_label("Find somebody").fill("ki")
        await expect(people.get_by_role("button", name="@ friend")).to_be_hidden()
        await people.get_by_role("button", name="kim").click()
        await page.get_by_role("button", name="Mention").click()
        await expect(page.get_by_role("textbox", name="Message to #Room")).to_have_value("kim: ")
        await chat.says("hello")
        await page.locator(".message .sayer", has_text="friend").click()
        await page.get_by_role("button", name="Who is that?").click()
        await chat.peer.expect("WHOIS", "friend")
        await chat.peer.numeric(311, "friend", "f", "host.example", "*", "A Friend")
        await chat.peer.numeric(318, "friend", "End of /WHOIS list.")
        await expect(page.locator(".message.answer")).to_contain_text("friend is f@host.example: A Friend")
        await page.keyboard.press("Alt+p")
        await expect(people).to_be_hidden()
        await page.reload()
        await expect(people).to_be_hidden()
        await page.locator(".message .sayer", has_text="friend").click()
        await page.get_by_role("button", name="Message", exact=True).click()
        await expect(page.get_by_role("heading", name="friend")).to_be_visible()


async def test_one_window_reads_for_the_other(chat: Chat) -> None:
    await chat.enter("#other")
    async with chat.page() as one, chat.page() as two:
        await chat.room(one)
        other = one.get_by_role("navigation", name="Conversations").get_by_role("link", name="#other")
        badge = other.locator(".waiting")
        await chat.says("alice: hello", to="#other")
        await expect(badge).to_have_text("1 unread")
        await expect(one.locator("#notices")).to_contain_text("1")
        await two.goto(await other.get_attribute("href") or "")
        await expect(line(two, "alice: hello")).to_be_visible()
        await expect(badge).to_be_hidden()
        await expect(one.locator("#notices")).to_be_hidden()


async def test_who_reads_in_the_panel_is_there(chat: Chat) -> None:
    """Auto-away is for who has neither a client nor a conversation in sight."""
    peer = chat.peer
    client = await chat.house.client("alice/net")
    await client.until(" 366 ")
    await client.barrier()
    await peer.barrier()
    away = len(peer.seen("AWAY"))
    async with chat.page() as page:
        await chat.room(page)
        await client.close()
        await chat.says("are you there?")
        await expect(line(page, "are you there?")).to_be_visible()
        assert len(peer.seen("AWAY")) == away
        await sleep(page)
        assert (await peer.expect("AWAY")).params, "the page is out of sight"
        await wake(page)
        assert (await peer.expect("AWAY")).params == [], "somebody is back"


async def test_bouncerserv_is_talked_to_once_the_password_was_given(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chat.page() as page:
        await chat.room(page)
        field = page.get_by_role("textbox", name="Message to")
        await field.fill("/msg BouncerServ server status")
        await field.press("Enter")
        await expect(page.locator(".message.answer").first).to_contain_text("net")
        await field.fill("/query BouncerServ")
        await field.press("Enter")
        await expect(page.get_by_role("heading", name="BouncerServ")).to_be_visible()
        await page.get_by_role("textbox", name="Message to BouncerServ").fill("help")
        await page.keyboard.press("Enter")
        await expect(page.locator(".message.answer").first).to_contain_text("I am your bouncer")
        monkeypatch.setattr("web.auth.FRESH_MS", -1)
        await page.get_by_role("textbox", name="Message to BouncerServ").fill("server status")
        await page.keyboard.press("Enter")
        await expect(page.locator("#text-error")).to_contain_text("give your password first")
        await page.get_by_role("link", name="Give it").click()
        await expect(page.get_by_label("Password")).to_be_visible()
    assert not [words for words in chat.peer.received if "bouncerserv" in words.lower()]
