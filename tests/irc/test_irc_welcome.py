from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc import welcome
from bouncer.irc.message import Message
from bouncer.irc.state import NetworkState


def state_of(*lines: str) -> NetworkState:
    state = NetworkState("me")
    for line in lines:
        state.apply(Message.parse(line.encode()))
    return state


def read(lines: list[bytes]) -> list[Message]:
    assert all(line.endswith(b"\r\n") and len(line) <= 512 for line in lines)
    return [Message.parse(line.removesuffix(b"\r\n")) for line in lines]


def burst(**changes: object) -> list[Message]:
    given_: dict[str, object] = {
        "server": "b.example", "nick": "me", "mask": "me!u@h", "network": "Net", "created": "today",
        "version": "bouncer 1", "tokens": ["NETWORK=Net"],
    }  # fmt: skip
    return read(welcome.registration_burst(**(given_ | changes)))  # type: ignore[arg-type]  # the table is untyped


def test_the_registration_burst_in_its_order() -> None:
    messages = burst(umodes="iw", motd=["hello", ""])
    assert [message.command for message in messages] == [
        "001", "002", "003", "004", "005", "221", "375", "372", "372", "376",
    ]  # fmt: skip
    assert all(message.params[0] == "me" and message.source == "b.example" for message in messages)
    assert messages[0].params[1] == "Welcome to the Net Network, me!u@h"
    assert messages[5].params == ["me", "+iw"]
    assert messages[7].params[1] == "- hello"


def test_without_a_motd_or_modes() -> None:
    messages = burst(tokens=[])
    assert [message.command for message in messages] == ["001", "002", "003", "004", "422"]


def test_long_motd_lines_are_cut_between_characters() -> None:
    messages = burst(motd=["ž" * 400])
    assert "ž" * 200 in messages[-2].params[1]


@given(st.lists(st.from_regex(r"\A[A-Z]{1,20}(=[a-z:,]{0,450})?\Z"), max_size=60))
def test_isupport_lines_hold_13_tokens_and_512_bytes(tokens: list[str]) -> None:
    messages = read(welcome.isupport_lines("b.example", "me", tokens))
    told = [token for message in messages for token in message.params[1:-1]]
    assert told == tokens
    assert all(1 <= len(message.params) - 2 <= 13 for message in messages)


def test_a_token_that_fits_no_line_or_is_two_is_left_out() -> None:
    assert welcome.isupport_lines("b.example", "me", ["A=" + "x" * 600, "B C", ""]) == []


def test_what_is_shown_of_a_channel() -> None:
    state = state_of(
        ":me!u@h JOIN #a", ":s 353 me = #a :@me @+bob!b@h carol", ":s 366 me #a :End", ":s 332 me #a :the topic",
        ":s 333 me #a bob 1700000000", ":me!u@h JOIN #b", ":x MODE #b +s",
    )  # fmt: skip
    state.channels["#a"].members["bob"] = "ov"
    assert welcome.channels_burst(state, "s", frozenset()) == [
        b":me!u@h JOIN #a\r\n",
        b":s 332 me #a :the topic\r\n",
        b":s 333 me #a bob 1700000000\r\n",
        b":s 353 me = #a :@me @bob carol\r\n",
        b":s 366 me #a :End of /NAMES list.\r\n",
        b":me!u@h JOIN #b\r\n",
        b":s 353 me @ #b :me\r\n",
        b":s 366 me #b :End of /NAMES list.\r\n",
    ]
    rich = frozenset({"multi-prefix", "userhost-in-names", "extended-join"})
    lines = welcome.channel_burst(state, state.channels["#a"], "s", rich, account="acc", realname="My Name")
    assert lines[0] == b":me!u@h JOIN #a acc :My Name\r\n"
    assert b":s 353 me = #a :@me!u@h @+bob!b@h carol\r\n" in lines


@given(st.sets(st.from_regex(r"\A[a-zž]{1,30}\Z"), max_size=120), st.sets(st.sampled_from(["userhost-in-names"])))
def test_names_lines_fit_and_hold_everybody_once(nicks: set[str], caps: set[str]) -> None:
    state = state_of(":me!u@h JOIN #channel", *(f":{nick}!user@host.example JOIN #channel" for nick in nicks))
    messages = read(welcome.names_lines(state, state.channels["#channel"], "b.example", frozenset(caps)))
    told = [name.partition("!")[0] for message in messages[:-1] for name in message.params[3].split()]
    assert sorted(told) == sorted(state.channels["#channel"].members)
    assert messages[-1].command == "366"
