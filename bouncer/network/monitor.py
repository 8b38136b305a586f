"""Owns whom each client of a network watches; the network itself watches all of them together, once.

https://ircv3.net/specs/extensions/monitor
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bouncer.irc.message import Message, serialise
from bouncer.network.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.network.attachment import Attachment
    from bouncer.network.entry import Turn

ONLINE, OFFLINE = "730", "731"
MAX_TARGETS = 1_000
"""Names one client may watch here; a network's own limit is lower."""


class Network(Protocol):
    """What the lists need of their network."""

    attachments: list[Attachment]

    def fold(self, name: str) -> str:
        """A name as it is looked up."""

    def ask(self, attachment: Attachment | None, msg: Message, label: str = "") -> bool:
        """Send a client's line on."""

    def send(self, line: bytes) -> bool:
        """Send a line of ours."""


class Monitors:
    """Folded name to its spelling, for each client that watches anybody."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lists: dict[Attachment, dict[str, str]] = {}
        self.ours = ""
        """A nick that we wait for ourselves, "" for none."""
        self.on_offline: Callable[[], None] = lambda: None

    def ask(self, attachment: Attachment, msg: Message, label: str) -> bool:
        """MONITOR of a client: whether something went to the network, which then answers.

        What another client still watches is not taken off there.
        """
        what = msg.param(0).upper()
        names = [name for name in msg.param(1).split(",") if name]
        fold, network = self._network.fold, self._network
        if what == "+":
            mine = self._lists.setdefault(attachment, {})
            for name in names[: MAX_TARGETS - len(mine)]:
                mine[fold(name)] = name
            return network.ask(attachment, msg, label)
        mine = self._lists.get(attachment, {})
        if what == "-" and names:
            gone = [name for name in names if mine.pop(fold(name), None) is None or not self._watched(fold(name))]
            if len(gone) == len(names):
                return network.ask(attachment, msg, label)
            return bool(gone) and network.ask(attachment, Message("MONITOR", ["-", ",".join(gone)]), label)
        if what == "C" and not self._alone(attachment):
            self._drop(attachment)
            return False
        if what == "C":
            mine.clear()
        elif what == "S" and not self._alone(attachment):
            return bool(mine) and network.ask(attachment, Message("MONITOR", ["+", ",".join(mine.values())]), label)
        return network.ask(attachment, msg, label)

    def listed(self, attachment: Attachment) -> list[str] | None:
        """Whom this client watches, where the network cannot tell it (others watch too, or we); else None."""
        return None if self._alone(attachment) else list(self._lists.get(attachment, {}).values())

    def gone(self, attachment: Attachment) -> None:
        """The client is gone: whom nobody else watches is taken off there too."""
        if attachment in self._lists:
            self._drop(attachment)

    def release(self, name: str) -> None:
        """We do not wait for that nick any more; unless a client watches it, neither does the network."""
        if not self._watched(self._network.fold(name)):
            self._network.send(serialise("MONITOR", ["-", name]))

    def renew(self) -> None:
        """A new connection knows nobody yet."""
        names = {folded: name for mine in self._lists.values() for folded, name in mine.items()}
        if self.ours:
            names.setdefault(self._network.fold(self.ours), self.ours)
        every = list(names.values())
        for start in range(0, len(every), 20):
            self._network.send(serialise("MONITOR", ["+", ",".join(every[start : start + 20])]))

    def news(self, msg: Message, turn: Turn) -> None:
        """Somebody has come or gone: for each client those it watches."""
        fold = self._network.fold
        targets = {fold(target.partition("!")[0]): target for target in msg.params[-1].split(",") if target}
        if self.ours and msg.command == OFFLINE and fold(self.ours) in targets:
            self.on_offline()
        for attachment in self._network.attachments:
            mine = self._lists.get(attachment)
            wanted = [target for folded, target in targets.items() if mine and folded in mine]
            if len(wanted) == len(targets):
                turn.entries.append(Entry(msg, turn.now, "", only=attachment))
            elif wanted:
                some = Message(msg.command, [msg.param(0), ",".join(wanted)], source=msg.source)
                turn.entries.append(Entry(some, turn.now, "", only=attachment))

    def _alone(self, attachment: Attachment) -> bool:
        return not self.ours and all(other is attachment or not mine for other, mine in self._lists.items())

    def _watched(self, folded: str) -> bool:
        ours = bool(self.ours) and self._network.fold(self.ours) == folded
        return ours or any(folded in mine for mine in self._lists.values())

    def _drop(self, attachment: Attachment) -> None:
        mine = self._lists.pop(attachment, {})
        gone = [name for folded, name in mine.items() if not self._watched(folded)]
        if gone:
            self._network.send(serialise("MONITOR", ["-", ",".join(gone)]))
