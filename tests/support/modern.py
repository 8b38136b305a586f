"""A small IRC network on real TCP that speaks what Debian's servers lack; for tests, several connections at once.

async with ModernNetwork() as network:
    ... connect to network.host, network.port; SASL PLAIN takes any account with the password "pw" ...

Labels, batches, echo, message ids, multiline, redaction, rename, metadata, read markers and the rest are as the
specifications say: https://ircv3.net/irc/ . Three commands are of its own making: SETHOST changes one's host, LOGIN
one's account, and ODD answers with numerics and verbs nobody has heard of. Here is the way in.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING

from tests.support.modern_commands import COMMANDS
from tests.support.modern_extensions import EXTENSIONS, log_in
from tests.support.modern_network import SERVER, Network, User
from tests.support.modern_queries import QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bouncer.irc.message import Message

PASSWORD = "pw"
_KNOWN = {**COMMANDS, **QUERIES, **EXTENSIONS}


class ModernNetwork(Network):
    """The network; `caps` replaces what it offers."""

    def __init__(self, caps: Mapping[str, str] | None = None) -> None:
        super().__init__(handle, caps)


def handle(user: User, message: Message) -> None:
    """One line of a client."""
    command = message.command
    register = _REGISTRATION.get(command)
    if register is not None:
        user.answered(message.tags.get("label", ""), lambda: register(user, message))
        if not user.registered and user.nick and user.username and not user.negotiating and not user.gone:
            user.network.welcome(user)
        return
    if not user.registered:
        user.reply("451 :You have not registered")
        return
    found = _KNOWN.get(command)
    reference = message.tags.get("batch", "")

    def run() -> None:
        if reference in user.lines and command in ("PRIVMSG", "NOTICE"):
            user.lines[reference][1].append(message)
        elif found is None:
            user.reply(f"421 {command} :Unknown command")
        elif len(message.params) < found[1]:
            user.reply(f"461 {command} :Not enough parameters")
        else:
            user.idle_since = time.monotonic() if command == "PRIVMSG" else user.idle_since
            found[0](user, message)

    if reference in user.lines and command in ("PRIVMSG", "NOTICE"):
        run()
    else:
        user.answered(message.tags.get("label", ""), run)


def _cap(user: User, message: Message) -> None:
    subcommand, nick, offered = message.param(0).upper(), user.nick or "*", user.network.caps
    if subcommand == "LS":
        user.negotiating = not user.registered
        user.version = max(user.version, int(message.param(1) or 0))
        if user.version >= 302:
            user.caps.add("cap-notify")
        tokens = [f"{name}={value}" if value and user.version >= 302 else name for name, value in offered.items()]
        chunks = [tokens[at : at + 8] for at in range(0, len(tokens), 8)] or [[]]
        for number, chunk in enumerate(chunks, 1):
            more = "* " if number < len(chunks) and user.version >= 302 else ""
            user.say(f":{SERVER} CAP {nick} LS {more}:{' '.join(chunk)}")
    elif subcommand == "LIST":
        user.say(f":{SERVER} CAP {nick} LIST :{' '.join(sorted(user.caps))}")
    elif subcommand == "REQ":
        user.negotiating = not user.registered
        wanted = message.param(1).split()
        good = all(name.lstrip("-") in offered for name in wanted)
        if good:
            user.caps |= {name for name in wanted if name[0] != "-"}
            user.caps -= {name[1:] for name in wanted if name[0] == "-"}
        user.say(f":{SERVER} CAP {nick} {'ACK' if good else 'NAK'} :{' '.join(wanted)}")
    elif subcommand == "END":
        user.negotiating = False
    else:
        user.reply(f"410 {message.param(0)} :Invalid CAP command")


def _nick(user: User, message: Message) -> None:
    wanted, network = message.param(0), user.network
    if not wanted:
        user.reply("431 :No nickname given")
    elif not wanted[0].isalpha() or not wanted.isascii() or any(letter in wanted for letter in "!@#* ,"):
        user.reply(f"432 {wanted} :Erroneous nickname")
    elif network.users.get(wanted.lower(), user) is not user:
        user.reply(f"433 {wanted} :Nickname is already in use")
    elif not user.registered:
        user.nick = wanted
    elif wanted != user.nick:
        changed = wanted.lower() != user.nick.lower()
        network.tell([user, *network.peers(user)], user, f"NICK :{wanted}")
        if changed:
            network.presence(user, online=False)
        del network.users[user.nick.lower()]
        user.nick = wanted
        network.users[wanted.lower()] = user
        if changed:
            network.presence(user, online=True)


def _user(user: User, message: Message) -> None:
    if user.registered:
        user.reply("462 :You may not reregister")
    elif len(message.params) < 4:
        user.reply("461 USER :Not enough parameters")
    else:
        user.username, user.realname = message.param(0), message.param(3)


def _pass(user: User, _message: Message) -> None:
    if user.registered:
        user.reply("462 :You may not reregister")


def _authenticate(user: User, message: Message) -> None:
    text = message.param(0)
    if text.upper() == "PLAIN":
        user.say("AUTHENTICATE +")
        return
    try:
        _, account, password = base64.b64decode(text).decode().split("\0")
    except (binascii.Error, ValueError):
        account = password = ""
    if password != PASSWORD:
        user.reply("904 :SASL authentication failed")
        return
    log_in(user, account)
    user.reply("903 :SASL authentication successful")


def _ping(user: User, message: Message) -> None:
    if not message.params:
        user.reply("461 PING :Not enough parameters")
    else:
        user.say(f":{SERVER} PONG {SERVER} :{message.param(0)}")


_REGISTRATION: dict[str, Callable[[User, Message], None]] = {
    "AUTHENTICATE": _authenticate,
    "CAP": _cap,
    "NICK": _nick,
    "PASS": _pass,
    "PING": _ping,
    "PONG": lambda _user, _message: None,
    "QUIT": lambda user, message: user.quit(f"Quit: {message.param(0)}"),
    "USER": _user,
}
