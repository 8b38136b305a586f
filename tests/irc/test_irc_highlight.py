from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc.casemap import ASCII, RFC1459
from bouncer.irc.highlight import mentions, strip_formatting


@pytest.mark.parametrize(
    "text",
    [
        "me", "ME: hello", "hi me", "hi, me!", "(me)", "[me]", "`me`", "@me", "me's", "\x02me\x02", "\x0304,05me\x03",
        "\x04ff0000me", "some me", "me_ me", "https://x.y/ me", "\x0312 3me? me",
    ],
)  # fmt: skip
def test_the_nick_as_a_word_is_a_mention(text: str) -> None:
    assert mentions(text, "Me", RFC1459)


@pytest.mark.parametrize(
    "text", ["", "some", "meow", "me2", "me_", "_me", "me[m]", "me|away", "mé", "ime", "http://a/me"]
)
def test_the_nick_inside_another_word_is_none(text: str) -> None:
    assert not mentions(text, "me", RFC1459)


def test_the_case_is_the_networks() -> None:
    assert mentions("hey NICK{A}", "nick[a]", RFC1459)
    assert not mentions("hey NICK{A}", "nick[a]", ASCII)
    assert not mentions("anything", "", ASCII)


def test_formatting_is_taken_off() -> None:
    assert strip_formatting("\x02b\x02 \x0304,12c\x03 \x1di\x0f \x04aabbccd") == "b c i d"
    assert strip_formatting("plain") == "plain"


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_nick_between_blanks_is_always_found(before: str, behind: str) -> None:
    assert mentions(f"{before} [x]y {behind}", "[X]y", RFC1459)
