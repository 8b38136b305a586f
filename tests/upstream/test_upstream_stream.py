from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer import tasks
from bouncer.errors import UnsafeLineError
from bouncer.upstream import LINE_LIMIT, OUR_PING, is_own_pong
from bouncer.upstream.link import PIECE_BYTES
from bouncer.upstream.params import READ_BYTES
from bouncer.upstream.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.message import Message
    from tests.support.network import Peer, ScriptedNetwork
    from tests.support.recorder import Recorder

Pair = tuple["Peer", "Recorder"]


@pytest.fixture
async def pair(network: ScriptedNetwork, connect: Callable[..., Recorder]) -> Pair:
    """A registered connection, both ends, with nothing of the welcome left in the record."""
    recorder = connect()
    peer = await network.accept()
    await peer.welcome(caps=["server-time", "message-tags"])
    await recorder.ready()
    await peer.barrier()
    recorder.batches.clear()
    return peer, recorder


async def test_every_line_comes_in_order_with_its_exact_bytes_whatever_it_is(pair: Pair) -> None:
    peer, recorder = pair
    lines = [
        b"@time=2026-01-01T00:00:00.000Z;+example/x=a\\:b\\\\ :a!b@c PRIVMSG #room :tagged",
        b":a!b@c PRIVMSG #room :latin \xe4\xf6 and utf \xc3\xa4",
        b":a!b@c  JOIN   #double  ",
        b"NOSUCHCOMMAND",
        b":x 999 someone :unknown numeric",
        b":irc.test 353 someone = #room :@+a b",
        b":a!b!c@d@e QUIT",
        b":a!b@c KICK #nowhere",
        b"MODE",
        b":a!b@c TAGMSG #room",
        b":someone!u@h PART #room",
        b":irc.test 005 someone PREFIX= CHANMODES MODES=x NICKLEN=y :odd",
    ] * 50
    for start in range(0, len(lines), 7):
        await peer.send(*lines[start : start + 7])
    await peer.barrier()
    assert [raw for raw in recorder.raw if not raw.startswith(b"PING")] == lines
    assert recorder.upstream.connected


async def test_a_read_is_one_batch(pair: Pair) -> None:
    peer, recorder = pair
    await peer.send(*(f":a!b@c PRIVMSG #room :{number}" for number in range(100)))
    await peer.barrier()
    assert len(recorder.batches) <= 3
    assert recorder.raw[99] == b":a!b@c PRIVMSG #room :99"


