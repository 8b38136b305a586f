"""Which addresses people's servers may have: what leads into the own network is known in each of its spellings."""

from __future__ import annotations

import ipaddress

import pytest

from bouncer.config import Config, Outbound, Web
from bouncer.endpoints import parse_http, parse_listen
from bouncer.service.outbound import refusal

OPEN = (parse_listen("ircs://0.0.0.0:6697"),)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.1.2.3", "192.0.0.8", "192.88.99.1", "224.0.0.1",
        "240.0.0.1", "::1", "::", "fe80::1", "fd00::1", "fec0::1", "ff02::1", "::127.0.0.1", "::ffff:127.0.0.1",
        "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::7f00:1", "2002:7f00:1::1",
        "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "100::1", "2001:db8::1", "3fff::1",
    ],
)  # fmt: skip
def test_what_is_not_the_public_internet_is_refused_in_every_spelling(address: str) -> None:
    config = Config(listen=OPEN)
    assert refusal(config, address, trusted=False)
    assert not refusal(config, address, trusted=True)
    assert refusal(Config(listen=OPEN, outbound=Outbound(private="deny")), address, trusted=True)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:21f::1", "::ffff:93.184.216.34", "64:ff9b::93.184.216.34"]
)
def test_the_public_internet_is_open_but_for_what_is_denied(address: str) -> None:
    assert not refusal(Config(listen=OPEN), address, trusted=False)
    denied = tuple(ipaddress.ip_network(one) for one in ("93.184.0.0/16", "2606:2800::/32"))
    assert refusal(Config(listen=OPEN, outbound=Outbound(deny=denied)), address, trusted=True)


def test_private_addresses_are_for_all_only_while_nobody_can_come_in_from_elsewhere() -> None:
    here = Web(listen=parse_http("http://127.0.0.1:8080"))
    assert not refusal(Config(web=here), "10.0.0.1", trusted=False)
    behind_a_proxy = Web(listen=here.listen, public_url="https://irc.example.org")
    everywhere = Web(listen=parse_http("http://0.0.0.0:8080"))
    for web in (behind_a_proxy, everywhere):
        assert refusal(Config(web=web), "10.0.0.1", trusted=False)
