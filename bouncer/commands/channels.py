"""Owns JOIN and PART from a client, where what is typed is also kept: keys are saved with the channel."""

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
    keys = msg.param(1).split(",")
    for name, key in zip(msg.param(0).split(","), keys, strict=False):
        network.remember_key(name, key)
    if network.up:
        await forward(session, msg)
    else:
        session.answer.reply("403", msg.param(0) or "*", f"Not connected to {network.settings.name}")


table = {"JOIN": Command(join)}
