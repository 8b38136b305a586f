"""Owns MONITOR from a client, whose list is its own although the network keeps one for all of us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands.table import Command, forward

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.message import Message

_NAMES_A_LINE = 10


async def monitor(session: Session, msg: Message) -> None:
    """https://ircv3.net/specs/extensions/monitor ."""
    network, attachment = session.network, session.attachment
    if network is None or attachment is None or not network.up:
        await forward(session, msg)
        return
    if msg.param(0).upper() == "L" and (names := network.monitors.listed(attachment)) is not None:
        for start in range(0, len(names), _NAMES_A_LINE):
            session.answer.reply("732", ",".join(names[start : start + _NAMES_A_LINE]))
        session.answer.reply("733", "End of MONITOR list")
        return
    session.answer.passed = network.monitors.ask(attachment, msg, session.answer.label)


table = {"MONITOR": Command(monitor)}