async def test_w16_odd_lines_are_logged_and_passed_over(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    peer, recorder = pair
    odd = [b"", b":", b": ", b"@tag", b"@tag ", b":source", b" ", b"PRIVMSG a\0b", b"a\rQUIT", b"@a :b ", b"\r"]
    for number, line in enumerate(odd):
        await peer.send(line, f":a!b@c PRIVMSG #room :{number}")
    await peer.barrier()
    kept = [raw for raw in recorder.raw if b"#room" in raw]
    assert kept == [f":a!b@c PRIVMSG #room :{number}".encode() for number in range(len(odd))]
    assert len(recorder.raw) == len(odd) + 1
    assert recorder.upstream.connected
    assert "without a command" in caplog.text
    assert 1 <= len(recorder.noted("line")) <= 5


async def test_w16_a_line_over_the_limit_costs_that_line_only(pair: Pair) -> None:
    peer, recorder = pair
    await peer.send("BEFORE")
    await peer.send_bytes(b":a PRIVMSG #room :" + b"x" * 1_000_000)
    await peer.send_bytes(b"still the same line\r\n")
    await peer.send("AFTER", "X" * (LINE_LIMIT + 1), "Y" * LINE_LIMIT, "LAST")
    await peer.barrier()
    commands = [message.command for message in recorder.got]
    assert commands == ["BEFORE", "AFTER", "Y" * LINE_LIMIT, "LAST", "PING"]
    assert len(recorder.noted("line")) == 2
    assert recorder.upstream.connected


async def test_w16_lines_that_break_handlers_stop_nothing(pair: Pair) -> None:
    peer, recorder = pair
    await peer.send(
        *("NICK", ":someone NICK", "PING", "PONG", "433", "001", "900", "908", "903", "904", "464"),
        *("CAP x", "AUTHENTICATE", "376", "421", "410"),
    )
    await peer.send("PRIVMSG")
    await peer.barrier()
    assert recorder.got[-2].command == "PRIVMSG"
    assert recorder.registrations == 1
    assert recorder.upstream.nickname == "someone"


async def test_what_is_done_with_lines_may_fail_without_cost(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    peer, recorder = pair

    def fail(_: list[Message]) -> None:
        raise RuntimeError("a bug up there")

    recorder.on_lines = fail
    await peer.send("ONE")
    await peer.barrier()
    assert [message.command for message in recorder.got] == ["ONE", "PING"]
    assert "a bug up there" in caplog.text


async def test_lines_are_sent_as_given_and_never_with_a_line_end_inside(pair: Pair) -> None:
    peer, recorder = pair
    for unsafe in (b"PRIVMSG #a :x\r\nQUIT", b"A\nB", b"A\0", b"\r"):
        with pytest.raises(UnsafeLineError):
            recorder.upstream.send(unsafe)
    recorder.upstream.send(b"@label=1 PRIVMSG #room :bytes \xff as they are ")
    assert (await peer.line()).raw == b"@label=1 PRIVMSG #room :bytes \xff as they are "


async def test_quit_says_why_and_waits_for_the_server(pair: Pair) -> None:
    peer, recorder = pair
    asked = tasks.spawn(recorder.upstream.quit("good bye all", 5), name="quit")
    await peer.expect("QUIT", "good bye all")
    await peer.send(":a!b@c PRIVMSG #room :last words", "ERROR :Closing link")
    peer.hang_up()
    await asked
    assert await recorder.ended() == "quit"
    assert not recorder.refused
    assert b":a!b@c PRIVMSG #room :last words" in recorder.raw
    recorder.upstream.send(b"TOO LATE")


async def test_quit_does_not_wait_for_ever_nor_inject(pair: Pair) -> None:
    peer, recorder = pair
    peer.stall()
    await recorder.upstream.quit("a\r\nJOIN #b", 0.1)
    assert await recorder.ended() == "quit"
    peer.resume()
    await peer.closed.wait()
    assert peer.received[-1] == "QUIT :a JOIN #b"


async def test_cancelling_breaks_the_connection_off(pair: Pair) -> None:
    peer, recorder = pair
    await recorder.stop()
    async with asyncio.timeout(5):
        await peer.closed.wait()
    assert not recorder.upstream.connected


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("error", "closed by the server: Closing Link: someone (Killed)"),
        ("hang up", "closed by the server"),
        ("reset", "connection lost: connection reset by the server"),
    ],
)
async def test_the_end_has_a_reason_and_what_came_before_is_reported(pair: Pair, end: str, reason: str) -> None:
    peer, recorder = pair
    await peer.send(":a!b@c PRIVMSG #room :last")
    await peer.barrier()
    if end == "error":
        await peer.send("ERROR :Closing Link: someone (Killed)")
    elif end == "hang up":
        peer.hang_up()
    else:
        peer.break_off()
    assert await recorder.ended() == reason
    assert not recorder.refused
    assert recorder.raw[0] == b":a!b@c PRIVMSG #room :last"


