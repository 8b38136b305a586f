"""Owns questions of a client that may be answered here: MONITOR, and polling that the flood limit would hold up.

What a client asks is asked of the network. Only where that would take too long, state answers, as the network would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands.table import Command, forward
from bouncer.irc.message import wire
from bouncer.irc.welcome import names_lines

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.irc.channel import ChannelState
    from bouncer.irc.message import Message

TOO_LATE_S = 2.0
"""Seconds a question may wait for the flood limit before state answers it."""


async def monitor(session: Session, msg: Message) -> None:
    """https://ircv3.net/specs/extensions/monitor ."""
    network, attachment = session.network, session.attachment
    if network is None or attachment is None or not network.up:
        await forward(session, msg)
        return
    answer = session.answer
    answer.passed = network.monitors.ask(attachment, msg, answer.label, answer.reply)


def _known(session: Session, msg: Message) -> ChannelState | None:
    """The channel asked about, if the network's own answer would come late and state holds the same."""
    network = session.network
    if network is None or len(msg.params) != 1 or network.wait_s() <= TOO_LATE_S:
        return None
    return network.state.channels.find(msg.params[0])


async def names(session: Session, msg: Message) -> None:
    """NAMES of one channel we are on."""
    network, channel = session.network, _known(session, msg)
    if network is None or channel is None or not channel.names_complete:
        await forward(session, msg)
        return
    for line in names_lines(network.state, channel, network.source, session.client.caps):
        session.answer.write(line)


async def mode(session: Session, msg: Message) -> None:
    """The modes of one channel we are on; anything else is not for us to know."""
    network, channel = session.network, _known(session, msg)
    if network is None or channel is None or not channel.modes_known:
        await forward(session, msg)
        return
    session.answer.write(wire("324", [network.nick, channel.name, *channel.mode_params()], network.source))
    if channel.created_at:
        session.answer.write(wire("329", [network.nick, channel.name, str(channel.created_at // 1000)], network.source))


table = {"MONITOR": Command(monitor), "NAMES": Command(names), "MODE": Command(mode)}
