"""Owns which capabilities clients are offered and networks are asked for, as tables, and CAP on a client's side.

https://ircv3.net/specs/extensions/capability-negotiation
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from bouncer.irc import numerics
from bouncer.irc.message import wire

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bouncer.irc.message import Message


class ClientCap(NamedTuple):
    """A capability for clients: its `value` in LS 302, and the network's capability it stands on (None: on us).

    One that stands on the network has the network's value. What only informs (`request` False) cannot be asked for.
    """

    name: str
    value: str = ""
    network: str | None = None
    request: bool = True


CLIENT_CAPS: tuple[ClientCap, ...] = (
    ClientCap("batch"),  # ours: around playback and chathistory
    ClientCap("cap-notify"),  # ours: NEW and DEL as networks come and go
    ClientCap("draft/chathistory"),  # ours: the stored history
    ClientCap("draft/event-playback"),  # ours: events are stored
    ClientCap("draft/metadata-2", "max-subs=100,max-keys=100,max-value-bytes=400"),  # ours: for the user's clients
    ClientCap("draft/multiline", "max-bytes=4096,max-lines=24"),  # ours: split where the network has it not
    ClientCap("draft/no-implicit-names"),  # ours: the names a JOIN brings along are held back
    ClientCap("draft/read-marker"),  # ours: how far the user has read
    ClientCap("echo-message"),  # ours: own lines are sent back where the network does not
    ClientCap("invite-notify"),  # nothing to supply: INVITEs of others come or do not
    ClientCap("labeled-response"),  # ours: the network's labels, or what we know of its answers
    ClientCap("message-tags"),  # ours: msgid on every stored line; client tags as far as the network takes them
    ClientCap("no-implicit-names"),  # as with draft/
    ClientCap("soju.im/no-implicit-names"),  # as with draft/
    ClientCap("multi-prefix"),  # state: all mode letters known of a member
    ClientCap("sasl", "PLAIN,SCRAM-SHA-256"),  # ours: the login here; EXTERNAL where there is TLS
    ClientCap("server-time"),  # ours: time of arrival where the network gives none
    ClientCap("setname"),  # nothing to supply: SETNAME of others comes or does not
    ClientCap("soju.im/bouncer-networks"),  # ours: BOUNCER
    ClientCap("soju.im/bouncer-networks-notify"),  # ours: BOUNCER NETWORK as networks change
    ClientCap("soju.im/read"),  # as draft/read-marker
    ClientCap("soju.im/search"),  # ours: the stored history has an index
    ClientCap("standard-replies"),  # ours: FAIL, WARN, NOTE
    ClientCap("userhost-in-names"),  # state: masks as far as seen
    ClientCap("znc.in/batch"),  # an older name for batch, around playback
    ClientCap("znc.in/playback"),  # ours: the stored history, by time
    ClientCap("znc.in/server-time-iso"),  # an older name for server-time
    ClientCap("znc.in/self-message"),  # ours: own direct messages of other clients
    ClientCap("draft/pre-away"),  # ours: AWAY before registration, and * for a client nobody looks at
    ClientCap("draft/extended-isupport"),  # ours: ISUPPORT, also before registration; 005 in a batch
    ClientCap("soju.im/client-cert"),  # ours: CLIENTCERT
    ClientCap("soju.im/account-required", request=False),  # ours: nobody is let in without a login
    ClientCap("account-notify", network="account-notify"),
    ClientCap("account-tag", network="account-tag"),
    ClientCap("away-notify", network="away-notify"),
    ClientCap("chghost", network="chghost"),
    ClientCap("draft/account-registration", network="draft/account-registration"),
    ClientCap("draft/channel-rename", network="draft/channel-rename"),
    ClientCap("draft/metadata-3", network="draft/metadata-3"),
    ClientCap("draft/message-redaction", network="draft/message-redaction"),
    ClientCap("draft/relaymsg", network="draft/relaymsg"),
    ClientCap("extended-join", network="extended-join"),
    ClientCap("extended-monitor", network="extended-monitor"),
)

METADATA = frozenset({"draft/metadata-2", "draft/metadata-3"})
NO_IMPLICIT_NAMES = frozenset({"no-implicit-names", "draft/no-implicit-names", "soju.im/no-implicit-names"})


# Each is asked for in a REQ of its own, so that one refusal costs no other.
UPSTREAM_WANTED: tuple[str, ...] = (
    "account-notify",
    "account-tag",
    "away-notify",
    "batch",
    "cap-notify",
    "chghost",
    "draft/account-registration",
    "draft/channel-rename",
    "draft/message-redaction",
    "draft/metadata-2",
    "draft/metadata-3",
    "draft/multiline",
    "draft/relaymsg",
    "echo-message",
    "extended-join",
    "extended-monitor",
    "invite-notify",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "server-time",
    "setname",
    "standard-replies",
    "userhost-in-names",
)

_SASL_WITH_TLS = "PLAIN,EXTERNAL,SCRAM-SHA-256"

# Room for the list in one line of 512 bytes is counted with the header in front of it.
_LINE = 512
_HEADER = 120
"""Bytes at most in front of a list: the server's name, a nick, the subcommand."""
_NOT_HERE = {"draft/account-registration": frozenset({"before-connect"})}  # we are connected long before a client is
_ONLY_INFORMS = frozenset(cap.name for cap in CLIENT_CAPS if not cap.request)


