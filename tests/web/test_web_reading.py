"""Search, days, sizes, notifications and the pages of a buffer over HTTP: what is found, for whom, and odd input."""

from __future__ import annotations

import contextlib
import html
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bouncer import browse, tenant
from bouncer.browse import Wanted
from bouncer.events import Event
from bouncer.history import StoredMessage
from bouncer.models.tenant import Notification, ReadMarker
from tests.web.panelkit import add_server, fill, message
from web.lines import Fold, items
from web.routes import ROUTES

if TYPE_CHECKING:
    from tests.web.panelkit import Answer, Browser, Installation

TIMEOUT = aiohttp.ClientTimeout(total=20)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


LINES = (
    ("2026-03-01T10:00", "grace", "the quick brown fox", "channel_id"),
    ("2026-03-01T23:30", "ken", "a brown quick fox", "channel_id"),
    ("2026-03-02T00:30", "grace", "foxes and hounds", "channel_id"),
    ("2026-03-05T12:00", "grace", "only the fox, privately", "conversation_id"),
)


async def told(installation: Installation, browser: Browser, name: str = "alice") -> tuple[int, int, int]:
    """A server with a channel and a conversation in which LINES were said; the ids of all three."""
    user = await installation.service.users.get(name)
    server = await add_server(browser)
    channel, talk = await fill(user.id, server, text="something else")
    ids = {"channel_id": channel, "conversation_id": talk}
    async with tenant.switch(user.id), tenant.session() as session:
        for number, (time, nick, content, where) in enumerate(LINES):
            session.add(
                message(server, content, sender=f"{nick}!u@h", time=ms(time), msgid=f"x{number}", **{where: ids[where]})
            )
        await session.commit()
    return server, channel, talk


def found(answer: Answer) -> list[str]:
    """The texts that a search found, in order."""
    texts = re.findall(r'class="by [^"]*">[^<]*</bdi> <bdi>(.*?)</bdi>', answer.text, re.DOTALL)
    return [html.unescape(text) for text in texts]


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("q=fox", [3, 1, 0]),
        ("q=fox*", [3, 2, 1, 0]),
        ("q=quick+fox", [1, 0]),
        ('q="quick+brown"', [0]),
        ("q=fox&nick=ken", [1]),
        ("nick=KEN", [1]),
        ("q=fox&in=cC", [1, 0]),
        ("q=fox&in=pP", [3]),
        ("q=fox*&in=sS&from=2026-03-02", [3, 2]),
        ("q=fox*&to=2026-03-01", [1, 0]),
        ("q=fox*&from=2026-03-02&to=2026-03-02", [2]),
        ('q=") OR NEAR( * " -^', []),
        ("q=%00%ff", []),
        ("q=nothing", []),
    ],
)
async def test_a_search_finds_by_words_phrase_nick_place_and_day(
    installation: Installation, alice: Browser, query: str, texts: list[int]
) -> None:
    server, channel, talk = await told(installation, alice)
    query = query.replace("cC", f"c{channel}").replace("pP", f"p{talk}").replace("sS", f"s{server}")
    answer = await alice.get(f"/search?{query}")
    assert answer.status == 200
    assert found(answer) == [LINES[number][2] for number in texts]


async def test_days_are_those_of_the_readers_zone(installation: Installation, alice: Browser) -> None:
    _, channel, _ = await told(installation, alice)
    assert "line" in (await alice.get(f"/channels/{channel}/days?month=2026-03")).text
    counts = r"<strong>(\d+)</strong><span>(\d+)<"
    page = await alice.get(f"/channels/{channel}/days?month=2026-03")
    assert re.findall(counts, page.text) == [("1", "2"), ("2", "1")]
    zone = {"Cookie": f"{cookie(alice)}; zone=Asia%2FTokyo"}
    page = await alice.get(f"/channels/{channel}/days?month=2026-03", headers=zone)
    assert re.findall(counts, page.text) == [("1", "1"), ("2", "2")]
    answer = await alice.get("/search?q=fox*&from=2026-03-02&to=2026-03-02", headers=zone)
    assert found(answer) == [LINES[2][2], LINES[1][2]]
    answer = await alice.get(f"/channels/{channel}/messages?day=2026-03-02", headers=zone)
    assert answer.text.index("a brown quick fox") < answer.text.index("foxes and hounds")
    assert "the quick brown fox" not in answer.text
    odd = {"Cookie": f"{cookie(alice)}; zone=../../etc/passwd"}
    assert (await alice.get(f"/channels/{channel}/days", headers=odd)).status == 200


def cookie(browser: Browser) -> str:
    return "; ".join(f"{one.key}={one.value}" for one in browser.http.cookie_jar)


