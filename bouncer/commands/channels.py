"""Owns JOIN, PART, NICK and AWAY from a client, which mean something to us besides what the network does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands.table import Command, forward

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message


async def join(session: Session, msg: Message) -> None:
    """On to the network; the keys are saved when it lets us in."""
    network = session.network
    if network is None:
        session.answer.reply("403", msg.param(0) or "*", "This connection is not bound to a network")
        return
    names = msg.param(0).split(",")
    hidden = [name for name in names if network.hides(name)]
    for name in hidden:
        network.detached.attach(name)
    if hidden and all(name in hidden and name in network.state.channels for name in names):
        return
    keys = msg.param(1).split(",")
    for name, key in zip(msg.param(0).split(","), keys, strict=False):
        network.remember_key(name, key)
    if network.up:
        await forward(session, msg)
    else:
        session.answer.reply("403", msg.param(0) or "*", f"Not connected to {network.settings.name}")


async def part(session: Session, msg: Message) -> None:
    """`PART #channel :detach` hides it from clients while we stay on it."""
    network = session.network
    if network is not None and msg.param(1).strip().lower() == "detach" and len(msg.params) == 2:
        names = [name for name in msg.param(0).split(",") if name in network.state.channels]
        for name in names:
            network.detached.detach(name)
        if names:
            return
    await forward(session, msg)


async def nick(session: Session, msg: Message) -> None:
    """Whoever chooses a nick does not want another one kept."""
    if session.network is not None and msg.params:
        session.network.keeper.stop()
    await forward(session, msg)


async def away(session: Session, msg: Message) -> None:
    """To the network as it is; `*` tells that nobody sits in front of this client (draft/pre-away)."""
    network, attachment, text = session.network, session.attachment, msg.param(0)
    if network is None or attachment is None:
        await forward(session, msg)
        return
    attachment.background = text == "*" and "draft/pre-away" in session.client.caps
    if attachment.background:
        session.answer.reply("306", "You have been marked as being away")
    else:
        network.presence.person(text)
        if network.up:
            await forward(session, msg)
        else:
            session.answer.reply("306" if text else "305", f"Kept until {network.settings.name} is connected")
    network.presence.changed()


table = {"JOIN": Command(join), "PART": Command(part), "NICK": Command(nick), "AWAY": Command(away)}
