"""The questions of the network in `modern` that every IRC network answers, each with a reply or a list."""

from __future__ import annotations

import fnmatch
import time
from typing import TYPE_CHECKING

from tests.support.modern_network import SERVER, STARTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.message import Message
    from tests.support.modern_network import Channel, User

_HELP = {
    "": ("Help of this server", "Ask for one of: JOIN", "That is all"),
    "JOIN": ("JOIN", "JOIN #channel [key]", "See PART"),
}


def _flags(user: User, one: User, channel: Channel | None) -> str:
    symbols = "".join("@%+"["ohv".index(letter)] for letter in (channel.members.get(one, "") if channel else ""))
    shown = symbols if "multi-prefix" in user.caps else symbols[:1]
    return ("G" if one.away else "H") + ("B" if "B" in one.modes else "") + shown


def _who(user: User, message: Message) -> None:
    mask, options = message.param(0) or "*", message.param(1)
    channel = user.network.channels.get(mask.lower())
    if channel is not None:
        found = list(channel.members) if user in channel.members or "s" not in channel.modes else []
    else:
        found = [one for one in user.network.users.values() if fnmatch.fnmatchcase(one.nick.lower(), mask.lower())]
    fields, _, token = options.partition("%")[2].partition(",")
    for one in found:
        where = channel or next(iter(one.channels()), None)
        name = where.name if where is not None else "*"
        flags = _flags(user, one, where)
        if "%" in options:
            values = {
                "t": token,
                "c": name,
                "u": one.username,
                "i": "127.0.0.1",
                "h": one.host,
                "s": SERVER,
                "n": one.nick,
                "f": flags,
                "d": "0",
                "l": "7",
                "a": one.account or "0",
                "o": "n/a",
            }
            shown = [values[letter] for letter in "tcuihsnfdlao" if letter in fields]
            user.reply(" ".join(["354", *shown, *([f":{one.realname}"] if "r" in fields else [])]))
        else:
            user.reply(f"352 {name} {one.username} {one.host} {SERVER} {one.nick} {flags} :0 {one.realname}")
    user.reply(f"315 {mask} :End of /WHO list.")


def _whois(user: User, message: Message) -> None:
    nick = message.params[-1]
    one = user.network.users.get(nick.lower())
    if one is None:
        user.reply(f"401 {nick} :No such nick/channel")
        user.reply(f"318 {nick} :End of /WHOIS list.")
        return
    user.reply(f"311 {one.nick} {one.username} {one.host} * :{one.realname}")
    shown = [channel for channel in one.channels() if "s" not in channel.modes or user in channel.members]
    if shown:
        names = [_flags(user, one, channel).lstrip("GHB") + channel.name for channel in shown]
        user.reply(f"319 {one.nick} :{' '.join(names)}")
    user.reply(f"312 {one.nick} {SERVER} :a modern server")
    if one.account:
        user.reply(f"330 {one.nick} {one.account} :is logged in as")
    if "B" in one.modes:
        user.reply(f"335 {one.nick} :is a bot")
    user.reply(f"671 {one.nick} :is using a secure connection")
    user.reply(f"799 {one.nick} :is somebody nobody has heard of")
    if one.away:
        user.reply(f"301 {one.nick} :{one.away}")
    user.reply(f"317 {one.nick} {int(time.monotonic() - one.idle_since)} {STARTED} :seconds idle, signon time")
    user.reply(f"318 {nick} :End of /WHOIS list.")


def _whowas(user: User, message: Message) -> None:
    nick = message.params[0]
    one = user.network.were.get(nick.lower())
    if one is None:
        user.reply(f"406 {nick} :There was no such nickname")
    else:
        user.reply(f"314 {one.nick} {one.username} {one.host} * :{one.realname}")
        user.reply(f"312 {one.nick} {SERVER} :long ago")
    user.reply(f"369 {nick} :End of WHOWAS")


def _list(user: User, message: Message) -> None:
    wanted = message.param(0)
    user.reply("321 Channel :Users  Name")
    for channel in user.network.channels.values():
        count = len(channel.members)
        fits = not wanted or fnmatch.fnmatchcase(channel.name.lower(), wanted.lower())
        if wanted[:1] == ">":
            fits = count > int(wanted[1:])
        if fits and ("s" not in channel.modes or user in channel.members):
            user.reply(f"322 {channel.name} {count} :{channel.topic[0] if channel.topic else ''}")
    user.reply("323 :End of /LIST")


def _help(user: User, message: Message) -> None:
    about = message.param(0).upper()
    if about not in _HELP:
        user.reply(f"524 {about} :No help available on this topic")
        return
    for number, text in zip((704, 705, 706), _HELP[about], strict=True):
        user.reply(f"{number} {about or '*'} :{text}")


def _lines(*texts: str) -> Callable[[User, Message], None]:
    def answer(user: User, _message: Message) -> None:
        for text in texts:
            user.reply(text)

    return answer


def _stats(user: User, message: Message) -> None:
    letter = message.param(0)[:1] or "*"
    if letter == "u":
        user.reply("242 :Server Up 1 days 2:03:04")
    elif letter == "P":
        user.reply("481 :Permission Denied")
    user.reply(f"219 {letter} :End of /STATS report")


def _on_server(run: Callable[[User], None]) -> Callable[[User, Message], None]:
    def answer(user: User, message: Message) -> None:
        if message.param(0) not in ("", SERVER):
            user.reply(f"402 {message.param(0)} :No such server")
        else:
            run(user)

    return answer


def _version(user: User) -> None:
    user.reply(f"351 modern-1 {SERVER} :for tests")
    user.network.isupport(user)


def _userhost(user: User, message: Message) -> None:
    found = [user.network.users[nick.lower()] for nick in message.params[:5] if nick.lower() in user.network.users]
    shown = [f"{one.nick}={'-' if one.away else '+'}{one.username}@{one.host}" for one in found]
    user.reply(f"302 :{' '.join(shown)}")


def _ison(user: User, message: Message) -> None:
    nicks = [nick for param in message.params for nick in param.split()]
    user.reply(f"303 :{' '.join(nick for nick in nicks if nick.lower() in user.network.users)}")


QUERIES: dict[str, tuple[Callable[[User, Message], None], int]] = {
    "ADMIN": (_lines(f"256 {SERVER} :Administrative info", "257 :a", "258 :b", "259 :nobody@modern.test"), 0),
    "HELP": (_help, 0),
    "INFO": (_lines("371 :a server for tests", "371 :", "374 :End of /INFO list."), 0),
    "ISON": (_ison, 1),
    "LINKS": (_lines(f"364 {SERVER} {SERVER} :0 a modern server", "365 * :End of /LINKS list."), 0),
    "LIST": (_list, 0),
    "LUSERS": (_on_server(lambda user: user.network.lusers(user)), 0),
    "MOTD": (_on_server(lambda user: user.network.motd(user)), 0),
    "STATS": (_stats, 0),
    "TIME": (_lines(f"391 {SERVER} :Monday, long ago"), 0),
    "USERHOST": (_userhost, 1),
    "VERSION": (_on_server(_version), 0),
    "WHO": (_who, 0),
    "WHOIS": (_whois, 1),
    "WHOWAS": (_whowas, 1),
}
