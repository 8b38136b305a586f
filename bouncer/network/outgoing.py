"""Owns what goes to one network and what is known of its answers: queue, labels, routes, barriers, our own words."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from bouncer.clock import now_ms
from bouncer.irc.isupport import client_tokens
from bouncer.irc.message import Message, as_text, is_middle, middle, serialise
from bouncer.irc.routing import Router
from bouncer.irc.state import NetworkState
from bouncer.network.answering import Labels, Reply, acknowledge, label_tag
from bouncer.network.barriers import Barriers
from bouncer.network.batches import Batches
from bouncer.network.entry import Entry, Question, Turn
from bouncer.network.flood import SendQueue
from bouncer.network.own import OwnMessages, Said

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from bouncer.config import Config
    from bouncer.events import Hub, State
    from bouncer.journal import Batch, Journal
    from bouncer.network.attachment import Attachment
    from bouncer.network.settings import ServerSettings
    from bouncer.tasks import Group
    from bouncer.upstream import Upstream

    class Owner(Protocol):
        """What a network needs of its user."""

        user_id: int
        journal: Journal
        hub: Hub
        config: Config
        group: Group

        def allows(self, address: str, *, trusted: bool) -> bool:
            """Whether this user's servers may be at that IP address."""


_UNLABELLED = frozenset({"NICK"})
"""InspIRCd shows a labelled change of nick as said by the new nick."""
MAX_PINGS = 2_000
"""PINGs of clients that wait for the network; one more is answered at once."""
SAYS = frozenset({"PRIVMSG", "NOTICE", "TAGMSG"})
MAX_CLIENT_TAG_BYTES = 4094
"""https://ircv3.net/specs/extensions/message-tags : the `@` and the blank count."""


