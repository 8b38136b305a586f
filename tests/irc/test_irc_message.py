from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bouncer.errors import MalformedLineError, UnsafeLineError
from bouncer.irc.message import Message, MsgidFactory, as_text, escape_tag, serialise, split_source, unescape_tag

VECTORS = Path(__file__).parent / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load((VECTORS / name).read_text(encoding="utf-8"))["tests"]
    return tests


@pytest.mark.parametrize("vector", vectors("msg-split.yaml"), ids=lambda v: repr(v["input"]))
def test_public_split_vectors(vector: dict[str, Any]) -> None:
    atoms = vector["atoms"]
    message = Message.parse(vector["input"].encode())
    assert message.command == atoms["verb"].upper()
    assert message.params == atoms.get("params", [])
    assert message.source == atoms.get("source")
    assert message.tags == atoms.get("tags", {})


@pytest.mark.parametrize("vector", vectors("msg-join.yaml"), ids=lambda v: v["matches"][0])
def test_public_join_vectors(vector: dict[str, Any]) -> None:
    atoms = vector["atoms"]
    line = serialise(atoms["verb"], atoms.get("params", []), atoms.get("source"), atoms.get("tags"))
    assert line.decode() in vector["matches"]


@pytest.mark.parametrize("vector", vectors("userhost-split.yaml"), ids=lambda v: repr(v["source"]))
def test_public_userhost_vectors(vector: dict[str, Any]) -> None:
    atoms = vector["atoms"]
    source = vector["source"]
    assert split_source(source) == (atoms.get("nick", ""), atoms.get("user", ""), atoms.get("host", ""))
    assert Message("PING", source=source).nick == atoms.get("nick", "")


@pytest.mark.parametrize(
    "line",
    [b"", b" ", b":", b":only.source", b"@only=tags", b"@a=b :source", b"@a :s  ", b"@a @b PRIVMSG x", b":s :x y"],
)
def test_a_line_without_a_command_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedLineError):
        Message.parse(line)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_malformed_and_the_raw_line_stays_exact(raw: bytes) -> None:
    try:
        message = Message.parse(raw)
    except MalformedLineError:
        return
    assert message.raw == raw
    assert message.command
    assert isinstance(message.tags, dict)
    assert raw.endswith(message.body)
    assert "".join(message.params).encode("utf-8", "surrogateescape") in raw.replace(b" ", b"") or message.params


word = st.text(st.characters(exclude_characters=" \r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
middle = word.filter(lambda text: not text.startswith(":"))
text = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=60)
key = st.from_regex(r"\A\+?([a-z.]+/)?[a-z0-9-]+\Z")
value = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(
    command=st.from_regex(r"\A([A-Z]{1,12}|[0-9]{3})\Z"),
    middles=st.lists(middle, max_size=14),
    last=st.none() | text,
    source=st.none() | word,
    tags=st.dictionaries(key, value, max_size=5),
    colon=st.booleans(),
)
def test_what_is_serialised_parses_back(
    *, command: str, middles: list[str], last: str | None, source: str | None, tags: dict[str, str], colon: bool
) -> None:
    params = middles if last is None else [*middles, last]
    message = Message.parse(serialise(command, params, source, tags, colon=colon))
    assert (message.command, message.params, message.source, message.tags) == (command, params, source, tags)


@given(value)
def test_tag_values_survive_escaping(original: str) -> None:
    escaped = escape_tag(original)
    assert not set(escaped) & set("; \r\n")
    assert unescape_tag(escaped) == original


@pytest.mark.parametrize(
    ("command", "params", "source", "tags"),
    [
        ("PRIVMSG", ["#a", "x\r\nQUIT"], None, None),
        ("PRIVMSG", ["#a", "x\0"], None, None),
        ("PRIVMSG", ["", "x"], None, None),
        ("PRIVMSG", ["a b", "x"], None, None),
        ("PRIVMSG", [":a", "x"], None, None),
        ("", [], None, None),
        ("PRIV MSG", [], None, None),
        (":PRIVMSG", [], None, None),
        ("PRIVMSG", [], "a b", None),
        ("PRIVMSG", [], "a\n", None),
        ("PRIVMSG", ["#a", "x"], None, {"a b": "c"}),
        ("PRIVMSG", ["#a", "x"], None, {"": "c"}),
        ("PRIVMSG", ["#a", "x"], None, {"k": "a\0b"}),
    ],
)
def test_nothing_is_written_that_would_be_read_as_something_else(
    command: str, params: list[str], source: str | None, tags: dict[str, str] | None
) -> None:
    with pytest.raises(UnsafeLineError):
        serialise(command, params, source, tags)


def test_the_body_is_the_line_as_it_came_without_its_tags() -> None:
    assert Message.parse(b"@a=b;c  :n!u@h PRIVMSG #x :y").body == b":n!u@h PRIVMSG #x :y"
    assert Message.parse(b":n!u@h PRIVMSG #x  y").body == b":n!u@h PRIVMSG #x  y"
    assert Message("privmsg", ["#x", "a b"], tags={"t": "1"}).body == b"PRIVMSG #x :a b"


def test_sender_fields() -> None:
    message = Message.parse(b":nick!user@host PRIVMSG #x y")
    assert (message.nick, message.userhost) == ("nick", "user@host")
    assert Message.parse(b":irc.example PING").nick == "irc.example"
    assert Message.parse(b"PING").nick == ""
    assert Message.parse(b"PING").userhost == ""
    assert message.param(1) == "y"
    assert message.param(2) == ""


def test_bytes_that_are_no_utf_8_are_kept_on_the_wire_and_shown_as_windows_1252() -> None:
    message = Message.parse(b":n PRIVMSG #x :caf\xe9 \x80")
    assert message.params[1].encode("utf-8", "surrogateescape") == b"caf\xe9 \x80"
    assert as_text(message.params[1]) == "café €"
    assert as_text("žluť ☺") == "žluť ☺"
    assert as_text("\x81\udc81") == "Â\ufffd\ufffd"
    assert as_text("\ud800").isascii()


def test_message_ids_sort_as_they_were_made_even_when_the_clock_goes_back() -> None:
    make = MsgidFactory()
    made = [make(ms) for ms in [5, 5, 6, 3, 1_800_000_000_000, 1_700_000_000_000, 1 << 60]]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(msgid.isalnum() and msgid.isascii() and len(msgid) == len(made[0]) for msgid in made)
    assert MsgidFactory()(5) != MsgidFactory()(5)


def test_more_message_ids_in_one_millisecond_than_a_sequence_holds_stay_in_order() -> None:
    make = MsgidFactory()
    first = make(7)
    make._sequence = 0xFFFFF
    assert first < make(7) < make(8) < make(9)
