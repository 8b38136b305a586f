"""Owns who gets a reply: remembers what was asked and hands each answer to its asker; sends and waits for nothing.

Seconds are those of any monotonic clock and come in as `now`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.irc.isupport import Isupport
    from bouncer.irc.message import Message

C = TypeVar("C")

MAX_PENDING = 256
TIMEOUT_S = 10.0


class Asker(Enum):
    """Receivers that are no client."""

    ALL = "all"  # nobody asked: everyone may want to know
    OURS = "ours"  # we asked: no client is shown it


ALL = Asker.ALL
OURS = Asker.OURS


class Query(NamedTuple):
    """How a network answers one kind of question.

    `replies` go on, one of `ends` or `errors` finishes it; numerics of `tail` may follow directly behind the end.
    `keyed` answers count only if they name what was asked for; others go to the oldest question of the kind if
    none names it. `end` is the numeric that tells the asker it is over when the network never did ("" for none).
    """

    replies: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    errors: frozenset[str] = frozenset()
    tail: frozenset[str] = frozenset()
    keyed: bool = False
    end: str = ""

    @property
    def numerics(self) -> frozenset[str]:
        """All that can be an answer."""
        return self.replies | self.ends | self.errors


def _query(
    replies: str = "", ends: str = "", errors: str = "", *, tail: str = "", keyed: bool = False, end: str = ""
) -> Query:
    return Query(
        frozenset(replies.split()),
        frozenset(ends.split()),
        frozenset(errors.split()),
        frozenset(tail.split()),
        keyed,
        end,
    )


_WHOIS = (
    "275 276 301 307 308 310 311 312 313 316 317 319 320 330 335 337 338 344 350 378 379 401 569 615 616 617 671 672"
)
_MODE_ERRORS = "401 403 441 442 467 472 477 478 482 501 502 696"
_SAY_ERRORS = "301 401 403 404 407 408 411 412 413 414 415 439 477 486 489 492 494 495 531 716 717 718 935"

# By command, or command and what it asks ("MODE b"). https://defs.ircdocs.horse/defs/numerics
QUERIES: dict[str, Query] = {
    "WHO": _query("352 354", "315", "401 402 403 416 522", end="315"),
    "WHOIS": _query(_WHOIS, "318", "402 431", end="318"),
    "WHOWAS": _query("301 312 314 330 338 406", "369", "431", end="369"),
    "NAMES": _query("353", "366", "401 403", keyed=True, end="366"),
    "LIST": _query("321 322", "323", "402 416 481 521", end="323"),
    "MODE": _query("", "324", _MODE_ERRORS, tail="329", keyed=True),
    "MODE set": _query("", "", _MODE_ERRORS, keyed=True),
    "MODE self": _query("", "221", "401 502"),
    "MODE self set": _query("", "", "401 501 502"),
    "MODE b": _query("367", "368", _MODE_ERRORS, keyed=True, end="368"),
    "MODE e": _query("348", "349", _MODE_ERRORS, keyed=True, end="349"),
    "MODE I": _query("346", "347", _MODE_ERRORS, keyed=True, end="347"),
    "MODE q": _query("728", "729", _MODE_ERRORS, keyed=True, end="729"),
    "TOPIC": _query("", "331 332", "403 442 482", tail="333", keyed=True),
    "TOPIC set": _query("", "", "403 442 477 482", keyed=True),
    "MONITOR": _query("", "", "734"),
    "MONITOR L": _query("732", "733", "734", end="733"),
    "USERHOST": _query("", "302"),
    "USERIP": _query("", "340"),
    "ISON": _query("", "303"),
    "LUSERS": _query("251 252 253 254", "255", "402", tail="250 265 266"),
    "MOTD": _query("372 375", "376", "402 422", end="376"),
    "VERSION": _query("", "351", "402", tail="005 105"),
    "TIME": _query("", "391", "402"),
    "ADMIN": _query("256 257 258", "259", "402 423"),
    "INFO": _query("371 373", "374", "402", end="374"),
    "STATS": _query(
        "210 211 212 213 214 215 216 217 218 220 222 223 224 225 227 240 241 242 243 244 245 246 247 248 249 250 709",
        "219", "402 481", end="219",
    ),
    "LINKS": _query("364", "365", "402 481", end="365"),
    "MAP": _query("006 015 018 270", "007 017", "402 481"),
    "TRACE": _query("200 201 202 203 204 205 206 207 208 209 261", "262", "402 481", end="262"),
    "HELP": _query("704 705", "706", "292 524", end="706"),
    "KNOCK": _query("", "711", "401 403 471 480 712 713 714", keyed=True),
    "INVITE": _query("301", "341", "401 403 442 443 482 518", tail="301", keyed=True),
    "INVITE list": _query("336", "337"),
    "JOIN": _query("", "", "403 405 407 437 448 470 471 473 474 475 476 477 479 480 485 489 495 500 520", keyed=True),
    "PART": _query("", "", "403 442", keyed=True),
    "KICK": _query("", "", "401 403 441 442 482 484 972", keyed=True),
    "NICK": _query("", "", "431 432 433 435 436 437 438 447 484", keyed=True),
    "PRIVMSG": _query("", "", _SAY_ERRORS, keyed=True),
    "NOTICE": _query("", "", _SAY_ERRORS, keyed=True),
    "TAGMSG": _query("", "", _SAY_ERRORS, keyed=True),
    "OPER": _query("", "381", "464 491"),
    "AWAY": _query("", "305 306"),
}  # fmt: skip
QUERIES["HELPOP"] = QUERIES["HELP"]
_OTHER = _query("", "", "401 402 403 441 442 481 482 723", keyed=True)

_POLLS = frozenset({"ISON", "MODE", "MODE I", "MODE b", "MODE e", "MODE q", "NAMES", "USERHOST", "WHO"})

# These name the command that was wrong, whatever it was.
_NAMES_COMMAND = frozenset({"263", "421", "461"})
_STANDARD_REPLIES = frozenset({"FAIL", "NOTE", "WARN"})
# These name nothing, even for questions that are keyed.
_NAMES_NOTHING = frozenset({"411", "412", "431", "438", "447", "481", "501", "502"})
# These name what they are about, so where that is nothing asked for they answer nothing asked.
_NAMES_TARGET = frozenset({"401", "403", "404", "441", "442", "443", "482"})
# Rows of WHO and LIST name what was found, which another may have asked for: they go by order alone.
_NAMES_FOUND = frozenset({"321", "322", "352", "354"})
# Where what was asked for stands among the parameters of a command; the first by default.
_KEYS_AT = {"INVITE": (0, 1), "WHOIS": (-1,)}


class Expired(NamedTuple, Generic[C]):
    """A question the network left unanswered: `end` is the numeric that should tell the asker so, "" for none."""

    client: C | Asker
    command: str
    params: list[str]
    end: str


class _Pending(Generic[C]):
    __slots__ = ("client", "command", "deadline", "keys", "params", "query", "started")

    def __init__(
        self, client: C | Asker, command: str, params: list[str], *, query: Query, keys: set[str], deadline: float
    ) -> None:
        self.client = client
        self.started = False
        self.command = command
        self.params = params
        self.query = query
        self.keys = keys
        self.deadline = deadline


class Router(Generic[C]):
    """Questions on one connection that may still be answered, oldest first; at most MAX_PENDING of them.

    Tell `asked` of every line of a client as it is sent, ask `reply` about every numeric (and FAIL, WARN, NOTE), call
    `expired` now and then.
    """

    def __init__(self, isupport: Isupport, timeout_s: float = TIMEOUT_S) -> None:
        self._isupport = isupport
        self._timeout_s = timeout_s
        self._pending: list[_Pending[C]] = []
        self.finished = False
        """Whether the last `reply` was the end of its answer."""
        self._tail: tuple[C | Asker, frozenset[str]] | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def asked(self, client: C | Asker, command: str, params: Sequence[str], now: float) -> bool:
        """A client (or OURS) has sent this to the network; whether a line we know ends the answer, and is awaited."""
        command = command.upper()
        query = QUERIES.get(self._kind(command, params), _OTHER)
        if len(self._pending) >= MAX_PENDING:
            # Most of what waits here is talk that was not refused.
            self._pending.pop(0)
        keys = self._keys(command, params)
        deadline = now + self._timeout_s
        self._pending.append(_Pending(client, command, list(params), query=query, keys=keys, deadline=deadline))
        return bool(query.ends)

    def polls(self, command: str, params: Sequence[str]) -> bool:
        """Whether it only asks, as clients do by themselves for every channel."""
        return self._kind(command, params) in _POLLS

    def end(self, command: str, params: Sequence[str]) -> str:
        """The numeric that ends the answer to this command, "" where none does."""
        query = QUERIES.get(self._kind(command, params))
        return query.end if query is not None else ""

    def reply(self, msg: Message, now: float) -> C | Asker:
        """Who gets this reply: a client, OURS (nobody), or ALL."""
        number = msg.command
        self.finished = False
        tail, self._tail = self._tail, None
        if tail is not None and number in tail[1]:
            self._tail = tail
            return tail[0]
        found = self._find(msg, now)
        if found is None:
            return ALL
        query = found.query
        if number in query.replies or number in {"NOTE", "WARN"}:
            found.started = True
            found.deadline = now + self._timeout_s
        elif self._finished(found, msg):
            self.finished = True
            self._pending.remove(found)
            if number in query.ends and query.tail:
                self._tail = (found.client, query.tail)
        return found.client

    def settled(self, command: str, target: str) -> C | Asker | None:
        """The network has done what was asked (JOIN, PRIVMSG echoed …): no refusal of it will come. Who asked."""
        key = self._isupport.casemap.fold(target)
        for entry in self._pending:
            if entry.command == command and key in entry.keys and not entry.query.ends:
                entry.keys.discard(key)
                if not entry.keys:
                    self._pending.remove(entry)
                return entry.client
        return None

    def pending(self, command: str) -> C | Asker | None:
        """Who asked that first of those not answered yet."""
        return next((entry.client for entry in self._pending if entry.command == command), None)

    def drop(self, client: C) -> None:
        """Nothing more will answer it: the network has dealt with it in silence."""
        self._pending = [entry for entry in self._pending if entry.client is not client]

    def clear(self) -> list[C]:
        """The connection is gone, and every question with it; who had asked."""
        left = [entry.client for entry in self._pending if not isinstance(entry.client, Asker)]
        self._pending.clear()
        self._tail = None
        return left

    def expired(self, now: float) -> list[Expired[C]]:
        """Take out the questions whose time is up; given are those whose asker waits for an answer."""
        late = [entry for entry in self._pending if entry.deadline <= now]
        if late:
            self._pending = [entry for entry in self._pending if entry.deadline > now]
        return [
            Expired(entry.client, entry.command, entry.params, entry.query.end) for entry in late if entry.query.ends
        ]

    def _kind(self, command: str, params: Sequence[str]) -> str:
        if command == "MODE" and params:
            return self._mode_kind(params)
        if command == "TOPIC" and len(params) > 1:
            return "TOPIC set"
        if command == "MONITOR" and params and params[0].upper() == "L":
            return "MONITOR L"
        if command == "INVITE" and not params:
            return "INVITE list"
        return command

    def _mode_kind(self, params: Sequence[str]) -> str:
        if not self._isupport.is_channel(params[0]):
            return "MODE self" if len(params) == 1 else "MODE self set"
        if len(params) == 1:
            return "MODE"
        letters = params[1].lstrip("+-")
        lists = self._isupport.chanmodes[0]
        return f"MODE {letters}" if len(params) == 2 and len(letters) == 1 and letters in lists else "MODE set"

    def _keys(self, command: str, params: Sequence[str]) -> set[str]:
        fold = self._isupport.casemap.fold
        keys: set[str] = set()
        for index in _KEYS_AT.get(command, (0,)):
            if params and index < len(params):
                keys.update(fold(name) for name in params[index].split(",") if name)
        return keys

    def _find(self, msg: Message, now: float) -> _Pending[C] | None:
        """The question this answers.

        The oldest that it names, one that is being answered before others; else the oldest it may answer unnamed.
        """
        number = msg.command
        alive = [entry for entry in self._pending if entry.deadline > now]
        if number in _STANDARD_REPLIES or number in _NAMES_COMMAND:
            command = msg.param(0 if number in _STANDARD_REPLIES else 1).upper()
            found = next((entry for entry in alive if entry.command == command), None)
            if found is not None or number in _STANDARD_REPLIES:
                return found
        alive = [entry for entry in alive if number in entry.query.numerics]
        named = self._named(msg) if number not in _NAMES_FOUND else set()
        naming = [entry for entry in alive if not named.isdisjoint(entry.keys)]
        if not naming and number in _NAMES_NOTHING:
            naming = alive
        elif not naming and number not in _NAMES_TARGET:
            # NAMES or TOPIC without a channel is answered with whatever it finds.
            naming = [entry for entry in alive if not entry.query.keyed or not entry.keys]
        return next((entry for entry in naming if entry.started), naming[0] if naming else None)

    def _named(self, msg: Message) -> set[str]:
        """What a reply may be about, folded: a nick, a channel, a mask, or several with commas."""
        fold = self._isupport.casemap.fold
        return {fold(name) for param in msg.params[1:3] for name in (param, *param.split(","))}

    def _finished(self, entry: _Pending[C], msg: Message) -> bool:
        """Whether an end or error leaves nothing of the question open (`JOIN #a,#b` may be refused twice)."""
        named = entry.keys & self._named(msg)
        if not named or entry.command == "INVITE":
            return True
        entry.keys -= named
        return not entry.keys
