"""Text from IRC as HTML, and the words for times and states."""

from __future__ import annotations

import re

import pytest

from bouncer.service.lifecycle import duration
from web import irctext, present
from web.connecting import Door, client_card


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain & <b>", "plain &amp; &lt;b&gt;"),
        ("\x02bold\x02 not", '<span class="f-b">bold</span> not'),
        ("\x02\x1dboth\x0f none", '<span class="f-b f-i">both</span> none'),
        ("\x0304,12red\x03 end", '<span class="c4">red</span> end'),
        ("\x034red\x0f5", '<span class="c4">red</span>5'),
        ("\x0399none \x0345none", "none none"),
        ("\x04ff0000hex\x04", "hex"),
        ("a\u202eb\x1bc\x00", "abc"),
        (
            "see https://example.org/a?b=1&c=2.",
            (
                'see <a href="https://example.org/a?b=1&amp;c=2" rel="noopener noreferrer nofollow" target="_blank">'
                "https://example.org/a?b=1&amp;c=2</a>."
            ),
        ),
        (
            "(https://en.example.org/x_(y))",
            (
                '(<a href="https://en.example.org/x_(y)" rel="noopener noreferrer nofollow" target="_blank">'
                "https://en.example.org/x_(y)</a>)"
            ),
        ),
        ("javascript:alert(1) data:text/html,x", "javascript:alert(1) data:text/html,x"),
        ("https://", "https://"),
        ("https://...", "https://..."),
    ],
)
def test_formatting_becomes_classes_and_the_rest_is_escaped(text: str, html: str) -> None:
    assert str(irctext.html(text)) == html


def test_plain_text_has_no_codes_left() -> None:
    assert irctext.plain("\x02a\x0304,05b\x03c\x0f\x1f\x04ff00ffd\u2066") == "abcd"


def test_a_nick_keeps_its_colour_whatever_its_capitals() -> None:
    assert present.nick_class("Grace") == present.nick_class("grace")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (42.4, "42 s"), (99.9, "100 s"), (180, "3 min"), (7200, "2 h"), (864_000, "10 days")],
)
def test_lengths_of_time_are_rough(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_tls_listener_gives_lines_with_tls() -> None:
    card = client_card(Door("irc.example.org", 6697, tls=True), "ada", "libera")
    assert "-tls -tls_verify irc.example.org 6697 ada/libera@irssi:PASSWORD" in card.irssi
    assert "irc.example.org/6697 -tls" in card.weechat


def test_a_link_has_an_end() -> None:
    (address,) = re.findall('href="([^"]*)"', irctext.html("https://" + "a" * 5_000))
    assert len(address) == len("https://") + 2_000
