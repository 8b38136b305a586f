"""Owns the count of failed sign-ins, for IRC and panel alike: pure, the caller brings the time and does the waiting.

Only failures count. What is proved by a long random secret (an app password, a certificate) need not ask here.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from enum import Enum

FREE_FAILURES = 3  # per account and prefix: people mistype
FIRST_WAIT_MS = 1_000  # doubles with every further failure …
LONGEST_WAIT_MS = 900_000  # … up to a quarter of an hour
FORGET_MS = 3_600_000  # failures are forgotten after an hour without one
ACCOUNT_STEP_MS = 250  # per failure of the account from anywhere …
ACCOUNT_LONGEST_MS = 3_000  # … up to this: a stranger can slow someone down, never lock them out
UNDECIDED = 20  # attempts of one account and prefix at once while none has failed: many clients come back together
AT_ONCE = 40  # attempts under way from one prefix, for any accounts: hashing is for others, too
FREE_NAMES = 20  # accounts that may have failed from one prefix lately: behind one address many people mistype
LONGEST_SPREAD_MS = 60_000  # beyond, who tries names from there waits, doubling with each further name up to this
NAMES_KEPT = 32  # of one prefix
MAX_ENTRIES = 20_000  # of each table; the one untouched for longest goes first
_NAME_CHARS = 64


class Outcome(Enum):
    """How an attempt ended: the password was right, was wrong, or was not looked at."""

    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Decision:
    """`refuse_ms` > 0: do not look at the password, come back after so many ms. Else wait `delay_ms`, then look.

    A short refusal may be waited for before asking again; a long one is answered like a wrong password. Every decision
    that does not refuse must be followed by one `finish`, whatever happens (cancellation too).
    """

    refuse_ms: int
    delay_ms: int = 0


@dataclass(slots=True)
class _Count:
    failures: int = 0
    last_ms: int = 0
    trying: int = 0


@dataclass(slots=True)
class _Table:
    """Counts by key, the least recently touched first, at most `limit`."""

    limit: int
    counts: OrderedDict[str, _Count] = field(default_factory=OrderedDict)

    def look(self, key: str, now_ms: int) -> _Count:
        """The count of `key` (a fresh one if there is none), with failures that are old enough forgotten."""
        count = self.counts.get(key) or _Count()
        if count.failures and now_ms - count.last_ms >= FORGET_MS:
            count.failures = 0
        return count

    def keep(self, key: str, count: _Count) -> None:
        """Store a count that was changed; one that says nothing is dropped."""
        if not count.failures and not count.trying:
            self.counts.pop(key, None)
            return
        self.counts[key] = count
        self.counts.move_to_end(key)
        while len(self.counts) > self.limit:
            self.counts.popitem(last=False)


class _Spread:
    """Which accounts have failed from which prefix lately: one word tried on many names is guessing, too."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._failed: OrderedDict[str, dict[str, int]] = OrderedDict()  # prefix -> account -> when, the last one last

    def names(self, where: str, now_ms: int) -> dict[str, int]:
        """The accounts of that prefix, without those of long ago."""
        return {name: at for name, at in self._failed.get(where, {}).items() if now_ms - at < FORGET_MS}

    def note(self, where: str, name: str, outcome: Outcome, now_ms: int) -> None:
        """One attempt has ended; who then gets it right had only mistyped."""
        if outcome is Outcome.UNDECIDED:
            return
        names = self.names(where, now_ms)
        names.pop(name, None)
        if outcome is Outcome.WRONG:
            names[name] = now_ms
            while len(names) > NAMES_KEPT:
                del names[next(iter(names))]
        self._failed.pop(where, None)
        if names:
            self._failed[where] = names
            while len(self._failed) > self._limit:
                self._failed.popitem(last=False)

    def refuse_ms(self, where: str, under_way: int, now_ms: int) -> int:
        """How long nobody of that prefix may try now, of which `under_way` try already."""
        names = self.names(where, now_ms)
        if len(names) > FREE_NAMES:
            wait_ms = min(FIRST_WAIT_MS << (len(names) - FREE_NAMES - 1), LONGEST_SPREAD_MS)
            if (left_ms := max(names.values()) + wait_ms - now_ms) > 0:
                return min(left_ms, LONGEST_SPREAD_MS)
        # The more have failed, the fewer at once, or a burst would be through before the first has failed.
        return FIRST_WAIT_MS if under_way >= max(1, AT_ONCE - 2 * len(names)) else 0

    def __len__(self) -> int:
        return len(self._failed)


