from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc.caps import CLIENT_CAPS
from bouncer.irc.format import chghost_fallback, project, server_time
from bouncer.irc.message import Message

TIME = 1_795_425_255_123
EVERYTHING = frozenset(cap.name for cap in CLIENT_CAPS)


def seen(line: str | bytes, *caps: str, msgid: str = "id1", symbols: str = "@+") -> bytes | None:
    raw = line.encode() if isinstance(line, str) else line
    return project(Message.parse(raw), frozenset(caps), TIME, msgid, "me", symbols=symbols)


def test_server_time() -> None:
    assert server_time(TIME) == "2026-11-23T09:14:15.123Z"
    assert server_time(5) == "1970-01-01T00:00:00.005Z"


def test_a_line_goes_on_as_it_came() -> None:
    odd = b":n!u@h  PRIVMSG #x  word"
    assert seen(odd) == odd + b"\r\n"
    assert seen(b"@time=x;+typing=active " + odd) == odd + b"\r\n"
    assert seen(b":n PRIVMSG #x :caf\xe9") == b":n PRIVMSG #x :caf\xe9\r\n"


def test_tags_are_those_the_client_asked_for() -> None:
    theirs = "time=2020-01-01T00:00:00.000Z;msgid=theirs;account=bob;batch=1;label=x"
    line = f"@{theirs};vendor/a=b\\s;+react=:) :n PRIVMSG #x y"
    at = b"time=2026-11-23T09:14:15.123Z"
    body = b":n PRIVMSG #x y\r\n"
    assert seen(line) == body
    assert seen(line, "server-time") == b"@" + at + b" " + body
    assert seen(line, "account-tag") == b"@account=bob " + body
    assert seen(line, "message-tags") == b"@msgid=id1;vendor/a=b\\s;+react=:) " + body
    every = b"@" + at + b";msgid=id1;account=bob;vendor/a=b\\s;+react=:) " + body
    assert seen(line, "server-time", "message-tags", "account-tag") == every
    assert seen(line, "message-tags", msgid="") == b"@vendor/a=b\\s;+react=:) " + body
    assert seen("PING x", "message-tags", msgid="") == b"PING x\r\n"
    assert seen("PING x", "batch", "account-tag") == b"PING x\r\n"


def test_a_message_made_by_us_looks_like_one_that_came() -> None:
    made = Message("PRIVMSG", ["#x", "a b"], source="n!u@h", tags={"account": "b", "+x": "1 2"})
    assert (
        project(made, frozenset({"message-tags"}), TIME, "i", "me") == b"@msgid=i;+x=1\\s2 :n!u@h PRIVMSG #x :a b\r\n"
    )


@pytest.mark.parametrize(
    ("line", "cap"),
    [
        (":n!u@h TAGMSG #x", "message-tags"),
        (":n!u@h AWAY :gone", "away-notify"),
        (":n!u@h ACCOUNT bob", "account-notify"),
        (":n!u@h CHGHOST u h", "chghost"),
        (":n!u@h SETNAME :New", "setname"),
        (":n!u@h INVITE other #x", "invite-notify"),
    ],
)
def test_what_was_not_asked_for_is_not_sent(line: str, cap: str) -> None:
    assert seen(line, *(EVERYTHING - {cap})) is None
    assert (seen(line, cap, msgid="") or b"") == line.encode() + b"\r\n"


def test_our_own_invitation_always_arrives() -> None:
    assert seen(":n!u@h INVITE Me #x") == b":n!u@h INVITE Me #x\r\n"


@pytest.mark.parametrize("line", [":s BATCH +1 netsplit a b", "@label=1 :s ACK"])
def test_batches_and_labels_of_the_network_end_here(line: str) -> None:
    assert seen(line, *EVERYTHING) is None


def test_extended_join_is_reduced() -> None:
    assert seen(":n!u@h JOIN #x acct :Real Name") == b":n!u@h JOIN #x\r\n"
    assert seen(":n!u@h JOIN :#x") == b":n!u@h JOIN :#x\r\n"
    assert seen(":n!u@h JOIN #x acct :Real Name", "extended-join") == b":n!u@h JOIN #x acct :Real Name\r\n"


