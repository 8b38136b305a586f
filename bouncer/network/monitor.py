"""Owns whom each client of a network watches; the network itself watches all of them together, once.

https://ircv3.net/specs/extensions/monitor
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bouncer.irc.message import Message, middle, serialise
from bouncer.network.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bouncer.irc.state import NetworkState
    from bouncer.network.attachment import Attachment
    from bouncer.network.entry import Turn

ONLINE, OFFLINE, FULL = "730", "731", "734"
MAX_TARGETS = 1_000
"""Names one client may watch here; a network's own limit is lower."""

_LINE_BYTES = 400
"""Room for names in one line of ours."""


class Network(Protocol):
    """What the lists need of their network."""

    attachments: list[Attachment]
    state: NetworkState

    def fold(self, name: str) -> str:
        """A name as it is looked up."""

    def ask(self, attachment: Attachment | None, msg: Message, label: str = "") -> bool:
        """Send a client's line on."""

    def send(self, line: bytes) -> bool:
        """Send a line of ours."""


class Monitors:
    """Folded name to its spelling, for each client that watches anybody.

    Networks say nothing of a name that is on their list already, so who is there is remembered from their news.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lists: dict[Attachment, dict[str, str]] = {}
        self._known: dict[str, tuple[str, str]] = {}
        """Folded name to (ONLINE or OFFLINE, the target as the network had it)."""
        self._ours = ""
        """A nick that we wait for ourselves, "" for none."""
        self._on_offline: Callable[[], None] = lambda: None
        self._on_full: Callable[[], None] = lambda: None

    @property
    def supported(self) -> bool:
        """Whether the network knows MONITOR."""
        return self._network.state.isupport.get("MONITOR") is not None

    # -- clients ---------------------------------------------------------------------------------------------------

    def ask(self, attachment: Attachment, msg: Message, label: str, reply: Callable[..., None]) -> bool:
        """MONITOR of a client: whether something went to the network, which then answers.

        What the network cannot tell, as others watch too, is told by `reply` (a numeric and its parameters). What
        another client still watches is not taken off there.
        """
        what, network = msg.param(0).upper(), self._network
        names = [name for name in msg.param(1).split(",") if name]
        if not self.supported:
            return network.ask(attachment, msg, label)
        if what == "+" and names:
            return self._add(attachment, names, msg, label, reply)
        if what == "-" and names:
            return self._remove(attachment, names, msg, label)
        if self._alone(attachment):
            if what == "C":
                self._lists.pop(attachment, None)
                self._known.clear()
            return network.ask(attachment, msg, label)
        mine = self._lists.get(attachment, {})
        if what == "C":
            self._drop(attachment)
        elif what == "L":
            for some in _lines(list(mine.values())):
                reply("732", some)
            reply("733", "End of MONITOR list")
        elif what == "S":
            self._status(list(mine), reply)
        else:
            return network.ask(attachment, msg, label)
        return False

    def gone(self, attachment: Attachment) -> None:
        """The client is gone: whom nobody else watches is taken off there too."""
        if attachment in self._lists:
            self._drop(attachment)

    def watchers(self, nick: str) -> list[Attachment]:
        """The clients that watch this nick."""
        folded = self._network.fold(nick)
        return [attachment for attachment, mine in self._lists.items() if folded in mine]

    def _add(
        self, attachment: Attachment, names: list[str], msg: Message, label: str, reply: Callable[..., None]
    ) -> bool:
        fold, network = self._network.fold, self._network
        mine = self._lists.setdefault(attachment, {})
        room = max(0, MAX_TARGETS - len(mine))
        names, over = names[:room], names[room:]
        if over:
            reply(FULL, str(MAX_TARGETS), ",".join(map(middle, over)), "Monitor list is full.")
            if not names:
                return False
            msg = Message("MONITOR", ["+", ",".join(names)])
        known = [name for name in names if fold(name) in self._known and self._watched(fold(name))]
        mine.update((fold(name), name) for name in names)
        if not known:
            return network.ask(attachment, msg, label)
        self._status([fold(name) for name in known], reply)
        new = [name for name in names if name not in known]
        # The label goes with what is told at once; the network's word on the others comes as news.
        if new:
            network.ask(attachment, Message("MONITOR", ["+", ",".join(new)]))
        return False

    def _remove(self, attachment: Attachment, names: list[str], msg: Message, label: str) -> bool:
        fold, network = self._network.fold, self._network
        mine = self._lists.get(attachment, {})
        for name in names:
            mine.pop(fold(name), None)
        gone = [name for name in names if not self._watched(fold(name))]
        for name in gone:
            self._known.pop(fold(name), None)
        if len(gone) == len(names):
            return network.ask(attachment, msg, label)
        return bool(gone) and network.ask(attachment, Message("MONITOR", ["-", ",".join(gone)]), label)

    def _status(self, folded: list[str], reply: Callable[..., None]) -> None:
        for number in (ONLINE, OFFLINE):
            found = [self._known[name][1] for name in folded if self._known.get(name, ("",))[0] == number]
            for some in _lines(found):
                reply(number, some)

    # -- us --------------------------------------------------------------------------------------------------------

    def wait_for(self, nick: str, call: Callable[[], None], refused: Callable[[], None]) -> bool:
        """Call it when that nick is free, `refused` if the list is full; False: the network has no MONITOR."""
        if not self.supported:
            return False
        self._ours, self._on_offline, self._on_full = nick, call, refused
        known = self._known.get(self._network.fold(nick))
        if known is None:
            self._network.send(serialise("MONITOR", ["+", nick]))
        elif known[0] == OFFLINE:
            call()
        return True

    def release(self) -> None:
        """We wait for nobody any more; unless a client watches that nick, neither does the network."""
        name, self._ours = self._ours, ""
        if name:
            self._take_off([name])

    # -- the network -----------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """A new connection knows nobody yet."""
        self._known.clear()
        self._ours = ""
        names = {folded: name for mine in self._lists.values() for folded, name in mine.items()}
        if self.supported:
            for some in _lines(list(names.values())):
                self._network.send(serialise("MONITOR", ["+", some]))

    def news(self, msg: Message, turn: Turn, asker: Attachment | None = None) -> None:
        """Somebody has come or gone: for each client those it watches; all are shown to an `asker` elsewhere."""
        fold = self._network.fold
        targets = {fold(target.partition("!")[0]): target for target in msg.params[-1].split(",") if target}
        told = ((folded, target) for folded, target in targets.items() if self._watched(folded))
        self._known.update({folded: (msg.command, target) for folded, target in told})
        if self._ours and msg.command == OFFLINE and fold(self._ours) in targets:
            self._on_offline()
        for attachment in self._network.attachments:
            mine = self._lists.get(attachment)
            wanted = [target for folded, target in targets.items() if mine and folded in mine]
            if not wanted or attachment is asker:
                continue
            if len(wanted) == len(targets):
                turn.entries.append(Entry(msg, turn.now, "", only=attachment))
            else:
                some = Message(msg.command, [msg.param(0), ",".join(wanted)], source=msg.source)
                turn.entries.append(Entry(some, turn.now, "", only=attachment))

    def full(self, msg: Message, attachment: Attachment | None) -> bool:
        """The network's list is full (734): whom it does not watch, `attachment` does not either.

        Whether it was about anybody else than whom we wait for.
        """
        fold = self._network.fold
        names = {fold(name) for name in msg.param(2).split(",")}
        if attachment is None and self._ours and names == {fold(self._ours)}:
            self._ours = ""
            self._on_full()
            return False
        mine = self._lists.get(attachment, {}) if attachment is not None else {}
        for folded in names:
            mine.pop(folded, None)
        return True

    def _alone(self, attachment: Attachment) -> bool:
        return not self._ours and all(other is attachment or not mine for other, mine in self._lists.items())

    def _watched(self, folded: str) -> bool:
        ours = bool(self._ours) and self._network.fold(self._ours) == folded
        return ours or any(folded in mine for mine in self._lists.values())

    def _drop(self, attachment: Attachment) -> None:
        self._take_off(list(self._lists.pop(attachment, {}).values()))

    def _take_off(self, names: list[str]) -> None:
        gone = [name for name in names if not self._watched(self._network.fold(name))]
        for name in gone:
            self._known.pop(self._network.fold(name), None)
        if self.supported:
            for some in _lines(gone):
                self._network.send(serialise("MONITOR", ["-", some]))


def _lines(names: list[str]) -> Iterator[str]:
    line = ""
    for name in names:
        if line and len(f"{line},{name}".encode("utf-8", "surrogateescape")) > _LINE_BYTES:
            yield line
            line = ""
        line = f"{line},{name}" if line else name
    if line:
        yield line
