"""Whose request it is: what proxies say counts as far as they are trusted, and nothing that a visitor makes up."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bouncer.config import Config, Web
from bouncer.models.main import Session
from web.visitors import is_proxy, visitor

if TYPE_CHECKING:
    from tests.web.panelkit import Browser, Installation

OURS = (ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
NOISE = st.text(st.characters(blacklist_characters="\r\n", max_codepoint=255), max_size=60)


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("::ffff:127.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        ("127.0.0.1", ["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        ("", ["203.0.113.7"], "203.0.113.7"),
        ("", [], ""),
        ("127.0.0.1", ["203.0.113.7:50000"], "203.0.113.7"),
        ("127.0.0.1", ["[2001:db8::7]:50000"], "2001:db8::7"),
        ("127.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("127.0.0.1", ["2001:DB8::7"], "2001:db8::7"),
        ("fd00::1", ["  203.0.113.7  "], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7" + ", 10.1.2.3" * 19], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7" + ", 10.1.2.3" * 20], "10.1.2.3"),  # nobody has so many
        ("127.0.0.1", ["6.6.6.6, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, _hidden"], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6,"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, 10.1.2.3, 999.1.1.1"], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, bad, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", [", ".join(["10.0.0.1"] * 100)], "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_visitors(peer: str, forwarded: list[str], found: str) -> None:
    assert visitor(peer, forwarded, OURS) == found


@given(NOISE, st.ip_addresses(), st.booleans())
def test_whatever_a_visitor_puts_in_front_changes_nothing(
    noise: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, apart: bool
) -> None:
    if is_proxy(str(address), OURS):
        return
    honest = visitor("127.0.0.1", [str(address)], OURS)
    assert visitor("127.0.0.1", [noise, str(address)] if apart else [f"{noise}, {address}"], OURS) == honest
    assert visitor(str(address), [noise], OURS) == honest


@given(st.lists(NOISE, max_size=5))
def test_what_comes_out_is_always_an_address(forwarded: list[str]) -> None:
    assert ipaddress.ip_address(visitor("127.0.0.1", forwarded, OURS))


class TestBehindAProxy:
    """Over real HTTP."""

    @pytest.fixture
    def config(self, config: Config) -> Config:
        return replace(config, web=replace(config.web, trusted_proxies=(ipaddress.ip_network("127.0.0.1"),)))

    async def test_a_session_is_of_the_address_that_the_proxy_saw(
        self, installation: Installation, anonymous: Browser
    ) -> None:
        await installation.user("alice")
        headers = {"X-Forwarded-For": "6.6.6.6, [2001:db8::7]:4711"}
        fields = {"name": "alice", "password": "correct horse battery"}
        assert (await anonymous.post("/session", fields, headers)).status == 303
        async with installation.main.session() as session:
            assert list(await session.scalars(select(Session.address))) == ["2001:db8::7"]


async def test_without_a_trusted_proxy_nobody_is_believed(installation: Installation, anonymous: Browser) -> None:
    await installation.user("alice")
    assert installation.config.web == Web(listen=installation.config.web.listen)
    fields = {"name": "alice", "password": "correct horse battery"}
    assert (await anonymous.post("/session", fields, {"X-Forwarded-For": "6.6.6.6"})).status == 303
    async with installation.main.session() as session:
        assert list(await session.scalars(select(Session.address))) == ["127.0.0.1"]
