from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc import modes
from bouncer.irc.isupport import Isupport
from bouncer.irc.modes import ModeChange

ISUPPORT = Isupport()
ISUPPORT.apply(["me", "CHANMODES=beI,k,lf,imnt", "PREFIX=(ohv)@%+", "are supported"])


def test_letters_take_their_parameters_by_type() -> None:
    assert modes.parse("+ovb-lk+l", ["a", "b", "*!*@x", "key", "5"], ISUPPORT) == [
        ModeChange(True, "o", "a"),
        ModeChange(True, "v", "b"),
        ModeChange(True, "b", "*!*@x"),
        ModeChange(False, "l", None),
        ModeChange(False, "k", "key"),
        ModeChange(True, "l", "5"),
    ]


def test_a_missing_parameter_is_none_and_too_many_are_passed_over() -> None:
    assert modes.parse("bZ-o", [], ISUPPORT) == [
        ModeChange(True, "b", None),
        ModeChange(True, "Z", None),
        ModeChange(False, "o", None),
    ]
    assert modes.parse("n", ["left", "over"], ISUPPORT) == [ModeChange(True, "n", None)]
    assert modes.parse("", [], ISUPPORT) == []


def test_user_modes() -> None:
    assert modes.parse_user("+iw-x") == [
        ModeChange(True, "i", None),
        ModeChange(True, "w", None),
        ModeChange(False, "x", None),
    ]


def test_letters_and_symbols_correspond_highest_first() -> None:
    assert modes.letters("+@", ISUPPORT) == "ov"
    assert modes.symbols("ov", ISUPPORT) == "@+"
    assert modes.symbols("oxv", ISUPPORT) == "@+"
    assert modes.letters("", ISUPPORT) == ""


changes = st.lists(st.tuples(st.booleans(), st.sampled_from("ohvbkln")), max_size=20)


@given(changes)
def test_a_written_mode_string_reads_back(wanted: list[tuple[bool, str]]) -> None:
    text = ""
    args = []
    expected = []
    for index, (add, letter) in enumerate(wanted):
        text += ("+" if add else "-") + letter
        takes = letter in "ohvbk" or (letter == "l" and add)
        if takes:
            args.append(f"arg{index}")
        expected.append(ModeChange(add, letter, f"arg{index}" if takes else None))
    assert modes.parse(text, args, ISUPPORT) == expected


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ohv")), max_size=12))
def test_member_letters_follow_a_set_and_stay_sorted(steps: list[tuple[bool, str]]) -> None:
    held: set[str] = set()
    letters = ""
    for add, letter in steps:
        (held.add if add else held.discard)(letter)
        letters = modes.with_letter(letters, ModeChange(add, letter, "x"), ISUPPORT)
        assert letters == "".join(letter for letter in "ohv" if letter in held)
