"""Owns the lines of a person who types without any client: what is sent, and the network's answer in words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bouncer.commands.messages import SERVICE, pieces
from bouncer.errors import RefusedError
from bouncer.events import Reply
from bouncer.irc.message import Message, as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.network.network import Network

SAYS = frozenset({"PRIVMSG", "NOTICE"})
ENDS = {"WHOIS": frozenset({"318", "402", "431"}), "WHOWAS": frozenset({"369", "431"}), "NAMES": frozenset({"366"})}
"""What asks, and by which numerics the answer is over; anything else is over when the network has dealt with it."""
MAX_REPLIES = 100

_QUIET = frozenset({"318", "369", "366", "305", "306", "315"})
_NO_REFUSAL = frozenset({"301", "406"})
WHOIS = {
    "311": "{0} is {1}@{2}: {4}",
    "314": "{0} was {1}@{2}: {4}",
    "312": "on {1}: {2}",
    "313": "{0} {1}",
    "319": "in {1}",
    "330": "logged in as {1}",
    "301": "{0} is away: {1}",
    "338": "really at {1}",
}
"""Answers in fewer words than the network's; the parameters behind our nick go in."""


async def say(network: Network, messages: Sequence[Message]) -> list[Reply]:
    """Send lines as if a client had; the answer, when the network has dealt with them. Inside the user's tenant.

    Raises RefusedError when they do not go out at all, UnsafeLineError for a line that could not be written.
    """
    lines = [line for msg in messages for line in _lines(network, msg)]
    for line in lines:
        _ = line.raw  # raises for what cannot be one line, before anything of it is sent
    for msg in messages:
        _check(network, msg)
    for msg in messages:
        _follow(network, msg)
    heard = _Heard(ENDS.get(messages[-1].command, frozenset()))
    if not network.ask_all(None, lines, hook=heard.take):
        raise RefusedError(f"not sent: too much waits for {network.settings.name}")
    if not heard.ends:
        network.behind(lambda _turn: heard.over())
    try:
        async with asyncio.timeout(network.owner.config.timeouts.reply_s):
            await heard.done
    except TimeoutError:
        if not heard.found and not network.up:
            name = network.settings.name
            raise RefusedError(f"the connection to {name} was lost; it may not have been said") from None
    return [words for words in map(in_words, heard.found) if words is not None]


class _Heard:
    """What came for a line, until one of `ends`, or `over`."""

    def __init__(self, ends: frozenset[str]) -> None:
        self.ends = ends
        self.found: list[Message] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, answer: Message) -> None:
        if len(self.found) < MAX_REPLIES:
            self.found.append(answer)
        if answer.command in self.ends:
            self.over()

    def over(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _check(network: Network, msg: Message) -> None:
    name = network.settings.name
    if msg.command in SAYS and msg.param(0).lower() == SERVICE:
        raise RefusedError("BouncerServ hears /msg only")
    if not network.up:
        why = network.error or ("it is off" if not network.settings.enabled else "connecting")
        raise RefusedError(f"not sent: {name} is not connected ({why})")


def _lines(network: Network, msg: Message) -> list[Message]:
    """The line, or several where the network would cut it."""
    if msg.command not in SAYS or len(msg.params) < 2:
        return [msg]
    parts = pieces(msg.command, msg.params[0], msg.params[1], network)
    return [Message(msg.command, [msg.params[0], part]) for part in parts]


def _follow(network: Network, msg: Message) -> None:
    """What these commands mean to us besides what the network does with them; as from a client."""
    if msg.command == "JOIN":
        names = msg.param(0).split(",")
        for name, key in zip(names, msg.param(1).split(","), strict=False):
            network.remember_key(name, key)
        for name in names:
            if network.hides(name) and name in network.state.channels:
                network.detached.attach(name)
    elif msg.command == "NICK":
        network.keeper.stop()
    elif msg.command == "AWAY":
        network.presence.person(msg.param(0))
        network.presence.changed()


def in_words(msg: Message) -> Reply | None:
    """One line of an answer as a sentence; None for one that says nothing."""
    number, params = msg.command, [as_text(param) for param in msg.params]
    if number in _QUIET:
        return None
    if number == "FAIL" or not number.isdigit():
        return Reply(": ".join([*params[1:-1], params[-1]]) if params else number, number == "FAIL")
    params = params[1:]
    refused = number[0] in "45679" and number not in _NO_REFUSAL and not _is_whois(number)
    if number in WHOIS and len(params) >= _needs(WHOIS[number]):
        return Reply(WHOIS[number].format(*params))
    if number == "317" and len(params) > 2 and params[1].isdecimal() and len(params[1]) < 12:
        return Reply(f"idle for {_idle(int(params[1]))}")
    return Reply(": ".join([" ".join(params[:-1]), params[-1]] if len(params) > 1 else params), refused)


def _is_whois(number: str) -> bool:
    return number in ("671", "615", "616", "617", "569", "730", "731", "704", "705", "706")


def _needs(form: str) -> int:
    return max(int(form[at + 1]) for at in range(len(form)) if form[at] == "{") + 1


def _idle(seconds: int) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
