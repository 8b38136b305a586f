from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.irc.caps import CLIENT_CAPS, UPSTREAM_WANTED, CapSession, Offered, cap_lines
from bouncer.irc.message import Message


def session(network: frozenset[str] = frozenset()) -> CapSession:
    return CapSession("b.example", Offered.on(network))


def ask(caps: CapSession, line: str, nick: str = "*") -> list[Message]:
    return [Message.parse(reply.removesuffix(b"\r\n")) for reply in caps.handle(Message.parse(line.encode()), nick)]


def test_what_stands_on_the_network_is_offered_only_with_it() -> None:
    without = Offered.on([])
    assert "server-time" in without
    assert "away-notify" not in without
    assert "away-notify" in Offered.on({"away-notify", "made-up"})
    assert "made-up" not in Offered.on({"made-up"})
    assert {cap.network for cap in CLIENT_CAPS if cap.network} <= set(UPSTREAM_WANTED)


def test_ls_gives_values_only_to_clients_that_know_them() -> None:
    (reply,) = ask(session(), "CAP LS")
    assert reply.params[:2] == ["*", "LS"]
    assert "sasl" in reply.params[-1].split()
    replies = ask(session(), "CAP LS 302")
    assert "sasl=PLAIN,SCRAM-SHA-256" in " ".join(reply.params[-1] for reply in replies).split()


def test_a_client_with_tls_may_show_a_certificate() -> None:
    assert Offered.on([], external=True).values["sasl"] == "PLAIN,EXTERNAL,SCRAM-SHA-256"
    assert "EXTERNAL" not in Offered.on([]).values["sasl"]


def test_what_stands_on_the_network_has_its_value() -> None:
    assert Offered.on({"chghost": "theirs", "sasl": "theirs"}).values["chghost"] == "theirs"
    assert "theirs" not in Offered.on({"sasl": "theirs"}).values["sasl"]
    register = Offered.on({"draft/account-registration": "before-connect,email-required"})
    assert register.values["draft/account-registration"] == "email-required"


def test_a_client_of_version_301_gets_one_short_line() -> None:
    caps = CapSession("b.example", Offered({f"vendor/{number}": "v" for number in range(200)} | {"batch": ""}))
    (reply,) = caps.handle(Message.parse(b"CAP LS 301"), "n" * 30)
    assert len(reply) <= 512
    assert reply.split(b":")[-1].split()[0] == b"batch"
    assert b"=" not in reply


def test_what_only_informs_cannot_be_asked_for() -> None:
    caps = session()
    assert "soju.im/account-required" in ask(caps, "CAP LS 302")[-1].params[-1] + ask(caps, "CAP LS 302")[0].params[-1]
    assert ask(caps, "CAP REQ :soju.im/account-required batch")[0].params[1] == "NAK"
    assert caps.enabled == {"cap-notify"}


@pytest.mark.parametrize("line", ["cap req :batch  ", "CAP REQ : batch", "CAP REQ batch", "cAp rEq :batch"])
def test_blanks_and_case_of_a_request_do_not_matter(line: str) -> None:
    assert ask(session(), line)[0].params[1:] == ["ACK", "batch"]


def test_a_request_longer_than_a_line_is_answered_as_the_specification_says() -> None:
    caps = CapSession("b.example", Offered({f"vendor/{number:03}": "" for number in range(200)}))
    names = " ".join(caps.offered.values)
    lines = ask(caps, f"CAP REQ :{names}")
    assert [line.params[1] for line in lines] == ["ACK"] * len(lines)
    assert " ".join(line.params[-1] for line in lines) == names
    (refused,) = ask(caps, f"CAP REQ :{names} made-up")
    assert (refused.params[1], names.startswith(refused.params[-1])) == ("NAK", True)
    assert len(refused.params[-1]) >= 100
    assert ask(session(), "CAP REQ :-made-up")[0].params[1] == "NAK"


def test_version_302_has_cap_notify_without_asking_and_cannot_refuse_it() -> None:
    caps = session()
    ask(caps, "CAP LS 302")
    assert caps.enabled == {"cap-notify"}
    assert ask(caps, "CAP REQ -cap-notify")[0].params[1] == "NAK"
    ask(caps, "CAP LS")
    assert caps.version == 302


def test_a_request_is_granted_or_refused_as_a_whole() -> None:
    caps = session()
    assert ask(caps, "CAP REQ :batch server-time", "me")[0].params == ["me", "ACK", "batch server-time"]
    assert ask(caps, "CAP REQ :-batch made-up")[0].params[1:] == ["NAK", "-batch made-up"]
    assert caps.enabled == {"batch", "server-time"}
    assert ask(caps, "CAP REQ :-batch")[0].params[1] == "ACK"
    assert caps.enabled == {"server-time"}
    assert ask(caps, "CAP LIST")[0].params == ["*", "LIST", "server-time"]
    assert ask(caps, "CAP REQ :")[0].params == ["*", "ACK", ""]
    assert ask(caps, "CAP REQ :a\0b")[0].params == ["*", "NAK", "a b"]


def test_negotiation_is_open_from_the_first_question_to_end() -> None:
    caps = session()
    states = [caps.open]
    for line in ("CAP LS", "CAP REQ batch", "CAP END"):
        ask(caps, line)
        states.append(caps.open)
    assert states == [False, True, True, False]


def test_an_unknown_subcommand_is_told_so() -> None:
    assert ask(session(), "CAP FROB")[0].command == "410"
    assert ask(session(), "CAP")[0].params[1] == "*"
    assert ask(session(), "CAP :a b")[0].params[1] == "*"


def test_changes_reach_those_who_want_to_know() -> None:
    more = Offered.on({"away-notify"})
    quiet = session()
    assert quiet.update(more, "me") == []
    caps = session()
    ask(caps, "CAP LS 302")
    assert caps.update(more, "me") == [b":b.example CAP me NEW :away-notify\r\n"]
    ask(caps, "CAP REQ away-notify")
    assert "away-notify" in caps.enabled
    assert caps.update(Offered.on([]), "me") == [b":b.example CAP me DEL :away-notify\r\n"]
    assert "away-notify" not in caps.enabled
    assert caps.update(Offered.on([]), "me") == []
    old = session()
    ask(old, "CAP REQ cap-notify")
    assert old.update(Offered({"sasl": "PLAIN,EXTERNAL", "cap-notify": ""}), "me")[-1].endswith(b"NEW :sasl\r\n")


@given(st.lists(st.from_regex(r"\A[a-z/.-]{1,60}\Z"), max_size=60), st.booleans())
def test_lists_are_cut_to_512_bytes_and_lose_nothing(tokens: list[str], multiline: bool) -> None:
    lines = cap_lines("b.example", "nick", "LS", tokens, multiline=multiline)
    parsed = [Message.parse(line.removesuffix(b"\r\n")) for line in lines]
    assert all(len(line) <= 512 for line in lines)
    assert " ".join(message.params[-1] for message in parsed).split() == tokens
    assert [len(message.params) == 4 for message in parsed] == [multiline] * (len(parsed) - 1) + [False]