class Outgoing(ABC):
    """The half of a network that sends; `Traffic` adds what comes back."""

    def __init__(self, owner: Owner, settings: ServerSettings) -> None:
        self.owner = owner
        self.settings = settings
        self.server_id = settings.server_id
        self.tenant_id = str(owner.user_id)
        self.state = NetworkState(settings.known_nick or settings.params.nickname)
        self.state.isupport.load(settings.isupport())
        self.attachments: list[Attachment] = []
        self.upstream: Upstream | None = None
        self.up = False
        self.phase: State = "disconnected"
        """What a connection is doing, where the row wants one."""
        """Whether the network takes our lines."""
        self.server_name = settings.known_server
        self._known_caps = settings.caps()
        self._router: Router[Question] = Router(self.state.isupport, owner.config.timeouts.reply_s)
        self._labels = Labels()
        self._batches = Batches(self._labels)
        self._barriers = Barriers(self._ping)
        self._pinged_at = 0.0
        self._own = OwnMessages()
        self._pings: dict[Question, None] = {}
        self._expiring = False
        burst, interval_ms = self._flood()
        self._queue: SendQueue[Question] = SendQueue(self._write, self._left, burst=burst, interval_ms=interval_ms)

    # -- what it is like -------------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Lines that wait for the flood limit."""
        return len(self._queue)

    @property
    def caps(self) -> frozenset[str]:
        """Capabilities enabled towards the network."""
        return self.upstream.caps if self.upstream is not None and self.up else frozenset()

    @property
    def cap_values(self) -> dict[str, str]:
        """What the network can do and gives us, with values; while there is no connection, what it last gave."""
        if self.upstream is not None and self.up:
            self._known_caps = {name: self.upstream.cap_values.get(name, "") for name in self.upstream.caps}
        return self._known_caps

    def tokens(self) -> list[str]:
        """What ISUPPORT says to clients: the network's word, and ours where it is ours to say."""
        ours = ["CHATHISTORY=1000", "MSGREFTYPES=msgid,timestamp", f"BOUNCER_NETID={self.server_id}"]
        return client_tokens(self.state.isupport.tokens(), self.cap_values) + ours

    @property
    def nick(self) -> str:
        """Our nick there."""
        return self.state.nick

    @property
    def source(self) -> str:
        """The server's name, as the source of lines of ours."""
        return self.server_name or self.settings.params.address.strip("[]") or "bouncer"

    @property
    def labels(self) -> bool:
        """Whether the network answers with labels."""
        caps = self.caps
        return "labeled-response" in caps and "batch" in caps

    def _flood(self) -> tuple[int, int]:
        flood, settings = self.owner.config.flood, self.settings
        burst = flood.burst if settings.flood_burst is None else settings.flood_burst
        if self.state.isupport.get("SAFERATE") is not None:
            burst = 0  # the network says that it makes us wait by itself
        return burst, flood.interval_ms if settings.flood_interval_ms is None else settings.flood_interval_ms

    def _write(self, line: bytes) -> None:
        if self.upstream is not None:
            self.upstream.send(line)

    def _ping(self, token: str) -> None:
        self._pinged_at = asyncio.get_running_loop().time()
        self._write(serialise("PING", [token]))
        self._watch()

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, line: bytes) -> bool:
        """Queue one line (no CR LF) behind the flood limit; False when not connected or the queue is full.

        Its answer is everybody's.
        """
        return self.up and self._queue.send(line)

    def whisper(self, line: bytes) -> bool:
        """Send a line of the settings: what it says to a nick may be a password, so its echo is shown to nobody."""
        msg = Message.parse(line)
        if self.upstream is not None and msg.command in SAYS and not self.state.isupport.is_channel(msg.param(0)):
            self.upstream.conceal(msg.param(0), msg.param(1))
        return self.send(line)

    def ask(
        self,
        attachment: Attachment | None,
        msg: Message,
        label: str = "",
        hook: Callable[[Message], None] | None = None,
    ) -> bool:
        """Send a line on and remember who asked, with the client's `label`; False: not connected, or too much waits.

        Without attachment no client is shown the answer, but `hook` is.
        """
        return self.up and not self._barriers.full and self._ask(attachment, msg, label, hook)

    def _ask(
        self, attachment: Attachment | None, msg: Message, label: str, hook: Callable[[Message], None] | None
    ) -> bool:
        tags = msg.tags if msg.has_tags else None
        question = Question(attachment, msg.command, msg.params, label, tags)
        question.hook = hook
        if msg.command == "TAGMSG" and "message-tags" not in self.caps:
            # The network would not understand; our other clients do.
            return self._queue.send(b"", question)
        later = attachment is not None and self.polls(msg)
        return self._queue.send(self._line(msg, question), question, later=later)

    def ask_all(
        self,
        attachment: Attachment | None,
        lines: list[Message],
        label: str = "",
        hook: Callable[[Message], None] | None = None,
    ) -> bool:
        """Send several messages in one go; the client's label goes with the first. False: too much waits."""
        if not self.up or self._barriers.full or not self._queue.room(len(lines)):
            return False
        for number, msg in enumerate(lines):
            self._ask(attachment, msg, "" if number else label, hook)
        return True

    def ask_whole(self, attachment: Attachment, lines: list[Message], label: str) -> bool:
        """Send a batch, nothing between its lines; the answer is that to its first. False: too much waits."""
        if not self.up or self._barriers.full or not self._queue.room(1):
            return False
        first = lines[0]
        question = Question(attachment, first.command, first.params, label, first.tags if first.has_tags else None)
        return self._queue.send(self._line(first, question), question, behind=[msg.raw for msg in lines[1:]])

    def behind(self, call: Callable[[Turn], None]) -> bool:
        """Call it, with the turn it happens in, once the network has dealt with all that was asked before.

        False, or never: it is gone.
        """
        question = Question(None, "PING", [])
        question.then = call
        return self.up and not self._barriers.full and self._queue.send(b"", question)

    def polls(self, msg: Message) -> bool:
        """Whether it only asks, as clients do by themselves."""
        return self._router.polls(msg.command, msg.params)

    def end_of(self, msg: Message) -> str:
        """The numeric that ends the answer to this question, "" where none does."""
        return self._router.end(msg.command, msg.params)

    def wait_s(self) -> float:
        """How long a question asked now would wait for the flood limit, in seconds."""
        return self._queue.wait_s() if self.up else 0.0

    def _line(self, msg: Message, question: Question) -> bytes:
        """The line as it came, with the tags the network takes and a label of ours in place of the client's."""
        kept = ""
        if msg.has_tags and "message-tags" in self.caps:
            kept = ";".join(item for item in msg.tag_items() if item.partition("=")[0] != "label")
        if self.labels and msg.command not in _UNLABELLED:
            label = self._labels.issue(question)
            tags = f"label={label};{kept}" if kept else f"label={label}"
            if not kept or len(tags.encode("utf-8", "surrogateescape")) + 2 <= MAX_CLIENT_TAG_BYTES:
                question.ours = label
                return f"@{tags} ".encode("utf-8", "surrogateescape") + msg.body
            self._labels.settle(label)  # the room belongs to the client's own tags
        return f"@{kept} ".encode("utf-8", "surrogateescape") + msg.body if kept else msg.body

    def ping(self, attachment: Attachment, token: str, label: str) -> None:
        """Answer a client's PING once the network has dealt with all that was sent before, or time is up."""
        question = Question(attachment, "PING", [token], label)
        question.deadline = asyncio.get_running_loop().time() + self.owner.config.timeouts.reply_s
        if (
            not self.up
            or self._barriers.full
            or len(self._pings) >= MAX_PINGS
            or not self._queue.send(b"", question, later=True)
        ):
            self._alone(lambda turn: self._pong_client(question, turn))
            return
        self._pings[question] = None
        self._watch()

    def _pong_client(self, question: Question, turn: Turn) -> None:
        if question.then is not None:
            question.then(turn)
        if question.answered or question.attachment is None:
            return
        question.answered = True
        self._pings.pop(question, None)
        message = Message("PONG", [self.source, question.params[0]], source=self.source)
        message = Message.parse(serialise(message.command, message.params, message.source, colon=True))
        to = question.attachment
        turn.entries.append(Entry(message, turn.now, "", only=to, asker=to, tag=label_tag(question)))

    # -- what happens when a line leaves ---------------------------------------------------------------------------

    def _left(self, question: Question) -> None:
        loop_now = asyncio.get_running_loop().time()
        command = question.command
        if command == "PING":
            self._barriers.after(lambda turn: self._pong_client(question, turn))
            return
        question.deadline = loop_now + self.owner.config.timeouts.reply_s
        self._watch()
        if command == "TAGMSG" and "message-tags" not in self.caps:
            self._barriers.after(lambda turn: self._kept_to_ourselves(question, turn))
            return
        if question.ours:
            return
        if command in SAYS and question.params:
            text = question.params[1] if len(question.params) > 1 else ""
            for target in question.params[0].split(","):
                if is_middle(target):
                    self._own.sent(Said(question, target, self.fold(target), text))
        question.awaited = self._router.asked(question, command, question.params, loop_now)
        if question.label:
            question.reply = Reply(question, self.source)
        self._barriers.after(lambda turn: self._passed(question, turn))

    def _passed(self, question: Question, turn: Turn) -> None:
        """The network has dealt with a line: unless an answer with an end is under way, that was it."""
        reply = question.reply
        if question.command in SAYS and "echo-message" not in self.caps:
            self._taken(question, turn)
        elif question.command in SAYS:
            self._own.taken(question)  # its echo has been here, in other words perhaps, or there is none
        if not question.awaited:
            self._router.drop(question)
        if reply is not None:
            reply.passed = True
            if not question.awaited:
                reply.close(turn)

    @abstractmethod
    def _taken(self, question: Question, turn: Turn) -> None:
        """The network, which echoes nothing, has dealt with a line of ours."""

    @abstractmethod
    def _acknowledged(self, question: Question, turn: Turn) -> None:
        """The network has nothing to say to a line of ours."""

    @abstractmethod
    def _kept_to_ourselves(self, question: Question, turn: Turn) -> None:
        """A TAGMSG that the network would not understand."""

    def _unsent(self, questions: list[Question], turn: Turn) -> None:
        """The connection is gone before these lines could leave: who asked is told, with its label."""
        for question in questions:
            self._labels.settle(question.ours)
            attachment, params, number = question.attachment, [middle(param) for param in question.params], ""
            if attachment is None or question.command == "PING":
                continue
            words = f"Not sent: {self.settings.name} is not connected any more"
            if question.command in SAYS and params:
                number, params = "404", params[:1]
            elif question.command == "BATCH" and len(params) > 2:
                number, params = "404", params[2:3]
            else:
                number, params = self._router.end(question.command, params), params[:1]
            message = Message(number, [self.nick, *params, words], source=self.source)
            if not number:
                message = Message("NOTICE", [self.nick, f"{question.command}: {words}"], source=self.source)
            tag = label_tag(question)
            turn.entries.append(Entry(message, turn.now, "", only=attachment, asker=attachment, tag=tag))

    def _give_up(self, turn: Turn) -> None:
        """The connection is gone: what was on its way is answered, what was said and not refused is kept."""
        for said in self._own.reset():
            self._said(said, turn)
        late = [*self._labels.clear(), *self._router.clear()]
        for question in late:
            self._end_of(question, self._router.end(question.command, question.params), turn)
        for ping in list(self._pings):
            self._pong_client(ping, turn)

    @abstractmethod
    def _said(self, said: Said, turn: Turn) -> None:
        """A message of ours has been said."""

    # -- time ------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if not self._expiring:
            self._expiring = True
            asyncio.get_running_loop().call_later(self.owner.config.timeouts.reply_s / 4, self._expire)

    def _expire(self) -> None:
        """Questions the network never answered: the asker gets the end it waits for (W2)."""
        self._expiring = False
        loop_now = asyncio.get_running_loop().time()
        self._alone(lambda turn: self._end_late(loop_now, turn))
        if len(self._router) or len(self._labels) or self._pings or self._barriers.open:
            self._watch()

    def _end_late(self, loop_now: float, turn: Turn) -> None:
        for late in self._router.expired(loop_now):
            if isinstance(late.client, Question):
                self._end_of(late.client, late.end, turn)
        for question in self._labels.expired(loop_now):
            self._end_of(question, self._router.end(question.command, question.params), turn)
        for question in [ping for ping in self._pings if ping.deadline <= loop_now]:
            self._pong_client(question, turn)
        if self._barriers.open and self._pinged_at + self.owner.config.timeouts.reply_s <= loop_now:
            self._barriers.overdue(turn)

    def _end_of(self, question: Question, number: str, turn: Turn) -> None:
        if question.command in SAYS and question.ours:
            # No refusal came: as on networks without labels it counts as said.
            self._acknowledged(question, turn)
            return
        attachment = question.attachment
        if number and attachment is not None:
            params = [self.nick, *map(middle, question.params[:1]), "The network did not answer"]
            message = Message(number, params, source=self.source)
            entry = Entry(message, turn.now, "", only=attachment, asker=attachment)
            if question.reply is not None:
                question.reply.add(entry, turn)
            else:
                turn.entries.append(entry._replace(tag=label_tag(question)))
                question.answered = True
        if question.reply is not None:
            question.reply.close(turn)
        else:
            acknowledge(question, turn, self.source)

    # -- lines of ours to the clients ------------------------------------------------------------------------------

    def fold(self, name: str) -> str:
        """A name as it is looked up."""
        return as_text(self.state.isupport.casemap.fold(name))

    def _turn(self) -> Turn:
        return Turn(self._release, now_ms(), asyncio.get_running_loop().time())

    def _alone(self, what: Callable[[Turn], None]) -> None:
        """A turn that no line of the network began."""
        turn = self._turn()
        what(turn)
        if not turn.empty:
            self._submit(turn.batch)

    def _show(self, message: Message, only: Attachment | None = None) -> None:
        """A line of ours to the clients, or to one of them, behind what is on its way."""
        self._alone(lambda turn: turn.entries.append(Entry(message, turn.now, "", only=only)))

    def _tell(self, text: str, only: Attachment | None = None) -> None:
        """A notice of ours to the clients, or to one of them."""
        words = as_text(text).replace("\n", " ").replace("\r", " ")
        self._show(Message("NOTICE", [self.nick, words], source=self.source), only)

    def _submit(self, batch: Batch) -> None:
        self.owner.journal.submit(self.tenant_id, batch)

    @abstractmethod
    def _release(self, entries: list[Entry], batch: Batch, stored: bool) -> None:
        """A batch comes out of the journal."""
