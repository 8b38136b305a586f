"""What a client or a network could make up without end is kept in part."""

from __future__ import annotations

from bouncer.irc.casemap import RFC1459
from bouncer.irc.message import Message
from bouncer.network.answering import Labels
from bouncer.network.batches import MAX_ALL_BYTES, MAX_BYTES, MAX_OPEN, Batches
from bouncer.network.entry import Turn
from bouncer.network.markers import MAX_NAMES, Markers


def test_a_multiline_message_without_end_is_kept_in_part() -> None:
    batches, turn = Batches(Labels()), Turn(lambda *_: None, 0, 0.0)
    for number in range(MAX_OPEN + 1):
        opening = Message.parse(f"BATCH +m{number} draft/multiline #room".encode())
        assert batches.batch(opening, turn, "irc.test", 1.0) is None
    line = f"@batch=m{MAX_OPEN} :a!b@c PRIVMSG #room :{'x' * 8000}".encode()
    for _ in range(500):
        assert batches.take(Message.parse(line))
    whole = batches.batch(Message.parse(f"BATCH -m{MAX_OPEN}".encode()), turn, "irc.test", 1.0)
    assert whole is not None
    assert 0 < len(whole.parts) <= MAX_BYTES // len(line)


def test_many_multiline_messages_are_kept_in_part_together() -> None:
    batches, turn, line = Batches(Labels()), Turn(lambda *_: None, 0, 0.0), "x" * 8000
    for number in range(MAX_OPEN):
        batches.batch(Message.parse(f"BATCH +m{number} draft/multiline #room".encode()), turn, "irc.test", 1.0)
        for _ in range(20):
            assert batches.take(Message.parse(f"@batch=m{number} :a!b@c PRIVMSG #room :{line}".encode()))
    assert 0 < sum(len(batch.parts) for batch in batches._open.values()) <= MAX_ALL_BYTES // len(line)


def test_markers_of_made_up_names_come_to_an_end() -> None:
    markers = Markers()
    moved = [markers.move(f"#c{number}", 1) for number in range(MAX_NAMES + 5)]
    assert moved == [True] * MAX_NAMES + [False] * 5
    assert markers.move("#c0", 2)


def test_a_long_name_folds_like_a_short_one() -> None:
    assert RFC1459.fold("[A]^" * 1000) == "{a}~" * 1000
    assert RFC1459.fold("[A]^") == "{a}~"
