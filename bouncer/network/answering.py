"""Owns labels: those we give to a network that knows them, and the answers to clients' own; pure, no I/O.

https://ircv3.net/specs/extensions/labeled-response
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bouncer.irc.message import Message, escape_tag

if TYPE_CHECKING:
    from bouncer.network.entry import Question, Turn

from bouncer.network.entry import BATCH, Entry

MAX_OPEN = 4_000
_LABELS = frozenset({"labeled-response"})

_references = itertools.count(1)


def label_tag(question: Question) -> str:
    """The tag a client knows its answer by; "" where it gave no label."""
    return f"label={escape_tag(question.label)}" if question.label else ""


def bare(message: Message, question: Question, turn: Turn, tag: str, needs: frozenset[str]) -> Entry:
    """A BATCH or ACK for the asker alone, if it has one of the capabilities `needs`."""
    return Entry(message, turn.now, "", only=question.attachment, asker=question.attachment, tag=tag, bare=needs)


def acknowledge(question: Question, turn: Turn, source: str) -> None:
    """ACK to a client that gave a label, if nothing else has answered it."""
    if question.label and not question.answered and question.attachment is not None:
        question.answered = True
        message = Message("ACK", [], source=source)
        turn.entries.append(bare(message, question, turn, label_tag(question), _LABELS))


class Labels:
    """Our labels on one connection, and the lines they were given to."""

    def __init__(self) -> None:
        self._open: dict[str, Question] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._open)

    def issue(self, question: Question) -> str:
        """A label nobody else has."""
        label = f"b{next(self._numbers):x}"
        self._open[label] = question
        if len(self._open) > MAX_OPEN:
            del self._open[next(iter(self._open))]
        return label

    def find(self, label: str) -> Question | None:
        """Whose it is, still open."""
        return self._open.get(label)

    def settle(self, label: str) -> Question | None:
        """Whose it was; nothing more comes with it."""
        return self._open.pop(label, None)

    def expired(self, now: float) -> list[Question]:
        """Take out the lines that left and whose time is up."""
        late = [label for label, question in self._open.items() if 0.0 < question.deadline <= now]
        return [self._open.pop(label) for label in late]

    def clear(self) -> list[Question]:
        """The connection is gone; what was open."""
        left = list(self._open.values())
        self._open.clear()
        return left


class Reply:
    """The answer to a client's label on a network that knows none: the label on one line, a batch around several.

    The first line is held until it is clear which: until a second comes, or `close`.
    """

    __slots__ = ("_first", "_reference", "_source", "closed", "passed", "question")

    def __init__(self, question: Question, source: str) -> None:
        self.question = question
        self.passed = False
        """Whether the PING behind the line has been answered."""
        self.closed = False
        self._source = source
        self._first: Entry | None = None
        self._reference = ""

    def add(self, entry: Entry, turn: Turn) -> None:
        """One more line of the answer; others than the asker see it as ever."""
        asker = self.question.attachment
        if self.closed or asker is None:
            turn.entries.append(entry)
            return
        if entry.only is None:
            turn.entries.append(entry._replace(skip=asker))
        own = entry._replace(only=asker, asker=asker, skip=None, row=-1, talk=False)
        if self._reference:
            turn.entries.append(own._replace(tag=f"batch={self._reference}"))
        elif self._first is None:
            self._first = own
        else:
            self._open(turn)
            turn.entries.append(own._replace(tag=f"batch={self._reference}"))

    def close(self, turn: Turn) -> None:
        """The answer is complete."""
        if self.closed:
            return
        self.closed = True
        question = self.question
        if self._reference:
            message = Message("BATCH", [f"-{self._reference}"], source=self._source)
            turn.entries.append(bare(message, question, turn, "", BATCH))
        elif self._first is not None:
            turn.entries.append(self._first._replace(tag=label_tag(question)))
            self._first = None
        else:
            acknowledge(question, turn, self._source)
        question.answered = True

    def _open(self, turn: Turn) -> None:
        self._reference = f"bq{next(_references)}"
        message = Message("BATCH", [f"+{self._reference}", "labeled-response"], source=self._source)
        turn.entries.append(bare(message, self.question, turn, label_tag(self.question), BATCH))
        if self._first is not None:
            turn.entries.append(self._first._replace(tag=f"batch={self._reference}"))
            self._first = None
