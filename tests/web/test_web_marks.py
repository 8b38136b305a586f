"""What stands around and on the lines of a conversation, over HTTP: reactions, answers, the list, whatever is sent."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.models.tenant import Conversation
from tests.web.panelkit import add_server, fill, message
from web.standing import QUIET_MS

if TYPE_CHECKING:
    from bouncer.models.tenant import Message
    from tests.web.panelkit import Browser, Installation


async def kept(installation: Installation, *rows: Message | Conversation) -> None:
    user = await installation.service.users.get("alice")
    async with tenant.switch(user.id), tenant.session() as session:
        for row in rows:
            session.add(row)
            await session.flush()
        await session.commit()


def reaction(server: int, tags: object, where: dict[str, int], nick: str = "ken") -> Message:
    text = tags if isinstance(tags, str) else json.dumps(tags)
    return message(server, "", sender=f"{nick}!k@h", message_type="tagmsg", tags=text, msgid="r", **where)


def chips(text: str) -> list[str]:
    found = re.findall(r'<li class="chip[^>]*><bdi>(.*?)</bdi> <span class="n">(\d+)', text)
    return [f"{html.unescape(sign)} {count}" for sign, count in found]


async def test_reactions_are_counted_once_for_each_person_and_odd_ones_do_no_harm(
    installation: Installation, alice: Browser
) -> None:
    server = await add_server(alice)
    user = await installation.service.users.get("alice")
    channel, talk = await fill(user.id, server)
    here, there = {"channel_id": channel}, {"conversation_id": talk}
    answers = {"+draft/reply": "x1"}
    await kept(
        installation,
        message(server, "the line", msgid="x1", **here),
        message(server, "elsewhere", msgid="x2", **there),
        reaction(server, {"+draft/react": "yes", **answers}, here),
        reaction(server, {"+draft/react": "yes", **answers}, here),
        reaction(server, {"+draft/react": "yes", **answers}, here, nick="lee"),
        reaction(server, {"+draft/react": "no", **answers}, here, nick="lee"),
        reaction(server, {"+draft/unreact": "no", **answers}, here, nick="lee"),
        reaction(server, {"+draft/react": "<b>\u202e" + "W" * 500, **answers}, here, nick="<i>"),
        reaction(server, {"+draft/react": "other buffer", **answers}, there),
        reaction(server, {"+draft/react": "nowhere", "+draft/reply": "unknown"}, here),
        *(reaction(server, tags, here) for tags in ("{", "[]", '"x"', '{"+draft/reply": 7}', "null")),
        *(reaction(server, {"+draft/react": f"s{number}", **answers}, here) for number in range(40)),
    )
    text = (await alice.get(f"/channels/{channel}/messages")).text
    found = chips(text)
    assert found[:2] == ["yes 2", "<b>" + "W" * 28 + " 1"]
    assert "other buffer 1" not in found
    assert len(found) == 12, "so many of one line are shown at most"
    assert "<b>W" not in text
    assert chips((await alice.get(f"/conversations/{talk}/messages")).text) == []


async def test_an_answer_names_the_line_it_answers_unless_that_is_elsewhere_or_was_taken_back(
    installation: Installation, alice: Browser
) -> None:
    server = await add_server(alice)
    user = await installation.service.users.get("alice")
    channel, talk = await fill(user.id, server)
    here = {"channel_id": channel}
    await kept(
        installation,
        message(server, "<b>asked</b>", msgid="x1", **here),
        message(server, "a secret of two", msgid="x2", conversation_id=talk),
        message(server, "", msgid="x3", redacted="grace!g@h", **here),
        *(
            message(server, f"to {number}", msgid=f"y{number}", tags=json.dumps({"+reply": f"x{number}"}), **here)
            for number in (1, 2, 3, 4)
        ),
    )
    text = (await alice.get(f"/channels/{channel}/messages")).text
    quotes = re.findall(r'class="quote" href="(.*?)".*?<bdi>(.*?)</bdi>: <bdi>(.*?)</bdi>', text)
    assert [words for _, _, words in quotes] == ["&lt;b&gt;asked&lt;/b&gt;", "was taken back"]
    assert "a secret of two" not in text
    answer = await alice.get(f"/channels/{channel}/messages{html.unescape(quotes[0][0]).partition('#')[0]}")
    assert "&lt;b&gt;asked" in answer.text


async def test_a_conversation_in_which_nothing_was_said_for_long_is_folded_away_until_something_is(
    installation: Installation, alice: Browser
) -> None:
    server = await add_server(alice)
    user = await installation.service.users.get("alice")
    await fill(user.id, server)
    old, older, waits = (Conversation(server_id=server, nick=nick, folded=nick) for nick in ("old", "older", "waits"))
    await kept(installation, old, older, waits)
    then = now_ms() - QUIET_MS - 1000
    await kept(
        installation,
        *(message(server, "bye", conversation_id=one.id, time=then, own=True) for one in (old, older)),
        message(server, "are you there?", conversation_id=waits.id, time=then),
    )

    def listed(text: str) -> tuple[list[str], list[str]]:
        recent, _, quiet = text.partition('class="quiet-ones"')
        return tuple(re.findall(r'class="label isolate">(.*?)<', part) for part in (recent, quiet))  # type: ignore[return-value]  # two parts

    recent = ["#bouncer", "#python", "#secret", "grace", "waits"]
    assert listed((await alice.get("/chat")).text) == (recent, ["old", "older"])
    here = (await alice.get(f"/conversations/{old.id}/messages")).text
    assert "old" in listed(here.partition("</nav>")[2].partition("</nav>")[0])[0], "the one that is read is not"
    await kept(installation, message(server, "hello again", conversation_id=older.id, own=True))
    assert listed((await alice.get("/chat")).text)[1] == ["old"]


async def test_the_mark_of_the_list_changes_with_what_stands_in_it_only(
    installation: Installation, alice: Browser
) -> None:
    async def mark() -> str:
        found = re.search(r'data-mark="(\w+)"', (await alice.get("/chat?part=frame")).text)
        assert found is not None
        return found[1]

    server = await add_server(alice)
    user = await installation.service.users.get("alice")
    channel, _ = await fill(user.id, server)
    before = await mark()
    await kept(installation, message(server, "one more", channel_id=channel))
    assert await mark() == before
    await kept(installation, Conversation(server_id=server, nick="new", folded="new"))
    assert await mark() != before
