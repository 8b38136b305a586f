"""What a hostile network can make us remember, or go through, of channels and people."""

from __future__ import annotations

import pytest

from bouncer.irc import channel as channels
from bouncer.irc import roster
from bouncer.irc.casemap import ASCII, RFC1459, FoldDict
from bouncer.irc.isupport import Isupport
from bouncer.irc.message import Message
from bouncer.irc.state import NetworkState


def fed(*lines: str) -> NetworkState:
    state = NetworkState("me")
    for line in lines:
        state.apply(Message.parse(line.encode()))
    return state


def people(state: NetworkState) -> list[str]:
    return sorted(state.channels["#a"].members)


def test_names_beyond_all_reason_are_not_kept() -> None:
    long = "x" * (roster.LONGEST_NAME + 1)
    state = fed(":me!u@h JOIN #a", f":s 353 me = #a :bob!b@{'h' * 400} {long} {long[1:]}", f":me!u@h JOIN #{long}")
    assert people(state) == ["bob", "me", long[1:]]
    assert state.users["bob"] == ""
    assert list(state.channels) == ["#a"]
    for line in (f":bob!{'b' * 400}@h PRIVMSG #a :x", f":bob CHGHOST {'b' * 400} h", f":bob NICK {long}"):
        state.apply(Message.parse(line.encode()))
    assert (state.users["bob"], people(state)[0]) == ("", "bob")
    state.apply(Message.parse(f":me!{'u' * 400}@h CHGHOST {'u' * 400} h".encode()))
    state.apply(Message.parse(f":s 396 me {'h' * 400} :is your host".encode()))
    assert state.mask == "me!u@h"
    assert fed(f":s 001 {long} :Welcome").nick == "me"


def test_there_is_a_bound_on_people_channels_and_places_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "MAX_USERS", 4)
    state = fed(":me!u@h JOIN #a", ":s 353 me = #a :b c d e f", ":f!f@h JOIN #a")
    assert people(state) == ["b", "c", "d", "me"]
    state.apply(Message.parse(b":b!b@h QUIT"))
    state.apply(Message.parse(b":f!f@h JOIN #a"))
    assert people(state) == ["c", "d", "f", "me"]
    monkeypatch.setattr(roster, "MAX_CHANNELS", 2)
    for line in (":me!u@h JOIN #b,#c", ":me!u@h JOIN #b"):
        state.apply(Message.parse(line.encode()))
    assert list(state.channels) == ["#a", "#b"]
    monkeypatch.setattr(roster, "MAX_MEMBERS", 6)
    state.apply(Message.parse(b":s 353 me = #b :c d f"))
    assert sorted(state.channels["#b"].members) == ["c", "me"]


def test_modes_with_endless_parameters_are_not_kept() -> None:
    state = fed(":me!u@h JOIN #a", f":s 324 me #a +kl {'k' * (channels.LONGEST_MODE_PARAM + 1)} 5")
    assert state.channels["#a"].modes == {"l": "5"}


def test_names_are_folded_anew_while_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "MAX_REFOLDED", 3)
    state = fed(":me!u@h JOIN #a[", ":s 353 me = #a[ :b", ":s 005 me CASEMAPPING=ascii :x")
    assert state.isupport.casemap is state.channels.casemap is ASCII
    state = fed(":me!u@h JOIN #a[", ":s 353 me = #a[ :b c d", ":s 005 me CASEMAPPING=ascii NICKLEN=5 :x")
    assert state.isupport.casemap is state.channels.casemap is state.users.casemap is RFC1459
    assert state.isupport.nicklen == 5


def test_letters_and_symbols_without_end_are_cut() -> None:
    isupport = Isupport()
    many = "".join(chr(number) for number in range(0x4E00, 0x4E00 + 500))
    isupport.apply(["me", f"PREFIX=({many}){many}", f"CHANMODES={many},{many}", f"CHANTYPES=#{many}", "x y"])
    isupport.apply(["me", f"STATUSMSG=@{many}", "x y"])
    assert isupport.prefix == ("ov", "@+")
    kept = (*isupport.chanmodes, isupport.chantypes, isupport.statusmsg)
    assert max(len(letters) for letters in kept) == 64


@pytest.mark.parametrize("others", [["b"], ["b", "c", "d", "e"]])
def test_who_is_absent_is_found_from_either_side(others: list[str]) -> None:
    names = FoldDict(ASCII, [(name, 1) for name in others])
    assert names.absent({"a", "b"}) == {"a"}
    assert list(names) == others
