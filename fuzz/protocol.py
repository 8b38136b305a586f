"""Targets of the protocol core: any bytes as lines, tags, ISUPPORT, modes, SASL and a client's registration.

A target returns for whatever is refused by one of the errors it is documented to raise; everything else is a crash.
"""

from __future__ import annotations

import ipaddress

from bouncer import proxy, sasl, scram
from bouncer.errors import LineTooLongError, ProtocolError, UnsafeLineError
from bouncer.irc import modes, roster
from bouncer.irc.authentication import Response, SaslLines, plain
from bouncer.irc.caps import CLIENT_CAPS, CapSession, Offered, multiline_limits
from bouncer.irc.channel import LONGEST_MODE_PARAM, MAX_MODES, ChannelState
from bouncer.irc.entering import Attempt, Closed, Consult, Exchange, Login, Onward, Registered
from bouncer.irc.format import projector
from bouncer.irc.isupport import Isupport, client_tokens
from bouncer.irc.lines import LineBuffer, split_text
from bouncer.irc.message import Message, as_text, escape_tag, serialise, unescape_tag
from bouncer.irc.registration import MAX_BYTES, MAX_LINES, Output, Registration
from bouncer.irc.state import NetworkState
from bouncer.upstream.reader import Reader

LIMIT = 512
CAPS = frozenset(cap.name for cap in CLIENT_CAPS)
KEYS = scram.derive("correct horse", b"salt", 16)


def messages(data: bytes) -> list[Message]:
    """What of the bytes, a line each, are lines."""
    return Reader(16_384, lambda _why, _raw: None).feed(data + b"\n")


def well_formed(output: bytes) -> None:
    """What we write is whole lines: nothing of it can be read as more lines than were meant."""
    assert output.endswith(b"\r\n"), output
    for line in output[:-2].split(b"\r\n"):
        assert line, output
        assert not set(line) & {0, 10, 13}, line
        Message.parse(line)


def line(data: bytes) -> None:
    """A stream, cut anywhere, gives the same lines; a line is itself again, and as fields means the same."""
    cut, stream = (data[0] if data else 0) + 1, data[1:]
    reader, buffer = Reader(LIMIT, lambda _why, _raw: None), LineBuffer(LIMIT)
    found: list[Message] = []
    for start in range(0, len(stream), cut):
        found += reader.feed(stream[start : start + cut])
        try:
            buffer.feed(stream[start : start + cut])
        except LineTooLongError as error:
            assert all(len(one) <= LIMIT for one in error.complete)  # noqa: PT017 - what it carries is looked at
    whole = Reader(LIMIT, lambda _why, _raw: None).feed(stream)
    assert [msg.raw for msg in found] == [msg.raw for msg in whole]
    for msg in whole:
        assert Message.parse(msg.raw).body == msg.body
        try:
            again = Message.parse(serialise(msg.command, msg.params, msg.source, msg.tags))
        except UnsafeLineError:
            continue
        assert (again.command, again.params, again.tags) == (msg.command, msg.params, msg.tags)
        assert (again.source or None) == (msg.source or None)


def tags(data: bytes) -> None:
    """Tags are read, written and given to clients; escaping and back is nothing."""
    text = data.decode("utf-8", "surrogateescape")
    if not set(text) & {"\0"}:
        assert unescape_tag(escape_tag(text)) == text
    unescape_tag(text)
    for msg in messages(b"@" + data.replace(b"\n", b"\n@")):
        for caps in (frozenset[str](), CAPS):
            shown = projector(caps)(msg, 1_700_000_000_000, "id", "me")
            if shown is not None:
                well_formed(shown)
        as_text("".join(msg.tags.values()), "iso-8859-15").encode()


def isupport(data: bytes) -> None:
    """Any 005 leaves something that can be asked, and that is the same after it was kept."""
    known = Isupport()
    for msg in messages(data):
        known.apply(msg.params)
    other = Isupport()
    other.load(known.dump())
    for name in ("casemap", "chantypes", "prefix", "chanmodes", "statusmsg"):
        assert getattr(known, name) == getattr(other, name)
    assert len(known.tokens()) <= 256
    assert len(known.prefix[0]) == len(known.prefix[1]) <= 64
    for token in client_tokens(known.tokens(), CAPS):
        assert not set(token) & set(" \r\n\0"), token
    assert known.linelen >= 512
    for text in ("#a", "@#a", "", "x", known.network):
        known.split_target(text)
        known.is_channel(text)


def mode(data: bytes) -> None:
    """The first line is a 005, the others are mode changes of one channel and of ourselves."""
    first, *rest = messages(data) or [Message("005")]
    known = Isupport()
    known.apply(first.params)
    channel = ChannelState("#a", known.casemap)
    channel.members["bob"] = ""
    for msg in rest:
        for _name, nick, letters in channel.apply_modes(msg.param(0), msg.params[1:], known):
            assert nick == "bob"
            unclear = any(len(set(part)) < len(part) for part in known.prefix)
            assert unclear or modes.letters(modes.symbols(letters, known), known) == letters
        modes.parse_user(msg.param(0))
    assert len(channel.modes) <= MAX_MODES
    assert all(len(value or "") <= LONGEST_MODE_PARAM for value in channel.modes.values())
    assert set(channel.members["bob"]) <= set(known.prefix[0])