class Throttle:
    """Failures per account and address prefix (exponential), per account (up to three seconds), per prefix (a minute).

    The last counts accounts, not attempts: a client that goes on trying what was its password is one of them.

    `account` is the name as typed, whether or not there is such a user; `address` an IP address, or "" for a unix
    socket; times are ms of one clock.
    """

    def __init__(self, *, max_entries: int = MAX_ENTRIES) -> None:
        self._pairs = _Table(max_entries)
        self._accounts = _Table(max_entries)
        self._under_way: dict[str, int] = {}
        self._spread = _Spread(max_entries)
        self.ended: Counter[Outcome] = Counter()
        """Attempts since the start, by how they ended."""
        self.refused = 0
        """Attempts that were not looked at."""

    def begin(self, account: str, address: str, now_ms: int) -> Decision:
        """Whether this password may be looked at now."""
        decision = self._begin(account, address, now_ms)
        self.refused += bool(decision.refuse_ms)
        return decision

    def _begin(self, account: str, address: str, now_ms: int) -> Decision:
        name, pair = _keys(account, address)
        count = self._pairs.look(pair, now_ms)
        if (ready_ms := count.last_ms + _wait_ms(count.failures)) > now_ms and count.failures:
            return Decision(min(ready_ms - now_ms, LONGEST_WAIT_MS))
        # After a failure the free guesses are handed out one by one, or a burst would have them all at once.
        if count.trying >= (1 if count.failures else UNDECIDED):
            return Decision(FIRST_WAIT_MS)
        here = self._under_way.get(where := prefix(address), 0)
        if refuse_ms := self._spread.refuse_ms(where, here, now_ms):
            return Decision(refuse_ms)
        self._under_way[where] = here + 1
        count.trying += 1
        self._pairs.keep(pair, count)
        failures = self._accounts.look(name, now_ms).failures
        return Decision(0, min(failures * ACCOUNT_STEP_MS, ACCOUNT_LONGEST_MS))

    def finish(self, account: str, address: str, outcome: Outcome, now_ms: int) -> None:
        """Say how an attempt that `begin` allowed ended."""
        name, pair = _keys(account, address)
        count, whole = self._pairs.look(pair, now_ms), self._accounts.look(name, now_ms)
        count.trying = max(0, count.trying - 1)
        if (here := self._under_way.pop(where := prefix(address), 0)) > 1:
            self._under_way[where] = here - 1
        if outcome is Outcome.WRONG:
            for each in (count, whole):
                each.failures += 1
                each.last_ms = now_ms
        elif outcome is Outcome.RIGHT:
            count.failures = 0
        self._spread.note(where, name, outcome, now_ms)
        self.ended[outcome] += 1
        self._pairs.keep(pair, count)
        self._accounts.keep(name, whole)

    def __len__(self) -> int:
        """How many counts are held."""
        return len(self._pairs.counts) + len(self._accounts.counts) + len(self._spread)


def _wait_ms(failures: int) -> int:
    if failures <= FREE_FAILURES:
        return 0
    return int(min(FIRST_WAIT_MS * 2 ** min(failures - FREE_FAILURES - 1, 20), LONGEST_WAIT_MS))


def _keys(account: str, address: str) -> tuple[str, str]:
    name = account.lower()[:_NAME_CHARS]
    return name, f"{prefix(address)} {name}"


def prefix(address: str) -> str:
    """The network an address counts for: /24 of IPv4 (also written as IPv6), /64 of IPv6, "" for all else."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 64), strict=False))
