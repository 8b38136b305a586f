"""Owns CLIENTCERT: a client enrols its TLS certificate, lists those of its user, and removes them.

soju.im/client-cert: https://codeberg.org/emersion/soju/src/branch/master/doc/ext/client-cert.md
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING

from bouncer import replay
from bouncer.commands.table import Command
from bouncer.errors import CommandError, NotFoundError
from bouncer.irc.format import server_time
from bouncer.irc.message import as_text, escape_tag, wire

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message
    from bouncer.models.main import ClientCertificate

BATCH = "soju.im/client-cert"


async def certificates(session: Session, msg: Message) -> None:
    """CREATE, LIST, DELETE."""
    subcommand = msg.params[0].upper()
    handler = {"CREATE": _create, "LIST": _list, "DELETE": _delete}.get(subcommand)
    if handler is None:
        shown = subcommand if subcommand.isalnum() else "*"
        session.answer.fail("CLIENTCERT", "UNKNOWN_COMMAND", shown[:50], "Unknown subcommand")
        return
    try:
        await handler(session, msg)
    except CommandError as error:
        session.answer.fail("CLIENTCERT", "INTERNAL_ERROR", subcommand, str(error))


async def _create(session: Session, msg: Message) -> None:
    certificate = session.client.certificate
    if certificate is None:
        session.answer.fail("CLIENTCERT", "NOCERT", "CREATE", "This connection shows no TLS client certificate")
        return
    name = as_text(msg.param(1)) or session.client.name or session.client.nick
    await session.user.service.certificates.enrol(session.user.user_id, certificate, name)
    session.answer.write(wire("CLIENTCERT", ["CREATE"], session.answer.source))


async def _list(session: Session, _msg: Message) -> None:
    source = session.answer.source
    rows = await session.user.service.certificates.list(session.user.user_id)
    lines = [wire("CLIENTCERT", ["LIST", _fingerprint(row), *_attributes(row)], source) for row in rows]
    session.answer.write(replay.wrap(BATCH, [], lines, session.client.caps, source=source))


async def _delete(session: Session, msg: Message) -> None:
    given = as_text(msg.param(1))
    which = given or session.client.certificate
    if not which:
        raise NotFoundError("this connection shows no TLS client certificate")
    await session.user.service.certificates.remove(session.user.user_id, which)
    session.answer.write(wire("CLIENTCERT", ["DELETE", *([given] if given else [])], session.answer.source))


def _fingerprint(row: ClientCertificate) -> str:
    """The SHA-512; of one enrolled by its SHA-256 and never seen, that."""
    return (row.fingerprint_sha512 or row.fingerprint_sha256 or "").upper()


def _attributes(row: ClientCertificate) -> list[str]:
    found = [f"name={escape_tag(row.name)}"] if row.name else []
    if row.last_used_at is not None:
        found.append(f"time={server_time(row.last_used_at)}")
    with contextlib.suppress(ValueError):  # a unix socket has none
        found.append(f"ip={ipaddress.ip_address(row.last_address)}")
    return found


table = {"CLIENTCERT": Command(certificates, 1)}
