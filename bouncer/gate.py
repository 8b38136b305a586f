"""Owns the count of connections that may come in, by address and in all: pure, whoever listens asks it first."""

from __future__ import annotations

import ipaddress

from bouncer.throttle import prefix


class Gate:
    """Connections that are let in and have not left. In IPv6 a /64 counts as one address: everybody has a whole one."""

    def __init__(self) -> None:
        self.total = 0
        self._here: dict[str, int] = {}

    def here(self, address: str) -> int:
        """How many count for that address."""
        return self._here.get(neighbours(address), 0)

    def enter(self, address: str | None, *, each: int, total: int) -> Ticket | None:
        """Let one more in, at most `each` from its address and `total` in all; None when there is no room.

        An address of None is not known yet and counts in all only; see `Ticket.move`.
        """
        if self.total >= total or (address is not None and self.here(address) >= each):
            return None
        self.total += 1
        ticket = Ticket(self)
        ticket.move(address, each=each)
        return ticket

    def count(self, key: str, change: int) -> None:
        """Only for tickets."""
        number = self._here.get(key, 0) + change
        if number:
            self._here[key] = number
        else:
            self._here.pop(key, None)


class Ticket:
    """One connection that was let in. `leave` it when it ends; a second call does nothing."""

    __slots__ = ("_gate", "_key", "_left")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._key: str | None = None
        self._left = False

    def move(self, address: str | None, *, each: int) -> bool:
        """Now it is known where it comes from; False when there is no room for that."""
        if self._left or address is None:
            return not self._left
        if self._gate.here(address) >= each:
            return False
        if self._key is not None:
            self._gate.count(self._key, -1)
        self._key = neighbours(address)
        self._gate.count(self._key, 1)
        return True

    def leave(self) -> None:
        """It counts no more."""
        if self._left:
            return
        self._left = True
        self._gate.total -= 1
        if self._key is not None:
            self._gate.count(self._key, -1)


def plain(address: str) -> str:
    """An IP address as one usually writes it: IPv4 inside IPv6 as IPv4, no zone; anything else as it is."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else str(ip)


def neighbours(address: str) -> str:
    """Whose connections count as one's."""
    address = plain(address)
    return prefix(address) if ":" in address else address
