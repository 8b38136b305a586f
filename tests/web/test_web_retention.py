"""Rules of keeping and deleting ranges in the panel: what would go is seen first, and progress without script."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, func, insert, select

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.counts import DAY_MS
from bouncer.models.tenant import Message
from bouncer.service.retention import EVERYTHING, Scope
from tests.web.panelkit import add_server, fill

if TYPE_CHECKING:
    from bouncer.service.upkeep import Job
    from tests.web.panelkit import Answer, Browser, Installation


async def told(installation: Installation, browser: Browser, name: str = "alice") -> tuple[int, int]:
    """A server with #secret, 10 lines a day at noon (UTC) for ten days, and a talk with one; user id, channel id."""
    user = await installation.service.users.get(name)
    server = await add_server(browser)
    channel, _ = await fill(user.id, server)
    noon = (now_ms() // DAY_MS - 9) * DAY_MS + DAY_MS // 2
    row = {"server_id": server, "channel_id": channel, "message_type": "privmsg", "sender": "g!g@h"}
    rows = [
        {**row, "content": f"line {day} {number}", "msgid": f"x{day}-{number}", "time": noon + day * DAY_MS + number}
        for day in range(-1, 9)
        for number in range(10)
    ]
    async with tenant.switch(user.id), tenant.session() as session:
        await session.execute(delete(Message).where(Message.channel_id == channel))
        await session.execute(insert(Message), rows)
        await session.commit()
    return user.id, channel


async def lines(user_id: int) -> int:
    async with tenant.switch(user_id), tenant.session() as session:
        return await session.scalar(select(func.count()).select_from(Message)) or 0


async def ended(installation: Installation, user_id: int) -> Job:
    assert await installation.service.upkeep.finished(user_id, 30)
    return (await installation.service.upkeep.jobs(user_id))[0]


def going(answer: Answer) -> int:
    """How many messages the preview says would go."""
    found = re.search(r"<strong>([\d,]+) messages</strong>", answer.text)
    return int(found[1].replace(",", "")) if found else 0


def day(back: int) -> str:
    """A day (UTC) so many days ago, as a form has it."""
    return (date(1970, 1, 1) + timedelta(days=now_ms() // DAY_MS - back)).isoformat()


async def test_a_range_is_seen_confirmed_and_gone(installation: Installation, alice: Browser, bob: Browser) -> None:
    user, channel = await told(installation, alice)
    other, _ = await told(installation, bob, "bob")
    key = f"c{channel}"
    page = await alice.get(f"/history/deletion?in={key}")
    assert "#secret on libera" in page.text
    fields = {"in": key, "from": day(6), "until": day(5)}
    seen = await alice.post("/history/deletion", fields)
    assert (seen.status, going(seen)) == (200, 20)
    assert await lines(user) == 101
    assert seen.fields()["seen"] == "20"
    wrong = await alice.post("/history/deletion", {**seen.fields(), "confirm": "yes"})
    assert (wrong.status, wrong.error_beside("confirm")) == (422, "Type 20.")
    assert await lines(user) == 101
    done = await alice.post("/history/deletion", {**seen.fields(), "confirm": " 20 "})
    assert (done.status, done.location) == (303, "/history#work")
    job = await ended(installation, user)
    assert (job.kind, job.state, job.done) == ("range", "done", 20)
    assert await lines(user) == 81
    assert await lines(other) == 101
    shown = await alice.get("/history")
    assert "20 messages deleted" in shown.text
    assert 'data-follow=""' in shown.text
    assert (
        "#secret on libera" not in (await bob.get("/history")).text.partition('id="work"')[2].partition("</section>")[0]
    )


async def test_days_are_those_of_the_readers_zone(installation: Installation, alice: Browser) -> None:
    user, channel = await told(installation, alice)
    async with tenant.switch(user), tenant.session() as session:  # two in the morning in London is the day before
        early = (now_ms() // DAY_MS - 5) * DAY_MS + 2 * 3_600_000
        session.add(Message(server_id=1, channel_id=channel, message_type="privmsg", msgid="e", time=early))
        await session.commit()
    fields = {"in": f"c{channel}", "from": day(6), "until": day(6)}
    assert going(await alice.post("/history/deletion", fields)) == 10
    alice.http.cookie_jar.update_cookies({"zone": "America/New_York"})
    assert going(await alice.post("/history/deletion", fields)) == 11


NO_DAYS: tuple[tuple[dict[str, str], str], ...] = (
    ({"from": "2026-02-30"}, "from"),
    ({"until": "yesterday"}, "until"),
    ({"from": "0001-01-01"}, "from"),
    ({"from": "9999-12-31"}, "from"),
    ({"from": "2026-01-01' OR 1=1"}, "from"),
    ({"until": "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0661"}, "until"),
    ({"from": "2026-02-02", "until": "2026-02-01"}, "until"),
    ({"from": "2" * 1000}, "from"),
)


async def test_a_day_that_is_none_is_refused_beside_its_field(installation: Installation, alice: Browser) -> None:
    user, _ = await told(installation, alice)
    for fields, field in NO_DAYS:
        answer = await alice.post("/history/deletion", {"in": "", **fields, "seen": "102", "confirm": "102"})
        assert answer.status == 422, fields
        assert answer.error_beside(field), fields
    assert await installation.service.upkeep.jobs(user) == []
    assert await lines(user) == 101


async def test_a_rule_is_seen_confirmed_set_and_shown(installation: Installation, alice: Browser) -> None:
    user, channel = await told(installation, alice)
    key = f"c{channel}"
    assert (await alice.get(f"/history/rules?in={key}")).fields()["kept"] == "default"
    seen = await alice.post("/history/rules", {"in": key, "kept": "days", "days": "4"})
    assert (seen.status, going(seen)) == (200, 60)
    assert await lines(user) == 101
    assert (await installation.service.retention.rules(user)).special == []
    done = await alice.post("/history/rules", {**seen.fields(), "confirm": "60"})
    assert (done.status, done.location) == (303, "/history#work")
    assert (await ended(installation, user)).done == 60
    assert await lines(user) == 41
    page = await alice.get("/history")
    assert "for 4 days" in page.text
    assert (await alice.get(f"/history/rules?in={key}")).fields()["days"] == "4"
    forever = await alice.post("/history/rules", {"in": key, "kept": "forever", "days": ""})
    assert (forever.status, forever.location) == (303, "/history")
    assert [rule.days for rule in (await installation.service.retention.rules(user)).special] == [0]


NO_RULES: tuple[tuple[dict[str, str], str], ...] = (
    ({"kept": "days", "days": "0"}, "days"),
    ({"kept": "days", "days": "-1"}, "days"),
    ({"kept": "days", "days": "9" * 500}, "days"),
    ({"kept": "days", "days": "forever"}, "days"),
    ({"kept": "days", "days": "\u0661\u0662"}, "days"),
    ({"kept": "often", "days": "3"}, "kept"),
    ({}, "kept"),
    ({"kept": "forever"}, "days"),
    ({"kept": "days", "days": "31"}, "days"),
)


@pytest.mark.parametrize(("days", "status"), [("1", 303), ("36500", 303), ("36501", 422)])
async def test_a_rule_has_so_many_days_at_most(alice: Browser, days: str, status: int) -> None:
    fields = {"in": "", "kept": "days", "days": days, "seen": "1", "confirm": "1"}
    answer = await alice.post("/history/rules", fields)
    assert (answer.status, bool(answer.error_beside("days"))) == (status, status == 422)


async def test_a_rule_that_is_none_or_longer_than_the_operators_is_refused_beside_its_field(
    installation: Installation, alice: Browser
) -> None:
    service = installation.service
    service.configure(replace(service.config, history=replace(service.config.history, retention=30 * DAY_MS)))
    user, _ = await told(installation, alice)
    assert "for 30 days" in (await alice.get("/history/rules")).text
    for fields, field in NO_RULES:
        answer = await alice.post("/history/rules", {"in": "", **fields, "seen": "1", "confirm": "1"})
        assert answer.status == 422, fields
        assert answer.error_beside(field), fields
    rules = await service.retention.rules(user)
    assert (rules.general, rules.kept) == (None, 30)


async def test_what_is_none_of_ones_own_is_not_there(installation: Installation, alice: Browser, bob: Browser) -> None:
    await told(installation, alice)
    for key in ("c1", "p1", "s1", "n1", "x1", "c", "n" + "9" * 18, "c1 ", "../1"):
        assert (await bob.get(f"/history/deletion?in={key}")).status == 404, key
        assert (await bob.get(f"/history/rules?in={key}")).status == 404, key
        assert (await bob.post("/history/rules", {"in": key, "kept": "days", "days": "1"})).status == 404, key
        assert (await bob.post("/history/deletion", {"in": key, "seen": "1", "confirm": "1"})).status == 404, key
    begun = await installation.service.upkeep.delete(1, Scope(1), None, None)
    for act in ("stop", "resume"):
        assert (await bob.post(f"/history/work/{begun.id}/{act}")).status == 404
    await ended(installation, 1)


async def test_work_shows_how_far_it_is_with_and_without_script_and_can_be_stopped(
    installation: Installation, alice: Browser
) -> None:
    user, _ = await told(installation, alice)
    upkeep = installation.service.upkeep
    gate = upkeep._gate = asyncio.Semaphore(0)  # nothing is begun until the test says so
    begun = await upkeep.delete(user, EVERYTHING, None, None)
    page, part = await alice.get("/history"), await alice.get("/history/work/state")
    for shown in (page, part):
        assert 'data-follow="/history/work/state"' in shown.text
        assert "0 of 0 messages deleted" in shown.text
        assert '<noscript><p><a href="/history#work">Look again</a>' in shown.text
    assert "<html" not in part.text
    assert "being deleted just now" in (await alice.get("/account/data")).text
    busy = await alice.post("/history/space")
    assert busy.location == "/history#work"
    assert "Not now: wait until what goes on is done" in (await alice.get("/history")).text
    assert (await alice.post(f"/history/work/{begun.id}/stop")).status == 303
    assert f"/history/work/{begun.id}/resume" in (await alice.get("/history")).text
    assert (await alice.post(f"/history/work/{begun.id}/resume")).status == 303
    gate.release()
    assert (await ended(installation, user)).state == "done"
    assert await lines(user) == 0
    part = await alice.get("/history/work/state")
    assert "102 messages deleted" in part.text or "101 messages deleted" in part.text
    assert 'data-follow=""' in part.text


async def test_a_limit_that_is_near_is_on_every_page_and_sizes_say_bytes(
    installation: Installation, alice: Browser
) -> None:
    user, _ = await told(installation, alice)
    service = installation.service
    page = await alice.get("/account/data")
    assert "Messages are kept for ever" in page.text
    assert "101 messages, about" in page.text
    row = await service.users.set_limits(user, max_disk_mb=1)
    async with tenant.switch(user), tenant.session() as session:
        filler = {"server_id": 1, "channel_id": 1, "message_type": "privmsg", "time": now_ms()}
        rows = [{**filler, "msgid": f"f{n}", "content": f"w{n} " * 50} for n in range(3_000)]
        await session.execute(insert(Message), rows)
        await session.commit()
    await service.caretaker.look_after(row)
    assert service.caretaker.warning(user)
    for path in ("/servers", "/account", "/account/data", "/history", "/search"):
        assert "that you may use" in (await alice.get(path)).text, path
    assert "of 1.0 MB used" in (await alice.get("/account/data")).text
