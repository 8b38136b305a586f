"""Logging in on real sockets: what a client is offered before it is registered, and by what it is let in."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING

import pytest

from bouncer.sasl import ScramSha256
from tests.support.house import PASSWORD, Attached

if TYPE_CHECKING:
    from bouncer import vault
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork


async def connect(house: House, *lines: str) -> Attached:
    """A client that has said these lines."""
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(client)
    client.send(*lines)
    return client


def listed(lines: list[str]) -> set[str]:
    """The capabilities in CAP LS replies."""
    return {name for line in lines if " LS " in line for name in line.rpartition(" :")[2].split()}


async def ls(client: Attached) -> set[str]:
    """What CAP LS says, all lines of it."""
    client.send("CAP LS 302", "PING after-ls")
    return listed(await client.until("after-ls"))


async def test_cap_ls_behind_pass_is_answered_for_the_network(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome(caps=["away-notify", "chghost"])
    await peer.barrier()
    client = await connect(house, f"PASS :alice/net:{PASSWORD}")
    assert {"away-notify", "chghost"} <= await ls(client)
    client.send("CAP REQ :away-notify", "NICK me", "USER me 0 * :me", "CAP END")
    assert not [line for line in await client.until(" 001 ") if " NEW " in line]
    unbound = await connect(house)
    assert "away-notify" not in await ls(unbound)


async def test_the_first_word_of_a_network_is_waited_for_but_not_for_long(
    house: House, network: ScriptedNetwork
) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    client = await connect(house, f"PASS :alice:{PASSWORD}", "CAP LS 302", "PING after-ls")
    registering = asyncio.ensure_future(peer.welcome(caps=["away-notify"]))  # noqa: TID251 - both ends are watched
    assert "away-notify" in listed(await client.until("after-ls"))
    await registering
    await house.user("bob")
    await house.server("bob", network)
    await network.accept()
    began = time.monotonic()
    client = await connect(house, f"PASS :bob:{PASSWORD}", "CAP LS 302", "NICK me", "USER me 0 * :me", "CAP END")
    lines = await client.until(" 001 ")
    assert time.monotonic() - began < 2 + 2  # slow machines hash slowly
    assert "away-notify" not in listed(lines)


async def test_a_network_that_is_down_offers_what_it_last_had(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome(caps=["away-notify"])
    await peer.barrier()
    await network.stop()
    peer.hang_up()
    client = await connect(house, f"PASS :alice/net:{PASSWORD}")
    assert "away-notify" in await ls(client)
    client.send("CAP REQ :away-notify", "NICK me", "USER me 0 * :me", "CAP END")
    await client.until("Not connected to net")


async def test_who_turns_out_to_be_on_no_network_is_offered_what_is_ours(
    house: House, network: ScriptedNetwork
) -> None:
    """A client that knows soju.im/bouncer-networks is bound to none, which its PASS could not tell."""
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome(caps=["away-notify"])
    await peer.barrier()
    client = await connect(house, f"PASS :alice:{PASSWORD}")
    assert "away-notify" in await ls(client)
    client.send("CAP REQ :soju.im/bouncer-networks away-notify", "NICK me", "USER me 0 * :me", "CAP END")
    assert " DEL :away-notify" in (await client.until(" DEL "))[-1]


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_a_wrong_password_ends_an_early_login(house: House, name: str) -> None:
    await house.user("alice")
    client = await connect(house, f"PASS {name}/net:wrong", "CAP LS 302", "NICK me")
    lines = await client.until("ERROR")
    assert lines[0] == ":bouncer 464 * :Invalid username or password"
    assert len(lines) == 2


async def scram(client: Attached, name: str, secret: str) -> list[str]:
    """A whole exchange, up to 903 or 904."""
    them = ScramSha256(name, secret)
    client.send("CAP REQ sasl", "AUTHENTICATE SCRAM-SHA-256")
    await client.until("AUTHENTICATE +")
    message = b""
    for _ in range(3):
        message = them.step(message)
        client.send(f"AUTHENTICATE {base64.b64encode(message).decode() or '+'}")
        (line, *more) = (await client.until(" "))[-1:]
        if not line.startswith("AUTHENTICATE"):
            return [line, *more, *(await client.until(" 903 ") if " 900 " in line else [])]
        message = base64.b64decode(line.partition(" ")[2])
    raise AssertionError("the exchange goes on")


async def test_scram_with_an_app_password(house: House, secrets: vault.Vault) -> None:
    del secrets
    number = await house.user("alice")
    token, secret = await house.supervisor.service.tokens.create(number, "phone")
    for name, word in (("alice@phone", "wrong"), ("nobody@phone", secret), ("alice@desk", secret)):
        client = await connect(house)
        assert " 904 " in (await scram(client, name, word))[-1]
    client = await connect(house)
    assert " 903 " in (await scram(client, "alice@phone", secret))[-1]
    client.send("NICK me", "USER me 0 * :me", "CAP END", "AUTHENTICATE PLAIN")
    await client.until(" 907 ")
    (info,) = house.supervisor.clients(number)
    assert (info.name, info.credential) == ("phone", f"token {token.id}")
    await house.supervisor.service.tokens.revoke(number, "phone")
    await client.until("ERROR")


async def test_an_app_password_is_as_good_as_the_password(house: House) -> None:
    number = await house.user("alice")
    _, secret = await house.supervisor.service.tokens.create(number, "phone")
    client = await connect(house, f"PASS :alice:{secret}", "NICK me", "USER me 0 * :me")
    await client.until(" 001 ")
    plain = base64.b64encode(f"\0alice@desk\0{secret}".encode()).decode()
    other = await connect(house, "CAP REQ sasl", "NICK me", "USER me 0 * :me", "AUTHENTICATE PLAIN")
    other.send(f"AUTHENTICATE {plain}", "CAP END")
    await other.until(" 001 ")
    assert sorted(info.name for info in house.supervisor.clients(number)) == ["desk", "phone"]


async def test_a_line_over_the_limit_is_told_and_nothing_else_happens(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome()
    client = await connect(house, "NICK " + "n" * 600, "PING still-there")
    assert " 417 * :" in (await client.until("still-there"))[0]
    client.send(f"PASS :alice:{PASSWORD}", "NICK me", "USER me 0 * :me")
    await client.until(" 376 ")
    client.send("@a=" + "b" * 4092 + " PING just", "@a=" + "b" * 4093 + " PING over")
    client.send("PING :" + "x" * 504, "PING :" + "y" * 505, "PING end")
    lines = await client.until(" :end")
    assert [line for line in lines if " 417 " in line] == [":irc.test 417 alice :Input line was too long"] * 2
    assert sum(" PONG " in line for line in lines) == 3
    await house.user("bob")
    free = await connect(house, f"PASS :bob:{PASSWORD}", "NICK me", "USER me 0 * :me")
    assert any(" LINELEN=4096 " in line for line in await free.until(" 422 "))  # where there is no network it is ours
    free.send("PING :" + "x" * 4088, "PING :" + "x" * 4089)
    await free.until(" 417 ")


async def test_a_line_without_end_costs_nothing(house: House) -> None:
    client = await connect(house)
    client.writer.write(b"x" * 1_000_000)
    assert "ERROR :Line too long" in (await client.until("ERROR"))[-1]


async def test_isupport_is_told_before_and_after_registration(house: House) -> None:
    await house.user("alice")
    client = await connect(house, "CAP REQ :draft/extended-isupport batch", f"PASS :alice:{PASSWORD}", "ISUPPORT")
    lines = await client.until("BATCH -")
    assert "NETWORK=Bouncer" in lines[-2]
    client.send("NICK me", "USER me 0 * :me", "CAP END")
    lines = await client.until(" 422 ")
    supported = [line for line in lines if " 005 " in line]
    assert supported
    assert all(line.startswith("@batch=") for line in supported)
    client.send("ISUPPORT")
    await client.until("BATCH -")


async def test_who_came_by_pass_may_log_in_to_the_network_by_sasl(house: House, network: ScriptedNetwork) -> None:
    """Before 001 and after it; a row without an account keeps it, and our own password is shown to no network."""
    number = await house.user("alice")
    await house.server("alice", network)
    peer = await network.accept()
    await peer.welcome(caps=("sasl=PLAIN",))
    await peer.barrier()
    good, ours = (base64.b64encode(text.encode()).decode() for text in ("\0acc\0secret", f"\0alice/net\0{PASSWORD}"))
    client = await connect(house, f"PASS :alice/net:{PASSWORD}", "CAP LS 302", "AUTHENTICATE PLAIN")
    await client.until("AUTHENTICATE +")
    client.send(f"AUTHENTICATE {ours}")
    await client.until(" 907 ")
    client.send("AUTHENTICATE PLAIN", f"AUTHENTICATE {good}")
    await peer.expect("AUTHENTICATE", "PLAIN")
    await peer.send("AUTHENTICATE +")
    await peer.expect("AUTHENTICATE", good)
    await peer.send(":irc.example 900 alice a!a@a acc :You are in", ":irc.example 903 alice :Fine")
    await client.until(" 903 ")
    client.send("NICK me", "USER me 0 * :me", "CAP END")
    await client.until(" 001 ")
    client.send("AUTHENTICATE PLAIN", f"AUTHENTICATE {good}")
    await peer.expect("AUTHENTICATE", "PLAIN")
    await peer.send(":irc.example 904 alice :No")
    assert any(" 904 alice :No" in line for line in await client.until(" 904 "))
    assert not [line for line in peer.received if ours in line]
    await house.supervisor.flush(number)
    (view,) = await house.supervisor.service.servers.list(number)
    assert (view.row.auth_method, view.row.auth_account) == ("sasl-plain", "acc")
