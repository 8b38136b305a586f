"""Owns the negotiation of capabilities with a network: pydle's hooks, our own bodies.

pydle takes the first line of a list of several for all of it, loses every capability to one NAK, and ends the
negotiation more than once. https://ircv3.net/specs/extensions/capability-negotiation
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pydle
from pydle.features.ircv3 import CapabilityNegotiationSupport, SASLSupport
from pydle.protocol import identifierify

from bouncer.irc.caps import UPSTREAM_WANTED
from bouncer.irc.message import Message, serialise

if TYPE_CHECKING:
    from bouncer.upstream.params import ConnectParams, NoteKind

_REQUEST_BYTES = 400
"""Room for names in one REQ: the line has 512 with the server's mask and our nick in its answer."""
MAX_OFFERED = 500
"""Capabilities of one network that are remembered; real ones have some 30."""
_LIST_BYTES = 65536
"""Of a list in many lines, so that one without end does not grow for ever."""

_UNUSED = (
    *("channels", "users", "_pending", "_whois_info", "_whowas_info", "_channel_limit_groups", "_channel_limits"),
    *("_list_limit_groups", "_list_limits", "_channel_modes", "_channel_modes_behaviour", "_channel_prefixes"),
    *("_nickname_prefixes", "_status_message_prefixes", "_user_modes", "_user_modes_behaviour", "_target_limits"),
)
"""Tables pydle copies for each connection, which nothing here reads: 7 KiB of each idle one."""

_Base: Any = pydle.featurize(SASLSupport, CapabilityNegotiationSupport, pydle.features.RFC1459Support)


class Owner(Protocol):
    """What the pydle part needs of the `Upstream` around it."""

    def send(self, line: bytes) -> None:
        """Write one line."""

    def conceal(self, target: str, text: str) -> None:
        """What is said next must not come back."""

    def note(self, kind: NoteKind, text: str) -> None:
        """Tell the user."""

    def fail(self, reason: str, *, permanent: bool = False) -> None:
        """End the connection for this reason; permanent: it would end so again."""

    def refused_for_good(self) -> None:
        """If it ends now, it would end so again."""

    def welcomed(self) -> None:
        """001 has come."""

    def ready(self) -> None:
        """The MOTD has ended for the first time."""

    def ponged(self, token: str) -> None:
        """A PONG has come."""


