"""What the read path finds: pages in a total order, buffers by name, and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer import history
from bouncer.history import Position, search_query
from bouncer.tenant import switch

if TYPE_CHECKING:
    from bouncer.history import Buffer, StoredMessage
    from tests.support.journalkit import Kit

# Three messages in each millisecond: a page must be able to end between two of them.
COUNT = 60


def contents(messages: list[StoredMessage]) -> list[str]:
    return [message.content for message in messages]


async def a_room(kit: Kit) -> Buffer:
    await kit.store(*(kit.row(str(n), time=100 + n // 3) for n in range(COUNT)), kit.row("x", target="#other"))
    found = await history.find_buffer(kit.server_id, "#room")
    assert found is not None
    return found.buffer


@pytest.mark.parametrize("size", [1, 2, 7, COUNT])
async def test_pages_put_together_are_the_whole_with_equal_milliseconds(kit: Kit, size: int) -> None:
    whole = [str(n) for n in range(COUNT)]
    async with switch(kit.tenant):
        buffer = await a_room(kit)
        forward: list[str] = []
        place = Position.before_time(0)
        while page := await history.after(buffer, place, size):
            forward += contents(page)
            place = page[-1].position
        assert forward == whole
        backward: list[str] = []
        place = Position.after_time(10_000)
        while page := await history.before(buffer, place, size):
            backward = contents(page) + backward
            place = page[0].position
        assert backward == whole


async def test_latest_around_and_between_take_what_is_next_to_their_place(kit: Kit) -> None:
    async with switch(kit.tenant):
        buffer = await a_room(kit)
        assert contents(await history.latest(buffer, 3)) == ["57", "58", "59"]
        place = await history.position_of(buffer, "id-30")
        assert place is not None
        assert contents(await history.around(buffer, place, 4)) == ["28", "29", "30", "31"]
        start, end = Position.after_time(100), Position.before_time(102)
        assert contents(await history.page(buffer, 9, after=start, before=end)) == ["3", "4", "5"]
        assert contents(await history.page(buffer, 2, after=start, before=end, newest=False)) == ["3", "4"]
        assert await history.position_of(buffer, "id-x") is None


async def test_without_events_a_page_is_filled_with_conversation(kit: Kit) -> None:
    async with switch(kit.tenant):
        await kit.store(kit.row("a"), kit.row("b"), *(kit.row(str(n), kind="join", time=2) for n in range(9)))
        found = await history.find_buffer(kit.server_id, "#room")
        assert found is not None
        assert contents(await history.latest(found.buffer, 2, events=False)) == ["a", "b"]


async def test_targets_are_the_buffers_with_conversation_in_a_time_span(kit: Kit) -> None:
    async with switch(kit.tenant):
        await kit.store(
            kit.row("1", target="#old", time=10),
            kit.row("2", target="Bob", time=20),
            kit.row("3", target="#new", time=30),
            kit.row("4", target="#quiet", time=20, kind="join"),
        )
        found = await history.targets(kit.server_id, 10, 31, 10)
        assert [(target.name, target.time) for target in found] == [("Bob", 20), ("#new", 30)]


async def test_search_finds_the_beginnings_of_words_newest_first_and_only_what_was_said(kit: Kit) -> None:
    async with switch(kit.tenant):
        await kit.store(
            kit.row("the quick brown fox"),
            kit.row("Quickly now", target="Bob"),
            kit.row("quick", kind="join"),
            kit.row("a slow day"),
        )
        assert contents(await history.search("quick*")) == ["Quickly now", "the quick brown fox"]
        assert contents(await history.search("QUICK")) == ["the quick brown fox"]
        assert contents(await history.search('"quick brown"')) == ["the quick brown fox"]
        assert contents(await history.search("fox quick")) == ["the quick brown fox"]
        assert await history.search("quick*", sender="nobody") == []
        assert len(await history.search("quick*", sender="bob", limit=1)) == 1
        found = await history.find_buffer(kit.server_id, "bob")
        assert found is not None
        assert contents(await history.search("quick*", buffer=found.buffer)) == ["Quickly now"]


@pytest.mark.parametrize(
    "text", ["a OR b", "NOT x", "x AND", "col:x", "a*", "(", ")", "-x", "^x", '"', '""', "NEAR(a b)"]
)
async def test_operators_in_a_search_are_text(kit: Kit, text: str) -> None:
    async with switch(kit.tenant):
        await kit.store(kit.row("something else"))
        assert await history.search(text) == []


def test_a_search_quotes_each_word_and_keeps_phrases() -> None:
    assert search_query('one* "two three" OR ** two"') == '"one"* "two three" "OR" "two "'
    assert search_query(' "" ') == ""
