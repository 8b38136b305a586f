"""Owns JOIN and PART from a client, where what is typed is also kept: keys are saved with the channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands.table import Command

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message


async def join(session: Session, msg: Message) -> None:
    """On to the network; the keys are saved when it lets us in."""
    network, attachment = session.network, session.attachment
    if network is None or attachment is None:
        session.answer.reply("403", msg.params[0], "This connection is not bound to a network")
        return
    keys = msg.params[1].split(",") if len(msg.params) > 1 else []
    for name, key in zip(msg.params[0].split(","), keys, strict=False):
        network.remember_key(name, key)
    if not network.ask(attachment, msg, session.answer.label):
        session.answer.reply("403", msg.params[0], f"Not connected to {network.settings.name}")


table = {"JOIN": Command(join, 1)}
