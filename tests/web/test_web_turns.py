"""Many pages opened at once: a few are begun, persons take turns, and nobody's login waits for them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aiohttp import web

from bouncer.tasks import spawn
from web import turns
from web.turns import AT_ONCE, DOOR, EACH, PAGES, Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.web.panelkit import Browser, Installation

DEADLINE_S = 10.0


class Queue:
    """People who come for a place and stay until they are sent away; `begun` tells who got one, in order."""

    def __init__(self, turns: Turns) -> None:
        self.begun: list[str] = []
        self._turns = turns
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """`a1` is the first request of a."""
        for name in names:
            self._leave[name] = asyncio.Event()
            self.tasks[name] = spawn(self._stay(name), name=name)
        await settled()

    async def _stay(self, name: str) -> None:
        async with self._turns.turn(name[0]):
            self.begun.append(name)
            await self._leave[name].wait()

    async def go(self, *names: str) -> None:
        for name in names:
            self._leave[name].set()
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wait({self.tasks[name]})
        await settled()

    async def comes_to(self, number: int) -> None:
        """Wait until so many have begun."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.begun) < number:  # noqa: ASYNC110 - that is what is asked
                await asyncio.sleep(0.002)

    async def all_slow(self) -> None:
        """Wait until nobody has a place."""
        async with asyncio.timeout(DEADLINE_S):
            while self._turns._placed > 0:  # noqa: ASYNC110 - that is what is asked
                await asyncio.sleep(0.002)

    async def all_go(self) -> list[str]:
        """Everybody in the order they are begun."""
        for number in range(len(self.tasks)):
            await self.go(self.begun[number])
        return self.begun


async def settled() -> None:
    for _ in range(10):  # what is ready runs
        await asyncio.sleep(0)


async def test_people_take_turns_and_one_has_so_many_places() -> None:
    queue = Queue(Turns(at_once=3, each=2))
    await queue.come("a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1")
    assert queue.begun == ["a1", "a2", "b1"], "one place was left for another"
    await queue.go("a1")
    assert queue.begun[3:] == ["c1"], "c has none yet, a and b have one"
    await queue.go("c1")
    assert queue.begun[4:] == ["a3"], "of those with one, who got it first"
    await queue.come("d1")
    await queue.go("a2")
    assert queue.begun[5:] == ["d1"]
    assert await queue.all_go() == ["a1", "a2", "b1", "c1", "a3", "d1", "b2", "a4", "a5"]


async def test_a_place_is_free_again_whatever_became_of_who_had_or_waited_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = Queue(Turns(at_once=1, each=1))
    await queue.come("a1", "b1", "b2", "c1")
    queue._leave["a1"].set()
    queue.tasks["b1"].cancel()  # a leaves: b, who was next, has given up the first and has not gone yet
    await settled()
    assert queue.begun == ["a1", "b2"]
    await queue.go("b2")
    assert queue.begun == ["a1", "b2", "c1"]
    del queue.begun[1]
    await queue.come("d1", "e1")
    queue._leave["c1"].set()
    await asyncio.sleep(0)  # c leaves: the place is d's, who does not know of it yet
    assert queue.begun == ["a1", "c1"]
    queue.tasks["d1"].cancel()
    await settled()
    assert queue.begun == ["a1", "c1", "e1"]
    queue.tasks["e1"].cancel()
    await settled()
    await queue.come("e2")
    assert queue.begun[3:] == ["e2"]
    monkeypatch.setattr(turns, "WAIT_S", 0.01)
    await queue.come("f1")
    with pytest.raises(web.HTTPServiceUnavailable) as refused:
        await asyncio.wait_for(queue.tasks["f1"], DEADLINE_S)
    assert refused.value.headers["Retry-After"] == "5"
    await queue.go("e2")
    await queue.come("g1")
    await queue.go("g1")
    assert queue.begun[-1] == "g1"
    assert (queue._turns.waiting, queue._turns._placed, len(queue._turns)) == (0, 0, 0)


async def test_who_takes_long_leaves_the_place_to_others_and_has_so_many_of_these(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "SLOW_S", 0.01)
    monkeypatch.setattr(turns, "MAX_SLOW", 2)
    queue = Queue(Turns(at_once=1, each=1))
    await queue.come("a1", "a2", "a3", "b1")
    await queue.comes_to(3)
    assert queue.begun == ["a1", "a2", "b1"]
    await queue.come("c1")
    await queue.comes_to(4)
    assert queue.begun[3:] == ["c1"], "two of a are slow: the third waits for one of them"
    await queue.all_slow()
    await queue.go("a1")
    await queue.comes_to(5)
    assert queue.begun[4:] == ["a3"]
    await queue.go("a2", "b1", "c1", "a3")
    assert (queue._turns._placed, len(queue._turns)) == (0, 0), "nobody left a place twice"


