"""Owns BOUNCER: a person's networks listed, added, changed and removed by a client, and told of as they change.

soju.im/bouncer-networks and -notify, from soju's doc/ext/bouncer-networks.md. BIND, which is said before registration,
is irc/registration.py's.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING

from bouncer.commands import netattrs
from bouncer.commands.netattrs import AttributeRefused
from bouncer.commands.table import Command
from bouncer.downstream import SERVER
from bouncer.errors import CommandError, InvalidError, NotFoundError
from bouncer.irc.message import wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from bouncer.commands.table import Session, User
    from bouncer.events import Event
    from bouncer.irc.message import Message
    from bouncer.network.network import Network

NETWORKS = "soju.im/bouncer-networks"
NOTIFY = "soju.im/bouncer-networks-notify"
_batches = itertools.count(1)


class _BadNetid(Exception):  # noqa: N818 - an answer, not a fault
    """No network of this user has that id; `str()` is the id."""


async def bouncer(session: Session, msg: Message) -> None:
    """One subcommand; what goes wrong is a FAIL BOUNCER."""
    subcommand = msg.params[0].upper()
    handler = _SUBCOMMANDS.get(subcommand)
    fail = session.answer.fail
    if handler is None:
        fail("BOUNCER", "UNKNOWN_COMMAND", _shown(msg.params[0]), "Unknown subcommand")
        return
    run, needed = handler
    if len(msg.params) <= needed or "" in msg.params[1 : needed + 1]:
        session.answer.reply("461", "BOUNCER", "Not enough parameters")
        return
    netid = msg.params[1] if subcommand in {"CHANGENETWORK", "DELNETWORK"} else "*"
    try:
        await run(session, msg)
    except _BadNetid as bad:
        fail("BOUNCER", "INVALID_NETID", subcommand, _shown(str(bad)), "Network not found")
    except AttributeRefused as refused:
        code, attribute, words = refused.args
        fail("BOUNCER", code, subcommand, netid, _shown(attribute), words)
    except CommandError as error:
        fail("BOUNCER", "UNKNOWN_ERROR", subcommand, str(error))


def _shown(word: str) -> str:
    """A client's word as it may stand in the middle of a line."""
    return "".join(char for char in word if char > " ").lstrip(":")[:64] or "*"


async def _bind(session: Session, _msg: Message) -> None:
    session.answer.fail("BOUNCER", "REGISTRATION_IS_COMPLETED", "BIND", "Cannot bind to a network after registration")


async def _list(session: Session, _msg: Message) -> None:
    session.answer.write(listing(session.user, session.client.caps, session.answer.source))


def _done(session: Session, subcommand: str, netid: str) -> None:
    session.answer.write(wire("BOUNCER", [subcommand, netid], session.answer.source))


async def _add(session: Session, msg: Message) -> None:
    service = session.user.service
    user = await service.users.get(session.user.user_id)
    attributes = netattrs.parse(msg.params[1])
    if not attributes.get("host"):
        session.answer.fail("BOUNCER", "NEED_ATTRIBUTE", "ADDNETWORK", "host", "Missing required attribute")
        return
    raw = netattrs.fields(attributes, user.name, host=attributes["host"])
    if not attributes.get("name"):
        raw["name"] = _free_name(session.user, netattrs.name_of(attributes["host"]))
    try:
        row = await service.servers.add(user.id, raw, trusted=user.admin)
    except InvalidError as error:
        raise netattrs.refusal(error) from error
    _done(session, "ADDNETWORK", str(row.id))


def _free_name(user: User, name: str) -> str:
    taken = {network.settings.name.lower() for network in user.networks.values()}
    names = itertools.chain([name], (f"{name[:28]}-{number}" for number in itertools.count(2)))
    return next(one for one in names if one.lower() not in taken)


