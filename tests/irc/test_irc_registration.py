from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.errors import MalformedLineError
from bouncer.irc import registration
from bouncer.irc.caps import Offered
from bouncer.irc.entering import Attempt, Closed, Consult, Exchange, Login, Registered, parse_login
from bouncer.irc.message import Message
from bouncer.irc.registration import Output, Registration


def fresh() -> Registration:
    return Registration("b.example", Offered.on([]))


def feed(machine: Registration, *lines: str) -> list[Output]:
    output: list[Output] = []
    for line in lines:
        output += machine.feed(Message.parse(line.encode("utf-8", "surrogateescape")))
    return output


def numerics(output: list[Output]) -> list[str]:
    return [Message.parse(item.strip()).command for item in output if isinstance(item, bytes)]


def plain(*fields: str) -> str:
    return base64.b64encode("\0".join(fields).encode()).decode()


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("Alice", Login("alice", None, None)),
        ("alice/Libera", Login("alice", "Libera", None)),
        ("alice/libera@phone", Login("alice", "libera", "phone")),
        ("alice@phone/libera", Login("alice", "libera", "phone")),
        ("alice@phone", Login("alice", None, "phone")),
        ("alice/@", Login("alice", None, None)),
        ("", Login("", None, None)),
    ],
)
def test_logins_in_the_forms_of_znc_and_soju(text: str, login: Login) -> None:
    assert parse_login(text) == login


@given(st.text(max_size=300))
def test_any_login_can_be_read(text: str) -> None:
    login = parse_login(text)
    assert len(login.user) <= 128
    assert len(login.client or "") <= 64


@pytest.mark.parametrize(
    ("password", "user", "login", "secret"),
    [
        ("alice:secret", "x", Login("alice", None, None), "secret"),
        ("alice/net:se:cret", "x", Login("alice", "net", None), "se:cret"),
        ("alice/net@pc:secret", "x", Login("alice", "net", "pc"), "secret"),
        ("alice@pc/net:secret", "x", Login("alice", "net", "pc"), "secret"),
        ("secret", "alice/net@pc", Login("alice", "net", "pc"), "secret"),
        ("$ecret:more", "alice", Login("alice", None, None), "$ecret:more"),
    ],
)
def test_login_by_pass(password: str, user: str, login: Login, secret: str) -> None:
    machine = fresh()
    output = feed(machine, f"PASS {password}", "NICK me", f"USER {user} 0 * :Real name")
    assert output == [Attempt(login, secret, "pass")]
    (done,) = machine.accept("alice", "me!x@bouncer")
    assert isinstance(done, Registered)
    assert (done.login, done.nick, done.realname) == (login, "me", "Real name")
    assert feed(machine, "PRIVMSG #a b") == []


def test_a_wrong_password_ends_the_connection() -> None:
    machine = fresh()
    feed(machine, "PASS a:b", "NICK me", "USER u 0 * r")
    output = machine.reject("Wrong name or password")
    assert numerics(output) == ["464", "ERROR"]
    assert output[-1] == Closed("Wrong name or password")
    assert output[0] == b":b.example 464 * :Wrong name or password\r\n"


def test_without_a_password_nobody_is_let_in() -> None:
    output = feed(fresh(), "NICK me", "USER alice 0 * r")
    assert numerics(output) == ["464", "ERROR"]
    assert isinstance(output[-1], Closed)


def test_the_password_is_not_in_the_representation() -> None:
    assert "hunter2" not in repr(Attempt(Login("a", None, None), "hunter2", "pass"))


def test_capability_negotiation_holds_registration_back() -> None:
    machine = fresh()
    output = feed(machine, "CAP LS 302", "PASS a:b", "NICK me", "USER u 0 * r", "CAP REQ :batch")
    assert not any(isinstance(item, Attempt) for item in output)
    assert isinstance(feed(machine, "CAP END")[0], Attempt)
    (done,) = machine.accept("a", "me!u@h")
    assert isinstance(done, Registered)
    assert done.caps.enabled == {"batch", "cap-notify"}


def test_login_by_sasl_plain() -> None:
    machine = fresh()
    output = feed(machine, "CAP REQ sasl", "NICK me", "USER u 0 * r", "AUTHENTICATE plain")
    assert output[-1] == b"AUTHENTICATE +\r\n"
    assert feed(machine, f"AUTHENTICATE {plain('', 'alice/net@pc', 'secret')}") == [
        Attempt(Login("alice", "net", "pc"), "secret", "sasl")
    ]
    assert feed(machine, "CAP END") == []
    output = machine.accept("alice", "me!u@bouncer")
    assert numerics(output) == ["900", "903"]
    assert output[0] == b":b.example 900 me me!u@bouncer alice :You are now logged in as alice\r\n"
    assert isinstance(output[-1], Registered)


