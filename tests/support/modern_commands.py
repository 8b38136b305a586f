"""The commands of the network in `modern` that every IRC network has: talk and channels."""

from __future__ import annotations

import fnmatch
import time
from typing import TYPE_CHECKING

from tests.support.modern_network import STARTED, Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.message import Message
    from tests.support.modern_network import User

_LISTS = {"b": (367, 368, "ban"), "e": (348, 349, "exception"), "I": (346, 347, "invite"), "q": (728, 729, "quiet")}


# -- finding things, or saying what is wrong


def channel_of(user: User, name: str, *, member: bool = False, operator: bool = False) -> Channel | None:
    """The channel, or None when the user has been told why not."""
    channel = user.network.channels.get(name.lower())
    if channel is None:
        user.reply(f"403 {name or '*'} :No such channel")
    elif member and user not in channel.members:
        user.reply(f"442 {name} :You're not on that channel")
    elif operator and "o" not in channel.members.get(user, ""):
        user.reply(f"482 {channel.name} :You're not channel operator")
    else:
        return channel
    return None


def user_of(user: User, nick: str) -> User | None:
    found = user.network.users.get(nick.lower())
    if found is None:
        user.reply(f"401 {nick} :No such nick/channel")
    return found


def _matches(masks: dict[str, str], user: User) -> bool:
    return any(fnmatch.fnmatchcase(user.mask.lower(), mask.lower()) for mask in masks)


# -- talk


def _say(user: User, message: Message) -> None:
    command = message.command
    texts = message.params[1:2]
    if command != "TAGMSG" and not (texts and texts[0]):
        user.reply("412 :No text to send")
        return
    text = f" :{texts[0]}" if command != "TAGMSG" else ""
    tags = {key: value for key, value in message.tags.items() if key[:1] == "+"}
    for target in message.params[0].split(","):
        receivers = audience(user, target, command)
        if receivers is not None:
            msgid = user.network.msgid()
            user.network.messages[msgid] = (target.lower(), user)
            deliver(user, receivers, f"{command} {target}{text}", msgid, tags, command)


def audience(user: User, target: str, command: str) -> list[User] | None:
    """Who hears what is said to a target, without the speaker; None when it may not be said."""
    name = target.lstrip("@%+")
    if name[:1] != "#":
        found = user.network.users.get(target.lower())
        if found is None:
            if command != "NOTICE":
                user.reply(f"401 {target} :No such nick/channel")
            return None
        if found.away and command == "PRIVMSG":
            user.reply(f"301 {found.nick} :{found.away}")
        return [found]
    channel = user.network.channels.get(name.lower())
    if channel is None:
        user.reply(f"403 {target} :No such channel")
        return None
    rank = channel.members.get(user, None)
    silent = ("n" in channel.modes and rank is None) or ("m" in channel.modes and not rank)
    if silent or (not rank and _matches({**channel.lists.get("b", {}), **channel.lists.get("q", {})}, user)):
        user.reply(f"404 {channel.name} :Cannot send to channel")
        return None
    least = target[: len(target) - len(name)]
    return [one for one, letters in channel.members.items() if one is not user and (not least or letters)]


def deliver(user: User, receivers: list[User], text: str, msgid: str, tags: dict[str, str], command: str) -> None:
    """To the receivers and, with echo-message, back; a message to oneself comes twice, only the echo is labelled."""
    for one in receivers:
        if command != "TAGMSG" or "message-tags" in one.caps:
            user.network.send(one, user, text, msgid=msgid, tags=tags, apart=one is user)
    if "echo-message" in user.caps and (command != "TAGMSG" or "message-tags" in user.caps):
        user.network.send(user, user, text, msgid=msgid, tags=tags)


# -- channels


def _join(user: User, message: Message) -> None:
    keys = message.param(1).split(",")
    for number, name in enumerate(message.params[0].split(",")):
        if name == "0":
            for channel in user.channels():
                _part_one(user, channel, "Left all channels")
        elif name[:1] != "#" or len(name) > 64:
            user.reply(f"403 {name} :No such channel")
        else:
            _join_one(user, name, keys[number] if number < len(keys) else "")


