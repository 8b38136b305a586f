"""Owns what a hostile network and a hostile client say: real commands with the wrong words, fluently; pure."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEOPLE = 5_000
CHANNELS = 8


def _each(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS = (
    *_each(
        "* : :: - + 0 1 -1 99999999999999999999 #room # &x #ROOM @#room ~@+#room #a,#b,#c me ME bob bob!b@h *!*@* +o "
        "-o+v-k +ntlk beI 302 sasl LS ACK NAK NEW DEL LIST END timestamp=2026-01-01T00:00:00.000Z msgid=x timestamp=x "
        "$m:text %s%n{0} <b>&amp; ' BouncerServ NickServ *status *playback irc.test"
    ),
    *("", "x" * 600, "é" * 300, "#" + "y" * 400, "+" + "b" * 200, "' OR 1=1 --", "\x01ACTION x\x01", "  "),
    *("\x01VERSION\x01", "\x0304,5x\x03", "a\x01b", "\udcff\udcfe"),
)
FROM_NETWORK = (
    *_each(
        "PRIVMSG NOTICE TAGMSG JOIN PART QUIT KICK NICK MODE TOPIC INVITE AWAY ACCOUNT CHGHOST SETNAME RENAME REDACT "
        "METADATA MARKREAD BATCH ACK CAP AUTHENTICATE PING PONG ERROR FAIL WARN NOTE WALLOPS REGISTER VERIFY HELP "
        "KNOCK 001 002 004 005 221 301 302 303 305 306 311 315 318 322 323 324 329 331 332 333 341 346 347 348 349 "
        "352 353 354 366 367 368 375 372 376 396 401 403 404 421 422 433 437 471 473 730 731 734 761 900 903 904 PASS "
        "SERVER Z"
    ),
    *(f"{number:03d}" for number in range(1, 1000, 7)),
)
FROM_CLIENT = _each(
    "PRIVMSG NOTICE TAGMSG JOIN PART KICK NICK MODE TOPIC INVITE AWAY SETNAME RENAME REDACT METADATA MARKREAD "
    "READ BATCH CAP AUTHENTICATE PING PONG WHO WHOIS WHOWAS NAMES LIST MONITOR USERHOST ISON LUSERS MOTD VERSION "
    "TIME ADMIN INFO STATS HELP LINKS MAP TRACE KNOCK USERIP CHATHISTORY SEARCH BOUNCER ISUPPORT USER PASS ZNC "
    "REGISTER VERIFY WEBPUSH OPER RAW Z 001 ERROR"
)
SUBCOMMANDS: dict[str, tuple[str, ...]] = {
    "CHATHISTORY": _each("LATEST BEFORE AFTER AROUND BETWEEN TARGETS latest"),
    "METADATA": (
        "* GET",
        "* LIST",
        "* SET soju.im/pinned",
        "* SUB",
        "* UNSUB",
        "* SUBS",
        "* SYNC",
        "* CLEAR",
        "#room SET",
    ),
    "BOUNCER": ("LISTNETWORKS", "BIND", "CHANGENETWORK 999", "DELNETWORK 999", "ADDNETWORK host="),
    "MONITOR": _each("+ - C L S"),
    "CAP": ("LS 302", "REQ :", "LIST", "END", "REQ :-cap-notify", "REQ :message-tags batch", "REQ :-message-tags"),
    "BATCH": ("+m draft/multiline #room", "-m", "+n x", "-n", f"+{'r' * 300} draft/multiline me"),
    "SEARCH": ("text=x", "in=#room;text=a*", 'text="', "from=bob;before=x;limit=99999999"),
    "AUTHENTICATE": ("PLAIN", "*", "+", "AAAA", "A" * 400, "SCRAM-SHA-256"),
    "PRIVMSG": (
        "BouncerServ :help",
        "BouncerServ :server list",
        "BouncerServ :'",
        "*playback :PLAY *",
        "*status :help",
    ),
}
ISUPPORT = (
    *_each(
        "CASEMAPPING=ascii CASEMAPPING=rfc1459 CASEMAPPING=rfc1459-strict CASEMAPPING=rfc7613 -CASEMAPPING "
        "PREFIX=(ov)@+ PREFIX= PREFIX=(qaohv)~&@%+ PREFIX=(o)@@ -PREFIX CHANTYPES= CHANTYPES=#&+! -CHANTYPES "
        "CHANMODES=b,k,l,imnpst CHANMODES=,,, STATUSMSG=@+ LINELEN=99999999 LINELEN=1 NICKLEN=0 NETWORK=\\x0d\\x0aQUIT "
        "K=V=W MONITOR=0 TARGMAX=JOIN:0 SAFERATE -SAFERATE UTF8ONLY CHATHISTORY=5 BOUNCER_NETID=7 EXTBAN=$,a"
    ),
    *(f"STATUSMSG={'#' * 50}", f"NETWORK={'n' * 500}", f"CHANMODES={'a' * 300}"),
)
CAPS = (
    *_each(
        "echo-message labeled-response batch message-tags server-time account-tag sasl cap-notify chghost "
        "extended-monitor draft/multiline=max-bytes=99999,max-lines=99 draft/multiline=x draft/channel-rename"
    ),
    "z" * 300,
)
TAGS = ("time", "msgid", "label", "batch", "account", "+draft/reply", "+typing", "draft/multiline-concat", "")


def _wire(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape") + b"\r\n"


class _Speaker:
    """Chance that can be had again, and what both sides say alike."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - chance that can be had again

    def words(self, most: int) -> str:
        """Parameters as they should not be."""
        found = [self.dice.choice(WORDS) for _ in range(self.dice.randrange(most + 1))]
        return " ".join([*found[:-1], self.dice.choice(("", ":")) + found[-1]]) if found else ""

    def tags(self) -> str:
        """Tags in front of a line, or none."""
        roll = self.dice.random()
        if roll < 0.6:
            return ""
        values = [self.dice.choice(WORDS)[:80].replace(" ", "\\s") for _ in range(self.dice.randrange(6))]
        items = [f"{self.dice.choice(TAGS)}={value}" for value in values]
        if roll > 0.98:
            items += [f"+x{number}={'t' * 40}" for number in range(150)]
        return f"@{';'.join(items)} "

    def rubbish(self) -> bytes:
        """No lines at all, or none that end."""
        return self.dice.choice(
            [b"\0" * 50 + b"\r\n", b"\r" * 3000 + b"\n", b"\n" * 5000, b"A\n" * 5000, self.dice.randbytes(3000) + b"\n",
             b":\r\n@\r\n@a\r\n: \r\n@a :b\r\n@a @b :c PRIVMSG d\r\n", b"PRIVMSG #room :" + b"x" * 15_000 + b"\r\n"]
        )  # fmt: skip