class Offered:
    """What one client may ask for at one time: a set of capabilities, with values. Immutable."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    @classmethod
    def on(cls, network: Collection[str] | Mapping[str, str], *, external: bool = False) -> Offered:
        """What can be offered on a network with these capabilities acknowledged to us (none: no network yet).

        `network` may map each to its value there. `external`: the client could show a certificate.
        """
        given = network if isinstance(network, Mapping) else dict.fromkeys(network, "")
        values: dict[str, str] = {}
        for cap in CLIENT_CAPS:
            if cap.network is None:
                values[cap.name] = cap.value
            elif cap.network in given:
                values[cap.name] = _here(cap.name, given[cap.network]) or cap.value
        if given.get("draft/multiline"):
            values["draft/multiline"] = given["draft/multiline"]
        if external:
            values["sasl"] = _SASL_WITH_TLS
        return cls(values)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def grants(self, name: str) -> bool:
        """Whether a client that asks for it gets it."""
        return name in self.values and name not in _ONLY_INFORMS

    def tokens(self, *, version: int) -> list[str]:
        """`name=value` for version 302 and later, `name` before."""
        if version < 302:
            return _short(self.values)
        return [f"{name}={value}" if value else name for name, value in self.values.items()]

    def changes(self, new: Offered) -> tuple[list[str], list[str]]:
        """(tokens for CAP NEW, names for CAP DEL) that lead from this set to `new`; a changed value is news too."""
        news = {name: value for name, value in new.values.items() if self.values.get(name) != value}
        added = [f"{name}={value}" if value else name for name, value in news.items()]
        return added, [name for name in self.values if name not in new.values]


def multiline_limits(network: Mapping[str, str]) -> tuple[int, int]:
    """(bytes, lines) of the longest message of several lines, as offered on a network with these capabilities."""
    offered = Offered.on(network).values["draft/multiline"]
    limits = dict(item.split("=", 1) for item in offered.split(",") if "=" in item)
    found = [limits.get(name, "") for name in ("max-bytes", "max-lines")]
    most, lines = (int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0 for text in found)
    return most or 4096, lines or 100


def _here(name: str, value: str) -> str:
    """A value of the network's without what cannot be had through us."""
    missing = _NOT_HERE.get(name)
    return ",".join(item for item in value.split(",") if item not in missing) if missing else value


def _short(names: Iterable[str]) -> list[str]:
    """What fits one line for a client that knows of no second: names of the standard before those of vendors."""
    found: list[str] = []
    room = _LINE - _HEADER
    for name in sorted(names, key=lambda name: ("/" in name, not name.startswith("znc.in/"))):
        room -= len(name) + 1
        if room < 0:
            break
        found.append(name)
    return found


