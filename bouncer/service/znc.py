"""Owns answering what people are used to say to ZNC's *status and other modules: how it is said here; does nothing."""

from __future__ import annotations

import re

MODULES = {
    "awaystore": "away message WORDS, or notify list",
    "cert": "certfp generate, then certfp show",
    "clientaway": "away auto on",
    "controlpanel": "server update --nick N, or channel join CHANNEL; help server tells more",
    "keepnick": "server update --keep-nick --regain-command 'PRIVMSG NickServ :REGAIN {nick}'",
    "log": "history search WORD",
    "nickserv": "sasl set nickserv ACCOUNT --password VALUE, or better sasl set plain",
    "perform": "server update --connect-command LINE (again for more; `WAIT 5` waits 5 s)",
    "sasl": "sasl set plain ACCOUNT --password VALUE, or scram, or external",
    "savebuff": "history search WORD",
    "simple_away": "away message WORDS, or away auto on",
    "watch": "notify list",
}
"""What is said to BouncerServ in place of a word to a ZNC module, by the module's name."""
COMMANDS = {
    "addchan": "channel join CHANNEL [KEY]",
    "addnetwork": "server add NAME ADDRESS",
    "addserver": "server update --fallback 'HOST PORT', or server add NAME ADDRESS for another network",
    "attach": "channel update CHANNEL --no-detached",
    "broadcast": "bouncer broadcast WORDS",
    "clearallchannelbuffers": "history clear CHANNEL --yes",
    "clearallquerybuffers": "history clear NICK --yes",
    "clearbuffer": "history clear CHANNEL --yes",
    "connect": "server connect",
    "delchan": "channel part CHANNEL",
    "delnetwork": "server delete NAME --yes",
    "delserver": "server update --no-fallbacks, or server delete NAME --yes for the whole network",
    "detach": "channel update CHANNEL --detached",
    "disablechan": "channel update CHANNEL --no-auto-join",
    "disconnect": "server disconnect",
    "enablechan": "channel update CHANNEL --auto-join",
    "help": "help",
    "jump": "server connect",
    "listchans": "channel list",
    "listclients": "client list",
    "listnetworks": "server list",
    "listservers": "server list",
    "listusers": "user list",
    "playbuffer": "history search WORD --in CHANNEL, or client forget NAME to be played all again",
    "rehash": "bouncer reload",
    "status": "server status",
    "topics": "channel list",
    "traffic": "history sizes",
    "uptime": "bouncer status",
    "version": "bouncer status",
}
"""The same for the commands of *status, in small letters."""
WORDS = {
    "jumpnetwork": "One connection is one network here: log in as USER/SERVER, or with a client that knows networks.",
    "listnicks": "Ask the network: /names CHANNEL",
    "restart": "Who runs this bouncer restarts it: systemctl restart bouncer",
    "saveconfig": "Nothing has to be saved here: what you change is kept at once.",
    "setbuffer": "No size has to be set here: everything is kept, and each client gets what it missed.",
    "showmotd": "Ask the network: /motd",
    "shutdown": "Who runs this bouncer stops it: systemctl stop bouncer",
}
"""Sentences for commands that have no counterpart."""
OTHERS = frozenset({"adminlog", "autoop", "chansaver", "playback", "route_replies", "webadmin"})
"""Modules whose work is done anyhow, or by the panel."""

_BLANK = re.compile(r"\bCHANNEL\b")
_PLAIN = re.compile(r"[^\s'\"\\]+")
"""What needs no quotes."""


def is_znc(nick: str) -> bool:
    """Whether a message to this nick is meant for ZNC: `*status` or one of its modules."""
    return nick[:1] == "*" and nick[1:].lower() in {"status", *MODULES, *OTHERS}


def znc_hint(text: str, module: str = "*status") -> list[str]:
    """Lines that say how to ask here for what `text` asks of a ZNC module (with or without its star)."""
    module = module.removeprefix("*").lower()
    if module in OTHERS:
        return ["This is no ZNC; what that module does is done anyhow, or in the panel."]
    command, *words = text.split() or ["help"]
    command = command.lower()
    if module in MODULES:
        said = MODULES[module]
    else:
        names = [*COMMANDS, *WORDS]
        close = [command] if command in names else [name for name in names if name.startswith(command)]
        if len(close) == 1 and close[0] in WORDS:
            return [WORDS[close[0]]]
        said = COMMANDS[close[0]] if len(close) == 1 else "help"
        if words and _PLAIN.fullmatch(words[0]):
            said = _BLANK.sub(lambda _: words[0], said, count=1)
    return [f"This is no ZNC, but I can do that: /msg BouncerServ {said}"]
