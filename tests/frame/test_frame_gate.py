"""Who may come in is counted by address and in all, and counted down once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.gate import Gate, Ticket, neighbours, plain


def test_the_addresses_of_one_ipv6_network_count_as_one_and_those_of_ipv4_each_for_itself() -> None:
    gate = Gate()

    def let_in(address: str) -> bool:
        return gate.enter(address, each=3, total=100) is not None

    assert all(let_in(f"2001:db8::{number}") for number in range(1, 4))
    assert not let_in("2001:db8::ffff")
    assert let_in("2001:db8:0:1::1")
    assert all(let_in("192.0.2.1") for _ in range(3))
    assert not let_in("::ffff:192.0.2.1")
    assert let_in("192.0.2.2")


def test_who_comes_through_a_proxy_counts_where_they_come_from() -> None:
    gate = Gate()
    tickets = [gate.enter(None, each=1, total=3) for _ in range(3)]
    assert gate.enter(None, each=1, total=3) is None
    first, second, _ = tickets
    assert first is not None
    assert second is not None
    assert first.move("192.0.2.1", each=1)
    assert not second.move("192.0.2.1", each=1)
    assert second.move("192.0.2.2", each=1)
    first.leave()
    assert gate.here("192.0.2.1") == 0
    assert gate.total == 2


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "192.0.2.2", None]), st.integers(0, 5)), max_size=60))
def test_when_all_have_left_nothing_is_counted(events: list[tuple[str | None, int]]) -> None:
    gate, tickets = Gate(), list[Ticket]()
    for address, number in events:
        if number and tickets:
            tickets[number % len(tickets)].leave()  # some more than once
        elif (ticket := gate.enter(address, each=4, total=6)) is not None:
            tickets.append(ticket)
        assert 0 <= gate.total <= 6
        assert all(gate.here(one) <= 4 for one in ("192.0.2.1", "192.0.2.2"))
    for ticket in tickets:
        ticket.leave()
    assert (gate.total, gate._here) == (0, {})


@pytest.mark.parametrize(
    ("address", "written", "counts_as"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:DB8:1:2::4", "2001:db8:1:2::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("", "", ""),
    ],
)
def test_an_address_has_one_way_of_being_written(address: str, written: str, counts_as: str) -> None:
    assert plain(address) == written
    assert neighbours(address) == counts_as
