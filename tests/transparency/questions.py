"""What clients ask when several ask at once; each begins somewhere else, and ends with a PING."""

from __future__ import annotations

BEHIND = "behind"
STEP = 13
TURNS = (0, STEP, 2 * STEP)
"""Where clients begin."""

QUESTIONS = (
    *("WHO #room", "WHOIS friend", "NAMES #room", "MODE #room b", "MODE #room", "TOPIC #room", "LIST", "WHOWAS nobody"),
    *("WHOIS nobody", "WHO friend", "WHO #room %tcnf,77", "USERHOST friend", "ISON friend other", "LUSERS", "MOTD"),
    *("TIME", "ADMIN", "INFO", "LINKS", "STATS u", "TOPIC #nowhere", "MODE #nowhere", "NAMES #nowhere"),
    *("INVITE friend #room", "JOIN nochannel", "PART #nowhere", "KNOCK #nowhere", "PRIVMSG nobody :x"),
    *("WHOIS other", "WHO other", "FROBNICATE", "MODE alice", "NAMES #room", "WHO #room"),
    *("KICK #room friend", "MODE #room +o", "VERSION"),
)  # fmt: skip


def turned(by: int) -> list[str]:
    """The questions, beginning with another one, and a PING behind them."""
    at = by % len(QUESTIONS)
    return [*QUESTIONS[at:], *QUESTIONS[:at], f"PING {BEHIND}"]