def test_a_password_with_a_name_is_tried_before_the_negotiation_and_the_network_consulted() -> None:
    machine = fresh()
    login = Login("alice", "net", None)
    assert feed(machine, "PASS alice/net:secret", "CAP LS 302", "CAP REQ :away-notify") == [
        Attempt(login, "secret", "pass")
    ]
    assert machine.accept("alice", "*!alice@b") == [Consult(login)]
    output = machine.offer(Offered.on({"away-notify"}))
    assert b"away-notify" in b"".join(line for line in output if isinstance(line, bytes))
    assert output[-1] == b":b.example CAP * ACK :away-notify\r\n"
    feed(machine, "NICK me", "USER u 0 * r")
    (done,) = feed(machine, "CAP LS", "CAP END")[-1:]
    assert isinstance(done, Registered)
    assert done.caps.enabled == {"away-notify", "cap-notify"}


def test_what_was_listed_before_the_login_stays_as_it_was_until_001() -> None:
    machine = fresh()
    assert feed(machine, "CAP LS 302", "PASS a:b", "CAP REQ sasl")[-1] == b":b.example CAP * ACK :sasl\r\n"
    feed(machine, "AUTHENTICATE PLAIN", f"AUTHENTICATE {plain('', 'a', 'b')}")
    machine.accept("a", "*!a@b")
    assert numerics(feed(machine, "CAP REQ :away-notify", "CAP LIST")) == ["CAP", "CAP"]
    assert feed(machine, "CAP LS 302") == [Consult(Login("a", None, None))]


def test_a_request_without_a_list_is_answered_for_the_network_too() -> None:
    machine = fresh()
    feed(machine, "PASS a:b", "CAP REQ :away-notify")
    assert machine.accept("a", "*!a@b") == [Consult(Login("a", None, None))]
    assert machine.offer(Offered.on({"away-notify"})) == [b":b.example CAP * ACK :away-notify\r\n"]


@pytest.mark.parametrize(
    ("password", "user", "login"),
    [
        ("alice:x", "alice/net@pc", Login("alice", "net", "pc")),
        ("alice@phone:x", "alice/net@pc", Login("alice", "net", "phone")),
        ("alice/one:x", "alice/two@pc", Login("alice", "one", None)),
        ("alice:x", "bob/net", Login("alice", None, None)),
    ],
)
def test_user_says_what_pass_leaves_open(password: str, user: str, login: Login) -> None:
    machine = fresh()
    feed(machine, f"PASS {password}", "NICK me", f"USER {user} 0 * r")
    (done,) = machine.accept("alice", "me!x@b")
    assert isinstance(done, Registered)
    assert done.login == login


def test_login_by_scram() -> None:
    machine = fresh()
    assert feed(machine, "NICK me", "CAP REQ sasl", "AUTHENTICATE scram-sha-256")[-1] == b"AUTHENTICATE +\r\n"
    assert feed(machine, "AUTHENTICATE " + base64.b64encode(b"first").decode()) == [Exchange(b"first")]
    (line,) = machine.challenge(b"challenge", Login("alice", "net", "pc"))
    assert line == b"AUTHENTICATE " + base64.b64encode(b"challenge") + b"\r\n"
    assert feed(machine, "AUTHENTICATE " + base64.b64encode(b"final").decode()) == [Exchange(b"final")]
    assert len(machine.challenge(b"v" * 300)) == 2
    assert feed(machine, "AUTHENTICATE +") == [Exchange(b"")]
    assert numerics(machine.accept("alice", "me!u@b", "token's")) == ["900", "903"]
    (done,) = feed(machine, "USER u 0 * r", "CAP END")
    assert isinstance(done, Registered)
    assert done.login == Login("alice", "net", "pc")


