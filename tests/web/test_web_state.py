"""State, lifecycle log and trials of servers on the panel, against networks on real sockets."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import web

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.models.tenant import Server, ServerEvent
from bouncer.service import figures as figures_module
from bouncer.service.figures import DAY_MS, HOUR_MS, Span, latest, stretches
from tests.support.certificates import self_signed
from tests.support.network import ScriptedNetwork
from tests.web.panelkit import SERVER, add_server, connected, fill, message
from web import charts, context, middlewares
from web.context import TURN, Page
from web.present import common_name

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.network import Peer
    from tests.web.panelkit import Browser, Installation

FORM = {**SERVER, "address": "127.0.0.1", "tls": "", "do": "test"}


async def welcomes(peer: Peer) -> None:
    await peer.welcome()
    await peer.play()


# -- state


async def test_a_row_says_everything_there_is_to_know(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    number = await add_server(alice)
    await fill(user.id, number)
    async with tenant.switch(user.id), tenant.session() as session:
        session.add(ServerEvent(server_id=number, kind="disconnected", detail="ping timeout", time=now_ms() - 1000))
        await session.commit()
    state = replace(
        connected("alice_"),
        identified="logged in as alice",
        tls_issuer="CN=R11,O=Let's Encrypt,C=US",
        tls_expires=now_ms() + 3 * DAY_MS,
        tls_fingerprint="ab" * 32,
        tls_checked="authority",
    )
    installation.live.states[user.id] = {number: state}
    page = await alice.get(f"/servers/{number}")
    for words in (
        "alice_", "wanted: alice", "logged in as alice", "42 ms", "Let&#39;s Encrypt, R11", "ab" * 32, "expires soon",
        "By an authority this machine trusts", "Disconnected: ping timeout",
    ):  # fmt: skip
        assert words in page.text, words
    listed = await alice.get("/servers")
    assert "<dt>Messages today</dt><dd>2</dd>" in listed.text
    assert "not alice" in listed.text
    assert "Last trouble:" in listed.text
    assert re.search(r"Certificate checked by an authority .*, by .*, until .*[0-9a-f]{16}…", listed.text)


async def test_messages_are_counted_by_day_and_only_new_ones_again(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    number = await add_server(alice)
    channel, _ = await fill(user.id, number)
    figures = installation.service.figures
    assert await figures.today(user.id) == {number: 2}
    async with tenant.switch(user.id), tenant.session() as session:
        session.add_all(
            message(number, "late", channel_id=channel, time=now_ms() - 3 * DAY_MS) for _ in range(4)
        )  # as a network that plays history back sends them
        session.add(message(number, "now", channel_id=channel))
        await session.commit()
    assert await figures.today(user.id) == {number: 3}
    days = await figures.by_day(user.id, number)
    assert days is not None
    assert [len(days), days[-4][1], days[-1][1]] == [30, 4, 3]
    assert sum(count for _, count in await figures.by_hour(user.id) or ()) >= 3
    assert sum(count for _, count in await figures.by_day(user.id, number + 1) or ()) == 0
    assert sum(count for _, count in await figures.by_day(user.id, channel_id=channel) or ()) == 6
    figures.forget(user.id)
    assert await figures.today(user.id) == {number: 3}


async def test_what_takes_long_to_count_is_shown_later(
    installation: Installation, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await installation.service.users.get("alice")
    number = await add_server(alice)
    await fill(user.id, number)
    monkeypatch.setattr(figures_module, "CHUNK", 1)
    installation.service.figures.patience_s = 0
    first = await alice.get(f"/servers/{number}/log")
    assert "still being made" in first.text
    installation.service.figures.patience_s = 10
    assert "2 in all" in (await alice.get(f"/servers/{number}/log")).text


def test_stretches_follow_what_happened_and_begin_unknown() -> None:
    events = [(5, "registered"), (12, "registered"), (20, "disconnected"), (21, "failed"), (30, "registered")]
    assert stretches(events, 0, 40) == [
        Span(0, 5, "unknown"), Span(5, 20, "up"), Span(20, 30, "down"), Span(30, 40, "up"),
    ]  # fmt: skip
    assert stretches(events, 10, 25) == [Span(10, 20, "up"), Span(20, 25, "down")]
    assert stretches([], 10, 25) == [Span(10, 25, "unknown")]
    assert latest(stretches(events, 0, 25), 15) == stretches(events, 15, 25)


def test_pictures_say_in_words_what_they_show_and_carry_no_style() -> None:
    made = charts.by_day([(0, 0), (DAY_MS, 10), (2 * DAY_MS, 5)])
    assert made is not None
    assert charts.by_hour(None) is None
    assert 'aria-label="messages a day: 15 in all, at most 10"' in made.svg
    assert made.svg.count("<rect") == 3
    assert (made.begin, made.end, made.most) == ("1 Jan", "3 Jan", "10")
    line = charts.timeline([Span(0, HOUR_MS, "up"), Span(HOUR_MS, 4 * HOUR_MS, "down")])
    assert line.most == "connected 25.0% of the time that is known"
    assert charts.lags([(0, 1)]) is None
    steps = charts.lags([(0, 40), (60_000, 90)])
    assert steps is not None
    for picture in (made.svg, line.svg, steps.svg, charts.part(2, 1, "<b>")):
        assert "style" not in picture
        assert "<b>" not in picture


def test_an_authority_is_known_by_its_own_name() -> None:
    assert common_name("CN=R11,O=Let's Encrypt,C=US") == "Let's Encrypt, R11"
    assert common_name("CN=irc.test") == "irc.test"
    assert common_name(r"CN=a\,b") == r"a\,b"
    assert common_name("") == "nobody"


# -- the log


async def test_the_log_is_read_a_page_at_a_time_and_tells_how_long_it_was_up(
    installation: Installation, alice: Browser
) -> None:
    user = await installation.service.users.get("alice")
    number = await add_server(alice)
    now = now_ms()
    async with tenant.switch(user.id), tenant.session() as session:
        for turn in range(60):
            at = now - (60 - turn) * HOUR_MS
            session.add(ServerEvent(server_id=number, kind="registered", detail=f"as turn{turn}", time=at))
            gone = ServerEvent(server_id=number, kind="disconnected", detail="reset", time=at + 600_000)
            session.add_all((gone, ServerEvent(server_id=number, kind="backoff", detail="1 42", time=at + 600_001)))
        await session.commit()
    first = await alice.get(f"/servers/{number}/log")
    assert "Disconnected: reset; it had been up for 10 min" in first.text
    assert "Attempt 1 failed; the next one 42 s later" in first.text
    assert "turn59" in first.text
    assert "turn30" not in first.text
    assert "connected 16" in first.text  # 10 minutes of each hour
    second = await alice.get(first.link("next"))
    assert "turn30" in second.text
    assert "turn59" not in second.text
    assert '<svg class="chart' not in second.text
    for odd in ("x", "-1", "9" * 30, "%D9%A1"):
        assert (await alice.get(f"/servers/{number}/log?before={odd}")).status == 200


# -- trying settings


async def test_a_test_says_step_by_step_that_it_works_and_stores_nothing(
    installation: Installation, alice: Browser
) -> None:
    user = await installation.service.users.get("alice")
    async with ScriptedNetwork() as network:
        network.serve(welcomes)
        answer = await alice.post("/servers/trial", {**FORM, "port": str(network.port)})
    assert answer.status == 200
    assert "It works" in answer.text
    assert "Let in as alice" in answer.text
    assert "is not encrypted" in answer.text
    assert answer.fields()["name"] == "libera"
    assert await installation.service.servers.list(user.id) == []


async def test_a_test_says_why_it_does_not_work(alice: Browser) -> None:
    async with ScriptedNetwork() as network:
        port = network.port
    answer = await alice.post("/servers/trial", {**FORM, "port": str(port)})
    assert "It does not work" in answer.text
    assert "Not let in: connection refused" in answer.text


async def test_a_wrong_password_is_told_by_its_own_step(alice: Browser) -> None:
    login = {"auth_method": "sasl-plain", "auth_account": "alice", "auth_password": "wrong"}
    async with ScriptedNetwork() as network:

        async def script(peer: Peer) -> None:
            await peer.welcome(caps=("sasl=PLAIN",), accounts={"alice": "right"})
            await peer.play()

        network.serve(script)
        wrong = await alice.post("/servers/trial", {**FORM, **login, "port": str(network.port)})
        right = await alice.post(
            "/servers/trial", {**FORM, **login, "auth_password": "right", "port": str(network.port)}
        )
    assert "SASL: failed" in wrong.text
    assert "SASL: logged in as alice" in right.text
    for answer in (wrong, right):
        assert 'value="right"' not in answer.text
        assert 'value="wrong"' not in answer.text


async def test_a_stored_password_is_used_when_the_form_has_none(installation: Installation, alice: Browser) -> None:
    async with ScriptedNetwork() as network:
        seen = []

        async def script(peer: Peer) -> None:
            seen.append((await peer.welcome()).password)
            await peer.play()

        network.serve(script)
        place = {**FORM, "port": str(network.port)}
        number = await add_server(alice, **{**place, "password": "of the server", "enabled": ""})
        assert "It works" in (await alice.post(f"/servers/{number}/trial", place)).text
        assert "It works" in (await alice.post(f"/servers/{number}/trial", {**place, "password_clear": "on"})).text
    assert [bool(password) for password in seen] == [True, False]
    user = await installation.service.users.get("alice")
    async with tenant.switch(user.id), tenant.session() as session:
        row = await session.get(Server, number)
        assert row is not None
        assert row.password == "of the server"


async def test_the_certificate_is_fetched_shown_and_filled_in(alice: Browser, tmp_path: Path) -> None:
    made = self_signed()
    async with ScriptedNetwork(context=made.server_context(tmp_path)) as network:
        place = {**FORM, "tls": "on", "port": str(network.port)}
        answer = await alice.post("/servers/trial", {**place, "do": "certificate", "password": "hidden"})
        assert answer.fields()["tls_fingerprint"] == made.fingerprint
        assert "irc.test" in answer.text
        assert [line for peer in network.connections for line in peer.seen("PASS")] == []
        network.serve(welcomes)
        trusting = await alice.post("/servers/trial", place)
        assert "certificate is self-signed" in trusting.text
        pinned = await alice.post("/servers/trial", {**place, "tls_fingerprint": made.fingerprint})
        assert "it is the pinned one" in pinned.text


@pytest.mark.parametrize("do", ["test", "certificate"])
async def test_a_form_with_errors_is_not_tried(alice: Browser, do: str) -> None:
    answer = await alice.post("/servers/trial", {**FORM, "do": do, "port": "66977", "address": "a b"})
    assert answer.status == 422
    assert answer.error_beside("port")
    assert answer.error_beside("address")


# -- presets, clones


async def test_a_known_network_fills_the_form(alice: Browser) -> None:
    fields = (await alice.get("/servers/new?preset=oftc")).fields()
    assert (fields["name"], fields["address"], fields["port"]) == ("oftc", "irc.oftc.net", "6697")
    assert "tls" in fields
    assert "tls" not in (await alice.get("/servers/new?preset=quakenet")).fields()
    assert (await alice.get("/servers/new?preset=nothing")).fields()["address"] == ""


async def test_a_clone_has_all_but_the_name_and_the_secrets(installation: Installation, alice: Browser) -> None:
    number = await add_server(
        alice, password="hush", auth_method="sasl-plain", auth_account="alice", auth_password="hush"
    )
    page = await alice.get(f"/servers/{number}/clone")
    assert 'action="/servers"' in page.text
    fields = page.fields()
    assert (fields["name"], fields["auth_account"], fields["channels"]) == ("libera-2", "alice", "#bouncer\r\n#python")
    assert "hush" not in page.text
    refused = await alice.post("/servers", fields)
    assert refused.status == 422
    assert refused.error_beside("auth_password")
    assert (await alice.post("/servers", {**fields, "auth_password": "other"})).status == 303
    user = await installation.service.users.get("alice")
    assert [view.row.name for view in await installation.service.servers.list(user.id)] == ["libera", "libera-2"]


@pytest.mark.parametrize(("slice_s", "turns"), [(-1.0, 9), (60.0, 0)])
async def test_a_page_is_written_out_a_slice_at_a_time(
    monkeypatch: pytest.MonkeyPatch, slice_s: float, turns: int
) -> None:
    monkeypatch.setattr(context, "SLICE_S", slice_s)
    loop, turn = asyncio.get_running_loop(), [0]

    def tick() -> None:
        turn[0] += 1
        if turn[0] < 100:
            loop.call_soon(tick)

    page = Page.__new__(Page)
    web.Response.__init__(page)
    page._pieces = (f"{turn[0]} " for _ in range(10))
    tick()
    await page.write_out()
    assert page.text is not None
    first, *_, last = (int(word) for word in page.text.split())
    assert last - first == turns


async def test_pages_are_written_out_one_in_a_turn_of_the_loop() -> None:
    loop, turn, written = asyncio.get_running_loop(), [0], list[int]()

    class Noted(Page):
        def __init__(self) -> None:
            web.Response.__init__(self)

        async def write_out(self) -> None:
            written.append(turn[0])

    async def handler(_request: web.Request) -> web.StreamResponse:
        return Noted()

    def tick() -> None:
        turn[0] += 1
        if len(written) < 12:
            loop.call_soon(tick)

    request = cast("web.Request", SimpleNamespace(app={TURN: asyncio.Lock()}))
    loop.call_soon(tick)
    await asyncio.gather(*(middlewares.written_out(request, handler) for _ in range(12)))
    assert len(set(written)) == len(written) == 12