def cap(data: bytes) -> None:
    """CAP of a client, on networks that have what the lines say; every answer is lines of 512 bytes."""
    session = CapSession("bouncer", Offered.on(()))
    for msg in messages(data):
        if msg.command == "CAP":
            outputs = session.handle(msg, "me")
        else:
            network = {item.partition("=")[0]: item.partition("=")[2] for item in msg.params}
            multiline_limits(network)
            outputs = session.update(Offered.on(network, external=len(data) % 2 == 0), "me")
        for output in outputs:
            well_formed(output)
        assert all(session.offered.grants(name) or name == "cap-notify" for name in session.enabled)


def authentication(data: bytes) -> None:
    """SASL both ways: challenges to us, responses of a client."""
    for mechanism in (sasl.Plain("a", "b"), sasl.External("a"), sasl.ScramSha256("a", "b", nonce="n")):
        try:
            for challenge in (b"", *data.split(b"\n")):
                sasl.chunks(mechanism.step(challenge))
        except ProtocolError:
            continue
    plain(data)
    exchange = scram.ScramServer(nonce="n")
    first, _, final = data.partition(b"\n")
    try:
        exchange.first(first)
        exchange.challenge(KEYS)
        assert exchange.finish(final) is None
    except ProtocolError:
        pass
    lines = SaslLines(lambda: "PLAIN,EXTERNAL,SCRAM-SHA-256")
    for word in data.decode("utf-8", "surrogateescape").split("\n"):
        found = lines.take(word)
        if isinstance(found, Response):
            plain(found.data)


def registration(data: bytes) -> None:
    """A client's way in, whatever it says and whatever is answered to it: the first byte says what."""
    answer, stream = (data[0] if data else 0), data[1:]
    entering = Registration("bouncer", Offered.on(()), ["NETWORK=x"])
    over = False
    for msg in messages(stream):
        outputs = entering.feed(msg)
        while outputs:
            assert not over, "nothing comes after the end"
            over = _taken(outputs)
            answer = answer * 5 + 3
            outputs = _answered(entering, outputs[-1], answer) if not over else []
        assert len(entering._held) <= MAX_LINES  # noqa: SLF001 - the bound is what is looked at
        assert sum(len(held.raw) for held in entering._held) <= MAX_BYTES  # noqa: SLF001


def _taken(outputs: list[Output]) -> bool:
    for output in outputs:
        if isinstance(output, bytes):
            well_formed(output)
    return any(isinstance(output, (Closed, Registered)) for output in outputs)


def _answered(entering: Registration, asked: Output, answer: int) -> list[Output]:
    if not entering.waiting:
        return []
    if isinstance(asked, Consult):
        return entering.offer(Offered.on(CAPS if answer % 2 else ()), ["CHANTYPES=#"])
    if isinstance(asked, Onward):
        return entering.passed_on(bool(answer % 2), "words")
    if isinstance(asked, Exchange) and answer % 3 == 0:
        return entering.challenge(b"challenge" * 50, Login("alice", None, None))
    if isinstance(asked, (Attempt, Exchange)) and answer % 3:
        return entering.accept("alice", "a!b@c", "phone")
    return entering.reject("no") if isinstance(asked, (Attempt, Exchange)) else []


def proxied(data: bytes) -> None:
    """A PROXY header in front of a connection, read as it is asked for: no byte behind it is taken."""
    header = b""
    try:
        while more := proxy.wanted(header):
            assert more > 0
            if len(header) + more > len(data):
                return
            header = data[: len(header) + more]
        address = proxy.source(header)
    except ProtocolError:
        return
    assert len(header) <= 16 + proxy.V2_BYTES
    assert not address or ipaddress.ip_address(address)


def split(data: bytes) -> None:
    """Text is cut so that the pieces fit, and are it again."""
    room, text = 4 + (data[0] if data else 0), data[1:].decode("utf-8", "surrogateescape")
    pieces = split_text(text, room)
    assert "".join(pieces) == text or as_text("".join(pieces)) == as_text(text)
    assert all(len(piece.encode("utf-8", "surrogateescape")) <= room for piece in pieces)


def state(data: bytes) -> None:
    """What a whole session leaves of channels and people is bounded, and agrees with itself."""
    known = NetworkState("me")
    for msg in messages(data):
        known.apply(msg, 5)
    members = [channel.members for channel in known.channels.values()]
    seen = {nick for one in members for nick in one.folded()}
    assert seen == known.users.folded()
    assert sum(len(one) for one in members) == known._roster._members <= roster.MAX_MEMBERS  # noqa: SLF001
    assert len(known.channels) <= roster.MAX_CHANNELS
    assert all(len(name) <= roster.LONGEST_NAME for name in (*known.channels, *known.users, known.nick))
    assert all(len(one) <= roster.LONGEST_USERHOST for one in (*known.users.values(), known.user, known.host))