async def test_w13_a_server_that_vanishes_is_noticed_within_two_ping_intervals(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(ping_s=0.5)
    peer = await network.accept()
    await peer.welcome()
    await recorder.ready()
    await peer.barrier()
    peer.answer_pings = False
    loop = asyncio.get_running_loop()
    vanished = loop.time()
    assert await recorder.ended() == "ping timeout"
    assert loop.time() - vanished < 2 * 0.5 + 0.4
    assert not recorder.refused


async def test_our_pings_keep_a_quiet_connection_and_tell_the_lag(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(ping_s=0.1)
    peer = await network.accept()
    await peer.welcome()
    await recorder.until(lambda: sum(map(is_own_pong, recorder.got)) >= 3)
    assert recorder.upstream.connected
    assert recorder.upstream.lag_ms is not None
    assert 0 <= recorder.upstream.lag_ms < 5000
    assert peer.seen("PING")[0] == f"PING :{OUR_PING}1"
    await peer.send(":irc.test PONG irc.test :of-a-client", "PONG")
    await peer.barrier()
    others = [one.params for one in recorder.got if one.command == "PONG" and not is_own_pong(one)]
    assert others == [["irc.test", "of-a-client"], []]


async def test_a_busy_server_that_answers_no_ping_is_alive(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(ping_s=0.2)
    peer = await network.accept()
    await peer.welcome()
    await recorder.ready()
    peer.answer_pings = False
    while len(peer.seen("PING")) < 5:
        await peer.send(":a!b@c PRIVMSG #room :talk")
        await peer.barrier()
    assert recorder.upstream.connected


async def test_a_server_that_does_not_read_is_given_up_at_a_bound(pair: Pair) -> None:
    peer, recorder = pair
    peer.stall()
    line = b"PRIVMSG #room :" + b"x" * 400
    sent = 0
    while recorder.upstream.connected and sent < 100_000:
        recorder.upstream.send(line)
        sent += 1
    assert await recorder.ended() == "the server does not read what we send"


async def test_a_flood_leaves_others_their_turn(pair: Pair) -> None:
    """Between two reads everybody else has had a turn, however fast the bytes come."""
    peer, recorder = pair
    turns = 0
    done = False

    async def watch() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    watcher = tasks.spawn(watch(), name="watch")
    data = b":a!b@c PRIVMSG #room :flood\r\n" * 20_000
    for _ in range(5):
        await peer.send_bytes(data)
    await peer.barrier(30)
    done = True
    await watcher
    assert sum(len(batch) for batch in recorder.batches) == 100_001
    assert max(len(batch) for batch in recorder.batches) <= READ_BYTES // 29 + 2, "one read is one turn"
    assert turns >= len(recorder.batches)


async def test_what_is_not_taken_at_once_is_offered_again_in_order(pair: Pair) -> None:
    peer, recorder = pair
    recorder.batches.clear()
    recorder.at_once = 3
    lines = [f":a!b@c PRIVMSG #room :{number}" for number in range(50)]
    await peer.send(*lines)
    await peer.barrier()
    taken = [message.raw.decode() for batch in recorder.batches for message in batch if message.command == "PRIVMSG"]
    assert taken == lines
    assert max(len(batch) for batch in recorder.batches) == 3


async def test_lines_that_are_short_and_many_are_looked_at_in_parts(pair: Pair) -> None:
    peer, recorder = pair
    await peer.send_bytes(b"A\n" * 50_000)
    await peer.barrier()
    assert sum(len(batch) for batch in recorder.batches) == 50_001
    assert max(len(batch) for batch in recorder.batches) <= PIECE_BYTES // 2


lines_of_bytes = st.lists(st.binary(max_size=30).filter(lambda line: not set(line) & {10, 13, 0}), max_size=20)


@given(lines_of_bytes, st.lists(st.integers(min_value=0, max_value=700), max_size=8))
def test_however_a_stream_is_cut_the_same_messages_come(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    whole = Reader(100, lambda *_: None).feed(stream)
    reader, pieces = Reader(100, lambda *_: None), []
    bounds = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in itertools.pairwise(bounds):
        pieces += reader.feed(stream[start:end])
    assert [message.raw for message in pieces] == [message.raw for message in whole]


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_no_bytes_stop_the_reader_and_what_it_keeps_is_bounded(chunks: list[bytes]) -> None:
    reader = Reader(40, lambda *_: None)
    for chunk in chunks:
        for message in reader.feed(chunk):
            assert len(message.raw) <= 40
            assert not set(message.raw) & {0, 10, 13}
    assert [message.command for message in reader.feed(b"\r\nEND\r\n")][-1] == "END"