def test_standard_replies_are_for_everybody() -> None:
    line = b":irc.example FAIL REDACT REDACT_FORBIDDEN #c id :Not yours"
    assert project(Message.parse(line), frozenset(), 0, "", "me") == line + b"\r\n"


def test_names_are_reduced_to_what_the_client_understands() -> None:
    line = ":s 353 me = #x :@+a!u@h +b!u@h c "
    assert seen(line, "multi-prefix", "userhost-in-names") == line.encode() + b"\r\n"
    assert seen(line, "multi-prefix") == b":s 353 me = #x :@+a +b c \r\n"
    assert seen(line, "userhost-in-names") == b":s 353 me = #x :@a!u@h +b!u@h c \r\n"
    assert seen(line) == b":s 353 me = #x :@a +b c \r\n"
    assert seen(":s 353 me = #x :@a b") == b":s 353 me = #x :@a b\r\n"
    assert seen(":s 353 me = #x :!@a!u@h", symbols="!@+") == b":s 353 me = #x :!a\r\n"
    assert seen(":s 353 me") == b":s 353 me\r\n"


def test_who_flags_are_reduced() -> None:
    line = ":s 352 me #x u h s n H*@+ :0 Real"
    assert seen(line) == b":s 352 me #x u h s n H*@ :0 Real\r\n"
    assert seen(line, "multi-prefix") == line.encode() + b"\r\n"
    assert seen(":s 352 me #x u h s n H@ :0 R") == b":s 352 me #x u h s n H@ :0 R\r\n"
    assert seen(":s 352 me #x u h s n G :0 R") == b":s 352 me #x u h s n G :0 R\r\n"
    assert seen(":s 352 me") == b":s 352 me\r\n"


def test_numerics_are_addressed_to_the_nick() -> None:
    assert seen(":s 421 * FROB :Unknown command") == b":s 421 me FROB :Unknown command\r\n"
    assert seen(":s NOTICE * :x") == b":s NOTICE * :x\r\n"


def test_a_line_never_smuggles_another() -> None:
    assert seen(b":n PRIVMSG #x :a\rQUIT\0") == b":n PRIVMSG #x :a QUIT\r\n"


def test_the_fallback_for_chghost() -> None:
    message = Message.parse(b":n!u@h CHGHOST new.user new.host")
    lines = [line.raw for line in chghost_fallback(message, [("#a", "ov"), ("#b", "")])]
    assert lines == [
        b":n!u@h QUIT :Changing host",
        b":n!new.user@new.host JOIN #a * n",
        b":n!new.user@new.host MODE #a +ov n n",
        b":n!new.user@new.host JOIN #b * n",
    ]
    assert chghost_fallback(message, []) == []
    assert chghost_fallback(Message.parse(b":n CHGHOST x"), [("#a", "")]) == []


COMMANDS = [b"PRIVMSG", b"JOIN", b"353", b"352", b"421", b"INVITE", b"FAIL", b"CHGHOST", b"AWAY", b"TAGMSG", b"311"]
params = st.lists(st.binary(max_size=10).filter(lambda word: b"\n" not in word), max_size=9)


@given(st.sampled_from(COMMANDS), params, st.sets(st.sampled_from(sorted(EVERYTHING))), st.booleans())
def test_any_line_becomes_one_line_or_none(command: bytes, words: list[bytes], caps: set[str], tagged: bool) -> None:
    tags = b"@a=b;account=c " if tagged else b""
    message = Message.parse(tags + b":n!u@h " + command + b" " + b" ".join(words))
    line = project(message, frozenset(caps), TIME, "id", "me")
    if line is not None:
        assert line.endswith(b"\r\n")
        assert not set(line[:-2]) & set(b"\r\n\0")
        assert line.startswith(b"@") == bool(
            caps & {"server-time", "znc.in/server-time-iso", "message-tags"} or (tagged and "account-tag" in caps)
        )
