"""Owns METADATA as far as we keep the values: all keys where the network keeps none, our own keys everywhere.

https://ircv3.net/specs/extensions/metadata
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer.clock import now_ms
from bouncer.commands.history import middle
from bouncer.commands.playback import CLEARED
from bouncer.commands.table import Command, forward
from bouncer.irc.message import wire
from bouncer.journal import Change
from bouncer.network.metadata import MAX_SUBS, MAX_VALUE_BYTES, OURS, SELF, valid_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bouncer.commands.table import Session
    from bouncer.downstream import Client
    from bouncer.irc.message import Message
    from bouncer.network.network import Network

CAP = "draft/metadata-2"
_HIDDEN = frozenset({CLEARED})
_batches = itertools.count(1)
_MAX_TARGET = 200
_BAD_TARGET = frozenset(" ,!@:$?")


async def metadata(session: Session, msg: Message) -> None:
    """One subcommand."""
    network, answer = session.network, session.answer
    target, subcommand, arguments = msg.param(0), msg.param(1), msg.params[2:]
    if network is None:
        answer.fail("METADATA", "INVALID_TARGET", middle(target), "This connection is not bound to a network")
        return
    if CAP in network.caps and not _is_ours(subcommand.upper(), arguments):
        _follow_too(session, network, subcommand.upper(), arguments)
        await forward(session, msg)
        return
    handler = _SUBCOMMANDS.get(subcommand.upper())
    if handler is None:
        answer.fail("METADATA", "SUBCOMMAND_INVALID", middle(subcommand), "Invalid subcommand")
    elif not valid_target(target):
        answer.fail("METADATA", "INVALID_TARGET", middle(target), "Invalid target")
    elif not arguments and subcommand.upper() in ("GET", "SET", "SUB", "UNSUB"):
        answer.reply("461", "METADATA", "Not enough parameters")
    else:
        handler(session, network, target, arguments)


def _is_ours(subcommand: str, arguments: list[str]) -> bool:
    """Whether a line is about nothing but keys of ours."""
    keys = arguments[:1] if subcommand == "SET" else arguments
    return subcommand in ("GET", "SET", "SUB", "UNSUB") and bool(keys) and all(key.startswith(OURS) for key in keys)


def _follow_too(session: Session, network: Network, subcommand: str, keys: list[str]) -> None:
    """Keys of ours among those that the network answers for."""
    subs = network.metadata.subs(session.client)
    for key in keys:
        if key.startswith(OURS) and valid_key(key):
            if subcommand == "SUB" and len(subs) < MAX_SUBS:
                subs[key] = None
            elif subcommand == "UNSUB":
                subs.pop(key, None)


def valid_target(target: str) -> bool:
    """Whether a name may be that of a channel, a person or (`*`) ourselves."""
    return 0 < len(target) <= _MAX_TARGET and _BAD_TARGET.isdisjoint(target) and (target == SELF or "*" not in target)


def _key(network: Network, target: str) -> str:
    """What values of a target are kept under: our own stay ours under any nick."""
    return SELF if target == SELF or network.state.is_own(target) else network.fold(target)


def _shown(network: Network, target: str) -> str:
    return network.nick if target == SELF else target


# -- subcommands ---------------------------------------------------------------------------------------------------


def _get(session: Session, network: Network, target: str, keys: list[str]) -> None:
    values = network.metadata.of(_key(network, target))
    name, lines = _shown(network, target), []
    for key in keys:
        if not valid_key(key):
            lines.append(
                wire("FAIL", ["METADATA", "KEY_INVALID", middle(key), "Invalid key"], network.source, colon=True)
            )
        elif key in values and key not in _HIDDEN:
            lines.append(_value(session, network, name, key, values[key]))
        else:
            lines.append(_not_set(session, network, name, key))
    _batch(session, network, "metadata", [name], lines)


def _list(session: Session, network: Network, target: str, _arguments: list[str]) -> None:
    name = _shown(network, target)
    lines = [_value(session, network, name, key, value) for key, value in _visible(network, _key(network, target))]
    _batch(session, network, "metadata", [name], lines)


def _set(session: Session, network: Network, target: str, arguments: list[str]) -> None:
    answer, name, key = session.answer, _shown(network, target), arguments[0]
    value = arguments[1] if len(arguments) > 1 else None
    kept = _key(network, target)
    if not valid_key(key) or key in _HIDDEN:
        answer.fail("METADATA", "KEY_INVALID", middle(key), "Invalid key")
    elif value is None:
        if _store(session, network, kept, name, key, None):
            answer.write(_not_set(session, network, name, key))
        else:
            answer.fail("METADATA", "KEY_NOT_SET", name, key, "Key not set")
    elif not _fits(value):
        answer.fail("METADATA", "VALUE_INVALID", f"The value is no UTF-8 or longer than {MAX_VALUE_BYTES} bytes")
    elif not network.metadata.room(kept, key):
        answer.fail("METADATA", "LIMIT_REACHED", name, "Too many keys are kept")
    else:
        _store(session, network, kept, name, key, value)
        answer.write(_value(session, network, name, key, value))


def _clear(session: Session, network: Network, target: str, _arguments: list[str]) -> None:
    name, kept = _shown(network, target), _key(network, target)
    lines = []
    for key, _ in _visible(network, kept):
        _store(session, network, kept, name, key, None)
        lines.append(_not_set(session, network, name, key))
    _batch(session, network, "metadata", [name], lines)


def _sub(session: Session, network: Network, _target: str, keys: list[str]) -> None:
    subs, done = network.metadata.subs(session.client), []
    failures = []
    for key in keys:
        if len(subs) >= MAX_SUBS and key not in subs:
            failures.append(("TOO_MANY_SUBS", key, "Too many subscriptions"))
            break
        if not valid_key(key):
            failures.append(("KEY_INVALID", middle(key), "Invalid key"))
            continue
        subs[key] = None
        done.append(key)
    _numerics(session, "770", done)
    for failure in failures:
        session.answer.fail("METADATA", *failure)
    lines = [
        _message(network, _spelled(network, kept), key, value)
        for kept, values in network.metadata.targets()
        for key, value in values.items()
        if key in done and key not in _HIDDEN
    ]
    if lines:
        _batch(session, network, "metadata", [network.nick], lines)


def _unsub(session: Session, network: Network, _target: str, keys: list[str]) -> None:
    subs, done = network.metadata.subs(session.client), []
    for key in keys:
        if valid_key(key):
            subs.pop(key, None)
            done.append(key)
        else:
            session.answer.fail("METADATA", "KEY_INVALID", middle(key), "Invalid key")
    _numerics(session, "771", done)


def _subs(session: Session, network: Network, _target: str, _arguments: list[str]) -> None:
    lines = [
        wire("772", [session.client.nick, *group], network.source)
        for group in _packed(network.metadata.subs(session.client))
    ]
    _batch(session, network, "metadata-subs", [], lines)


def _sync(session: Session, network: Network, target: str, _arguments: list[str]) -> None:
    name, subs = _shown(network, target), network.metadata.subs(session.client)
    lines = [
        _message(network, name, key, value) for key, value in _visible(network, _key(network, target)) if key in subs
    ]
    _batch(session, network, "metadata", [name], lines)


_SUBCOMMANDS = {
    "GET": _get, "LIST": _list, "SET": _set, "CLEAR": _clear, "SUB": _sub, "UNSUB": _unsub, "SUBS": _subs,
    "SYNC": _sync,
}  # fmt: skip


# -- what they share -----------------------------------------------------------------------------------------------


def _store(session: Session, network: Network, kept: str, name: str, key: str, value: str | None) -> bool:
    """Change a value in memory, on disk, and at the other clients that follow the key; False when nothing changed."""
    if not network.metadata.set(kept, key, value):
        return False
    server = network.server_id
    if value is None:
        network.keep(Change(sql.METADATA_REMOVE, (server, kept, key)))
    else:
        network.keep(Change(sql.METADATA_SET, (kept, key, value, now_ms(), server)))
    for attachment in network.attachments:
        client = attachment.client
        if attachment is session.attachment or CAP not in client.caps or not network.metadata.follows(client, key):
            continue
        if value is not None:
            client.write(_message(network, name, key, value))
        else:
            client.write(wire("766", [network.nick, name, key, "key not set"], network.source, colon=True))
    return True


def burst(network: Network, client: Client) -> bytes:
    """A client's own values, for the welcome before the end of the MOTD; nothing without the capability."""
    if CAP not in client.caps or CAP in network.caps:
        return b""
    lines = [_message(network, network.nick, key, value) for key, value in _visible(network, SELF)]
    return _in_batch(network, "metadata", [network.nick], lines)