async def _change(session: Session, msg: Message) -> None:
    service = session.user.service
    user = await service.users.get(session.user.user_id)
    network = _network(session, msg.params[1])
    attributes = netattrs.parse(msg.params[2])
    raw = netattrs.fields(attributes, user.name, host=attributes.get("host") or network.settings.params.address)
    if not raw:
        session.answer.reply("461", "BOUNCER", "Not enough parameters")
        return
    try:
        await service.servers.update(user.id, network.server_id, raw, trusted=user.admin, confirmed=False)
    except InvalidError as error:
        raise netattrs.refusal(error) from error
    except NotFoundError as error:
        raise _BadNetid(msg.params[1]) from error
    _done(session, "CHANGENETWORK", str(network.server_id))


async def _delete(session: Session, msg: Message) -> None:
    network = _network(session, msg.params[1])
    try:
        await session.user.service.servers.delete(session.user.user_id, network.server_id)
    except NotFoundError as error:
        raise _BadNetid(msg.params[1]) from error
    _done(session, "DELNETWORK", str(network.server_id))


def _network(session: Session, netid: str) -> Network:
    network = find(session.user.networks, netid)
    if network is None:
        raise _BadNetid(netid)
    return network


def find(networks: Mapping[int, Network], netid: str) -> Network | None:
    """The network of that id as a client writes it."""
    return networks.get(int(netid)) if netid.isascii() and netid.isdigit() and len(netid) < 19 else None


def _attributes(network: Network) -> dict[str, str]:
    return netattrs.told(network.settings, network.snapshot())


def listing(user: User, caps: frozenset[str], source: str) -> bytes:
    """All networks, in a batch for clients that have batches."""
    reference = f"bn{next(_batches)}" if "batch" in caps else ""
    tag = f"batch={reference}" if reference else ""
    lines = [
        line
        for number, network in sorted(user.networks.items())
        for line in netattrs.network_lines(number, _attributes(network), source, tag)
    ]
    if not reference:
        return b"".join(lines)
    begin = wire("BATCH", [f"+{reference}", NETWORKS], source)
    return b"".join([begin, *lines, wire("BATCH", [f"-{reference}"], source)])


class Announcer:
    """Tells a user's clients with -notify what changes about their networks; listens to the user's hub."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._known: dict[int, dict[str, str]] = {}
        self._greeted: weakref.WeakSet[Session] = weakref.WeakSet()

    def greet(self, session: Session) -> None:
        """The first list for a client that has just asked for notifications."""
        self._tell([other for other in self._listeners() if other is not session])
        source = session.network.source if session.network is not None else SERVER
        session.client.write(listing(self._user, session.client.caps, source))
        self._greeted.add(session)

    def put(self, event: Event) -> None:
        """Something happened to this user's networks: tell it if it can be seen in an attribute."""
        if event.kind in ("server", "servers") and (listeners := self._listeners()):
            self._tell(listeners)

    def _listeners(self) -> list[Session]:
        live = self._user.sessions.values()
        return [one for one in live if NOTIFY in one.client.caps and one in self._greeted]

    def _tell(self, listeners: Iterable[Session]) -> None:
        now = {number: _attributes(network) for number, network in self._user.networks.items()}
        before, self._known = self._known, now
        changed = {number: netattrs.changes(before.get(number, {}), new) for number, new in now.items()}
        gone = [number for number in before if number not in now]
        for session in listeners:
            source = session.network.source if session.network is not None else SERVER
            lines = [line for number, new in changed.items() for line in netattrs.network_lines(number, new, source)]
            lines += [wire("BOUNCER", ["NETWORK", str(number), "*"], source) for number in gone]
            session.client.write(b"".join(lines))


_SUBCOMMANDS: dict[str, tuple[Callable[[Session, Message], Awaitable[None]], int]] = {
    "BIND": (_bind, 0),
    "LISTNETWORKS": (_list, 0),
    "ADDNETWORK": (_add, 1),
    "CHANGENETWORK": (_change, 2),
    "DELNETWORK": (_delete, 1),
}
table = {"BOUNCER": Command(bouncer, 1)}