def test_login_by_certificate() -> None:
    machine = Registration("b.example", Offered.on([], external=True))
    feed(machine, "CAP LS 302", "AUTHENTICATE EXTERNAL")
    assert feed(machine, "AUTHENTICATE +") == [Attempt(Login("", None, None), "", "external")]
    assert numerics(machine.accept("alice", "*!alice@b", "phone")) == ["900", "903"]
    (done,) = feed(machine, "NICK me", "USER alice/net 0 * r", "CAP END")
    assert isinstance(done, Registered)
    assert done.login == Login("alice", "net", "phone")
    other = Registration("b.example", Offered.on([], external=True))
    feed(other, "AUTHENTICATE EXTERNAL")
    name = base64.b64encode(b"alice/net@pc").decode()
    assert feed(other, f"AUTHENTICATE {name}") == [Attempt(Login("alice", "net", "pc"), "", "external")]


def test_an_exchange_that_is_rejected_can_be_begun_again() -> None:
    machine = fresh()
    feed(machine, "AUTHENTICATE SCRAM-SHA-256", "AUTHENTICATE AAAA")
    assert numerics(machine.reject("No")) == ["904"]
    assert numerics(feed(machine, "AUTHENTICATE PLAIN")) == ["AUTHENTICATE"]
    feed(machine, "AUTHENTICATE " + plain("", "a", "b"))
    assert numerics(machine.accept("a", "a!a@a")) == ["900", "903"]


def test_registration_ends_an_exchange_that_goes_on() -> None:
    machine = fresh()
    output = feed(machine, "CAP LS", "AUTHENTICATE PLAIN", "NICK me", "USER u 0 * r", "CAP END")
    assert numerics(output)[-3:] == ["906", "464", "ERROR"]
    asked = fresh()
    output = feed(asked, "CAP REQ standard-replies", "NICK me", "USER u 0 * r", "CAP END")
    assert numerics(output) == ["CAP", "FAIL", "464", "ERROR"]


def test_away_before_registration_needs_its_capability() -> None:
    assert numerics(feed(fresh(), "AWAY :gone")) == ["451"]
    machine = Registration("b.example", Offered({"draft/pre-away": ""}))
    lines = (
        "PASS a:b",
        "CAP REQ draft/pre-away",
        "AWAY :*",
        "AWAY",
        "AWAY :gone",
        "NICK me",
        "USER u 0 * r",
        "CAP END",
    )
    feed(machine, *lines)
    machine.accept("a", "*!a@b")
    output = machine.offer(Offered({"draft/pre-away": ""}))
    assert numerics(output) == ["CAP", "306", "305", "306"]
    assert isinstance(output[-1], Registered)
    assert output[-1].away == "gone"


def test_isupport_before_registration() -> None:
    assert numerics(feed(fresh(), "ISUPPORT")) == ["451"]
    offered = Offered({"draft/extended-isupport": "", "batch": ""})
    machine = Registration("b.example", offered, ["NETWORK=Bouncer"])
    feed(machine, "CAP REQ draft/extended-isupport")
    assert feed(machine, "ISUPPORT") == [b":b.example 005 * NETWORK=Bouncer :are supported by this server\r\n"]
    feed(machine, "CAP REQ batch")
    assert numerics(feed(machine, "ISUPPORT")) == ["BATCH", "005", "BATCH"]
    feed(machine, "AUTHENTICATE PLAIN")
    known = Registration("b.example", offered, ["NETWORK=Bouncer"])
    feed(known, "PASS a:b", "CAP REQ :draft/extended-isupport batch", "ISUPPORT")
    known.accept("a", "*!a@b")
    output = known.offer(offered, ["NETWORK=Theirs"])
    begin, line, end = (Message.parse(item.strip()) for item in output[1:] if isinstance(item, bytes))
    assert (begin.params[1], line.params[1]) == ("draft/isupport", "NETWORK=Theirs")
    assert f"+{line.tags['batch']}" == begin.params[0]
    assert f"-{line.tags['batch']}" == end.params[0]


def test_a_line_over_the_limit_is_told_and_counted() -> None:
    machine = fresh()
    assert machine.too_long() == [b":b.example 417 * :Input line was too long\r\n"]
    for _ in range(registration.MAX_LINES - 1):
        machine.too_long()
    assert isinstance(machine.too_long()[-1], Closed)