def _join_one(user: User, name: str, key: str) -> None:
    network = user.network
    channel = network.channels.get(name.lower())
    if channel is not None and user in channel.members:
        return
    if channel is not None and (error := _kept_out(channel, user, key)):
        user.reply(f"{error[:3]} {channel.name} :{error[4:]}")
        return
    if channel is None:
        channel = network.channels[name.lower()] = Channel(name)
    channel.members[user] = "" if channel.members else "o"
    channel.invited.discard(user)
    msgid = network.msgid()
    for one in channel.members:
        extra = f" {user.account or '*'} :{user.realname}" if "extended-join" in one.caps else ""
        network.send(one, user, f"JOIN {channel.name}{extra}", msgid=msgid)
        if user.away and "away-notify" in one.caps and one is not user:
            network.send(one, user, f"AWAY :{user.away}")
    network.topic(user, channel)
    if "no-implicit-names" not in user.caps:
        network.names(user, channel)


def _kept_out(channel: Channel, user: User, key: str) -> str:
    invited = user in channel.invited or _matches(channel.lists.get("I", {}), user)
    banned = _matches(channel.lists.get("b", {}), user) and not _matches(channel.lists.get("e", {}), user)
    if banned and not invited:
        return "474 Cannot join channel (+b)"
    if "i" in channel.modes and not invited:
        return "473 Cannot join channel (+i)"
    if channel.modes.get("k", key) != key:
        return "475 Cannot join channel (+k)"
    return "471 Cannot join channel (+l)" if len(channel.members) >= int(channel.modes.get("l", "99")) else ""


def _part(user: User, message: Message) -> None:
    for name in message.params[0].split(","):
        channel = channel_of(user, name, member=True)
        if channel is not None:
            _part_one(user, channel, message.param(1))


def _part_one(user: User, channel: Channel, reason: str) -> None:
    user.network.tell(channel.members, user, f"PART {channel.name}{f' :{reason}' if reason else ''}")
    user.network.leave(channel, user)


def _kick(user: User, message: Message) -> None:
    channel = channel_of(user, message.params[0], member=True, operator=True)
    for nick in message.params[1].split(",") if channel is not None else ():
        found = user_of(user, nick)
        if found is not None and channel is not None:
            if found not in channel.members:
                user.reply(f"441 {found.nick} {channel.name} :They aren't on that channel")
                continue
            user.network.tell(
                channel.members, user, f"KICK {channel.name} {found.nick} :{message.param(2) or user.nick}"
            )
            user.network.leave(channel, found)


def _topic(user: User, message: Message) -> None:
    channel = channel_of(user, message.params[0], member=len(message.params) > 1)
    if channel is None:
        return
    if len(message.params) == 1:
        if channel.topic:
            user.network.topic(user, channel)
        else:
            user.reply(f"331 {channel.name} :No topic is set.")
    elif "t" in channel.modes and "o" not in channel.members[user]:
        user.reply(f"482 {channel.name} :You're not channel operator")
    else:
        text = message.params[1]
        channel.topic = (text, user.mask, int(time.time())) if text else None
        user.network.tell(channel.members, user, f"TOPIC {channel.name} :{text}")


def _names(user: User, message: Message) -> None:
    for name in (message.param(0) or "*").split(","):
        channel = user.network.channels.get(name.lower())
        if channel is not None and (user in channel.members or "s" not in channel.modes):
            user.network.names(user, channel)
        else:
            user.reply(f"366 {name} :End of /NAMES list.")


def _invite(user: User, message: Message) -> None:
    if not message.params:
        for name in [one.name for one in user.network.channels.values() if user in one.invited]:
            user.reply(f"336 {name}")
        user.reply("337 :End of /INVITE list")
        return
    if len(message.params) < 2:
        user.reply("461 INVITE :Not enough parameters")
        return
    found = user_of(user, message.params[0])
    channel = channel_of(user, message.params[1], member=True) if found is not None else None
    if channel is None or found is None:
        return
    if found in channel.members:
        user.reply(f"443 {found.nick} {channel.name} :is already on channel")
    elif "i" in channel.modes and "o" not in channel.members[user]:
        user.reply(f"482 {channel.name} :You're not channel operator")
    else:
        channel.invited.add(found)
        user.reply(f"341 {found.nick} {channel.name}")
        if found.away:
            user.reply(f"301 {found.nick} :{found.away}")
        text = f"INVITE {found.nick} :{channel.name}"
        user.network.send(found, user, text, msgid=user.network.msgid())
        others = [one for one, letters in channel.members.items() if "o" in letters and one is not user]
        user.network.tell(others, user, text, cap="invite-notify")