def _visible(network: Network, kept: str) -> list[tuple[str, str]]:
    return sorted((key, value) for key, value in network.metadata.of(kept).items() if key not in _HIDDEN)


def _spelled(network: Network, kept: str) -> str:
    channel = network.state.channels.find(kept)
    return network.nick if kept == SELF else channel.name if channel is not None else kept


def _fits(value: str) -> bool:
    try:
        return len(value.encode()) <= MAX_VALUE_BYTES
    except UnicodeEncodeError:
        return False


def _value(session: Session, network: Network, name: str, key: str, value: str) -> bytes:
    return wire("761", [session.client.nick, name, key, "*", value], network.source, colon=True)


def _not_set(session: Session, network: Network, name: str, key: str) -> bytes:
    return wire("766", [session.client.nick, name, key, "key not set"], network.source, colon=True)


def _message(network: Network, name: str, key: str, value: str) -> bytes:
    return wire("METADATA", [name, key, "*", value], network.source, colon=True)


def _packed(keys: Iterable[str]) -> Iterable[list[str]]:
    """Keys for one numeric each: at most five of 64 bytes fit every line."""
    rest = list(keys)
    while rest:
        yield rest[:5]
        rest = rest[5:]


def _numerics(session: Session, number: str, keys: list[str]) -> None:
    for group in _packed(keys):
        session.answer.write(wire(number, [session.client.nick, *group], session.answer.source))


def _batch(session: Session, network: Network, kind: str, params: list[str], lines: list[bytes]) -> None:
    data = _in_batch(network, kind, params, lines) if "batch" in session.client.caps else b"".join(lines)
    session.answer.write(data)


def _in_batch(network: Network, kind: str, params: list[str], lines: list[bytes]) -> bytes:
    reference = f"md{next(_batches)}"
    tag = f"@batch={reference} ".encode()
    begin = wire("BATCH", [f"+{reference}", kind, *params], network.source)
    return b"".join([begin, *(tag + line for line in lines), wire("BATCH", [f"-{reference}"], network.source)])


table = {"METADATA": Command(metadata, 2)}