async def test_who_was_quick_is_not_slow_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SLOW_S", 0.1)
    queue = Queue(Turns(at_once=2, each=2))
    await queue.come("a1", "a2")
    await queue.go("a1")
    await queue.all_slow()
    assert (queue._turns._placed, queue._turns._people["a"].slow) == (0, 1)
    await queue.go("a2")


async def test_the_line_has_a_bound_for_each_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING", 4)
    monkeypatch.setattr(turns, "MAX_WAITING_EACH", 2)
    queue = Queue(Turns(at_once=1, each=1))
    await queue.come("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    refused = [name for name, task in queue.tasks.items() if task.done()]
    assert refused == ["a4", "c1"]
    for name in refused:
        with pytest.raises(web.HTTPServiceUnavailable):
            await queue.tasks.pop(name)
    assert await queue.all_go() == ["a1", "a2", "b1", "a3", "b2"]
    assert len(queue._turns) == 0


class Busy(NamedTuple):
    """The panel's places, each kind taken by others until its stack is closed."""

    door: contextlib.AsyncExitStack
    pages: contextlib.AsyncExitStack


def places(installation: Installation, key: web.AppKey[Turns]) -> Turns:
    app = installation.panel._runner.app
    assert app is not None
    return app[key]


@pytest.fixture
async def busy(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Busy]:
    monkeypatch.setattr(turns, "SLOW_S", 60.0)
    async with contextlib.AsyncExitStack() as door, contextlib.AsyncExitStack() as pages:
        for key, stack in ((DOOR, door), (PAGES, pages)):
            for number in range(AT_ONCE):
                await stack.enter_async_context(places(installation, key).turn(f"other {number}"))
        yield Busy(door, pages)


async def come(turns: Turns, number: int) -> None:
    """Wait until so many wait there."""
    async with asyncio.timeout(DEADLINE_S):
        while turns.waiting != number:  # noqa: ASYNC110 - that is what is asked
            await asyncio.sleep(0.005)


async def test_pages_wait_for_a_place_and_a_login_does_not(
    installation: Installation, alice: Browser, anonymous: Browser, busy: Busy
) -> None:
    await installation.user("bob")
    door, pages = places(installation, DOOR), places(installation, PAGES)
    opened = [spawn(alice.get(path), name=path) for path in ("/servers", "/chat", "/search?q=x")]
    await come(door, len(opened))
    assert (await anonymous.sign_in("bob")).location == "/servers"
    assert (await anonymous.post("/session", {"name": "bob", "password": "not his"})).status == 422
    assert (await anonymous.get("/static/panel.css")).status == 200
    await busy.door.aclose()
    await come(pages, len(opened))
    assert not any(page.done() for page in opened)
    await busy.pages.aclose()
    assert [(await page).status for page in opened] == [200, 200, 200]
    assert door.waiting == pages.waiting == len(door) == len(pages) == 0


async def test_open_streams_have_no_place_and_their_beginning_takes_one(
    installation: Installation, alice: Browser
) -> None:
    """As many streams as one may have: pages come all the same."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(16):
            stream = await stack.enter_async_context(alice.http.get(f"{installation.url}/events"))
            assert stream.status == 200
        assert (await alice.get("/servers")).status == 200
        assert len(places(installation, PAGES)) == len(places(installation, DOOR)) == 0


@pytest.mark.parametrize("kind", ["door", "pages"])
async def test_who_waits_too_long_is_told_when_to_come_again(
    alice: Browser, busy: Busy, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(turns, "WAIT_S", 0.05)
    await (busy.pages if kind == "door" else busy.door).aclose()
    for path in ("/servers", "/events", "/no/such/page"):
        answer = await alice.get(path)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), path
        assert "Try again in a moment" in answer.text
    await getattr(busy, kind).aclose()
    assert (await alice.get("/servers")).status == 200


async def test_a_form_that_comes_slowly_takes_no_place(
    installation: Installation, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SLOW_S", 60.0)
    finish = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"text="
        await finish.wait()
        yield b"x"

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    address = f"{installation.url}/notifications/read"
    posts = [spawn(alice.http.post(address, data=slowly(), headers=headers), name="slow") for _ in range(EACH + 1)]
    async with asyncio.timeout(DEADLINE_S):
        house = installation.panel.connections
        while sum(one.at_work for one in house.open.values()) <= EACH:  # noqa: ASYNC110 - until they have come
            await asyncio.sleep(0.005)
        assert (await alice.get("/servers")).status == 200
    finish.set()
    for post in posts:
        async with await post as answer:
            assert answer.status == 200, "the page it led to"
