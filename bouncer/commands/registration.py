"""Owns the commands about the connection itself: CAP, PING, PONG, QUIT, and what is too late after registration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands.bouncer import NOTIFY
from bouncer.commands.table import Command
from bouncer.irc.authentication import Failure, Response, plain
from bouncer.irc.entering import parse_login
from bouncer.irc.supported import UNBOUND, in_batches
from bouncer.irc.welcome import isupport_lines

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message


async def cap(session: Session, msg: Message) -> None:
    """https://ircv3.net/specs/extensions/capability-negotiation ."""
    before = session.client.caps
    session.answer.write(session.client.cap(msg))
    if NOTIFY in session.client.caps - before:
        await session.answer.finish()  # the ACK comes first
        session.answer.passed = True
        session.user.announcer.greet(session)


async def ping(session: Session, msg: Message) -> None:
    """Answered when the network has answered all that was asked before, which is what clients take it to mean."""
    if session.network is None or session.attachment is None:
        session.answer.reply("PONG", session.answer.source, msg.params[0])
        return
    session.network.ping(session.attachment, msg.params[0], session.answer.label)
    session.answer.passed = True


async def pong(session: Session, msg: Message) -> None:
    """Moves the delivery receipt when it answers its barrier."""
    if session.attachment is not None and msg.params:
        session.attachment.pong(msg.params[-1])


async def leave(session: Session, _msg: Message) -> None:
    """The client goes, the network stays."""
    session.client.drop("Closing link: client quit")


async def too_late(session: Session, _msg: Message) -> None:
    """https://modern.ircdocs.horse/#erralreadyregistered-462 ."""
    session.answer.reply("462", "You may not reregister")


async def authenticate(session: Session, msg: Message) -> None:
    """To an account of the network, by SASL PLAIN; nobody is registered here without having logged in here."""
    if session.network is None:
        session.answer.reply("907", "You have already authenticated")
        return
    found = session.sasl.take(msg.params[0])
    if isinstance(found, Failure):
        if found.numeric == "908":
            session.answer.reply("908", "PLAIN", "are available SASL mechanisms")
        session.answer.reply("904" if found.numeric == "908" else found.numeric, found.words)
    elif isinstance(found, Response):
        session.sasl.end()
        await _log_in(session, plain(found.data))
    else:
        session.answer.write(b"".join(found))


async def _log_in(session: Session, credentials: tuple[str, str] | None) -> None:
    network, answer = session.network, session.answer
    if credentials is None:
        answer.reply("904", "SASL authentication failed: not readable")
    elif network is None or parse_login(credentials[0]).user == session.client.account:
        answer.reply("907", "You have already authenticated")
    else:
        _, words = await network.log_in(*credentials, session.attachment)
        if words:  # else the network has said it all
            answer.reply("904", words)
        answer.passed = not words


async def isupport(session: Session, _msg: Message) -> None:
    """https://ircv3.net/specs/extensions/extended-isupport ."""
    network, client, source = session.network, session.client, session.answer.source
    lines = isupport_lines(source, client.nick, network.tokens() if network is not None else UNBOUND)
    session.answer.write(b"".join(in_batches(lines, source, client.caps)))


table = {
    "CAP": Command(cap, 1),
    "PING": Command(ping, 1),
    "PONG": Command(pong),
    "QUIT": Command(leave),
    "USER": Command(too_late),
    "PASS": Command(too_late),
    "AUTHENTICATE": Command(authenticate, 1),
    "ISUPPORT": Command(isupport),
}
