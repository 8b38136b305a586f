"""What a person may put into a row."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.config import Config, Outbound
from bouncer.endpoints import parse_listen
from bouncer.errors import InvalidError
from bouncer.service import checks
from bouncer.service.channel_fields import ChannelFields, channel_fields
from bouncer.service.fields import CLEAR, KEEP, Join, ServerFields, new_server, server_fields, user_fields
from bouncer.service.outbound import check_address, refusal

GOOD = {"name": "Libera", "address": "irc.libera.chat"}


def wrong(**fields: object) -> dict[str, str]:
    with pytest.raises(InvalidError) as caught:
        server_fields({**GOOD, **fields}, new_server("bob"))
    return caught.value.fields


def test_a_new_server_needs_a_name_and_an_address_only() -> None:
    fields = server_fields(GOOD, new_server("bob"))
    assert fields == ServerFields(
        name="Libera", address="irc.libera.chat", nickname="bob", username="bob", realname="bob"
    )


def test_without_tls_the_port_is_the_plain_one_unless_it_is_given() -> None:
    assert server_fields({**GOOD, "tls": False}, new_server("bob")).port == 6667
    assert server_fields({**GOOD, "tls": False, "port": "7000"}, new_server("bob")).port == 7000


def test_a_nick_that_irc_does_not_take_is_not_made_of_a_user_name() -> None:
    assert new_server("0day").nickname == "u0day"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "a/b"), ("name", "a@b"), ("name", "a:b"), ("name", "-a"), ("name", "x" * 33),
        ("address", ""), ("address", "a b"), ("address", "irc.example.org:6697"), ("address", "[irc.example.org]"),
        ("address", "127.1"), ("address", "2130706433"), ("address", "0x7f000001"), ("address", "1.2.3.400"),
        ("address", "-a.example"), ("address", "a..b"), ("address", "x" * 254),
        ("port", "0"), ("port", "65536"), ("port", "x"), ("port", ""),
        ("nickname", "1a"), ("nickname", "a b"), ("nickname", "a!b"), ("nickname", ""), ("nickname", "#a"),
        ("alternatives", "ok 2bad"), ("alternatives", " ".join("abcdefghijk")),
        ("username", "a@b"), ("username", "a b"), ("realname", "x" * 201),
        ("tls_fingerprint", "ab:cd"), ("tls", "perhaps"), ("auth_method", "magic"),
        ("channels", "a"), ("channels", "#a b c"), ("channels", "#a\x07"), ("channels", "#" + "x" * 200),
        ("connect_commands", "!"), ("connect_commands", "PRIVMSG a :" + "x" * 510), ("connect_commands", "A\n" * 51),
        ("connect_commands", "WAIT"), ("connect_commands", "WAIT x"), ("connect_commands", "WAIT 0"),
        ("connect_commands", "/wait 301"), ("fallbacks", "irc.example.org"), ("fallbacks", "a.example 0"),
        ("fallbacks", "a b 6697"), ("fallbacks", "2001:db8::1:6697"), ("fallbacks", "a.example 1\n" * 11),
        ("regain_command", "WAIT 5"), ("regain_command", "!"), ("regain_command", "NICK {name}"),
        ("away_message", "x" * 301), ("encoding", "utf-16"), ("encoding", "nonsense"), ("encoding", "rot13"),
        ("encoding", "utf-8"), ("encoding", "base64"), ("auto_away", "perhaps"), ("auth_required", "perhaps"),
        ("password", "x" * 301), ("quit_message", "x" * 201), ("flood_burst", "-1"), ("nonsense", "1"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_beside_its_field(field: str, value: str) -> None:
    assert list(wrong(**{field: value})) == [field]


TEXT_FIELDS = ("name", "address", "nickname", "alternatives", "username", "realname", "password", "auth_account",
               "quit_message", "tls_fingerprint", "channels", "connect_commands", "away_message", "regain_command",
               "fallbacks", "encoding")  # fmt: skip


@given(
    field=st.sampled_from(TEXT_FIELDS),
    before=st.text("ab", max_size=3),
    bad=st.sampled_from("\r\0\x01\x07\x1b\x7f\x85\u2028\ud800"),
    after=st.text("ab", min_size=1, max_size=3),
)
def test_no_control_character_gets_into_any_field(field: str, before: str, bad: str, after: str) -> None:
    start = {"channels": "#", "connect_commands": "QUIT ", "regain_command": "NICK "}.get(field, "a")
    assert field in wrong(**{field: start + before + bad + after})


@given(st.text(max_size=30))
def test_what_is_accepted_as_a_channel_can_be_written_as_one_parameter(text: str) -> None:
    try:
        name = checks.channel("#" + text)
    except ValueError:
        return
    assert not set(name) & set(" ,\r\n\0\x07")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("IRC.Libera.Chat.", "irc.libera.chat"), ("[2001:db8::1]", "2001:db8::1"), ("2001:DB8:0::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"), ("bücher.example", "xn--bcher-kva.example"), (" localhost ", "localhost"),
    ],
)  # fmt: skip
def test_addresses_are_stored_in_one_spelling(typed: str, stored: str) -> None:
    assert server_fields({**GOOD, "address": typed}, new_server("bob")).address == stored


def test_a_fingerprint_may_have_colons_and_capitals() -> None:
    typed = ":".join(["AB"] * 32)
    assert server_fields({**GOOD, "tls_fingerprint": typed}, new_server("bob")).tls_fingerprint == "ab" * 32


def test_channels_are_separated_by_commas_or_lines_and_may_have_keys() -> None:
    fields = server_fields({**GOOD, "channels": "#a, #b key\n&c,,#A"}, new_server("bob"))
    assert fields.channels == (Join("#A"), Join("#b", "key"), Join("&c"))


def test_connect_commands_may_be_written_as_people_write_them() -> None:
    fields = server_fields(
        {**GOOD, "connect_commands": "/msg Q auth me\r\n\nMODE bob +x\n/quote OPER a b"}, new_server("b")
    )
    assert fields.connect_commands == "PRIVMSG Q :auth me\nMODE bob +x\nOPER a b"


def test_connect_commands_may_wait_between_them() -> None:
    fields = server_fields({**GOOD, "connect_commands": "MODE bob +x\n/wait  5\nwait 300\nWAITING x"}, new_server("b"))
    assert fields.connect_commands == "MODE bob +x\nWAIT 5\nWAIT 300\nWAITING x"


def test_fallbacks_are_written_with_a_blank_or_a_colon_and_stored_one_a_line() -> None:
    typed = "IRC2.example.org:7000, 192.0.2.1 6697\n[2001:db8::1]:6697\n2001:db8::2 6667\nirc2.example.org 7000"
    fields = server_fields({**GOOD, "fallbacks": typed}, new_server("b"))
    assert fields.fallbacks == "irc2.example.org 7000\n192.0.2.1 6697\n2001:db8::1 6697\n2001:db8::2 6667"


@pytest.mark.parametrize(
    ("typed", "stored"), [("", ""), ("latin1", "iso8859-1"), ("KOI8-R", "koi8-r"), ("Windows-1251", "cp1251")]
)
def test_an_encoding_is_stored_by_its_one_name(typed: str, stored: str) -> None:
    assert server_fields({**GOOD, "encoding": typed}, new_server("b")).encoding == stored


def test_services_are_asked_for_the_nick_in_a_line_with_one_blank_to_fill() -> None:
    fields = server_fields({**GOOD, "regain_command": "/msg NickServ REGAIN {nick}"}, new_server("b"))
    assert fields.regain_command == "PRIVMSG NickServ :REGAIN {nick}"


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90", 90), ("30m", 1800), ("2h", 7200), ("7 d", 604_800), ("never", None), ("", None)]
)
def test_a_channel_is_detached_after_a_length_of_time(typed: str, seconds: int | None) -> None:
    assert channel_fields({"detach_after_s": typed}, ChannelFields()).detach_after_s == seconds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("detached", "perhaps"), ("relay_detached", "all"), ("reattach_on", ""), ("detach_on", "x"),
        ("detach_after_s", "soon"), ("detach_after_s", "366d"), ("key", "a b"), ("key", ":a"), ("nonsense", ""),
    ],
)  # fmt: skip
def test_a_wrong_rule_of_a_channel_is_refused_beside_its_field(field: str, value: str) -> None:
    with pytest.raises(InvalidError) as caught:
        channel_fields({field: value}, ChannelFields())
    assert list(caught.value.fields) == [field]


def test_signing_in_to_services_needs_account_and_password() -> None:
    assert set(wrong(auth_method="sasl-plain")) == {"auth_account", "auth_password"}
    base = replace(new_server("bob"), auth_method="nickserv", auth_account="bob", auth_password=KEEP)
    base = replace(base, name="Libera", address="irc.libera.chat")
    assert server_fields({"auth_password": ""}, base).auth_password is KEEP
    assert server_fields({"auth_method": "none"}, base).auth_password is CLEAR


def test_external_needs_tls() -> None:
    assert set(wrong(auth_method="sasl-external", tls=False)) == {"auth_method"}


def test_every_wrong_field_is_named_at_once() -> None:
    assert set(wrong(port="x", nickname="1", realname="\n")) == {"port", "nickname", "realname"}


@pytest.mark.parametrize("name", ["", "Bob", "-bob", "b b", "b/b", "x" * 33, "bob\n", "bøb"])
def test_user_names_are_small_and_short(name: str) -> None:
    with pytest.raises(InvalidError):
        user_fields(name)


def outbound(private: str, *, listen: str = "irc+insecure://0.0.0.0:6667", **lists: Any) -> Config:
    return Config(listen=(parse_listen(listen),), outbound=Outbound(private=private, **lists))


def test_private_addresses_are_for_admins_once_the_bouncer_is_open_to_others() -> None:
    config = outbound("auto")
    for address in ("127.0.0.1", "10.1.2.3", "::1", "::ffff:127.0.0.1", "169.254.169.254", "localhost", "a.localhost"):
        with pytest.raises(InvalidError) as caught:
            check_address(config, address, trusted=False)
        assert list(caught.value.fields) == ["address"]
        check_address(config, address, trusted=True)
    check_address(config, "irc.libera.chat", trusted=False)
    check_address(config, "8.8.8.8", trusted=False)


def test_private_addresses_are_for_everybody_while_every_listener_is_on_loopback() -> None:
    assert refusal(outbound("auto", listen="irc+insecure://127.0.0.1:6667"), "127.0.0.1", trusted=False) == ""


def test_deny_and_allow_go_before_what_is_private() -> None:
    network = ipaddress.ip_network("10.0.0.0/8")
    assert refusal(outbound("deny"), "10.1.1.1", trusted=True)
    assert refusal(outbound("deny", allow=(network,)), "10.1.1.1", trusted=False) == ""
    assert refusal(outbound("allow", deny=(network,)), "10.1.1.1", trusted=True)
