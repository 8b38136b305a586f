"""Owns the batches a network opens: whose answer they are, and multiline messages until they are whole; pure.

https://ircv3.net/specs/extensions/batch
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bouncer.irc.caps import METADATA
from bouncer.irc.message import Message
from bouncer.irc.multiline import CONCAT, MULTILINE, Part
from bouncer.network.answering import acknowledge, bare, label_tag
from bouncer.network.entry import BATCH, Entry

if TYPE_CHECKING:
    from bouncer.network.answering import Labels
    from bouncer.network.entry import Question, Turn

MAX_OPEN = 64
MAX_PARTS = 1_000
MAX_BYTES = 256 * 1024
"""Of one multiline message, with tags: what is beyond is left out."""
MAX_ALL_BYTES = 1024 * 1024
"""Of all multiline messages that are open, likewise."""


class Place(NamedTuple):
    """Where a line stands: whose answer it is, the tag its asker sees it with, the batch all others see it in."""

    question: Question | None = None
    tag: str = ""
    batch: str = ""


NOWHERE = Place()


class _Batch:
    __slots__ = ("inner", "kind", "message", "outer", "parts", "question", "reference", "size")

    def __init__(self, reference: str, kind: str, message: Message, outer: Place) -> None:
        self.reference = reference
        self.kind = kind
        self.message = message
        self.outer = outer
        self.question = outer.question
        self.inner = NOWHERE
        self.parts: list[tuple[Part, Message]] = []
        self.size = 0


class Whole(NamedTuple):
    """A multiline message that is complete: as one message with the tags of its batch, its parts, its place."""

    message: Message
    parts: tuple[Part, ...]
    place: Place


class Batches:
    """Give it every BATCH, and ask it for the place of every line with tags."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._open: dict[str, _Batch] = {}

    def reset(self) -> None:
        """The connection is gone."""
        self._open.clear()

    def place(self, msg: Message, loop_now: float, reply_s: float) -> Place:
        """Where a line stands by its own tags; an answer still coming is given more time."""
        tags = msg.tags
        reference = tags.get("batch")
        if reference:
            batch = self._open.get(reference)
            if batch is None:
                return NOWHERE
            if batch.question is not None:
                batch.question.deadline = loop_now + reply_s
            return batch.inner
        label = tags.get("label")
        if label:
            question = self._labels.settle(label)
            if question is not None:
                return Place(question, label_tag(question))
        return NOWHERE

    def take(self, msg: Message) -> bool:
        """Keep a line that is part of a multiline message; whether it was one."""
        batch = self._open.get(msg.tags.get("batch", ""))
        if batch is None or batch.kind not in MULTILINE:
            return False
        size = len(msg.raw)
        full = sum(one.size for one in self._open.values()) + size > MAX_ALL_BYTES
        if len(batch.parts) < MAX_PARTS and batch.size + size <= MAX_BYTES and not full:
            batch.size += size
            batch.parts.append((Part(msg.param(1), CONCAT in msg.tags), msg))
        return True

    def batch(self, msg: Message, turn: Turn, source: str, reply_s: float) -> Whole | None:
        """A BATCH line: tell those who are shown it; a multiline message when this ends one."""
        reference = msg.param(0)
        if reference[:1] == "+":
            self._begin(reference[1:], msg, turn, reply_s)
            return None
        batch = self._open.pop(reference[1:], None)
        return None if batch is None else self._end(batch, msg, turn, source)

    def _begin(self, reference: str, msg: Message, turn: Turn, reply_s: float) -> None:
        kind = msg.param(1)
        label = msg.tags.get("label", "")
        question = self._labels.find(label) if label else None
        if question is not None:
            # A label stands on a batch of its own kind too: what is in there is the whole answer.
            outer = Place(question, label_tag(question))
            question.deadline = turn.loop_now + reply_s
        else:
            outer = self.place(msg, turn.loop_now, reply_s)
        batch = _Batch(reference, kind, msg, outer)
        if len(self._open) >= MAX_OPEN:
            self._open.pop(next(iter(self._open)))
        self._open[reference] = batch
        if kind in MULTILINE:
            return
        question = batch.question
        needs = _needs(kind)
        if question is None:
            batch.inner = Place(batch=reference)
            turn.entries.append(Entry(msg, turn.now, "", batch=outer.batch, bare=needs))
        elif question.attachment is None or needs.isdisjoint(question.attachment.caps):
            batch.inner = outer if outer.tag.startswith("batch=") else Place(question)
        elif kind != "labeled-response" or question.label:
            batch.inner = Place(question, f"batch={reference}")
            turn.entries.append(bare(msg, question, turn, outer.tag, needs))
        else:
            batch.inner = Place(question)

    def _end(self, batch: _Batch, msg: Message, turn: Turn, source: str) -> Whole | None:
        question = batch.question
        label = batch.message.tags.get("label")
        if label:
            self._labels.settle(label)
        if batch.kind in MULTILINE:
            return _whole(batch)
        needs = _needs(batch.kind)
        outer = batch.outer
        if question is None:
            turn.entries.append(Entry(msg, turn.now, "", batch=outer.batch, bare=needs))
        elif batch.inner.tag != outer.tag and batch.inner.tag:
            tag = outer.tag if outer.tag.startswith("batch=") else ""
            turn.entries.append(bare(msg, question, turn, tag, needs))
            question.answered = True
        elif not outer.tag.startswith("batch="):
            acknowledge(question, turn, source)
        return None


def _needs(kind: str) -> frozenset[str]:
    """The capabilities of which a client needs one to be shown a batch of this kind."""
    return METADATA if kind.startswith("metadata") else BATCH


def _whole(batch: _Batch) -> Whole | None:
    if not batch.parts:
        return None
    parts = tuple(part for part, _ in batch.parts)
    first = batch.parts[0][1]
    params = [batch.message.param(2) or first.param(0), parts[0].text]
    source = batch.message.source or first.source
    tags = {**first.tags, **batch.message.tags}
    tags = {key: value for key, value in tags.items() if key not in ("label", "batch", CONCAT)}
    return Whole(Message(first.command, params, source=source, tags=tags), parts, batch.outer)
