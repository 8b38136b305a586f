"""Owns BATCH from a client: messages of several lines, collected and sent in one piece, or line by line.

https://ircv3.net/specs/extensions/multiline . They are sent when they are whole: what another client says at the same
time must not come between, and half a message of one that vanished must not stay open at the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer.commands.messages import is_ours, pieces, say
from bouncer.commands.table import Command, forward
from bouncer.irc.caps import multiline_limits
from bouncer.irc.message import Message
from bouncer.irc.multiline import CONCAT, MULTILINE, Part, joined

if TYPE_CHECKING:
    from bouncer.commands.table import Session
    from bouncer.network.network import Network

MAX_OPEN = 4

_IN_ONE_PIECE = frozenset({"draft/multiline", "echo-message"})
"""What a network has that takes it whole. One that does not send it back would not tell us that it has been said."""


class Draft:
    """One message on its way in: its opening line, the label, the lines so far."""

    __slots__ = ("failed", "label", "lines", "opening", "size", "target")

    def __init__(self, opening: Message, label: str) -> None:
        self.opening = opening
        self.label = label
        self.target = opening.param(2)
        self.lines: list[Message] = []
        self.size = 0
        self.failed = False
        """Whether its fault has been told: what still comes of it is swallowed."""

    def parts(self) -> list[Part]:
        """The text, line by line."""
        return [Part(line.param(1), CONCAT in line.tags) for line in self.lines]


async def batch(session: Session, msg: Message) -> None:
    """Open or close one; any other kind of batch is the network's to refuse."""
    reference = msg.param(0)
    drafts = session.drafts
    if reference[:1] == "+" and msg.param(1) in MULTILINE and "draft/multiline" in session.client.caps:
        if not msg.param(2) or len(drafts) >= MAX_OPEN or reference[1:] in drafts:
            session.answer.fail("BATCH", "MULTILINE_INVALID", "Invalid multiline batch")
            return
        drafts[reference[1:]] = Draft(msg, session.answer.label)
        session.answer.passed = True
        return
    draft = drafts.pop(reference[1:], None) if reference[:1] == "-" else None
    if draft is None:
        await forward(session, msg)
        return
    if draft.failed:
        session.answer.passed = True
        return
    session.answer.label = draft.label
    await _send(session, draft, msg)


async def collect(session: Session, msg: Message) -> bool:
    """Take a line that belongs to an open draft; whether it did."""
    reference = msg.tags.get("batch", "") if msg.has_tags else ""
    draft = session.drafts.get(reference) if reference else None
    if draft is None:
        return False
    session.answer.passed = True
    if draft.failed:
        return True
    mixed = msg.command == "TAGMSG" or any(line.command != msg.command for line in draft.lines[:1])
    draft.lines.append(msg)
    draft.size += len(msg.param(1).encode("utf-8", "surrogateescape")) + (CONCAT not in msg.tags)
    values = session.network.cap_values if session.network is not None else {}
    max_bytes, max_lines = multiline_limits(values)
    problem: tuple[str, ...] = ()
    if msg.param(0).lower() != draft.target.lower():
        problem = (
            "MULTILINE_INVALID_TARGET",
            draft.target,
            msg.param(0) or "*",
            "Target differs from that of the batch",
        )
    elif mixed or (CONCAT in msg.tags and not msg.param(1)):
        problem = ("MULTILINE_INVALID", "Neither an empty line that goes on, nor anything but one kind of message")
    elif draft.size - 1 > max_bytes:
        problem = ("MULTILINE_MAX_BYTES", str(max_bytes), "Too many bytes in a multiline message")
    elif len(draft.lines) > max_lines:
        problem = ("MULTILINE_MAX_LINES", str(max_lines), "Too many lines in a multiline message")
    if problem:
        draft.failed = True
        draft.lines.clear()
        session.answer.label = draft.label
        session.answer.fail("BATCH", *problem)
    return True


async def _send(session: Session, draft: Draft, closing: Message) -> None:
    network, attachment, answer = session.network, session.attachment, session.answer
    if not joined(draft.parts()).strip("\n"):
        answer.fail("BATCH", "MULTILINE_INVALID", "A multiline message without text")
        return
    if is_ours(draft.target):
        command = draft.lines[0].command
        for text in joined(draft.parts()).split("\n"):
            await say(session, Message(command, [draft.target, text]))
        return
    if network is None or attachment is None or not network.up:
        answer.reply("404", draft.target, "Not sent: not connected")
        return
    if network.caps >= _IN_ONE_PIECE:
        sent = network.ask_whole(attachment, [draft.opening, *draft.lines, closing], answer.label)
    else:
        sent = network.ask_all(attachment, _lines(draft, network), answer.label)
    if sent:
        answer.passed = True
    else:
        answer.reply("404", draft.target, f"Not sent: too much waits for {network.settings.name}")


def _lines(draft: Draft, network: Network) -> list[Message]:
    """One message a line; the tags of the batch go with the first."""
    command = draft.lines[0].command
    tags = {key: value for key, value in draft.opening.tags.items() if key[:1] == "+"}
    lines: list[Message] = []
    for text in joined(draft.parts()).split("\n"):
        for piece in pieces(command, draft.target, text, network) if text else ():
            lines.append(Message(command, [draft.target, piece], tags=tags))
            tags = {}
    return lines


table = {"BATCH": Command(batch, 1)}
