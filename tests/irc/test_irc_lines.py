from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.errors import LineTooLongError
from bouncer.irc.lines import LineBuffer, split_text


def test_lines_end_in_lf_or_cr_lf_and_blank_ones_are_left_out() -> None:
    buffer = LineBuffer(100)
    assert buffer.feed(b"one\r\ntwo\n\r\n\nthr") == [b"one", b"two"]
    assert buffer.feed(b"ee\r") == []
    assert buffer.feed(b"\n") == [b"three"]


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda b: not set(b) & {10, 13})), st.data())
def test_however_the_bytes_are_cut_the_lines_are_the_same(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffer = LineBuffer(20)
    seen: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen += buffer.feed(stream[start:end])
    assert seen == lines


def test_a_line_over_the_limit_is_refused_finished_or_not_and_what_came_before_is_kept() -> None:
    with pytest.raises(LineTooLongError) as caught:
        LineBuffer(5).feed(b"one\n123456\n")
    assert caught.value.complete == [b"one"]
    with pytest.raises(LineTooLongError) as caught:
        LineBuffer(5).feed(b"one\ntwo\n123456")
    assert caught.value.complete == [b"one", b"two"]
    assert LineBuffer(5).feed(b"12345\r\n") == [b"12345"]
    buffer = LineBuffer(5)
    assert buffer.feed(b"12345\r") == []
    assert buffer.feed(b"\n") == [b"12345"]


def test_what_is_kept_between_reads_is_bounded() -> None:
    buffer = LineBuffer(5)
    for _ in range(100):
        buffer.feed(b"\r" * 50)
    assert len(buffer._rest) <= 6


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.integers(4, 60))
def test_split_text_joins_again_fits_and_parts_no_character(text: str, room: int) -> None:
    pieces = split_text(text, room)
    assert "".join(pieces) == text
    for piece in pieces:
        assert len(piece.encode()) <= room
    assert len(pieces) == 1 or all(pieces)


@given(st.binary(max_size=300), st.integers(4, 60))
def test_split_text_loses_no_byte_that_is_no_utf_8(data: bytes, room: int) -> None:
    pieces = split_text(data.decode("utf-8", "surrogateescape"), room)
    encoded = [piece.encode("utf-8", "surrogateescape") for piece in pieces]
    assert b"".join(encoded) == data
    assert all(len(piece) <= room for piece in encoded)


def test_split_text_prefers_a_blank() -> None:
    assert split_text("hello big world", 12) == ["hello big ", "world"]
    assert split_text("a " + "x" * 20, 12) == ["a " + "x" * 10, "x" * 10]
    assert split_text("", 12) == [""]
    with pytest.raises(ValueError, match="room"):
        split_text("x", 3)
