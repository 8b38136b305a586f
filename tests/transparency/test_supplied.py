"""What ngIRCd lacks comes from the bouncer: times, message ids, labels, echoes; all else is as it was."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from bouncer.irc.message import Message
from tests.transparency.differences import unexplained
from tests.transparency.sessions import SESSIONS

if TYPE_CHECKING:
    from tests.transparency.conftest import Played

SUPPLIED = {"batch", "echo-message", "labeled-response", "message-tags", "multi-prefix", "server-time", "setname"}
ELSEWHERE = {"metadata", "multiline", "redact", "tagmsg", "labels-of-talk"}
"""What is not said at all on ngIRCd without the bouncer."""


def bare(line: str) -> str | None:
    """A line without what was supplied; None for one that is nothing else."""
    if not line.startswith("me< "):
        return line
    message = Message.parse(line.removeprefix("me< ").encode("utf-8", "surrogateescape"))
    own = message.nick.lower() in ("alice", "alicia") and message.command in ("PRIVMSG", "NOTICE")
    echo = own and (message.param(0) != "alice" or "label" in message.tags)
    if message.command in ("ACK", "BATCH") or echo:
        return None
    return "me< " + line.removeprefix("me< ").partition(" ")[2] if message.has_tags else line


@pytest.mark.parametrize("session", [name for name in SESSIONS if name not in ELSEWHERE])
def test_what_a_network_lacks_is_supplied_and_changes_nothing_else(played: Played, session: str) -> None:
    script = re.sub(r"\n *me: HELP.*", "", SESSIONS[session])  # answered in notices, which do not say to what
    done = played.run(played.on("ngircd").supplied(script, SUPPLIED))
    kept = [shown for line in done.behind if (shown := bare(line)) is not None]
    direct = [shown for line in done.direct if (shown := bare(line)) is not None]
    found = unexplained("ngircd", "supplied", session, direct, kept)
    assert not found, "\n" + "\n".join(found)
    lines = [line.removeprefix("me< ") for line in done.behind if line.startswith("me< ")]
    assert [line for line in lines if not line.startswith("@")] == [], "every line has its time"
    asked = sum(len(line.split(" && ")) for line in done.behind if line.startswith("me> "))
    answered = Counter(label for line in lines for label in re.findall(r"^@(?:\S*;)?label=(L\d+)", line))
    assert answered == {f"L{number}": 1 for number in range(1, asked + 1)}, "each label comes back once"
    assert all("msgid=" in line for line in lines if re.match(r"@\S+ \S+ (PRIVMSG|NOTICE) [#f]", line))
