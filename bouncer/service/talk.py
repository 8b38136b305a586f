"""Owns what a person types where there is no client: slash commands, and the lines they mean."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from bouncer import journal_sql as sql
from bouncer import tasks, tenant
from bouncer.clock import now_ms
from bouncer.errors import InvalidError, NotFoundError, RefusedError, UnsafeLineError
from bouncer.events import Reply
from bouncer.history import Buffer
from bouncer.irc.message import Message
from bouncer.models.tenant import Channel, Conversation, Server
from bouncer.service import checks
from bouncer.service.folding import casemap_of, chantypes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.service.bouncerserv import BouncerServ
    from bouncer.service.live import Live

MAX_LINES = 20
MAX_TEXT = 8_000
"""Characters in one go: a page of text is for a paste bin, not for a channel."""
MAX_TARGET = 200
BOUNCERSERV = "bouncerserv"

HELP = (
    ("/me", "waves", "say what you do"),
    ("/join", "#channel [key]", "enter a channel"),
    ("/part", "[reason]", "leave this one"),
    ("/msg", "nick text", "a direct message"),
    ("/query", "nick", "open a conversation"),
    ("/topic", "[text]", "set the topic"),
    ("/nick", "name", "change your nick"),
    ("/away", "[text]", "be away; without text you are back"),
    ("/whois", "nick", "who that is"),
    ("/notice", "nick text", "a notice"),
    ("/kick", "nick [reason]", "put somebody out"),
    ("/invite", "nick [#channel]", "invite somebody"),
    ("/mode", "+o nick", "change modes"),
    ("/quote", "line", "a line of IRC as it is"),
    ("/msg BouncerServ", "help", "talk to the bouncer itself; neither is kept"),
)


class Place(NamedTuple):
    """Where it is typed: a channel or a conversation by its name, "" for the server itself; `row` is that of either."""

    server: Server
    name: str
    is_channel: bool
    row: Channel | Conversation | None = None

    @property
    def buffer(self) -> Buffer:
        """Where its lines are."""
        if self.row is None:
            return Buffer(self.server.id)
        channel, talk = (self.row.id, None) if self.is_channel else (None, self.row.id)
        return Buffer(self.server.id, channel, talk)

    @property
    def folded(self) -> str:
        """The name as it is looked up; "" for the server itself."""
        return "" if self.row is None else self.row.folded


@dataclass
class Outcome:
    """What came back, in words, and the channel or nick that is to be shown now ("" for none)."""

    replies: list[Reply] = field(default_factory=list)
    go: str = ""

    @property
    def refused(self) -> str:
        """Why (part of) it was not carried out, "" when it was."""
        return "; ".join(reply.words for reply in self.replies if reply.refused)


class _Step(NamedTuple):
    line: Message | None
    go: str = ""


def is_bouncerserv(name: str) -> bool:
    """Whether what is said to that nick is said to us."""
    return name.lower() == BOUNCERSERV


def parse(place: Place, text: str) -> list[_Step]:
    """The lines to send for what was typed; raises InvalidError (field `text`) in words for the person."""
    if len(text) > MAX_TEXT:
        raise _wrong(f"at most {MAX_TEXT} characters at once")
    lines = [line.rstrip() for line in text.replace("\r", "\n").split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        raise _wrong("there is nothing to send")
    if len(lines) > MAX_LINES:
        raise _wrong(f"at most {MAX_LINES} lines at once")
    if any("\0" in line for line in lines):
        raise _wrong("holds a character that IRC cannot carry")
    if lines[0].startswith("/") and not lines[0].startswith("//"):
        if len(lines) > 1:
            raise _wrong("a command is one line; begin with // to say a slash")
        return _command(place, lines[0])
    lines[0] = lines[0].removeprefix("/") if lines[0].startswith("//") else lines[0]
    return [_Step(Message("PRIVMSG", [_here(place), line])) for line in lines]


def _to_bouncerserv(line: Message) -> bool:
    return line.command == "PRIVMSG" and is_bouncerserv(line.param(0))


def _wrong(words: str) -> InvalidError:
    return InvalidError({"text": words})


def _here(place: Place) -> str:
    if not place.name:
        raise _wrong("nobody is listening here; commands begin with a /")
    return place.name


def _command(place: Place, line: str) -> list[_Step]:
    name, _, rest = line[1:].partition(" ")
    known = COMMANDS.get(name.lower())
    if known is None:
        raise _wrong(f"there is no command /{name[:30]}; /{' /'.join(sorted(COMMANDS))} are there")
    return known(place, rest.strip())


def _word(text: str, what: str) -> tuple[str, str]:
    """The first word, which may be a middle parameter, and the rest."""
    word, _, rest = text.partition(" ")
    if not word or word.startswith(":") or len(word) > MAX_TARGET:
        raise _wrong(f"say {what}")
    return word, rest.strip()


def _me(place: Place, rest: str) -> list[_Step]:
    if not rest:
        raise _wrong("say what you do, as in /me waves")
    return [_Step(Message("PRIVMSG", [_here(place), f"\x01ACTION {rest}\x01"]))]


def _said(command: str) -> Callable[[Place, str], list[_Step]]:
    def run(_place: Place, rest: str) -> list[_Step]:
        target, text = _word(rest, "to whom, and what")
        if not text:
            raise _wrong(f"say what {target} is to be told")
        return [_Step(Message(command, [target, text]))]

    return run


def _query(place: Place, rest: str) -> list[_Step]:
    nick, text = _word(rest, "with whom")
    if nick[0] in chantypes_of(place.server):
        raise _wrong(f"{nick} is a channel: /join {nick}")
    try:
        nick = checks.nickname(nick)
    except ValueError as error:
        raise _wrong(f"{nick}: {error}") from error
    return [_Step(Message("PRIVMSG", [nick, text]) if text else None, nick)]


def _join(place: Place, rest: str) -> list[_Step]:
    name, key = _word(rest, "which channel")
    if name[0] not in chantypes_of(place.server):
        name = f"#{name}"
    return [_Step(Message("JOIN", [name, *([key.split(" ")[0]] if key else [])]), name.partition(",")[0])]


def _part(place: Place, rest: str) -> list[_Step]:
    name, reason = place.name, rest
    if rest and rest[0] in chantypes_of(place.server):
        name, reason = _word(rest, "which channel")
    elif not place.is_channel:
        raise _wrong("say which channel")
    return [_Step(Message("PART", [name, *([reason] if reason else [])]))]


def _topic(place: Place, rest: str) -> list[_Step]:
    if not place.is_channel:
        raise _wrong("only channels have a topic")
    return [_Step(Message("TOPIC", [place.name, *([rest] if rest else [])]))]


def _nick(_place: Place, rest: str) -> list[_Step]:
    return [_Step(Message("NICK", [_word(rest, "which nick")[0]]))]


def _away(_place: Place, rest: str) -> list[_Step]:
    return [_Step(Message("AWAY", [rest] if rest else []))]


def _whois(place: Place, rest: str) -> list[_Step]:
    nick = _word(rest or ("" if place.is_channel else place.name), "who")[0]
    return [_Step(Message("WHOIS", [nick, nick]))]  # asked twice: the server the nick is on knows its idle time


def _kick(place: Place, rest: str) -> list[_Step]:
    if not place.is_channel:
        raise _wrong("this is no channel")
    nick, reason = _word(rest, "whom")
    return [_Step(Message("KICK", [place.name, nick, *([reason] if reason else [])]))]


def _invite(place: Place, rest: str) -> list[_Step]:
    nick, channel = _word(rest, "whom")
    if not channel and not place.is_channel:
        raise _wrong("say to which channel")
    return [_Step(Message("INVITE", [nick, channel.split(" ")[0] or place.name]))]


def _mode(place: Place, rest: str) -> list[_Step]:
    words = rest.split()
    if not words or words[0][0] in "+-":
        words.insert(0, _here(place))
    return [_Step(Message("MODE", words[:15]))]


def _quote(_place: Place, rest: str) -> list[_Step]:
    if not re.match(r"[A-Za-z]", rest):
        raise _wrong("write a line of IRC, as in /quote VERSION")
    msg = Message.parse(rest.encode("utf-8", "surrogateescape"))
    if msg.command in ("QUIT", "CAP", "AUTHENTICATE", "PASS", "USER", "PING", "PONG", "BATCH"):
        raise _wrong(f"{msg.command} is the bouncer's own business")
    return [_Step(msg)]


COMMANDS: Mapping[str, Callable[[Place, str], list[_Step]]] = {
    "me": _me,
    "msg": _said("PRIVMSG"),
    "notice": _said("NOTICE"),
    "query": _query,
    "join": _join,
    "part": _part,
    "topic": _topic,
    "nick": _nick,
    "away": _away,
    "back": lambda _place, _rest: [_Step(Message("AWAY", []))],
    "whois": _whois,
    "kick": _kick,
    "invite": _invite,
    "mode": _mode,
    "quote": _quote,
}


class Talk:
    """All functions take the user's id and go into that tenant themselves."""

    def __init__(self, live: Live, bouncerserv: Callable[[], BouncerServ]) -> None:
        self._live = live
        self._bouncerserv = bouncerserv

    async def place(self, user_id: int, kind: str, number: int) -> Place:
        """The `channel`, `conversation` or `server` with that id, or NotFoundError."""
        async with tenant.switch(user_id), tenant.session() as session:
            if kind == "server":
                return Place(await _server(session, number), "", is_channel=False)
            if kind == "channel":
                channel = await session.get(Channel, number)
                if channel is not None:
                    return Place(await _server(session, channel.server_id), channel.name, True, channel)
            else:
                talk = await session.get(Conversation, number)
                if talk is not None:
                    return Place(await _server(session, talk.server_id), talk.nick, False, talk)
        raise NotFoundError(f"there is no such {kind}")

    @staticmethod
    def is_for_bouncerserv(place: Place, text: str) -> bool:
        """Whether some of what was typed goes to BouncerServ, who does what its user may do."""
        try:
            return any(_to_bouncerserv(step.line) for step in parse(place, text) if step.line is not None)
        except InvalidError:
            return False

    async def say(self, user_id: int, place: Place, text: str) -> Outcome:
        """Send what was typed. What cannot be sent at all raises InvalidError (field `text`)."""
        steps = parse(place, text)
        lines = [step.line for step in steps if step.line is not None]
        outcome = Outcome()
        for line in [line for line in lines if _to_bouncerserv(line)]:
            outcome.replies += await self._ask(user_id, place, line.param(1))
            lines.remove(line)
        try:
            outcome.replies += await self._live.say(user_id, place.server.id, lines) if lines else ()
        except (RefusedError, UnsafeLineError) as error:
            raise _wrong(str(error)) from error
        if not outcome.refused:
            outcome.go = steps[-1].go
        return outcome

    async def _ask(self, user_id: int, place: Place, text: str) -> list[Reply]:
        """What BouncerServ says to that: outside our tenant, as an admin's words may be about other people's files."""
        handled = self._bouncerserv().handle(user_id, text, server=place.server.name)
        return [Reply(words) for words in await asyncio.shield(tasks.spawn(handled, name="bouncerserv"))]

    async def open(self, user_id: int, server_id: int, name: str) -> tuple[str, int] | None:
        """(`channels` or `conversations`, its id) for a name; a nick's conversation is made when it is not there."""
        async with tenant.switch(user_id), tenant.session() as session:
            server = await _server(session, server_id)
            folded = casemap_of(server).fold(name)
            if name[0] in chantypes_of(server):
                query = select(Channel.id).where(Channel.server_id == server_id, Channel.folded == folded)
                found = await session.scalar(query)
                return None if found is None else ("channels", found)
            talks = select(Conversation.id).where(Conversation.server_id == server_id, Conversation.folded == folded)
            found = await session.scalar(talks)
            if found is None:
                row = Conversation(server_id=server_id, nick=name, folded=folded)
                session.add(row)
                await session.commit()
                found = row.id
            return "conversations", found

    async def mark_read(self, user_id: int, place: Place, time_ms: int) -> None:
        """All up to that time has been read, here and in every client; a marker never goes back."""
        if not place.name or await self._live.mark_read(user_id, place.server.id, place.name, time_ms):
            return
        await self._mark(user_id, place, time_ms)

    async def _mark(self, user_id: int, place: Place, time_ms: int) -> None:
        """The same for a bouncer that does not run."""
        folded, now, server = casemap_of(place.server).fold(place.name), now_ms(), place.server.id
        time_ms = min(time_ms, now)
        read = (now, server, time_ms, server, folded, server, folded)
        async with tenant.switch(user_id), tenant.session() as session:
            connection = await session.connection()
            await connection.exec_driver_sql(sql.MARKER, (folded, place.name, time_ms, now, server))
            await connection.exec_driver_sql(sql.MARKER_READ, read)
            await session.commit()


async def _server(session: AsyncSession, server_id: int) -> Server:
    row: Server | None = await session.get(Server, server_id)
    if row is None:
        raise NotFoundError("there is no such server")
    return row
