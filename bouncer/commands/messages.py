"""Owns PRIVMSG, NOTICE and TAGMSG from a client: to BouncerServ, or on to the network, split where too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands import playback
from bouncer.commands.table import Command, forward
from bouncer.commands.znc import SERVICE_MASK, hint, is_znc
from bouncer.irc.lines import split_text
from bouncer.irc.message import Message

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.network.network import Network

SERVICE = "bouncerserv"
_CTCP = "\x01"
_ACTION = "\x01ACTION "


async def say(session: Session, msg: Message) -> None:
    """One message, to one target or several; text that the network would cut is sent in pieces."""
    if session.drafts and await session.collect(msg):
        return
    if msg.param(0).lower() == playback.TARGET:
        if msg.command == "PRIVMSG":
            await playback.command(session, msg.param(1))
        return
    targets = msg.param(0).split(",")
    ours = {target.lower(): target for target in targets if target.lower() == SERVICE or is_znc(target)}
    others = [target for target in targets if target.lower() not in ours]
    if msg.command == "PRIVMSG":
        for target in ours.values():
            await _service(session, target, msg.param(1))
    if not any(others):
        if len(others) == len(targets):
            await _send(session, msg)
        return
    if len(others) < len(targets):
        msg = Message(msg.command, [",".join(others), *msg.params[1:]], tags=msg.tags)
    await _send(session, msg)


def is_ours(target: str) -> bool:
    """Whether it is answered here, not by anybody on the network."""
    return any(one.lower() in (SERVICE, playback.TARGET) or is_znc(one) for one in target.split(","))


async def _send(session: Session, msg: Message) -> None:
    network = session.network
    if network is None or session.attachment is None:
        session.answer.reply(
            "401", msg.param(0) or "*", "This connection is not bound to a network; talk to BouncerServ"
        )
        return
    if not network.up:
        session.answer.reply("404", msg.param(0) or "*", f"Not sent: {network.settings.name} is not connected")
        return
    if msg.command == "TAGMSG" or len(msg.params) < 2 or "draft/multiline" in network.caps:
        # Where long text has a form of its own, the network's word on a long line stands.
        await forward(session, msg)
        return
    longest = max(msg.params[0].split(","), key=len)
    parts = pieces(msg.command, longest, msg.params[1], network)
    tags = {key: value for key, value in msg.tags.items() if key != "label"}
    lines = (
        [msg]
        if len(parts) < 2
        else [
            Message(msg.command, [msg.params[0], part], tags={} if number else tags)
            for number, part in enumerate(parts)
        ]
    )
    if network.ask_all(session.attachment, lines, session.answer.label):
        session.answer.passed = True
    else:
        session.answer.reply("404", msg.param(0), f"Not sent: too much waits for {network.settings.name}")


def pieces(command: str, target: str, text: str, network: Network) -> list[str]:
    """The text as it fits lines that the network sends on with our mask in front; one where it fits as it is."""
    mask = network.state.mask if "!" in network.state.mask else f"{network.nick}!{'u' * 10}@{'h' * 63}"
    head = f":{mask} {command} {target} :\r\n".encode("utf-8", "surrogateescape")
    room = max(64, network.state.isupport.linelen - len(head))
    if len(text.encode("utf-8", "surrogateescape")) <= room:
        return [text]
    if text.startswith(_ACTION):
        body = text.removeprefix(_ACTION).removesuffix(_CTCP)
        return [f"{_ACTION}{piece}{_CTCP}" for piece in split_text(body, room - len(_ACTION) - 1)]
    return [text] if text.startswith(_CTCP) else split_text(text, room)


async def _service(session: Session, target: str, text: str) -> None:
    client, answer = session.client, session.answer
    ours = target.lower() == SERVICE
    if "echo-message" in client.caps:
        source = f"{client.nick}!{client.nick}@bouncer"
        answer.reply("PRIVMSG", "BouncerServ" if ours else target, text, source=source)
    if not ours:
        hint(session, text, target)
        return
    for line in await session.service(text):
        answer.reply("PRIVMSG", client.nick, line or " ", source=SERVICE_MASK)


table = {"PRIVMSG": Command(say), "NOTICE": Command(say), "TAGMSG": Command(say)}
