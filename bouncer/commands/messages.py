"""Owns PRIVMSG, NOTICE and TAGMSG from a client: to BouncerServ, or split and on to the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands.table import Command
from bouncer.irc.lines import split_text

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message

SERVICE = "bouncerserv"
SERVICE_MASK = "BouncerServ!BouncerServ@bouncer"
_CTCP = "\x01"
_ACTION = "\x01ACTION "


async def say(session: Session, msg: Message) -> None:
    """One message to each target; long text is split at what the network relays."""
    text = msg.params[1] if len(msg.params) > 1 else ""
    if msg.command != "TAGMSG" and not text:
        session.answer.reply("412", "No text to send")
        return
    tags = {key: value for key, value in msg.tags.items() if key[:1] == "+"}
    for target in msg.params[0].split(","):
        if target.lower() == SERVICE:
            if msg.command == "PRIVMSG":
                await _service(session, text)
        elif target:
            _send(session, msg.command, target, text, tags)


def _send(session: Session, command: str, target: str, text: str, tags: dict[str, str]) -> None:
    network, attachment = session.network, session.attachment
    if network is None or attachment is None:
        session.answer.reply("401", target, "This connection is not bound to a network; talk to BouncerServ")
        return
    if command == "TAGMSG" and "message-tags" not in network.caps:
        return
    mask = network.state.mask if "!" in network.state.mask else f"{network.nick}!{'u' * 10}@{'h' * 63}"
    room = max(64, network.state.isupport.linelen - len(f":{mask} {command} {target} :\r\n".encode()))
    for piece in _pieces(text, room):
        if not network.say(attachment, command, target, piece, tags):
            session.answer.reply(
                "404", target, f"Not sent: {network.settings.name} is not connected, or too much waits"
            )
            return


def _pieces(text: str, room: int) -> list[str]:
    if text.startswith(_ACTION):
        body = text.removeprefix(_ACTION).removesuffix(_CTCP)
        return [f"{_ACTION}{piece}{_CTCP}" for piece in split_text(body, room - len(_ACTION) - 1)] or [text]
    if text.startswith(_CTCP) or len(text.encode("utf-8", "surrogateescape")) <= room:
        return [text]
    return split_text(text, room)


async def _service(session: Session, text: str) -> None:
    client = session.client
    if "echo-message" in client.caps:
        session.answer.reply("PRIVMSG", "BouncerServ", text, source=f"{client.nick}!{client.nick}@bouncer")
    for line in await session.service(text):
        session.answer.reply("PRIVMSG", client.nick, line or " ", source=SERVICE_MASK)


table = {"PRIVMSG": Command(say, 1), "NOTICE": Command(say, 1), "TAGMSG": Command(say, 1)}