def cap_lines(server: str, nick: str, subcommand: str, tokens: Iterable[str], *, multiline: bool) -> list[bytes]:
    """CAP replies of at most 512 bytes each, with CR LF; at least one. `multiline` marks all but the last with `*`."""
    room = _LINE - len(f":{server} CAP {nick} {subcommand} * :\r\n".encode())
    lists: list[list[str]] = [[]]
    used = 0
    for token in tokens:
        size = len(token.encode("utf-8", "surrogateescape")) + 1
        if lists[-1] and used + size > room:
            lists.append([])
            used = 0
        lists[-1].append(token)
        used += size
    lines = []
    for index, some in enumerate(lists, 1):
        more = ["*"] if multiline and index < len(lists) else []
        lines.append(wire("CAP", [nick, subcommand, *more, " ".join(some)], server, colon=True))
    return lines


class CapSession:
    """CAP as one client speaks it, before and after registration: what is offered to it and what it has on.

    `enabled` is replaced, never changed, so a frozenset taken from it stays true. `open` tells whether negotiation
    holds registration back. `version` is 301 until the client says another.
    """

    __slots__ = ("enabled", "offered", "open", "server", "version")

    def __init__(self, server: str, offered: Offered) -> None:
        self.server = server
        self.offered = offered
        self.enabled: frozenset[str] = frozenset()
        self.version = 301
        self.open = False

    def handle(self, msg: Message, nick: str) -> list[bytes]:
        """Replies (with CR LF) to one CAP of the client; `nick` is "*" while it has none."""
        subcommand = msg.param(0).upper()
        if subcommand == "LS":
            return self._ls(msg.param(1), nick)
        if subcommand == "LIST":
            return cap_lines(self.server, nick, "LIST", sorted(self.enabled), multiline=self.version >= 302)
        if subcommand == "REQ":
            return self._req(" ".join(msg.params[1:]), nick)
        if subcommand == "END":
            self.open = False
            return []
        shown = subcommand if subcommand.isalnum() else "*"
        reply = [nick, shown[:50], "Invalid CAP command"]
        return [wire(numerics.ERR_INVALIDCAPCMD, reply, self.server, colon=True)]

    def update(self, offered: Offered, nick: str) -> list[bytes]:
        """Take over another set of what is offered; the NEW and DEL lines for a client that wants to know."""
        added, removed = self.offered.changes(offered)
        self.offered = offered
        self.enabled = self.enabled.difference(removed)
        if "cap-notify" not in self.enabled:
            return []
        if self.version < 302:
            added = [token.partition("=")[0] for token in added]
        lines: list[bytes] = []
        if removed:
            lines += cap_lines(self.server, nick, "DEL", removed, multiline=False)
        if added:
            lines += cap_lines(self.server, nick, "NEW", added, multiline=False)
        return lines

    def _ls(self, version: str, nick: str) -> list[bytes]:
        self.open = True
        if version.isascii() and version.isdigit() and len(version) < 10:
            self.version = max(self.version, int(version))
        modern = self.version >= 302
        if modern and "cap-notify" in self.offered:
            self.enabled |= {"cap-notify"}
        return cap_lines(self.server, nick, "LS", self.offered.tokens(version=self.version), multiline=modern)

    def _req(self, wanted: str, nick: str) -> list[bytes]:
        self.open = True
        names = wanted.replace("\0", " ").split()
        lasting = {"cap-notify"} if self.version >= 302 else set()  # part of the protocol, and cannot be refused
        enabled = set(self.enabled)
        granted = True
        for name in names:
            if name.startswith("-"):
                granted = granted and name[1:] not in lasting and (name[1:] in self.offered or name[1:] in enabled)
                enabled.discard(name[1:])
            else:
                granted = granted and self.offered.grants(name)
                enabled.add(name)
        if granted:
            self.enabled = frozenset(enabled)
            return cap_lines(self.server, nick, "ACK", names, multiline=False)
        # The beginning of the list names the question well enough; a second line would answer another one.
        return cap_lines(self.server, nick, "NAK", names, multiline=False)[:1]