async def test_a_search_that_takes_too_long_says_how_to_go_on(
    installation: Installation, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told(installation, alice)
    user = await installation.service.users.get("alice")
    monkeypatch.setattr(browse, "SEARCH_S", 0.0)
    monkeypatch.setattr(browse, "FIRST_WINDOW", 1)
    answer, texts, pages = await alice.get("/search?q=fox"), list[str](), 0
    while address := answer.link("next"):
        texts += found(answer)
        answer, pages = await alice.get(address), pages + 1
    assert texts + found(answer) == [LINES[number][2] for number in (3, 1, 0)]
    assert pages > 3
    async with tenant.switch(user.id):
        assert (await browse.search(Wanted(text="fox"), 2)).below is not None


async def test_a_finding_leads_to_its_line_among_others(installation: Installation, alice: Browser) -> None:
    await told(installation, alice)
    answer = await alice.get('/search?q="quick+brown"')
    address = re.search(r'href="(/channels/\d+/messages\?around=[^"#]*)#(m\d+)"', answer.text)
    assert address is not None
    page = await alice.get(html.unescape(address[1]))
    assert f'id="{address[2]}"' in page.text
    assert "foxes and hounds" in page.text


async def test_sizes_count_every_buffer(installation: Installation, alice: Browser) -> None:
    await told(installation, alice)
    page = (await alice.get("/history")).text
    assert re.findall(r"<bdi>([^<]*)</bdi> <span[^>]*>libera", page) == ["#secret", "grace"]
    assert "4 · about" in page
    assert "2 · about" in page


async def test_notifications_are_listed_counted_and_marked(installation: Installation, alice: Browser) -> None:
    _, channel, talk = await told(installation, alice)
    user = await installation.service.users.get("alice")
    async with tenant.switch(user.id), tenant.session() as session:
        session.add_all(
            Notification(message_id=number, reason=reason, created_at=number)
            for number, reason in ((3, "highlight"), (4, "highlight"), (6, "dm"))
        )
        await session.commit()
    page = await alice.get("/notifications")
    assert [text in page.text for text in ("the quick brown fox", "only the fox, privately")] == [True, True]
    assert f"/channels/{channel}/messages?around=" in page.text
    assert f"/conversations/{talk}/messages?around=" in page.text
    assert re.search(r'id="notices"[^>]*><span class="n">3<', page.text)
    assert (await alice.post("/notifications/1/read")).status == 303
    assert (await alice.get("/notifications/count")).text == '{"notices": 2}'
    assert (await alice.post("/notifications/9/read")).status == 404
    assert (await alice.post("/notifications/read")).status == 303
    assert "Nothing waits for you" in (await alice.get("/notifications")).text
    assert "the quick brown fox" in (await alice.get("/notifications?all=1")).text


async def test_rules_are_saved_and_refused_beside_the_field(installation: Installation, alice: Browser) -> None:
    _, channel, _ = await told(installation, alice)
    assert (await alice.post("/notifications/rules", {"nick": "on", "words": "sqlite\r\nbig deal"})).status == 303
    assert (await alice.post(f"/channels/{channel}/notify", {"notify": "none", "back": "notifications"})).status == 303
    page = await alice.get("/notifications")
    assert page.fields()["words"] == "sqlite\r\nbig deal"
    assert "libera: nothing" in page.text
    answer = await alice.post("/notifications/rules", {"words": "x" * 100_000})
    assert answer.status == 422
    assert answer.error_beside("words") == "At most 60 characters."
    assert not (await alice.get("/notifications")).error_beside("words")


@pytest.mark.parametrize(
    "path",
    [
        "/channels/1/messages?before=x",
        "/channels/1/messages?before=1-99999999999999999999",
        "/channels/1/messages?around=-1-2",
        "/channels/1/messages?day=yesterday",
        "/channels/1/messages?day=0000-01-01",
        "/channels/1/days?month=2026-13",
        "/channels/1/days?month=9999-12",
        "/search?q=x&below=y",
        "/search?q=x&in=z9",
        "/search?q=x&in=c999999999999999999999",
        "/events?buffer=c99",
        "/events?buffer=c1&after=x",
    ],
)
async def test_an_address_that_no_link_of_ours_has_is_no_failure(
    installation: Installation, alice: Browser, path: str
) -> None:
    await told(installation, alice)
    answer = await alice.get(path)
    assert answer.status in (400, 404)
    assert "<h1>" in answer.text


@pytest.mark.parametrize("value", ["x", "-1", "1e9", "9" * 30, "\x00"])
async def test_a_marker_that_is_no_time_is_refused(installation: Installation, alice: Browser, value: str) -> None:
    _, channel, _ = await told(installation, alice)
    assert (await alice.post(f"/channels/{channel}/read", {"time": value})).status == 400


async def test_a_marker_moves_without_a_running_bouncer_and_never_beyond_now(
    installation: Installation, alice: Browser
) -> None:
    _, channel, _ = await told(installation, alice)
    user = await installation.service.users.get("alice")
    for value in ("9999999999999999", "5"):
        assert (await alice.post(f"/channels/{channel}/read", {"time": value})).status == 303
    async with tenant.switch(user.id), tenant.session() as session:
        row = await session.get(ReadMarker, (1, "#secret"))
        assert row is not None
        assert ms("2026-01-01T00:00") < row.time < 9999999999999999


@pytest.mark.parametrize(
    "text",
    ["", " ", "a\x00b", "x" * 8001, "x\n" * 30, "/", "/ ", "/<script>", "//", "\u202e" * 9000, "/quote \r\nQUIT"],
)
async def test_what_cannot_be_sent_is_said_beside_the_field_with_the_text_kept(
    installation: Installation, alice: Browser, text: str
) -> None:
    _, channel, _ = await told(installation, alice)
    answer = await alice.post(f"/channels/{channel}/messages", {"text": text, "nonce": "n"})
    assert answer.status == 422
    assert re.search(r'id="text-error" role="alert">.*?<span>.+?</span>', answer.text, re.DOTALL)
    assert "<script>" not in answer.text.replace("<script src=", "")
    refused = await alice.post(f"/channels/{channel}/messages", {"text": text}, {"Accept": "application/json"})
    assert refused.status == 422
    assert '"error": "' in refused.text


async def test_streams_and_searches_of_anothers_buffers_are_not_there(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    _, channel, talk = await told(installation, alice)
    for path in (f"/events?buffer=c{channel}", f"/events?buffer=p{talk}", f"/search?q=fox&in=c{channel}"):
        assert (await bob.get(path)).status == 404
    assert found(await bob.get("/search?q=fox")) == []
    other = await installation.service.users.get("bob")
    assert (await fill(other.id, await add_server(bob), text="the words of bob"))[0] == channel
    async with bob.http.get(f"{bob.url}/events?buffer=c{channel}&after=0&unread=0", timeout=TIMEOUT) as stream:
        await stream.content.readuntil(b"\n\n")
        data = await stream.content.readuntil(b"\n\n")
        assert b"the words of bob" in data
        assert b"fox" not in data


async def test_an_admin_cannot_read_what_others_said(
    installation: Installation, alice: Browser, anonymous: Browser
) -> None:
    await told(installation, alice)
    await installation.user("root", admin=True)
    await anonymous.sign_in("root")
    for number in range(1, 8):
        for route in ROUTES:
            if route.method != "GET" or route.kwargs["name"] in ("events", "socket"):
                continue
            path = re.sub(r"\{id:[^}]*\}", str(number), route.path).replace("{name}", "x").replace("{token}", "x")
            for query in ("", "?q=fox", "?all=1"):
                text = (await anonymous.get(path + query)).text
                for word in ("brown", "privately", "#secret", "something else", "grace"):
                    assert word not in text, (path, word)
    for key in ("c1", "p1", "s1"):
        assert (await anonymous.get(f"/events?buffer={key}")).status == 404


async def test_a_stream_brings_lines_once_and_counts_what_waits(installation: Installation, alice: Browser) -> None:
    server, channel, _ = await told(installation, alice)
    user = await installation.service.users.get("alice")
    async with contextlib.AsyncExitStack() as stack:
        address = f"{alice.url}/events?buffer=c{channel}&after=5&unread=0"
        stream = (await stack.enter_async_context(alice.http.get(address, timeout=TIMEOUT))).content
        await stream.readuntil(b"\n\n")
        waiting = await stream.readuntil(b"\n\n")
        assert waiting.startswith(b'event: waiting\ndata: {"notices": 0, "frame": "')
        async with tenant.switch(user.id), tenant.session() as session:
            session.add(message(server, "<b>fresh</b>", channel_id=channel))
            await session.commit()
        installation.live.hub(user.id).publish(Event("message", server))
        installation.live.hub(user.id).publish(Event("message", server + 1))
        lines = await stream.readuntil(b"\n\n")
        assert lines.startswith(b"event: lines\nid: 7\n")
        assert b"&lt;b&gt;fresh" in lines
        assert (await stream.readuntil(b"\n\n")).startswith(b"event: waiting\n")
    headers = {"Last-Event-ID": "7"}
    async with alice.http.get(address, timeout=TIMEOUT, headers=headers) as again:
        await again.content.readuntil(b"\n\n")
        assert (await again.content.readuntil(b"\n\n")).startswith(b"event: waiting\n")


def stored(number: int, kind: str, time: str = "2026-03-01T10:00") -> StoredMessage:
    return StoredMessage(
        number, 1, 1, None, "#a", f"n{number}!u@h", kind, "text", None, f"{number}", ms(time), own=False
    )


def test_comings_and_goings_in_a_row_are_one_item_and_others_part_them() -> None:
    kinds = ("join", "quit", "privmsg", "part", "topic", "join", "join", "nick")
    found = items([stored(number, kind) for number, kind in enumerate(kinds)], UTC)
    assert [item.words if isinstance(item, Fold) else item.what for item in found] == [
        "day", "1 joined, 1 quit", "line", "line", "line", "2 joined, 1 renamed",
    ]  # fmt: skip


def test_a_day_and_the_unread_stand_before_the_line_they_are_about() -> None:
    lines = [stored(1, "privmsg"), stored(2, "privmsg", "2026-03-02T09:00"), stored(3, "privmsg", "2026-03-02T10:00")]
    found = items(lines, UTC, marker=ms("2026-03-02T09:00"))
    assert [item.what for item in found] == ["day", "line", "day", "line", "unread", "line"]