def test_a_failed_sasl_login_may_be_tried_again_but_not_for_ever() -> None:
    machine = fresh()
    feed(machine, "CAP LS 302")
    for _ in range(2):
        feed(machine, "AUTHENTICATE PLAIN", f"AUTHENTICATE {plain('', 'alice', 'bad')}")
        assert numerics(machine.reject("No")) == ["904"]
    feed(machine, "AUTHENTICATE PLAIN", f"AUTHENTICATE {plain('alice', 'alice', 'bad')}")
    assert isinstance(machine.reject("No")[-1], Closed)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["AUTHENTICATE SCRAM-SHA-1"], ["908", "904"]),
        (["AUTHENTICATE EXTERNAL"], ["908", "904"]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE *"], ["AUTHENTICATE", "906"]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE !!!"], ["AUTHENTICATE", "904"]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE +"], ["AUTHENTICATE", "904"]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE /w=="], ["AUTHENTICATE", "904"]),
        (["AUTHENTICATE PLAIN", f"AUTHENTICATE {plain('bob', 'alice', 'x')}"], ["AUTHENTICATE", "904"]),
        (["AUTHENTICATE PLAIN", f"AUTHENTICATE {plain('', '', 'x')}"], ["AUTHENTICATE", "904"]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE " + "A" * 401], ["AUTHENTICATE", "905"]),
        (["AUTHENTICATE"], ["461"]),
    ],
)
def test_sasl_that_does_not_work_out(lines: list[str], expected: list[str]) -> None:
    assert numerics(feed(fresh(), *lines)) == expected


@pytest.mark.parametrize("length", [10, 284, 285, 590, 3000])
def test_sasl_in_chunks_of_400(length: int) -> None:
    machine = fresh()
    payload = plain("", "alice", "p" * length)
    chunks = [payload[start : start + 400] for start in range(0, len(payload), 400)]
    if len(chunks[-1]) == 400:
        chunks.append("+")
    output = feed(machine, "AUTHENTICATE PLAIN", *(f"AUTHENTICATE {chunk}" for chunk in chunks))
    assert output[-1] == Attempt(Login("alice", None, None), "p" * length, "sasl")


def test_sasl_has_a_bound() -> None:
    machine = fresh()
    output = feed(machine, "AUTHENTICATE PLAIN", *["AUTHENTICATE " + "A" * 400] * 41)
    assert numerics(output) == ["AUTHENTICATE", "905"]


def test_after_a_sasl_login_there_is_no_second() -> None:
    machine = fresh()
    feed(machine, "CAP LS 302", "AUTHENTICATE PLAIN", f"AUTHENTICATE {plain('', 'alice', 's')}")
    machine.accept("alice", "me!u@h")
    assert numerics(feed(machine, "AUTHENTICATE PLAIN")) == ["907"]


def test_lines_that_come_while_the_password_is_checked_wait_their_turn() -> None:
    machine = fresh()
    output = feed(machine, "CAP LS 302", "AUTHENTICATE PLAIN", f"AUTHENTICATE {plain('', 'a', 'b')}", "PING x")
    assert (machine.waiting, output[-1]) == (True, Attempt(Login("a", None, None), "b", "sasl"))
    assert numerics(machine.reject("No")) == ["904", "PONG"]
    with pytest.raises(RuntimeError):
        machine.accept("a", "a!a@a")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("JOIN #a", "451"),
        ("JOIN :", "451"),
        ("USER a 0 * :", "461"),
        ("FROB", "451"),
        ("NICK", "431"),
        ("NICK :", "431"),
        ("NICK :a b", "432"),
        ("NICK #a", "432"),
        ("NICK " + "n" * 65, "432"),
        ("USER a", "461"),
        ("PASS", "461"),
        ("PING token", "PONG"),
    ],
)
def test_what_is_answered_before_registration(line: str, number: str) -> None:
    assert numerics(feed(fresh(), line)) == [number]


def test_quit_ends_it() -> None:
    machine = fresh()
    assert feed(machine, "PONG x") == []
    assert feed(machine, "QUIT :bye")[-1] == Closed("Client quit")
    assert feed(machine, "PING x") == []


def test_nothing_unbounded_is_kept_before_login() -> None:
    machine = fresh()
    output = feed(machine, *["PING x"] * (registration.MAX_LINES + 1))
    assert isinstance(output[-1], Closed)
    machine = fresh()
    feed(machine, "PASS a:b", "NICK me", "USER u 0 * r")
    output = feed(machine, *["PRIVMSG #a :" + "x" * 8000] * 20)
    assert isinstance(output[-1], Closed)
    assert not machine._held


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"CAP LS 302", b"AUTHENTICATE PLAIN", b"CAP REQ :a\0"])))
def test_odd_lines_never_raise(lines: list[bytes]) -> None:
    machine = fresh()
    for line in lines:
        if b"\n" in line:
            continue
        try:
            machine.feed(Message.parse(line))
        except MalformedLineError:
            continue
