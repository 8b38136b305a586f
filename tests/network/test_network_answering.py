"""Answers to labels, PINGs behind lines, batches of a network: the pure parts, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc.message import Message
from bouncer.irc.multiline import joined
from bouncer.network import barriers as module
from bouncer.network.answering import MAX_OPEN, Labels, Reply, acknowledge
from bouncer.network.attachment import Attachment
from bouncer.network.barriers import BARRIER, Barriers
from bouncer.network.batches import Batches
from bouncer.network.entry import Entry, Question, Turn
from bouncer.network.own import OwnMessages, Said

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Client:
    """An attached client: what an attachment needs of one."""

    name = "one"
    caps = frozenset({"labeled-response", "batch", "message-tags"})

    def write(self, data: bytes) -> None:
        raise AssertionError(data)

    async def drain(self) -> None:
        """Nothing is written."""

    def drop(self, reason: str) -> None:
        raise AssertionError(reason)


class Server:
    """The network of an attachment."""

    server_id = 1
    released_id = 0
    nick = "me"
    source = "irc.test"

    def __init__(self) -> None:
        self.receipts: dict[str, int] = {}

    def acknowledged(self, client: str, message_id: int) -> None:
        raise AssertionError((client, message_id))

    def hides(self, channel: str) -> bool:
        return not channel


def turn() -> Turn:
    return Turn(lambda _entries, _batch, _stored: None, 1_000, 5.0)


def question(label: str = "x", command: str = "WHOIS", *params: str) -> Question:
    return Question(Attachment(Client(), Server()), command, list(params), label)


def line(text: str) -> Entry:
    return Entry(Message.parse(text.encode()), 1_000, "")


def shown(found: Turn) -> list[str]:
    """Tag and line of every entry."""
    return [
        f"@{entry.tag} {entry.message.raw.decode()}" if entry.tag else entry.message.raw.decode()
        for entry in found.entries
    ]


# -- Reply ---------------------------------------------------------------------------------------------------------


def test_no_line_is_an_ack_one_has_the_label_and_several_are_a_batch() -> None:
    for count in range(5):
        asked, now = question(), turn()
        reply = Reply(asked, "irc.test")
        for number in range(count):
            reply.add(line(f":irc.test 311 me {number}")._replace(only=asked.attachment), now)
        reply.close(now)
        reply.close(now)
        found = shown(now)
        assert asked.answered
        if count < 2:
            assert found == [["@label=x :irc.test ACK"], ["@label=x :irc.test 311 me 0"]][count]
            continue
        reference = found[0].rpartition("+")[2].partition(" ")[0]
        assert found[0] == f"@label=x :irc.test BATCH +{reference} labeled-response"
        assert found[1:-1] == [f"@batch={reference} :irc.test 311 me {number}" for number in range(count)]
        assert found[-1] == f":irc.test BATCH -{reference}"


def test_a_line_for_everybody_is_shown_to_the_others_without_the_label() -> None:
    asked, now = question(), turn()
    reply = Reply(asked, "irc.test")
    reply.add(line(":me!a@b JOIN #a")._replace(row=3, talk=True), now)
    reply.close(now)
    others, own = now.entries
    assert (others.skip, others.tag, others.row) == (asked.attachment, "", 3)
    assert (own.only, own.tag, own.row, own.skip) == (asked.attachment, "label=x", -1, None)


def test_what_comes_after_the_end_is_a_line_like_any() -> None:
    asked, now = question(), turn()
    reply = Reply(asked, "irc.test")
    reply.close(now)
    reply.add(line(":irc.test 311 me late"), now)
    assert shown(now)[-1] == ":irc.test 311 me late"


def test_a_label_is_written_as_tags_are() -> None:
    asked, now = question("a;b c"), turn()
    acknowledge(asked, now, "irc.test")
    acknowledge(asked, now, "irc.test")
    assert shown(now) == [r"@label=a\:b\sc :irc.test ACK"]


# -- Labels --------------------------------------------------------------------------------------------------------


def test_labels_are_forgotten_when_answered_late_or_too_many() -> None:
    labels = Labels()
    first, second = question(), question()
    one, two = labels.issue(first), labels.issue(second)
    assert one != two
    assert labels.find(one) is first
    assert labels.settle(one) is first
    assert labels.settle(one) is None
    assert labels.expired(100.0) == [], "it has not left yet"
    second.deadline = 5.0
    assert labels.expired(4.9) == []
    assert labels.expired(5.0) == [second]
    third = labels.issue(question())
    for _ in range(MAX_OPEN):
        labels.issue(question())
    assert len(labels) == MAX_OPEN
    assert labels.find(third) is None
    assert len(labels.clear()) == MAX_OPEN
    assert len(labels) == 0


# -- Barriers ------------------------------------------------------------------------------------------------------


def test_one_ping_is_under_way_and_what_comes_meanwhile_waits_for_the_next() -> None:
    pings: list[str] = []
    done: list[str] = []
    barriers, now = Barriers(pings.append), turn()

    def call(name: str) -> Callable[[Turn], None]:
        return lambda _turn: done.append(name)

    barriers.after(call("a"))
    barriers.after(call("b"))
    assert pings == [f"{BARRIER}1"]
    barriers.pong(f"{BARRIER}7", now)
    barriers.pong("theirs", now)
    assert done == []
    barriers.pong(pings[0], now)
    assert done == ["a"]
    assert pings[1:] == [f"{BARRIER}2"]
    barriers.overdue(now)
    assert done == ["a", "b"]
    assert not barriers.open
    barriers.pong(pings[1], now)
    barriers.after(call("c"))
    barriers.reset()
    barriers.pong(pings[2], now)
    assert done == ["a", "b"], "another connection's PONG is not ours"
    barriers.after(call("d"))
    assert pings[3] == f"{BARRIER}4"
    barriers.pong(pings[3], now)
    assert done == ["a", "b", "d"]


def test_a_call_may_ask_for_another() -> None:
    pings: list[str] = []
    done: list[int] = []
    barriers, now = Barriers(pings.append), turn()
    barriers.after(lambda _turn: barriers.after(lambda _again: done.append(1)))
    barriers.pong(pings[0], now)
    barriers.pong(pings[1], now)
    assert done == [1]


def test_it_says_when_no_more_should_wait_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    pings: list[str] = []
    done: list[int] = []
    barriers = Barriers(pings.append)
    full: list[bool] = []
    for number in range(5):
        full.append(barriers.full)
        barriers.after(lambda _turn, number=number: done.append(number))  # type: ignore[misc]  # a default is no part of the call
    barriers.pong(pings[0], turn())
    barriers.pong(pings[-1], turn())
    assert done == [0, 1, 2, 3, 4]
    assert full == [False, False, False, True, True]
    assert not barriers.full


@given(st.lists(st.booleans(), max_size=60))
def test_every_call_happens_once_and_in_order_however_pongs_come(steps: list[bool]) -> None:
    pings: list[str] = []
    done: list[int] = []
    barriers, asked = Barriers(pings.append), 0
    for step in steps:
        if step:
            barriers.after(lambda _turn, number=asked: done.append(number))  # type: ignore[misc]  # as above
            asked += 1
        elif pings:
            barriers.pong(pings[-1], turn())
        assert len(done) <= asked
    for _ in range(2):
        barriers.overdue(turn())
    assert done == list(range(asked))


# -- Batches -------------------------------------------------------------------------------------------------------


def feed(batches: Batches, now: Turn, *lines: str) -> list[str]:
    """The text of every multiline message these lines end."""
    found = []
    for text in lines:
        msg = Message.parse(text.encode())
        if msg.command == "BATCH":
            whole = batches.batch(msg, now, "irc.test", 1.0)
            if whole is not None:
                found.append(f"{whole.message.param(0)} {joined(whole.parts)}")
        else:
            batches.place(msg, now.loop_now, 1.0)
            batches.take(msg)
    return found


def test_a_multiline_message_is_whole_at_its_end_or_never() -> None:
    batches, now = Batches(Labels()), turn()
    opening = ":f!f@h BATCH +x draft/multiline #room"
    lines = ["@batch=x :f!f@h PRIVMSG #room :a ", "@batch=x;draft/multiline-concat :f!f@h PRIVMSG #room :b"]
    assert feed(batches, now, opening, *lines) == []
    assert feed(batches, now, "BATCH -y", "BATCH -x", "BATCH -x") == ["#room a b"]
    assert feed(batches, now, opening, "BATCH -x") == [], "there is nothing in it"
    assert feed(batches, now, opening, *lines) == []
    batches.reset()
    assert feed(batches, now, "BATCH -x") == []
    assert now.entries == []


def test_a_network_that_opens_batches_without_end_fills_nothing() -> None:
    batches, now = Batches(Labels()), turn()
    for number in range(200):
        feed(batches, now, f"BATCH +{number} draft/multiline #room", f"@batch={number} :f PRIVMSG #room :x")
    assert feed(batches, now, "BATCH -0") == []
    assert feed(batches, now, "BATCH -199") == ["#room x"]
    feed(batches, now, "BATCH +long draft/multiline #room", *["@batch=long :f PRIVMSG #room :x"] * 1_500)
    (text,) = feed(batches, now, "BATCH -long")
    assert text.count("x") == 1_000


def test_a_batch_of_the_network_is_shown_to_all_and_an_answer_to_who_asked() -> None:
    labels = Labels()
    batches, now = Batches(labels), turn()
    feed(batches, now, "BATCH +n netsplit a b", "@batch=n :f QUIT :a b", "BATCH -n")
    assert [(entry.only, entry.batch) for entry in now.entries] == [(None, ""), (None, "")]
    asked, now = question("x"), turn()
    label = labels.issue(asked)
    feed(batches, now, f"@label={label} BATCH +r labeled-response")
    place = batches.place(Message.parse(b"@batch=r :irc.test 311 me"), 7.0, 1.0)
    assert place.question is asked
    assert place.tag == "batch=r"
    assert asked.deadline == 8.0
    feed(batches, now, "BATCH -r")
    assert [entry.only for entry in now.entries] == [asked.attachment] * 2
    assert shown(now)[0].startswith("@label=x ")
    assert labels.find(label) is None
    assert batches.place(Message.parse(b"@batch=r :irc.test 311 me"), 7.0, 1.0).question is None


# -- OwnMessages ---------------------------------------------------------------------------------------------------


def test_what_was_said_is_confirmed_in_the_order_it_was_sent() -> None:
    own = OwnMessages()
    first, second = question("", "PRIVMSG", "#a,#b", "x"), question("", "PRIVMSG", "#a", "y")
    for asked, target, text in ((first, "#a", "x"), (first, "#b", "x"), (second, "#a", "y")):
        own.sent(Said(asked, target, target, text))
    assert own.echoed("NOTICE", "#a", "x") is None
    assert own.echoed("PRIVMSG", "#a", "y") == Said(second, "#a", "#a", "y")
    assert [said.target for said in own.taken(first)] == ["#a", "#b"]
    assert own.taken(first) == []
    own.sent(Said(second, "#a", "#a", "y"))
    assert own.taken(first) == []
    assert len(own.reset()) == 1
    assert len(own) == 0