def _knock(user: User, message: Message) -> None:
    channel = channel_of(user, message.params[0])
    if channel is None:
        return
    if user in channel.members:
        user.reply(f"714 {channel.name} :You are already on that channel")
    elif "i" not in channel.modes:
        user.reply(f"713 {channel.name} :Channel is open")
    else:
        for one, letters in channel.members.items():
            if "o" in letters:
                one.reply(f"710 {channel.name} {user.mask} :has asked for an invite")
        user.reply(f"711 {channel.name} :Your KNOCK has been delivered")


# -- modes


def _mode(user: User, message: Message) -> None:
    target, params = message.params[0], message.params[1:]
    if target[:1] != "#":
        _own_mode(user, target, params)
        return
    channel = channel_of(user, target)
    if channel is None:
        return
    if not params:
        letters = "".join(channel.modes)
        values = [value for value in channel.modes.values() if value]
        user.reply(" ".join([f"324 {channel.name} +{letters}", *values]))
        user.reply(f"329 {channel.name} {STARTED}")
    elif len(params) == 1 and params[0].strip("+-") in _LISTS:
        entry, end, word = _LISTS[params[0].strip("+-")]
        middle = f"{channel.name} q" if word == "quiet" else channel.name
        for mask, by in channel.lists.get(params[0].strip("+-"), {}).items():
            user.reply(f"{entry} {middle} {mask} {by} {STARTED}")
        user.reply(f"{end} {middle} :End of channel {word} list")
    elif channel_of(user, target, operator=True) is not None:
        _set_modes(user, channel, params)


def _own_mode(user: User, target: str, params: list[str]) -> None:
    if target.lower() != user.nick.lower():
        if user_of(user, target) is not None:
            user.reply("502 :Can't change mode for other users")
        return
    if not params:
        user.reply(f"221 +{''.join(sorted(user.modes))}")
        return
    sign, changed = "+", ""
    for letter in params[0]:
        if letter in "+-":
            sign = letter
        elif letter not in "iBw":
            user.reply("501 :Unknown MODE flag")
        elif (letter in user.modes) != (sign == "+"):
            user.modes ^= {letter}
            changed += sign + letter
    if changed:
        user.say(f":{user.mask} MODE {user.nick} :{changed}")


def _set_modes(user: User, channel: Channel, params: list[str]) -> None:
    arguments = iter(params[1:])
    sign, done, given = "", "", []
    now = "+"
    for letter in params[0]:
        if letter in "+-":
            now = letter
            continue
        takes = letter in "ohvbeIqk" or (letter == "l" and now == "+")
        argument = next(arguments, "") if takes else ""
        if letter not in "ohvbeIqklimnst":
            user.reply(f"472 {letter} :is unknown mode char to me")
        elif takes and not argument:
            user.reply(f"696 {channel.name} {letter} * :You must specify a parameter")
        elif _set_mode(user, channel, now, letter, argument):
            done += (now if now != sign else "") + letter
            sign = now
            given += [argument] if takes else []
    if done:
        user.network.tell(channel.members, user, " ".join([f"MODE {channel.name} {done}", *given]))


def _set_mode(user: User, channel: Channel, sign: str, letter: str, argument: str) -> bool:
    if letter in "ohv":
        found = user.network.users.get(argument.lower())
        if found is None or found not in channel.members:
            user.reply(f"441 {argument} {channel.name} :They aren't on that channel")
            return False
        letters = channel.members[found].replace(letter, "") + (letter if sign == "+" else "")
        channel.members[found] = "".join(sorted(letters, key="ohv".index))
        return True
    if letter in _LISTS:
        masks = channel.lists.setdefault(letter, {})
        if (argument in masks) == (sign == "+"):
            return False
        masks.update({argument: user.mask}) if sign == "+" else masks.pop(argument)
        return True
    if (letter in channel.modes) == (sign == "+") and letter != "l":
        return False
    channel.modes.pop(letter, None)
    if sign == "+":
        channel.modes[letter] = argument
    return True


COMMANDS: dict[str, tuple[Callable[[User, Message], None], int]] = {
    "INVITE": (_invite, 0),
    "JOIN": (_join, 1),
    "KICK": (_kick, 2),
    "KNOCK": (_knock, 1),
    "MODE": (_mode, 1),
    "NAMES": (_names, 0),
    "NOTICE": (_say, 1),
    "PART": (_part, 1),
    "PRIVMSG": (_say, 1),
    "TAGMSG": (_say, 1),
    "TOPIC": (_topic, 1),
}
