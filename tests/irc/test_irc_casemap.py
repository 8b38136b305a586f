from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc.casemap import ASCII, RFC1459, RFC1459_STRICT, Casemap, FoldDict, casemap

maps = st.sampled_from([ASCII, RFC1459, RFC1459_STRICT])


@given(maps, st.text())
def test_folding_twice_is_folding_once(mapping: Casemap, name: str) -> None:
    assert mapping.fold(mapping.fold(name)) == mapping.fold(name)
    assert len(mapping.fold(name)) == len(name)


def test_what_each_mapping_holds_for_the_same_name() -> None:
    assert ASCII.fold("ABC[]\\^Ä") == "abc[]\\^Ä"
    assert RFC1459.fold("ABC[]\\^Ä") == "abc{}|~Ä"
    assert RFC1459_STRICT.fold("ABC[]\\^Ä") == "abc{}|^Ä"
    assert RFC1459.same("Nick[a]", "nIck{A}")
    assert not ASCII.same("Nick[a]", "nIck{A}")


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("ascii", ASCII),
        ("RFC1459", RFC1459),
        ("rfc1459-strict", RFC1459_STRICT),
        ("strict-rfc1459", RFC1459_STRICT),
        ("rfc8265", ASCII),
    ],
)
def test_mappings_by_name(name: str, mapping: Casemap) -> None:
    assert casemap(name) is mapping


def test_a_fold_dict_finds_by_any_spelling_and_lists_the_first() -> None:
    names: FoldDict[int] = FoldDict(RFC1459, [("#Test", 1), ("#other[x]", 2)])
    names["#TEST"] = 3
    assert dict(names) == {"#Test": 3, "#other[x]": 2}
    assert "#tEST" in names
    assert not names.__contains__(5)
    assert names.spelled("#OTHER{X}") == "#other[x]"
    assert names.spelled("#no") is None
    assert names.find("#no") is None
    assert names.find("#test") == 3
    assert list(names) == ["#Test", "#other[x]"]
    del names["#test"]
    with pytest.raises(KeyError):
        names["#test"]
    with pytest.raises(KeyError):
        del names["#test"]
    assert len(names) == 1


def test_renaming_an_entry_keeps_its_value() -> None:
    names = FoldDict(RFC1459, [("Old", 1), ("Other", 2)])
    assert names.rename("OLD", "New")
    assert not names.rename("old", "x")
    assert dict(names) == {"Other": 2, "New": 1}
    assert names.rename("new", "NEW")
    assert dict(names) == {"Other": 2, "NEW": 1}


def test_another_mapping_can_take_over() -> None:
    names = FoldDict(RFC1459, [("a[", 1)])
    assert "a{" in names
    names.refold(ASCII)
    assert names.casemap is ASCII
    assert "a{" not in names
    assert "A[" in names


@given(maps, st.lists(st.tuples(st.text("aA[{^~", max_size=3), st.integers())))
def test_a_fold_dict_is_a_dict_of_folded_names(mapping: Casemap, items: list[tuple[str, int]]) -> None:
    names = FoldDict(mapping, items)
    model = {mapping.fold(name): value for name, value in items}
    assert {mapping.fold(name): value for name, value in names.items()} == model
