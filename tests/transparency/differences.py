"""What may differ between being on a network and being on it behind the bouncer, each with its reason."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple


class Difference(NamedTuple):
    """What `lines` (a regular expression) finds in a transcript may be otherwise behind the bouncer, and `why`.

    With `instead` it is replaced by that on both sides, so that a line has to be there all the same; without, such
    lines may come. Blank-separated names of networks, kinds of clients and sessions say where; "" is everywhere.
    """

    lines: str
    why: str
    instead: str | None = None
    networks: str = ""
    kinds: str = ""
    sessions: str = ""


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        r"(?<= 462 alice ):.*",
        "USER and PASS are answered by the bouncer, in its own words: a password must not reach the network",
        ":<words>",
        sessions="unknown",
    ),
    Difference(
        r"412 alice :No tags to send|401 alice nobody :No such nick",
        "a TAGMSG without tags: the label that the bouncer asks with is a tag to InspIRCd, which then looks further",
        "<refused>",
        networks="inspircd",
        kinds="all",
        sessions="tagmsg",
    ),
    Difference(
        r"(?<= )\S+(?= NICK :)",
        "InspIRCd gives a labelled NICK the new nick as its source, so that nobody has changed; the bouncer mends that",
        "<somebody>",
        networks="inspircd",
        kinds="labels",
        sessions="nick",
    ),
    Difference(
        r"(?<= :#room) $",
        "InspIRCd ends the channels of WHOIS with a blank for those who have multi-prefix, as the bouncer has",
        "",
        networks="inspircd",
        kinds="none",
    ),
    Difference(
        r";time=\*(?= \S+ ACK$)|@time=\* (?=\S+ BATCH :-)",
        "an answer without content and the end of a batch say nothing that has a time, and need not tell it",
        "",
        networks="inspircd modern",
        kinds="labels all",
        sessions="labels-of-talk multiline",
    ),
    Difference(
        r"(?<= FAIL BATCH MULTILINE_INVALID_TARGET #room #other ):.*",
        "the bouncer takes a message of several lines as a whole, and says itself what is wrong with one",
        ":<words>",
        networks="modern",
        kinds="labels all",
        sessions="multiline",
    ),
    Difference(
        r"^me< :friend!\S+ (QUIT :Changing host|JOIN .*#room.*|MODE #room .*)$",
        "clients without chghost are told of a new host by QUIT, JOIN and MODE, as the specification wants of servers",
        networks="modern",
        kinds="old none",
        sessions="account-host",
    ),
)


def reasons(network: str, kind: str, session: str) -> list[Difference]:
    """The rows of the table that hold there."""
    return [
        one
        for one in DIFFERENCES
        if all(
            not where or name in where.split()
            for where, name in ((one.networks, network), (one.kinds, kind), (one.sessions, session))
        )
    ]


def unexplained(network: str, kind: str, session: str, direct: list[str], behind: list[str]) -> list[str]:
    """The lines of a diff for which there is no reason in the table; each differing line stands after its step."""
    known = reasons(network, kind, session)
    for one in known:
        if one.instead is not None:
            direct, behind = ([re.sub(one.lines, one.instead, line) for line in lines] for lines in (direct, behind))
    may_come = [one.lines for one in known if one.instead is None]
    found: list[str] = []
    step = ""
    shown = ""
    for line in difflib.ndiff(direct, behind):
        if line[:1] == "?":
            continue
        if line[:2] == "  " and re.match(r"[+-]?\w+> ", line[2:]):
            step = line
        elif line[:1] == "-" or (line[:1] == "+" and not any(re.search(each, line[2:]) for each in may_come)):
            if step != shown:
                found.append(step)
                shown = step
            found.append(line)
    return found
