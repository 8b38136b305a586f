"""What is said right after a registration, as lines and waits."""

from __future__ import annotations

import pytest

from bouncer.network.startup import JOIN_BYTES, commands, joins, most_joined


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("MODE {nick} +i", [b"MODE me +i"]),
        ("/mode {nick} +i", [b"mode me +i"]),
        ("  PRIVMSG a :b  ", [b"PRIVMSG a :b"]),
        ("/msg NickServ identify one two", [b"PRIVMSG NickServ :identify one two"]),
        ("/MSG NickServ :)", [b"PRIVMSG NickServ ::)"]),
        ("/query x y", [b"PRIVMSG x :y"]),
        ("/quote MODE me +x", [b"MODE me +x"]),
        ("/raw MODE me +x", [b"MODE me +x"]),
        ("/quote", []),
        ("/msg", []),
        ("/msg x", []),
        ("/msg :x y", []),
        ("/", []),
        ("   ", []),
        ("WAIT 5", [5.0]),
        ("/wait 0.5", [0.5]),
        ("wait -3", [0.0]),
        ("WAIT 1e9", [120.0]),
        ("WAIT inf", []),
        ("WAIT nan", []),
        ("WAIT soon", []),
        ("WAIT", []),
        ("msg x y", [b"msg x y"]),
    ],
)
def test_a_line_means_what_it_does_in_a_client(line: str, said: list[bytes | float]) -> None:
    assert list(commands([line], "me")) == said


def test_a_line_that_cannot_be_sent_costs_no_other() -> None:
    assert list(commands(["A", "/msg :x y", "/msg \udcff\0 y", "B"], "me")) == [b"A", b"B"]


def test_channels_with_keys_stand_in_front_and_an_empty_key_is_none() -> None:
    assert joins([("#a", ""), ("#b", "k"), ("#c", None), ("#d", "l")]) == [["#b,#d,#a,#c", "k,l"]]
    assert joins([]) == []


def test_lines_are_full_and_not_too_long() -> None:
    wanted = [(f"#{number:058}", "key" if number % 2 else None) for number in range(40)]
    lines = joins(wanted)
    assert all(sum(map(len, line)) + 1 <= JOIN_BYTES + 1 for line in lines)
    found = [name for names, *_ in lines for name in names.split(",")]
    assert sorted(found) == sorted(name for name, _ in wanted)
    assert len(lines) < 8
    assert joins([("#" + "x" * 600, None), ("#y", None)]) == [["#" + "x" * 600], ["#y"]]


def test_a_line_names_no_more_channels_than_the_network_takes() -> None:
    assert joins([("#a", None), ("#b", "k"), ("#c", None)], 2) == [["#b,#a", "k"], ["#c"]]


@pytest.mark.parametrize(
    ("value", "most"),
    [(None, 0), ("", 0), ("PRIVMSG:4", 0), ("JOIN:", 0), ("PRIVMSG:4,join:3,KICK:1", 3), ("JOIN:x", 0), ("JOIN", 0)],
)
def test_targmax_says_how_many(value: str | None, most: int) -> None:
    assert most_joined(value) == most
