"""Owns how messages become lines of a page: days, folded comings and goings, where the unread begins; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from bouncer.reactions import Marks
from web import irctext, present
from web.zone import local

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import tzinfo

    from markupsafe import Markup

    from bouncer.history import StoredMessage
    from bouncer.reactions import Answered

EVENTS = {
    "join": "{nick} joined",
    "part": "{nick} left{why}",
    "quit": "{nick} quit{why}",
    "kick": "{nick} put {text} out{why}",
    "nick": "{nick} is now {text}",
    "topic": "{nick} set the topic: {text}",
    "mode": "{nick} set {text}",
    "invite": "{nick} invites to {target}",
}
FOLDED = {"join": "joined", "part": "left", "quit": "quit", "nick": "renamed"}
"""What several in a row are shown of, with the word they are counted by."""
TAKEN_BACK = "was taken back"
TOGETHER_MS = 300_000
"""Words of one person that follow each other within this time need the name once, where there is little room."""


class Chip(NamedTuple):
    """A reaction with by how many it was `given`; `who` are the first of them, for the title."""

    text: str
    given: int
    who: str
    own: bool


class Quote(NamedTuple):
    """The line that another one answers; `href` leads there from the conversation's own address."""

    id: int
    nick: str
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Line:
    """A message as the page shows it; `fold` is its kind when it may be folded, `call` when it calls the reader.

    `same` when the line before it is of the same person, `gone` when its words were taken back.
    """

    what = "line"
    id: int
    time: int
    nick: str
    nick_class: str
    kind: str
    html: Markup
    own: bool
    call: bool = False
    fold: str = ""
    same: bool = False
    gone: bool = False
    chips: tuple[Chip, ...] = ()
    quote: Quote | None = None


@dataclass(slots=True)
class Fold:
    """Comings and goings in a row."""

    what = "fold"
    lines: list[Line] = field(default_factory=list)

    @property
    def words(self) -> str:
        """What they come to: `3 joined, 1 left`."""
        counts = Counter(line.fold for line in self.lines)
        return ", ".join(f"{counts[kind]} {word}" for kind, word in FOLDED.items() if counts[kind])


@dataclass(frozen=True, slots=True)
class Day:
    """A day begins."""

    what = "day"
    key: str
    words: str


@dataclass(frozen=True, slots=True)
class Unread:
    """What follows has not been read."""

    what = "unread"


Item = Line | Fold | Day | Unread


def items(
    messages: Sequence[StoredMessage],
    zone: tzinfo,
    *,
    calls: Collection[int] = (),
    marker: int | None = None,
    marks: Marks | None = None,
    fold: bool = True,
) -> list[Item]:
    """The lines with what stands between them; `marker` is how far has been read (ms)."""
    found: list[Item] = []
    last, waiting = "", marker is not None
    for message in messages:
        moment = local(message.time, zone)
        if (key := moment.strftime("%Y-%m-%d")) != last:
            found.append(Day(key, moment.strftime("%A, %-d %B %Y")))
            last = key
        if waiting and marker is not None and message.time > marker and not message.own:
            found.append(Unread())
            waiting = False
        shown = line(message, call=message.id in calls, marks=marks)
        found.append(replace(shown, same=bool(found) and _together(found[-1], shown)))
    return list(_folded(found)) if fold else found


def _together(before: Item, after: Line) -> bool:
    """Whether a line is by the one who said the line before it, just now."""
    if not isinstance(before, Line) or not before.kind == after.kind == "privmsg":
        return False
    return before.nick == after.nick and before.own == after.own and after.time - before.time < TOGETHER_MS


def _folded(found: Iterable[Item]) -> Iterable[Item]:
    """Two or more comings and goings behind each other become one item."""
    run: list[Line] = []
    for item in found:
        if isinstance(item, Line) and item.fold:
            run.append(item)
            continue
        yield from _run(run)
        run = []
        yield item
    yield from _run(run)


def _run(run: list[Line]) -> list[Item]:
    return [Fold(run)] if len(run) > 1 else list(run)


def line(message: StoredMessage, *, call: bool = False, marks: Marks | None = None) -> Line:
    """One message, with what `marks` has on it."""
    nick, marks = message.sender.partition("!")[0], marks or Marks()
    gone = message.redacted is not None
    kind, text = message.message_type, TAKEN_BACK if gone else message.content
    fold = kind if kind in FOLDED and not message.own else ""
    if kind in EVENTS:
        text, kind = _event(kind, nick, message.target, text), "event"
    answered = marks.answers.get(message.id)
    return Line(
        id=message.id,
        time=message.time,
        nick=irctext.plain(nick),
        nick_class=present.nick_class(nick),
        kind=kind,
        html=irctext.html(text),
        own=message.own,
        call=call,
        fold=fold,
        gone=gone,
        chips=() if gone else _chips(message, marks),
        quote=_quote(answered) if answered is not None else None,
    )


def _chips(message: StoredMessage, marks: Marks) -> tuple[Chip, ...]:
    given = marks.reactions.get(message.msgid, ())
    return tuple(
        Chip(irctext.plain(one.text), len(one.nicks), irctext.plain(", ".join(one.nicks[:20])), one.own)
        for one in given
        if irctext.plain(one.text).strip()
    )


def _quote(answered: Answered) -> Quote:
    nick = irctext.plain(answered.sender.partition("!")[0])
    text = TAKEN_BACK if answered.redacted is not None else irctext.plain(answered.content)
    return Quote(answered.id, nick, text, f"?around={answered.time}-{answered.id}#m{answered.id}")


def _event(kind: str, nick: str, target: str, text: str) -> str:
    """What happened in one sentence; `text` is as the write path stores it for that kind."""
    if kind == "kick":
        text, _, why = text.partition(" ")
    else:
        why = text
    return EVENTS[kind].format(nick=nick, text=text, target=target, why=f" ({why})" if why else "")