class CapabilityClient(_Base):  # type: ignore[misc]  # pydle has no types
    """A pydle client that negotiates by the book; `caps` are enabled, `cap_values` offered (name to value or "")."""

    def __init__(self, params: ConnectParams, owner: Owner) -> None:
        self.params = params
        self.owner = owner
        self.caps: frozenset[str] = frozenset()
        self.cap_values: dict[str, str] = {}
        self.registered = False
        self._list = ""
        self._asked: list[list[str]] = []
        self._negotiating = True
        self._listed = False
        username = params.username or "".join(one for one in params.nickname.lower() if one.isalnum()) or "user"
        super().__init__(params.nickname, username=username, realname=params.realname or params.nickname)
        self.nickname = params.nickname
        self.password = params.password

    def _reset_attributes(self) -> None:
        super()._reset_attributes()
        for name in _UNUSED:
            self.__dict__.pop(name, None)

    # -- what pydle sends by

    async def rawmsg(self, command: str, *params: str, **_: object) -> None:
        """Write one line; UnsafeLineError for parameters that cannot be written."""
        self.owner.send(serialise(command, params))

    async def _send(self, input: str) -> None:  # noqa: A002  # pydle's name
        self.owner.send(str(input).rstrip("\r\n").encode("utf-8", "surrogateescape"))

    # -- the negotiation

    def end_negotiation(self) -> None:
        """CAP END, once, when the list is known, nothing is outstanding and the network has not let us in already."""
        if (
            self._negotiating
            and self._listed
            and not (self._asked or self._capabilities_negotiating or self.registered)
        ):
            self._negotiating = False
            self.owner.send(b"CAP END")

    async def on_raw_cap(self, message: Message) -> None:
        """One line of the negotiation. pydle's body ends in a warning where the line is short."""
        if len(message.params) > 2:
            await super().on_raw_cap(message)

    async def on_raw_cap_ls(self, params: list[str]) -> None:
        """The list, in one line or several: `* LS * :a b` is followed by more."""
        self._list = f"{self._list} {params[-1]}"[-_LIST_BYTES:]
        if len(params) > 1 and params[0] == "*":
            return
        offered, self._list = self._list.split(), ""
        self._listed = True
        await self._offered(offered)
        self.listed()
        self.end_negotiation()

    async def on_raw_cap_new(self, params: list[str]) -> None:
        """What the network can do from now on."""
        await self._offered(params[-1].split())

    def listed(self) -> None:
        """The whole first list is known; a place for what depends on something that is not in it."""

    async def _offered(self, items: list[str]) -> None:
        wanted: list[str] = []
        for item in items:
            name, _, value = item.lstrip("-~=").partition("=")
            if name not in self.cap_values and len(self.cap_values) >= MAX_OFFERED:
                continue
            self.cap_values[name] = value
            asked = name in self.caps or any(name in names for names in self._asked)
            if not asked and await self._wants(name, value):
                wanted.append(name)
        for line in _lines_of(wanted):
            self._request(line)

    async def _wants(self, name: str, value: str) -> bool:
        hook = getattr(self, f"on_capability_{identifierify(name)}_available", None)
        return bool(await hook(value)) if hook else name in UPSTREAM_WANTED

    def _request(self, names: list[str]) -> None:
        self._asked.append(names)
        self.owner.send(serialise("CAP", ["REQ", " ".join(names)], colon=True))

    async def on_raw_cap_ack(self, params: list[str]) -> None:
        """Enabled, or with a minus disabled; an answer may come in parts."""
        for item in params[-1].split():
            name = item.lstrip("-~=")
            self._answered(name)
            if name not in self.cap_values:
                continue
            if item[0] == "-":
                self.caps -= {name}
                continue
            self.caps |= {name}
            hook = getattr(self, f"on_capability_{identifierify(name)}_enabled", None)
            if hook is not None and await hook() == pydle.CAPABILITY_NEGOTIATING:
                self._capabilities_negotiating.add(name)
        self.end_negotiation()

    async def on_raw_cap_nak(self, params: list[str]) -> None:
        """A REQ is refused as a whole: ask for each of its names alone."""
        names = params[-1].split()
        group = next((asked for asked in self._asked if set(asked) & set(names)), None)
        group = group or (self._asked[0] if self._asked else [])
        if group:
            self._asked.remove(group)
        if len(group) > 1:
            for name in group:
                self._request([name])
        elif group:
            self.owner.note("caps", f"the network offers {group[0]} but does not give it")
            self.refused(group[0])
        self.end_negotiation()

    def refused(self, name: str) -> None:
        """The network will not give this one."""

    def _answered(self, name: str) -> None:
        for asked in self._asked:
            if name in asked:
                asked.remove(name)
                break
        self._asked = [asked for asked in self._asked if asked]

    async def on_raw_cap_del(self, params: list[str]) -> None:
        """Gone, until a NEW."""
        for item in params[-1].split():
            name = item.partition("=")[0]
            self.cap_values.pop(name, None)
            self.caps -= {name}

    async def on_raw_cap_list(self, params: list[str]) -> None:
        """The answer to a question of a client's, which is nothing to us."""

    async def on_raw_410(self, message: Message) -> None:
        """A CAP command the server does not know: go on with what there is."""
        del message
        self._asked.clear()
        self._listed = True
        self.end_negotiation()

    async def on_raw_421(self, message: Message) -> None:
        """A server without CAP goes on with NICK and USER by itself; nothing is to be ended."""
        if message.param(1).upper() == "CAP" and self._negotiating and not self.registered:
            self._negotiating = False
            self.listed()


def _lines_of(names: list[str]) -> list[list[str]]:
    """The names in as few REQ lines as fit; sasl by itself, because the login hangs on it."""
    lines: list[list[str]] = [["sasl"]] if "sasl" in names else []
    room = 0
    for name in sorted(set(names) - {"sasl"}):
        if len(name) + 1 > room:
            lines.append([])
            room = _REQUEST_BYTES
        lines[-1].append(name)
        room -= len(name) + 1
    return lines
