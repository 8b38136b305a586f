"""The commands of the network in `modern` that few networks have; each names its specification."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.modern_commands import audience, channel_of
from tests.support.modern_network import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.message import Message
    from tests.support.modern_network import User

_MAX_LINES, _MAX_BYTES = 24, 4096


def _fail(user: User, *words: str) -> None:
    user.say(f":{SERVER} FAIL {' '.join(words[:-1])} :{words[-1]}")


# -- about oneself


def log_in(user: User, account: str) -> None:
    """An account name, or "" to log out; https://ircv3.net/specs/extensions/account-notify ."""
    user.account = account
    mask = user.mask if user.nick else f"*!*@{user.host}"
    user.reply(f"900 {mask} {account} :You are now logged in as {account}" if account else f"901 {mask} :Logged out")
    if user.registered:
        network = user.network
        network.tell(network.watchers(user, "account-notify"), user, f"ACCOUNT {account or '*'}")


def _away(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/away-notify"""
    user.away = message.param(0)
    user.reply(
        "306 :You have been marked as being away" if user.away else "305 :You are no longer marked as being away"
    )
    network = user.network
    network.tell(network.watchers(user, "away-notify"), user, f"AWAY{f' :{user.away}' if user.away else ''}")


def _setname(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/setname"""
    if len(message.params[0]) > 100:
        _fail(user, "SETNAME", "INVALID_REALNAME", "Realname is too long")
        return
    user.realname = message.params[0]
    network = user.network
    receivers = [*([user] if "setname" in user.caps else []), *network.watchers(user, "setname")]
    network.tell(receivers, user, f"SETNAME :{user.realname}")


def _sethost(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/chghost"""
    network = user.network
    receivers = [*([user] if "chghost" in user.caps else []), *network.watchers(user, "chghost")]
    network.tell(receivers, user, f"CHGHOST {user.username} {message.params[0]}")
    user.host = message.params[0]
    user.reply(f"396 {user.host} :is now your displayed host")


def _register(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/account-registration"""
    account = user.nick if message.params[0] == "*" else message.params[0]
    if account.lower() in user.network.accounts:
        _fail(user, "REGISTER", "ACCOUNT_EXISTS", account, "Account already exists")
        return
    user.network.accounts.add(account.lower())
    user.say(f":{SERVER} REGISTER SUCCESS {account} :Account created")
    log_in(user, account)


# -- presence: https://ircv3.net/specs/extensions/monitor


def _monitor(user: User, message: Message) -> None:
    action, nicks = message.params[0].upper(), [nick for nick in message.param(1).split(",") if nick]
    users = user.network.users
    if action == "+":
        if len(user.monitored) + len(nicks) > 100:
            user.reply(f"734 100 {','.join(nicks)} :Monitor list is full.")
            return
        user.monitored.update({nick.lower(): nick for nick in nicks})
    elif action == "-":
        for nick in nicks:
            user.monitored.pop(nick.lower(), None)
        return
    elif action == "C":
        user.monitored.clear()
        return
    elif action == "L":
        if user.monitored:
            user.reply(f"732 :{','.join(user.monitored.values())}")
        user.reply("733 :End of MONITOR list")
        return
    shown = nicks if action == "+" else list(user.monitored.values())
    online = [users[nick.lower()].mask for nick in shown if nick.lower() in users]
    offline = [nick for nick in shown if nick.lower() not in users]
    if online:
        user.reply(f"730 :{','.join(online)}")
    if offline:
        user.reply(f"731 :{','.join(offline)}")


# -- messages


def _redact(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/message-redaction"""
    target, msgid = message.params[:2]
    reason = f" :{message.param(2)}" if message.param(2) else ""
    known = user.network.messages.get(msgid)
    channel = user.network.channels.get(target.lower())
    if channel is not None and user not in channel.members:
        _fail(user, "REDACT", "INVALID_TARGET", target, "You are not there")
    elif known is None or known[0] != target.lower():
        _fail(user, "REDACT", "UNKNOWN_MSGID", target, msgid, "No such message")
    elif known[1] is not user and (channel is None or "o" not in channel.members[user]):
        _fail(user, "REDACT", "REDACT_FORBIDDEN", target, msgid, "That is not yours")
    else:
        del user.network.messages[msgid]
        receivers = list(channel.members) if channel else [user, user.network.users[target.lower()]]
        user.network.tell(receivers, user, f"REDACT {target} {msgid}{reason}", cap="draft/message-redaction")


def _batch(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/multiline"""
    reference = message.params[0]
    if reference[:1] == "+":
        if message.param(1) != "draft/multiline" or len(message.params) < 3:
            _fail(user, "BATCH", "MULTILINE_INVALID", "Not a multiline batch")
            return
        user.lines[reference[1:]] = (message.params[2], [], message.tags.get("label", ""))
        user.relabel("")
        return
    opened = user.lines.pop(reference[1:], None)
    if opened is None:
        _fail(user, "BATCH", "MULTILINE_INVALID", "No such batch")
        return
    target, lines, label = opened
    user.relabel(label)
    size = sum(len(line.param(1).encode("utf-8", "surrogateescape")) + 1 for line in lines) - 1
    if len(lines) > _MAX_LINES:
        _fail(user, "BATCH", "MULTILINE_MAX_LINES", str(_MAX_LINES), "Too many lines")
    elif size > _MAX_BYTES:
        _fail(user, "BATCH", "MULTILINE_MAX_BYTES", str(_MAX_BYTES), "Too many bytes")
    elif others := [line.param(0) for line in lines if line.param(0) != target]:
        _fail(user, "BATCH", "MULTILINE_INVALID_TARGET", target, others[0], "Lines for another target")
    elif not any(line.param(1) for line in lines):
        _fail(user, "BATCH", "MULTILINE_INVALID", "Nothing but blank lines")
    else:
        receivers = audience(user, target, lines[0].command)
        if receivers is not None:
            msgid = user.network.msgid()
            user.network.messages[msgid] = (target.lower(), user)
            tags = {key: value for key, value in message.tags.items() if key[:1] == "+"}
            for one in [*receivers, *([user] if "echo-message" in user.caps else [])]:
                _show(user, one, target, lines, msgid, tags)


def _show(user: User, to: User, target: str, lines: list[Message], msgid: str, tags: dict[str, str]) -> None:
    if "draft/multiline" not in to.caps:
        for number, line in enumerate(line for line in lines if line.param(1)):
            text = f"{line.command} {target} :{line.param(1)}"
            user.network.send(to, user, text, msgid="" if number else msgid, tags={} if number else tags)
        return
    reference = user.network.reference()
    user.network.send(to, user, f"BATCH +{reference} draft/multiline {target}", msgid=msgid, tags=tags)
    for line in lines:
        concat = {"draft/multiline-concat": ""} if "draft/multiline-concat" in line.tags else {}
        text = f"{line.command} {target} :{line.param(1)}"
        user.network.send(to, user, text, tags={"batch": reference, **concat})
    to.say(f":{user.mask} BATCH -{reference}")


def _mark_read(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/read-marker"""
    target = message.params[0]
    given = message.param(1)
    if given and not re.fullmatch(r"timestamp=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", given):
        _fail(user, "MARKREAD", "INVALID_PARAMS", target, "Not a timestamp")
        return
    marker = max(user.markers.get(target.lower(), ""), given)
    if marker:
        user.markers[target.lower()] = marker
    user.say(f":{SERVER} MARKREAD {target} {marker or '*'}")


# -- channels


def _rename(user: User, message: Message) -> None:
    """https://ircv3.net/specs/extensions/channel-rename"""
    old, new = message.params[:2]
    channel = channel_of(user, old, member=True, operator=True)
    if channel is None:
        return
    network = user.network
    if new[:1] != "#":
        _fail(user, "RENAME", "CANNOT_RENAME", old, new, "Not a channel name")
    elif network.channels.get(new.lower(), channel) is not channel:
        _fail(user, "RENAME", "CHANNEL_NAME_IN_USE", old, new, "That name is taken")
    else:
        del network.channels[old.lower()]
        was, channel.name = channel.name, new
        network.channels[new.lower()] = channel
        for one in list(channel.members):
            if "draft/channel-rename" in one.caps:
                network.send(one, user, f"RENAME {was} {new} :{message.param(2)}")
                continue
            network.send(one, one, f"PART {was} :Channel renamed: {message.param(2)}")
            extra = f" {one.account or '*'} :{one.realname}" if "extended-join" in one.caps else ""
            network.send(one, one, f"JOIN {new}{extra}")
            network.topic(one, channel)
            network.names(one, channel)


# -- metadata: https://ircv3.net/specs/extensions/metadata


def _metadata(user: User, message: Message) -> None:
    target, action, words = message.params[0], message.params[1].upper(), message.params[2:]
    if action in ("SUB", "UNSUB", "SUBS"):
        _subscribe(user, action, words)
        return
    name = user.nick if target == "*" else target
    channel = user.network.channels.get(name.lower())
    found = user.network.users.get(name.lower())
    if channel is None and found is None:
        _fail(user, "METADATA", "INVALID_TARGET", target, "No such target")
        return
    kept = channel.metadata if channel is not None else found.metadata if found is not None else {}
    name = channel.name if channel is not None else found.nick if found is not None else name
    allowed = found is user or (channel is not None and "o" in channel.members.get(user, ""))
    if action in ("SET", "CLEAR") and not allowed:
        _fail(user, "METADATA", "KEY_NO_PERMISSION", target, words[0] if words else "*", "Not yours to set")
    elif action == "SET" and words:
        _set(user, name, kept, words)
    elif action in ("GET", "LIST", "CLEAR", "SYNC"):
        _batch_of(user, _values(user, name, kept, action, words))
        if action == "CLEAR":
            kept.clear()
    else:
        _fail(user, "METADATA", "SUBCOMMAND_INVALID", action, "Invalid subcommand")


def _subscribe(user: User, action: str, words: list[str]) -> None:
    if action == "SUBS":
        if user.subscribed:
            user.reply(f"772 {' '.join(sorted(user.subscribed))}")
        return
    good = [word for word in words if re.fullmatch(r"[a-z0-9_./-]+", word)]
    user.subscribed = user.subscribed | set(good) if action == "SUB" else user.subscribed - set(good)
    if good:
        user.reply(f"{770 if action == 'SUB' else 771} {' '.join(good)}")
    for word in words:
        if word not in good:
            _fail(user, "METADATA", "KEY_INVALID", word, "Invalid key")


def _set(user: User, name: str, kept: dict[str, str], words: list[str]) -> None:
    key = words[0].lower()
    if not re.fullmatch(r"[a-z0-9_./-]+", key):
        _fail(user, "METADATA", "KEY_INVALID", words[0], "Invalid key")
        return
    if len(words) > 1:
        kept[key] = words[1]
        user.reply(f"761 {name} {key} * :{words[1]}")
    elif kept.pop(key, None) is None:
        _fail(user, "METADATA", "KEY_NOT_SET", name, key, "Key not set")
        return
    else:
        user.reply(f"766 {name} {key} :Key not set")
    channel = user.network.channels.get(name.lower())
    text = f"METADATA {name} {key} *{f' :{words[1]}' if len(words) > 1 else ''}"
    for one in list(channel.members) if channel is not None else user.network.peers(user):
        if one is not user and key in one.subscribed:
            user.network.send(one, user, text)


def _values(user: User, name: str, kept: dict[str, str], action: str, words: list[str]) -> list[str]:
    if action == "SYNC":
        return [f"METADATA {name} {key} * :{kept[key]}" for key in sorted(kept) if key in user.subscribed]
    keys = [word.lower() for word in words] if action == "GET" else sorted(kept)
    lines = []
    for key in keys:
        if action == "CLEAR" or key not in kept:
            lines.append(f"766 {user.nick} {name} {key} :Key not set")
        else:
            lines.append(f"761 {user.nick} {name} {key} * :{kept[key]}")
    return lines


def _batch_of(user: User, lines: list[str]) -> None:
    reference = user.network.reference()
    user.say(f":{SERVER} BATCH +{reference} metadata")
    for line in lines:
        user.say(f":{SERVER} {line}", {"batch": reference})
    user.say(f":{SERVER} BATCH -{reference}")


# -- what nobody has heard of


def _odd(user: User, message: Message) -> None:
    user.reply("799 first second :a numeric nobody knows")
    user.say(f":{SERVER} ODDLY {user.nick} one  two :and  a  tail ")
    user.say(f":{SERVER} 640 {user.nick} :{' '.join(message.params)}")


def _log_in(user: User, message: Message) -> None:
    log_in(user, message.param(0))


EXTENSIONS: dict[str, tuple[Callable[[User, Message], None], int]] = {
    "AWAY": (_away, 0),
    "BATCH": (_batch, 1),
    "LOGIN": (_log_in, 0),
    "MARKREAD": (_mark_read, 1),
    "METADATA": (_metadata, 2),
    "MONITOR": (_monitor, 1),
    "ODD": (_odd, 0),
    "REDACT": (_redact, 2),
    "REGISTER": (_register, 3),
    "RENAME": (_rename, 2),
    "SETHOST": (_sethost, 1),
    "SETNAME": (_setname, 1),
}
