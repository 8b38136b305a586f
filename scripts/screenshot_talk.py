"""What is said on the pictures, and who says it; data only."""

# ruff: noqa: INP001 - beside a program, not in a package
from __future__ import annotations

NAME = "ada"

PEOPLE = ("grace", "barbara", "ken", "linus", "margaret", "edsger", "donald", "radia", "alan", "katherine", "annie")
ROOMS = {"#debian": 9, "#python": 7, "#sqlite": 4}
TOPIC = "\x02bouncer 0.1\x02 is out: https://example.org/news | questions welcome, answers too"
TALK = (
    ("grace", "privmsg", "morning! did the nightly build go through?"),
    (NAME, "privmsg", "yes: 1,204 tests, all green"),
    ("linus", "join", ""),
    ("linus", "privmsg", "what is the \x02plan\x02 for \x1dtoday\x1d? I only see https://example.org/plan?week=47"),
    ("grace", "action", "hands out coffee"),
    ("margaret", "privmsg", "may I look at the reconnect logic again? It waits minutes where one second would do"),
    (NAME, "privmsg", "\x0304careful\x03, it has a reason: half of us would come back in the same second"),
    ("ken", "quit", "Ping timeout: 240 seconds"),
    ("barbara", "privmsg", "then let it be random. \x11sleep(random() * ceiling)\x11 and done"),
    ("donald", "notice", "the wiki is read-only until 14:00"),
    ("edsger", "topic", TOPIC),
    ("katherine", "privmsg", "I checked the numbers by hand, they are right"),
    ("grace", "mode", "+v barbara"),
    ("radia", "privmsg", "of course they are, it is a tree"),
)  # fmt: skip
LIVE = (
    ("radia", "privmsg", "has anybody tried the new bouncer with two clients at once?"),
    (NAME, "privmsg", "phone and laptop, since last week. Each gets exactly what it missed"),
    ("ken", "quit", "lunch"),
    ("katherine", "privmsg", "and the history here in the browser, when neither is at hand: \x1dlovely\x1d"),
    ("linus", "join", ""),
    ("linus", "privmsg", f"{NAME}: where do I find the manual?"),
    (NAME, "privmsg", "linus: https://example.org/bouncer/operating, or \x11/msg BouncerServ help\x11"),
    ("donald", "notice", "tea is ready"),
    ("grace", "action", "is on her way"),
    ("margaret", "privmsg", "one moment, the tests are still running. \x0303All green\x03. Coming!"),
)  # fmt: skip
LOG = (
    ("registered", f"as {NAME}"),
    ("nick", f"{NAME}: Nickname is already in use; trying {NAME}_"),
    ("disconnected", "no answer for 120 s"),
)
