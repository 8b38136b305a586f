"""Owns what travels from the network to the clients: an entry a line, what it looks like, what it answers."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, NamedTuple

from bouncer.errors import UnsafeLineError
from bouncer.irc import multiline
from bouncer.irc.caps import NO_IMPLICIT_NAMES
from bouncer.irc.format import project, projector
from bouncer.irc.supported import NEEDED, in_batches
from bouncer.journal import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bouncer.irc.message import Message
    from bouncer.irc.multiline import Part
    from bouncer.network.answering import Reply
    from bouncer.network.attachment import Attachment


log = logging.getLogger(__name__)

BATCH = frozenset({"batch"})
_references = itertools.count(1)


class Entry(NamedTuple):
    """One line on its way to the clients of a network; `row` is its place among the batch's rows, -1 for none.

    `only` and `skip` name the client that alone, or alone not, is shown it. `asker` is shown it with one more tag,
    `tag` (`label=…` or `batch=…`). `batch` is the reference of the network's own batch it stands in, for all others.
    `instead` is what clients without a capability are shown, `parts` the lines of a multiline message. `bare` lines
    (BATCH, ACK) go out as they are, to clients that have one of the capabilities in `bare`. `behind` are whole lines
    that follow it, each with the capability it needs. `implicit` names came with a JOIN, unasked.
    """

    message: Message
    time: int
    msgid: str
    row: int = -1
    only: Attachment | None = None
    skip: Attachment | None = None
    talk: bool = False
    own_private: bool = False
    asker: Attachment | None = None
    tag: str = ""
    batch: str = ""
    instead: tuple[str, tuple[Message, ...]] | None = None
    parts: tuple[Part, ...] = ()
    bare: frozenset[str] | None = None
    behind: tuple[tuple[str, bytes], ...] = ()
    implicit: bool = False


def line_of(entry: Entry, caps: frozenset[str], nick: str, extra: str = "") -> bytes:
    """The line as a client with these capabilities is shown it (bytes with CR LF); b"" for nothing.

    `nick` is our own, `extra` a tag as on the wire that is this client's alone.
    """
    try:
        return _line_of(entry, caps, nick, extra)
    except UnsafeLineError as error:  # it costs itself, not what is delivered with it
        log.warning("a %s cannot be shown: %s", entry.message.command, error)
        return b""


def _line_of(entry: Entry, caps: frozenset[str], nick: str, extra: str) -> bytes:
    if not extra and entry.batch and "batch" in caps:
        extra = f"batch={entry.batch}"
    message = entry.message
    if entry.implicit and not caps.isdisjoint(NO_IMPLICIT_NAMES):
        return b""
    if entry.bare is not None:
        if entry.bare.isdisjoint(caps):
            return b""
        tags = projector(caps).tags(message, entry.time, "", extra)
        line = message.body + b"\r\n"
        return b"@%b %b" % (tags.encode("utf-8", "surrogateescape"), line) if tags else line
    if entry.instead is not None and entry.instead[0] not in caps:
        lines = (project(other, caps, entry.time, "", nick, extra=extra) for other in entry.instead[1])
        return b"".join(line for line in lines if line is not None)
    if entry.parts:
        return _multiline(entry, caps, extra)
    line = project(message, caps, entry.time, entry.msgid, nick, extra=extra) or b""
    if message.command == "005" and not extra and caps >= NEEDED:
        line = b"".join(in_batches([message.body + b"\r\n"], message.source or "", caps))
    return line + b"".join(more for cap, more in entry.behind if cap in caps) if entry.behind else line


def lines_of(entries: Sequence[Entry], caps: frozenset[str], nick: str) -> bytes:
    """`line_of` for every line of a delivery, one after the other."""
    plain = projector(caps).plain
    lines = []
    for entry in entries:
        if entry.talk and not entry.batch and not entry.parts:
            message = entry.message
            raw = message.raw
            # What most lines are needs no second look.
            if not message.has_tags and b"\r" not in raw and b"\0" not in raw:
                lines.append(plain(raw, entry.time, entry.msgid))
                continue
        lines.append(line_of(entry, caps, nick))
    return b"".join(lines)


def _multiline(entry: Entry, caps: frozenset[str], extra: str) -> bytes:
    message, show = entry.message, projector(caps)
    command, target, source = message.command, message.params[0], message.source
    tags = show.tags(message, entry.time, entry.msgid, extra)
    if "draft/multiline" in caps and "batch" in caps:
        reference = f"bm{next(_references)}"
        inner = show.tags(message, entry.time, "", f"batch={reference}")
        lines = multiline.in_batch(
            entry.parts, command, target, source, reference=reference, tags=tags, inner=inner
        )  # fmt: skip
        return b"".join(lines)
    others = show.tags(message, entry.time, "", extra if extra.startswith("batch=") else "")
    lines = []
    for line in multiline.apart(entry.parts, command, target, source):
        head = f"@{tags} ".encode("utf-8", "surrogateescape") if tags else b""
        lines.append(head + line + b"\r\n")
        tags = others
    return b"".join(lines)


class Question:
    """One line of a client (or of ours: no attachment) at the network, and how it wants to be answered.

    `label` is the client's own, "" where it gave none. `deadline` is in seconds of the loop's clock, set when the line
    leaves. `awaited` tells that the network ends its answer with a line we know, and has not yet.
    """

    __slots__ = (
        *("answered", "attachment", "awaited", "command", "deadline", "hook", "then"),
        *("label", "ours", "params", "reply", "tags"),
    )

    def __init__(
        self,
        attachment: Attachment | None,
        command: str,
        params: list[str],
        label: str = "",
        tags: dict[str, str] | None = None,
    ) -> None:
        self.attachment = attachment
        self.command = command
        self.params = params
        self.label = label
        self.ours = ""
        """The label it went to the network with, "" where it has none."""
        self.tags = tags or {}
        self.deadline = 0.0
        self.answered = False
        self.awaited = False
        self.reply: Reply | None = None
        self.then: Callable[[Turn], None] | None = None
        """Called where a client's PING would be answered."""
        self.hook: Callable[[Message], None] | None = None
        """Shown the answer to a question of ours."""


class Turn:
    """What one read of the network leads to: entries for the clients and one batch for the file."""

    __slots__ = ("_release", "batch", "entries", "loop_now", "now")

    def __init__(self, release: Callable[[list[Entry], Batch, bool], None], now: int, loop_now: float) -> None:
        self._release = release
        self.now = now
        self.loop_now = loop_now
        self._begin()

    def _begin(self) -> None:
        release = self._release
        entries: list[Entry] = []
        self.entries = entries
        self.batch = Batch(lambda done, stored: release(entries, done, stored))

    def split(self) -> Batch:
        """What it has led to so far, to be submitted; what comes now is another batch."""
        done = self.batch
        self._begin()
        return done

    @property
    def empty(self) -> bool:
        """Whether there is nothing to hand on."""
        return not (self.entries or self.batch.rows or self.batch.changes)
