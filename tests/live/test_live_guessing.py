"""Guessing: the same words, the same work, whoever is named; and nobody is locked out of what they can prove."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import replace
from ipaddress import ip_network
from statistics import median
from typing import TYPE_CHECKING

import pytest

from bouncer.config import Web
from bouncer.endpoints import parse_http
from bouncer.entrance import WRONG
from bouncer.throttle import FREE_NAMES, Throttle
from tests.support.house import PASSWORD, Attached
from tests.web.panelkit import Browser
from web.app import start_panel

if TYPE_CHECKING:
    from tests.support.house import House


async def refused(house: House, *lines: str) -> tuple[float, list[str]]:
    """Seconds until these lines have ended the connection, and what it said, without the name in it."""
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(client)
    began = time.perf_counter()
    client.send(*lines)
    said = await client.until("ERROR")
    return time.perf_counter() - began, said


async def test_a_known_and_an_unknown_name_take_the_same_time(house: House) -> None:
    await house.user("alice")
    await house.supervisor.service.tokens.create(house.ids["alice"], "phone")
    took: dict[str, list[float]] = {"alice": [], "nobody": []}
    said: dict[str, set[str]] = {"alice": set(), "nobody": set()}
    for _ in range(7):
        for name, times in took.items():
            house.supervisor.service.users.throttle = Throttle()  # each one is the first
            seconds, lines = await refused(house, f"PASS {name}@phone/net:wrong")
            times.append(seconds)
            said[name] |= set(lines)
    assert said["alice"] == said["nobody"]
    assert 0.5 < median(took["alice"]) / median(took["nobody"]) < 2


async def test_guesses_slow_down_and_an_app_password_still_lets_its_owner_in(house: House) -> None:
    await house.user("alice")
    _, secret = await house.supervisor.service.tokens.create(house.ids["alice"])
    for _ in range(5):
        _, said = await refused(house, "PASS alice:wrong")
    assert "too many attempts" in said[0]
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(client)
    client.send(f"PASS alice:{secret}", "NICK me", "USER me 0 * :me")
    await client.until(" 001 ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "EXTERNAL"])
async def test_three_failures_end_the_connection_whatever_the_mechanism(house: House, mechanism: str) -> None:
    await house.user("alice")
    word = {"PLAIN": b"\0alice\0wrong", "SCRAM-SHA-256": b"nonsense", "EXTERNAL": b""}[mechanism]
    attempt = (f"AUTHENTICATE {mechanism}", f"AUTHENTICATE {base64.b64encode(word).decode() or '+'}")
    _, said = await refused(house, "CAP LS", *attempt * 6)
    assert sum(" 904 " in line for line in said) == 3


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")  # as in the panel's own tests
async def test_one_word_tried_on_many_names_is_slowed_on_irc_and_panel_alike(house: House) -> None:
    """From one network, whether the names are anybody's; an app password and another network let in meanwhile."""
    alice = await house.user("alice")
    call = house.supervisor.service
    _, secret = await call.tokens.create(alice)
    config = replace(call.config, web=Web(parse_http("http://127.0.0.1:0"), trusted_proxies=(ip_network("127.0.0.1"),)))
    panel = await start_panel(config, call)
    browser = Browser(panel.address)
    try:
        for number in range(2):  # they have mistyped, and are in
            name = f"user{number}"
            await house.user(name)
            assert (await browser.sign_in(name, "wrong")).status == 422
            assert (await browser.sign_in(name, PASSWORD)).status == 303
        for number in range(FREE_NAMES // 2):
            assert (await browser.sign_in(f"nobody{number}", "sesame")).status == 422
            assert WRONG in (await refused(house, f"PASS user{number}:sesame"))[1][0]
        assert WRONG in (await refused(house, "PASS user19:sesame"))[1][0]
        assert "too many attempts" in (await refused(house, f"PASS alice:{PASSWORD}"))[1][0]
        assert (await browser.sign_in("alice", PASSWORD)).status == 429
        client = await Attached.connect(house.port, "alice", password=secret)
        house.clients.append(client)
        await client.until(" 001 ")
        elsewhere = {"X-Forwarded-For": "192.0.2.1"}
        answer = await browser.post("/session", {"name": "alice", "password": PASSWORD}, elsewhere)
        assert answer.status == 303
    finally:
        await browser.close()
        await panel.close()
