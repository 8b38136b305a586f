"""Owns who gets a reply of the network: by label, by what was asked, or everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer.irc.message import Message, as_text
from bouncer.journal import Change
from bouncer.network.entry import Question
from bouncer.network.monitor import Monitors
from bouncer.network.outgoing import Outgoing
from bouncer.network.own import REFUSALS

if TYPE_CHECKING:
    from bouncer.network.attachment import Attachment
    from bouncer.network.entry import Turn
    from bouncer.network.outgoing import Owner
    from bouncer.network.settings import ServerSettings

_JOIN_ERRORS = frozenset({"403", "405", "437", "471", "473", "474", "475", "476", "477", "489"})
# No numerics, and yet an answer to who asked.
_ANSWERS = frozenset({"FAIL", "WARN", "NOTE", "REGISTER", "VERIFY", "HELP"})
# What a JOIN brings along is news to every client.
_WITH_JOIN = frozenset({"324", "329", "331", "332", "333", "353", "366"})
_GREETING = frozenset({"002", "003", "004", "250", "251", "252", "253", "254", "255", "265", "266"})
_MONITORED = frozenset({"730", "731", "734"})
_LIST_FULL = "734"
MAX_MOTD_LINES = 500


class Replies(Outgoing):
    """What is known of the network's answers; `Traffic` adds what they change."""

    def __init__(self, owner: Owner, settings: ServerSettings) -> None:
        super().__init__(owner, settings)
        self.motd: list[str] = []
        self.greeting: dict[str, Message] = {}
        """002 to 004 and the numbers of users, as the network sent them when it let us in."""
        self.monitors = Monitors(self)
        self._joins: dict[str, Question] = {}
        """Labelled JOINs on a network without labels, by folded channel: what comes with them is their answer."""

    def _route(
        self, msg: Message, question: Question | None, turn: Turn
    ) -> tuple[bool, Question | None, Attachment | None]:
        """Whether anybody is shown a reply, whose answer it is, and the one client that alone is shown it."""
        command = msg.command
        answer = command.isdigit() or command in _ANSWERS
        if not self.up and msg.params:
            self._greeted(msg)
        if not self.up or (answer and not msg.params):
            return not answer, None, None
        if command in _JOIN_ERRORS:
            self._join_refused(msg, turn)
        if command in _MONITORED:
            return self._monitored(msg, question, turn)
        if question is not None:
            if not answer or (question.command == "JOIN" and command in _WITH_JOIN):
                return True, question, None
            if question.hook is not None:
                question.hook(msg)
            return question.attachment is not None, question, question.attachment
        if not answer:
            return True, None, None
        return self._route_by_kind(msg, turn)

    def _monitored(
        self, msg: Message, question: Question | None, turn: Turn
    ) -> tuple[bool, Question | None, Attachment | None]:
        """Who of those clients watch is there: the answer to one of them, and news to the others."""
        if question is None:
            found = self._router.pending("MONITOR")
            names = {self.fold(target.partition("!")[0]) for target in msg.params[-1].split(",")}
            if isinstance(found, Question) and found.label and names <= set(self._folded_names(found)):
                question = found
        asker = question.attachment if question is not None else None
        if msg.command == _LIST_FULL:
            found = question or self._router.reply(msg, turn.loop_now)
            question = found if isinstance(found, Question) else None
            asker = question.attachment if question is not None else None
            return self.monitors.full(msg, asker), question, asker
        self.monitors.news(msg, turn, asker)
        return asker is not None, question, asker

    def _folded_names(self, question: Question) -> list[str]:
        return [self.fold(name) for name in question.params[1].split(",")] if len(question.params) > 1 else []

    def _route_by_kind(self, msg: Message, turn: Turn) -> tuple[bool, Question | None, Attachment | None]:
        """On a network without labels: by what was asked and not yet answered."""
        command = msg.command
        if command in _WITH_JOIN and self._joins:
            joining = self._joins.get(self.fold(msg.param(2) if command == "353" else msg.param(1)))
            if joining is not None and joining.reply is not None and not joining.reply.closed:
                return True, joining, None
        found = self._router.reply(msg, turn.loop_now)
        if isinstance(found, Question):
            if command in REFUSALS:
                self._own.refused(found, command, self._folded(msg))
            if self._router.finished:
                found.awaited = False
            if found.hook is not None:
                found.hook(msg)
            return found.attachment is not None, found, found.attachment
        return True, None, None

    def _folded(self, msg: Message) -> list[str]:
        return [self.fold(param) for param in msg.params[1:]]

    def _greeted(self, msg: Message) -> None:
        command = msg.command
        if command == "372" and len(self.motd) < MAX_MOTD_LINES:
            self.motd.append(as_text(msg.params[-1]).removeprefix("- "))
        elif command == "375":
            self.motd.clear()
        elif command == "001":
            self.motd.clear()
            self.greeting.clear()
            self.server_name = as_text(msg.source or "")
        elif command in _GREETING:
            self.greeting[command] = msg

    def _join_refused(self, msg: Message, turn: Turn) -> None:
        values = (as_text(msg.params[-1]), self.server_id, self.fold(msg.param(1)))
        turn.batch.changes.append(Change(sql.CHANNEL_ERROR, values))