class Network(_Speaker):
    """A network that has let us in: `burst` is what it says next, some kilobytes."""

    def __init__(self, seed: int, nick: str = "me") -> None:
        super().__init__(seed)
        self.nick = nick
        self._stories: dict[Callable[[], Iterator[str]], int] = {
            self._lines: 30, self._batches: 6, self._isupport: 6, self._nicks: 4, self._names: 4, self._caps: 4,
            self._modes: 4, self._us: 4, self._netsplit: 3, self._answers: 3, self._talk: 6, self._renames: 2,
            self._login: 2, self._topics: 3,
        }  # fmt: skip

    def burst(self) -> bytes:
        """The next thing it says."""
        roll = self.dice.random()
        if roll < 0.06:
            return self.rubbish()
        if roll < 0.07:
            return b"PRIVMSG #room :" + b"y" * 3_000_000 + b"\r\n"
        (story,) = self.dice.choices([*self._stories], [*self._stories.values()])
        return b"".join(_wire(line) for line in story())

    def _someone(self) -> str:
        return f"p{self.dice.randrange(PEOPLE)}"

    def _channel(self) -> str:
        return self.dice.choice(("#room", f"#c{self.dice.randrange(CHANNELS)}"))

    def _source(self) -> str:
        return self.dice.choice(
            ("irc.test", f"{self._someone()}!u@h", f"{self.nick}!u@h", self.dice.choice(WORDS[:14]))
        )

    def _lines(self) -> Iterator[str]:
        for _ in range(40):
            yield f"{self.tags()}:{self._source()} {self.dice.choice(FROM_NETWORK)} {self.words(6)}"

    def _batches(self) -> Iterator[str]:
        for _ in range(30):
            reference = f"r{self.dice.randrange(200)}"
            kind = self.dice.choice(
                ("draft/multiline #room", "labeled-response", "netsplit", "chathistory #room", "z", "")
            )
            outer = f"@batch=r{self.dice.randrange(200)} " if self.dice.random() < 0.3 else ""
            yield self.dice.choice((f"{outer}:irc.test BATCH +{reference} {kind}", f":irc.test BATCH -{reference}"))
            yield f"@batch={reference};draft/multiline-concat :{self._source()} PRIVMSG #room :{'m' * 300}"

    def _isupport(self) -> Iterator[str]:
        for _ in range(20):
            yield f":irc.test 005 {self.nick} {' '.join(self.dice.choice(ISUPPORT) for _ in range(5))} :are supported"

    def _nicks(self) -> Iterator[str]:
        who = self._someone()
        for number in range(40):
            yield f":{who}!u@h NICK {who}x{number}"
            who = f"{who}x{number}"[-20:]
        for name in ("forced", "", "#room", "n" * 300, self.nick):
            yield f":{self.nick}!u@h NICK {name}"

    def _names(self) -> Iterator[str]:
        channel, first = self._channel(), self.dice.randrange(PEOPLE)
        for start in range(first, first + 1500, 50):
            yield f":irc.test 353 {self.nick} = {channel} :" + " ".join(
                f"@+p{n % PEOPLE}!u@h{n}" for n in range(start, start + 50)
            )
        yield f":irc.test 366 {self.nick} {channel} :End"

    def _caps(self) -> Iterator[str]:
        for _ in range(20):
            what = self.dice.choice(("NEW", "DEL", "ACK", "NAK", "LS", "LS *", "LIST"))
            names = " ".join(self.dice.choice(CAPS) for _ in range(3))
            yield f":irc.test CAP {self.nick} {what} :{self.dice.choice(('', '-'))}{names}"

    def _modes(self) -> Iterator[str]:
        for _ in range(30):
            letters = "".join(self.dice.choice("+-ovhbklimnst") for _ in range(self.dice.choice((6, 300))))
            who = " ".join(self._someone() for _ in range(12))
            yield f":{self._source()} MODE {self.dice.choice((self._channel(), self.nick))} {letters} {who}"

    def _us(self) -> Iterator[str]:
        """In and out of channels by the server's will."""
        names = ",".join(f"#c{number}" for number in range(CHANNELS))
        yield f":{self.nick}!u@h JOIN {names},#room"
        for _ in range(10):
            channel = self._channel()
            yield f":boss!b@h KICK {channel} {self.nick} :{'out ' * 30}"
            yield f":{self.nick}!u@h JOIN {channel}"
        yield self.dice.choice((f":{self.nick}!u@h PART {names}", f":{self.nick}!u@h QUIT :x", "ERROR :Closing link"))

    def _netsplit(self) -> Iterator[str]:
        channel = self._channel()
        yield f":{self.nick}!u@h JOIN {channel}"
        tag = self.dice.choice(("", "@batch=split "))
        yield ":irc.test BATCH +split netsplit a.test b.test"
        for number in range(PEOPLE):
            yield f"{tag}:p{number}!u@h QUIT :a.test b.test"
        yield ":irc.test BATCH -split"
        for number in range(0, PEOPLE, 100):
            yield f":irc.test 353 {self.nick} = {channel} :" + " ".join(f"p{n}" for n in range(number, number + 100))

    def _answers(self) -> Iterator[str]:
        """To questions nobody asked, under labels of ours or not."""
        for _ in range(40):
            number = self.dice.choice(
                ("311", "315", "318", "323", "352", "366", "401", "404", "730", "731", "761", "ACK")
            )
            yield f"@label={self.dice.randrange(300)} :irc.test {number} {self.nick} {self._channel()} {self.words(4)}"
            yield f":irc.test PONG irc.test :bouncer-done-{self.dice.randrange(50)}"

    def _talk(self) -> Iterator[str]:
        for number in range(60):
            target = self.dice.choice((self._channel(), self.nick, "@#room", self._someone()))
            command = self.dice.choice(("PRIVMSG", "NOTICE", "TAGMSG"))
            text = f"{self.nick} word {number} {self.dice.choice(WORDS)}"
            yield f"{self.tags()}:{self._source()} {command} {target} :{text}"

    def _renames(self) -> Iterator[str]:
        one, other = self._channel(), self._channel()
        for _ in range(5):
            yield f":irc.test RENAME {one} {other} :why"
            yield f":irc.test RENAME {other} {one} :back"
            yield f":x!y@z REDACT {one} {self.dice.choice(WORDS)} :gone"

    def _login(self) -> Iterator[str]:
        yield "AUTHENTICATE +"
        yield f"AUTHENTICATE {'A' * 400}"
        for number in (
            "900",
            "901",
            "902",
            "903",
            "904",
            "905",
            "906",
            "907",
            "908",
            "433",
            "437",
            "001",
            "376",
            "464",
            "465",
        ):
            yield f":irc.test {number} {self.nick} {self.words(4)}"

    def _topics(self) -> Iterator[str]:
        for _ in range(10):
            channel = self._channel()
            yield f":irc.test {self.dice.choice(('332', '331'))} {self.nick} {channel} :{'topic ' * 1000}"
            yield f":irc.test 333 {self.nick} {channel} {self.dice.choice(WORDS)} {self.dice.choice(WORDS)}"
            yield f":bob!b@h TOPIC {channel} :{'t' * 5000}"
            yield f":irc.test 324 {self.nick} {channel} +{'k' * 50}lnt {self.words(5)}"


class Client(_Speaker):
    """A client that is in: `burst` is what it says next."""

    def burst(self) -> bytes:
        """The next thing it says; the last line may lack its end."""
        roll = self.dice.random()
        if roll < 0.03:
            return self.rubbish()
        if roll < 0.10:
            lines = [f"CAP {self.dice.choice(SUBCOMMANDS['CAP'])}" for _ in range(40)]
        elif roll < 0.15:
            lines = [f"PING :{self.dice.choice(WORDS)}" for _ in range(100)]
        else:
            lines = [self._line() for _ in range(30)]
        data = b"".join(_wire(line) for line in lines)
        return data[: -self.dice.randrange(1, 20)] if self.dice.random() < 0.1 else data

    def _line(self) -> str:
        command = self.dice.choice(FROM_CLIENT)
        known = SUBCOMMANDS.get(command)
        first = f"{self.dice.choice(known)} " if known and self.dice.random() < 0.7 else ""
        return f"{self.tags()}{command} {first}{self.words(5)}"
