"""The way out: bounded, in order, words before questions, as fast as the network allows."""

from __future__ import annotations

import asyncio

import pytest

from bouncer.network.flood import MAX_QUEUED_LINES, SendQueue


class Out:
    """What was written, and which items were reported."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.items: list[str] = []

    def queue(self, burst: int, interval_ms: int) -> SendQueue[str]:
        return SendQueue(self.lines.append, self.items.append, burst=burst, interval_ms=interval_ms)


async def test_a_burst_leaves_at_once_and_the_rest_at_its_pace() -> None:
    out, loop = Out(), asyncio.get_running_loop()
    queue, began = out.queue(3, 50), loop.time()
    all_out = asyncio.Event()
    queue._sent = lambda _item: all_out.set()
    for number in range(5):
        assert queue.send(b"%d" % number)
    assert queue.send(b"last", "last")
    assert out.lines == [b"0", b"1", b"2"]
    assert len(queue) == 3
    assert 0.1 < queue.wait_s() <= 0.21
    async with asyncio.timeout(5):
        await all_out.wait()
    assert out.lines == [b"0", b"1", b"2", b"3", b"4", b"last"]
    assert loop.time() - began > 0.14


async def test_questions_let_words_pass() -> None:
    out = Out()
    queue = out.queue(1, 60_000)
    queue.send(b"first")
    queue.send(b"WHO a", "who", later=True)
    queue.send(b"PRIVMSG", "word")
    queue.configure(burst=0, interval_ms=1)
    assert out.lines == [b"first", b"PRIVMSG", b"WHO a"]
    assert out.items == ["word", "who"]


async def test_a_mark_is_no_line() -> None:
    out = Out()
    queue = out.queue(1, 60_000)
    assert queue.send(b"", "first")
    queue.send(b"line", "second")
    queue.send(b"", "third")
    queue.send(b"waits", "fourth")
    assert out.lines == [b"line"]
    assert out.items == ["first", "second", "third"]
    assert queue.reset() == ["fourth"]
    assert len(queue) == 0
    queue.send(b"a new connection", "fifth")
    assert out.lines[-1] == b"a new connection"


async def test_lines_that_belong_together_leave_together_and_count_each() -> None:
    out = Out()
    queue = out.queue(2, 1_000)
    queue.send(b"BATCH +", "batch", behind=[b"one", b"two", b"BATCH -"])
    assert out.lines == [b"BATCH +", b"one", b"two", b"BATCH -"]
    assert out.items == ["batch"]
    queue.send(b"next")
    assert out.lines[-1] == b"BATCH -"
    assert 2.5 < queue.wait_s() < 5
    queue.reset()


async def test_it_is_bounded_and_says_so() -> None:
    out = Out()
    queue = out.queue(1, 60_000)
    queue.send(b"leaves")
    for number in range(MAX_QUEUED_LINES):
        assert queue.send(b"waits", later=number % 2 == 0)
    assert not queue.room(1)
    assert not queue.send(b"too much")
    assert not queue.send(b"", "even a mark")
    assert len(queue.reset()) == 0


@pytest.mark.parametrize(("burst", "waits"), [(0, 0.0), (5, 0.0), (1, 60.0)])
async def test_the_wait_of_a_question_is_known(burst: int, waits: float) -> None:
    queue = Out().queue(burst, 60_000)
    queue.send(b"one")
    assert queue.wait_s() == pytest.approx(waits, abs=0.1)


async def test_another_limit_counts_at_once() -> None:
    out = Out()
    queue = out.queue(0, 1)
    for _ in range(20):
        queue.send(b"x")
    assert len(out.lines) == 20
    queue.configure(burst=2, interval_ms=60_000)
    for _ in range(5):
        queue.send(b"y")
    assert out.lines.count(b"y") == 2, "a limit begins with a full bucket"
    queue.configure(burst=2, interval_ms=60_000)
    assert out.lines.count(b"y") == 2
    queue.reset()
