"""No spelling of an address leads a user's server to this machine or its network, whatever a name resolves to."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.config import Config, Outbound, Web
from bouncer.endpoints import parse_http, parse_listen
from bouncer.errors import InvalidError
from bouncer.service.fields import new_server, server_fields
from bouncer.service.outbound import check_address, refusal
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from tests.support.network import ScriptedNetwork

OPEN = Config(listen=(parse_listen("ircs://0.0.0.0:6697"),), web=Web(listen=parse_http("http://127.0.0.1:8080")))
"""Others can come in, so nobody's servers may be at home."""
PRIVATE4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
PRIVATE6 = (
    "::/128", "::1/128", "::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "100::/64", "2001:db8::/32",
    "3fff::/20", "5f00::/16", "64:ff9b:1::/48",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1", "::ffff:1.1.1.1")


def inside(networks: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from(networks).flatmap(lambda one: st.ip_addresses(network=one)).map(str)


def dressed(address: str) -> list[str]:
    """An IPv4 address in each IPv6 form that leads to it."""
    four = int(ipaddress.IPv4Address(address))
    high, low = four >> 16, four & 0xFFFF
    inverted = four ^ 0xFFFFFFFF
    return [
        f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}", f"64:ff9b:1::{address}", f"::ffff:0:{address}",
        f"2002:{high:x}:{low:x}::1", f"2001:0:{high:x}:{low:x}::{inverted >> 16:x}:{inverted & 0xFFFF:x}",
        f"2001::{inverted >> 16:x}:{inverted & 0xFFFF:x}",
    ]  # fmt: skip


@given(inside(PRIVATE4))
def test_no_private_address_is_reached_in_any_form(address: str) -> None:
    for form in (address, *dressed(address)):
        assert refusal(OPEN, form, trusted=False), form
        assert not refusal(OPEN, form, trusted=True), form


@given(inside(PRIVATE6), st.sampled_from(["", "%eth0", "%1"]))
def test_no_private_ipv6_address_is_reached_with_or_without_a_zone(address: str, zone: str) -> None:
    assert refusal(OPEN, address + zone, trusted=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_reached_unless_it_is_denied(address: str) -> None:
    assert not refusal(OPEN, address, trusted=False)
    everywhere = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")))
    closed = replace(OPEN, outbound=Outbound(deny=everywhere))
    assert refusal(closed, address, trusted=True)
    assert not refusal(replace(closed, outbound=Outbound(deny=everywhere, allow=everywhere)), address, trusted=False)


@given(inside(PRIVATE4))
def test_what_is_denied_by_its_ipv4_address_is_denied_in_any_dress(address: str) -> None:
    denied = Outbound(private="allow", deny=(ipaddress.ip_network(address),))
    for form in (address, f"::ffff:{address}", f"64:ff9b::{address}"):
        assert refusal(replace(OPEN, outbound=denied), form, trusted=True), form


@given(st.ip_addresses(v=4).map(str), st.integers(0, 7))
def test_a_number_in_another_spelling_is_no_host_name(address: str, form: int) -> None:
    four = int(ipaddress.IPv4Address(address))
    a, b, c, d = address.split(".")
    spelled = (
        str(four), hex(four), f"0{four:o}", f"{a}.{b}.{int(c) * 256 + int(d)}", f"{hex(int(a))}.{b}.{c}.{hex(int(d))}",
        f"0{int(a):03o}.{b}.{c}.{d}", f"{address}.", f"{a}.{(int(b) << 16) + (int(c) << 8) + int(d)}",
    )[form]  # fmt: skip
    try:
        stored = server_fields({"name": "n", "address": spelled}, new_server("bob")).address
    except InvalidError:
        return
    assert ipaddress.ip_address(stored), "what is taken is an address that the guard looks at as one"


@pytest.mark.parametrize(
    "name",
    ["localhost", "LOCALHOST", "localhost.", "x.localhost", "\uff4cocalhost", "127\u30020\u30020\u30021", "[::1]"],
)
def test_names_of_this_machine_are_refused_when_typed(name: str) -> None:
    with pytest.raises(InvalidError):
        check_address(OPEN, server_fields({"name": "n", "address": name}, new_server("b")).address, trusted=False)


async def test_a_name_is_resolved_once_and_that_very_address_is_dialled(
    network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means a public address when it is checked and this machine when it is dialled (DNS rebinding)."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str | None, *arguments: object, **named: object) -> object:
        if host != "rebinding.example":
            return real(host, *arguments, **named)  # type: ignore[arg-type]  # as it was called
        asked.append(host)
        return real("127.0.0.1", network.port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    checked: list[str] = []

    def allow(address: str) -> bool:
        checked.append(address)
        return not refusal(OPEN, address, trusted=False)

    recorder = Recorder(address="rebinding.example", port=network.port, connect_s=2.0, allow=allow)
    recorder.start()
    assert "allowed" in await recorder.ended()
    assert (asked, checked) == (["rebinding.example"], ["127.0.0.1"])
    assert network.connections == []
