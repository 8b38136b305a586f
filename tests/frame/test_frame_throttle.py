"""Failed sign-ins cost time, and nobody can lock another out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer import throttle
from bouncer.throttle import Outcome, Throttle, prefix

HERE, SAME_NET, THERE = "192.0.2.7", "192.0.2.200", "198.51.100.1"


def fail(table: Throttle, account: str, address: str, now_ms: int) -> None:
    assert table.begin(account, address, now_ms).refuse_ms == 0
    table.finish(account, address, Outcome.WRONG, now_ms)


def failures_until_refused(table: Throttle, account: str, address: str, now_ms: int) -> int:
    count = 0
    while not table.begin(account, address, now_ms).refuse_ms:
        table.finish(account, address, Outcome.WRONG, now_ms)
        count += 1
    return count


def test_a_few_failures_are_free_then_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    table, now_ms, waits = Throttle(), 1_000_000, []
    for _ in range(throttle.FREE_FAILURES):
        fail(table, "anna", HERE, now_ms)
    for _ in range(14):
        fail(table, "anna", HERE, now_ms)
        waits.append(table.begin("anna", HERE, now_ms).refuse_ms)
        now_ms += waits[-1]
    assert waits[:5] == [1_000, 2_000, 4_000, 8_000, 16_000]
    assert waits[-1] == throttle.LONGEST_WAIT_MS


def test_the_whole_prefix_waits_and_another_prefix_does_not() -> None:
    table = Throttle()
    failures_until_refused(table, "anna", HERE, 0)
    assert table.begin("anna", SAME_NET, 0).refuse_ms
    assert not table.begin("anna", THERE, 0).refuse_ms
    assert not table.begin("ben", HERE, 0).refuse_ms


def test_strangers_can_slow_an_account_down_by_seconds_and_no_more() -> None:
    table = Throttle()
    for number in range(200):
        failures_until_refused(table, "anna", f"10.0.{number}.1", 0)
    found = table.begin("anna", HERE, 0)
    assert (found.refuse_ms, found.delay_ms) == (0, throttle.ACCOUNT_LONGEST_MS)


def test_a_success_clears_what_its_own_prefix_had() -> None:
    table = Throttle()
    for _ in range(throttle.FREE_FAILURES):
        fail(table, "anna", HERE, 0)
    assert not table.begin("anna", HERE, 0).refuse_ms
    table.finish("anna", HERE, Outcome.RIGHT, 0)
    assert failures_until_refused(table, "anna", HERE, 0) == throttle.FREE_FAILURES + 1


def test_successes_alone_are_never_slowed_down() -> None:
    table = Throttle()
    for _ in range(1000):
        assert table.begin("anna", HERE, 0) == throttle.Decision(0, 0)
        table.finish("anna", HERE, Outcome.RIGHT, 0)
    assert len(table) == 0


def test_many_clients_may_come_back_at_once() -> None:
    table = Throttle()
    assert all(table.begin("anna", HERE, 0).refuse_ms == 0 for _ in range(throttle.UNDECIDED))
    assert table.begin("anna", HERE, 0).refuse_ms == throttle.FIRST_WAIT_MS


def test_after_a_failure_guesses_are_taken_one_at_a_time() -> None:
    table = Throttle()
    fail(table, "anna", HERE, 0)
    assert not table.begin("anna", HERE, 0).refuse_ms
    assert table.begin("anna", HERE, 0).refuse_ms
    table.finish("anna", HERE, Outcome.UNDECIDED, 0)
    assert not table.begin("anna", HERE, 0).refuse_ms


def test_failures_are_forgotten_after_an_hour() -> None:
    table = Throttle()
    failures_until_refused(table, "anna", HERE, 0)
    assert table.begin("anna", HERE, throttle.FORGET_MS) == throttle.Decision(0, 0)


def test_names_are_one_whatever_their_case() -> None:
    table = Throttle()
    failures_until_refused(table, "Anna", HERE, 0)
    assert table.begin("aNNa", HERE, 0).refuse_ms


def test_the_table_has_a_bound_and_forgets_the_oldest() -> None:
    table = Throttle(max_entries=100)
    for number in range(500):
        fail(table, f"user{number}", f"10.{number // 256}.{number % 256}.1", number)
    assert len(table) == 300


def test_a_clock_that_is_set_back_makes_nobody_wait_for_years() -> None:
    table = Throttle()
    failures_until_refused(table, "anna", HERE, 10**13)
    assert table.begin("anna", HERE, 0).refuse_ms == throttle.LONGEST_WAIT_MS


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/bouncer.sock", ""),
    ],
)
def test_an_address_counts_for_its_network(address: str, network: str) -> None:
    assert prefix(address) == network


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([HERE, THERE]), st.sampled_from(list(Outcome)))))
def test_whatever_happened_the_delay_and_the_wait_have_a_bound(events: list[tuple[str, str, Outcome]]) -> None:
    table = Throttle()
    for account, address, outcome in events:
        found = table.begin(account, address, 0)
        assert 0 <= found.refuse_ms <= throttle.LONGEST_WAIT_MS
        assert 0 <= found.delay_ms <= throttle.ACCOUNT_LONGEST_MS
        if not found.refuse_ms:
            table.finish(account, address, outcome, 0)


def test_one_prefix_leaves_room_for_others_whatever_names_it_tries() -> None:
    table = Throttle()
    for number in range(throttle.AT_ONCE):
        assert not table.begin(f"made-up-{number}", HERE, 0).refuse_ms
    assert table.begin("anna", SAME_NET, 0).refuse_ms == throttle.FIRST_WAIT_MS
    assert not table.begin("anna", THERE, 0).refuse_ms
    table.finish("made-up-0", HERE, Outcome.UNDECIDED, 0)
    assert not table.begin("anna", SAME_NET, 0).refuse_ms


# -- one word tried on many names


def spray(table: Throttle, address: str, now_ms: int, names: int) -> int:
    """How many of so many names one prefix could try at once; each was wrong."""
    for number in range(names):
        if table.begin(f"name{number}", address, now_ms).refuse_ms:
            return number
        table.finish(f"name{number}", address, Outcome.WRONG, now_ms)
    return names


def test_trying_many_names_from_one_network_takes_longer_and_longer_up_to_a_minute() -> None:
    table, now_ms, waits = Throttle(), 1_000_000, []
    assert spray(table, HERE, now_ms, 100) == throttle.FREE_NAMES + 1
    for number in range(12):
        waits.append(table.begin(f"more{number}", SAME_NET, now_ms).refuse_ms)
        now_ms += waits[-1]
        fail(table, f"more{number}", SAME_NET, now_ms)
    assert waits[:6] == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]
    assert waits[-1] == throttle.LONGEST_SPREAD_MS
    assert not table.begin("anna", THERE, now_ms).refuse_ms


def test_who_gets_it_right_in_the_end_does_not_count_and_clears_nothing_else() -> None:
    table = Throttle()
    for number in range(200):
        fail(table, f"mistyped{number}", HERE, 0)
        assert not table.begin(f"mistyped{number}", HERE, 0).refuse_ms
        table.finish(f"mistyped{number}", HERE, Outcome.RIGHT, 0)
    assert spray(table, HERE, 0, 100) == throttle.FREE_NAMES + 1
    for number in range(5):  # an account of one's own is no way to go on
        table.finish(f"mistyped{number}", HERE, Outcome.RIGHT, 0)
    assert table.begin("anna", HERE, 0).refuse_ms


def test_many_people_behind_one_address_come_back_at_once_and_a_few_of_them_with_old_passwords() -> None:
    table, now_ms = Throttle(), 0
    for _ in range(10):  # the few try again and again
        for number in range(500):
            account, old = f"user{number}", number % 50 == 0
            if not (found := table.begin(account, HERE, now_ms)).refuse_ms:
                table.finish(account, HERE, Outcome.WRONG if old else Outcome.RIGHT, now_ms)
            assert old or not found.refuse_ms
        now_ms += 1_000


def test_the_more_names_have_failed_the_fewer_are_tried_at_once() -> None:
    def at_once(failed: int) -> int:
        table = Throttle()
        assert spray(table, HERE, 0, failed) == failed
        return sum(not table.begin(f"burst{number}", HERE, 0).refuse_ms for number in range(100))

    assert [at_once(failed) for failed in (0, 1, 10, throttle.FREE_NAMES - 1)] == [throttle.AT_ONCE, 38, 20, 2]


def test_names_that_failed_long_ago_are_forgotten() -> None:
    table = Throttle()
    assert spray(table, HERE, 0, 100) == throttle.FREE_NAMES + 1
    assert table.begin("anna", HERE, throttle.FORGET_MS) == throttle.Decision(0, 0)
