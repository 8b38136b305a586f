"""soju.im/bouncer-networks: networks are listed, added, changed, removed, told of and chosen by clients."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

from tests.support.house import PASSWORD, Attached

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

NETWORKS = "soju.im/bouncer-networks"
NOTIFY = f"{NETWORKS} soju.im/bouncer-networks-notify"


async def control(house: House, name: str = "alice", caps: str = NETWORKS) -> Attached:
    """A client of `name` that is bound to no network; a user of that name is made."""
    if name not in house.ids:
        await house.user(name)
    client = await house.client(name, caps=caps)
    welcome = await client.until(" 422 ")
    assert any(" 005 " in line and " BOUNCER_NETID " in line for line in welcome)
    return client


def attributes(line: str) -> dict[str, str]:
    """Those of a BOUNCER NETWORK line."""
    pairs = (item.partition("=") for item in line.rpartition(" ")[2].split(";"))
    return {name: value for name, _, value in pairs}


def told(lines: list[str]) -> list[str]:
    return [line for line in lines if " BOUNCER NETWORK " in line]


async def test_a_client_that_knows_networks_is_bound_to_none_unless_it_says_so(
    house: House, network: ScriptedNetwork
) -> None:
    await house.user("alice")
    number = await house.server("alice", network)
    client = await control(house)
    client.send("BOUNCER LISTNETWORKS")
    (line,) = told(await client.until("BOUNCER NETWORK"))
    assert f" BOUNCER NETWORK {number} name=net;" in line
    other = await house.client("alice")
    assert any(f"BOUNCER_NETID={number}" in line for line in await other.until("BOUNCER_NETID"))


async def test_networks_are_listed_in_a_batch_without_secrets(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    first = await house.server("alice", network)
    values = {
        "name": "second", "address": "192.0.2.1", "password": "secret1", "auth_method": "sasl-plain",
        "auth_account": "acct", "auth_password": "secret2", "enabled": False, "realname": "Al; Ice",
        "connect_commands": "MODE alice +x\nWAIT 5",
    }  # fmt: skip
    second = (await house.supervisor.service.servers.add(house.ids["alice"], values)).id
    client = await control(house, caps=f"{NETWORKS} batch")
    client.send("BOUNCER listnetworks")
    lines = await client.until("BATCH -")
    start = next(number for number, line in enumerate(lines) if "BATCH +" in line)
    assert lines[start].endswith(f" {NETWORKS}")
    reference = lines[start].split()[2][1:]
    one, two = lines[start + 1 : -1]
    assert f"@batch={reference} :bouncer BOUNCER NETWORK {first} " in one
    assert attributes(one)["state"] == "connecting"
    assert (attributes(one)["host"], attributes(one)["port"]) == (network.host, str(network.port))
    assert (attributes(one)["tls"], attributes(one)["nickname"]) == ("0", "alice")
    assert f"BOUNCER NETWORK {second} " in two
    found = attributes(two)
    assert (found["state"], found["bouncer/enabled"], found["tls"], found["port"]) == ("disconnected", "0", "1", "6697")
    assert (found["realname"], found["bouncer/auth-method"]) == (r"Al\:\sIce", "sasl-plain")
    assert found["bouncer/connect-commands"] == r"MODE\salice\s+x\nWAIT\s5"
    assert "secret" not in " ".join(lines)
    assert "bouncer/keep-nick" not in found, "what is as usual is not told"


async def test_a_network_is_added_changed_and_removed_and_others_are_told(
    house: House, network: ScriptedNetwork
) -> None:
    await house.user("alice")
    client, other, deaf = [await control(house, caps=caps) for caps in (NOTIFY, NOTIFY, NETWORKS)]
    client.send(f"BOUNCER ADDNETWORK host={network.host};port={network.port};tls=0;name=My\\sNet;nickname=al")
    lines = await client.until("BOUNCER ADDNETWORK")
    number = lines[-1].split()[-1]
    assert lines[-1] == f":bouncer BOUNCER ADDNETWORK {number}"
    first = told(lines)[0]
    assert f" BOUNCER NETWORK {number} name=My-Net;" in first, "a name that a login can carry"
    assert told(await other.until("state="))[0] == first

    peer = await network.accept()
    await peer.welcome()
    assert "state=connected" in (await client.until("state=connected"))[-1]
    await other.until("state=connected")
    client.send(f"BOUNCER CHANGENETWORK {number} bouncer/away-message=not\\shere;bouncer/quit-message=bye")
    lines = await client.until("BOUNCER CHANGENETWORK")
    assert f":bouncer BOUNCER NETWORK {number} bouncer/away-message=not\\shere;bouncer/quit-message=bye" in told(lines)
    assert lines[-1].endswith(f"CHANGENETWORK {number}")
    client.send(f"BOUNCER CHANGENETWORK {number} bouncer/away-message")
    lines = await client.until("BOUNCER CHANGENETWORK")
    assert any(line.endswith(" bouncer/away-message") for line in told(lines)), "without a value: there is none now"

    client.send(f"BOUNCER DELNETWORK {number}")
    lines = await client.until("BOUNCER DELNETWORK")
    assert lines[-2].endswith(f"BOUNCER NETWORK {number} *")
    assert (await other.until(" *"))[-1].endswith(f"BOUNCER NETWORK {number} *")
    assert not told(await deaf.barrier()), "who did not ask is told nothing"


async def test_the_first_list_comes_with_the_capability(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    number = await house.server("alice", network)
    client = await house.client("alice", caps=f"{NOTIFY} batch")
    lines = await client.until("BATCH -")
    assert any(" 422 " in line for line in lines), "after the welcome"
    assert [line for line in told(lines) if f"NETWORK {number} name=net" in line]
    late = await control(house, caps=NETWORKS)
    late.send(f"CAP REQ :{NOTIFY.split()[1]}")
    assert f"NETWORK {number} name=net" in (await late.until("BOUNCER NETWORK"))[-1]


async def test_why_a_network_is_not_connected_is_told(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.server("alice", network)
    client = await house.client("alice", caps=NOTIFY)
    peer = await network.accept()
    await client.until("state=")
    await peer.send("ERROR :Closing Link: you are banned")
    peer.hang_up()
    line = next(line for line in await client.until("error=") if "error=" in line)
    assert "banned" in attributes(line)["error"]
    peer = await network.accept()
    await peer.welcome()
    lines = await client.until("state=connected")
    assert "error" in attributes(lines[-1]) or any("error" in attributes(line) for line in told(lines))


async def bind(house: House, *lines: str, early: str = "") -> Attached:
    """A new connection that negotiates, says `early`, logs in by SASL, says `lines`, and registers."""
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port))
    house.clients.append(client)
    client.send("CAP LS 302", "NICK me", "USER me 0 * :me", f"CAP REQ :sasl {NETWORKS}", *([early] if early else []))
    client.send("AUTHENTICATE PLAIN", "AUTHENTICATE " + base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode())
    client.send(*lines, "CAP END")
    return client


async def test_a_connection_is_bound_before_its_registration_completes(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    number = await house.server("alice", network)
    client = await bind(house, f"BOUNCER BIND {number}")
    assert any(f"BOUNCER_NETID={number}" in line for line in await client.until(" 422 "))
    client.send(f"BOUNCER BIND {number}")
    refused = (await client.until("FAIL"))[-1]
    assert refused.endswith("FAIL BOUNCER REGISTRATION_IS_COMPLETED BIND :Cannot bind to a network after registration")


async def test_nobody_is_bound_to_what_is_not_theirs(house: House, network: ScriptedNetwork) -> None:
    await house.user("alice")
    await house.user("bob")
    await house.server("alice", network)
    for name in ("one", "two"):
        values = {"name": name, "address": "192.0.2.1", "enabled": False}
        number = (await house.supervisor.service.servers.add(house.ids["bob"], values)).id
    client = await bind(house, f"BOUNCER BIND {number}", "BOUNCER BIND x", early="BOUNCER BIND 1")
    lines = await client.until(" 422 ")
    assert ":bouncer FAIL BOUNCER ACCOUNT_REQUIRED BIND :Authentication required" in lines
    assert f":bouncer FAIL BOUNCER INVALID_NETID BIND {number} :Network not found" in lines
    assert ":bouncer FAIL BOUNCER INVALID_NETID BIND x :Network not found" in lines
    assert any(" BOUNCER_NETID " in line for line in lines)


async def test_an_answer_has_the_label_and_what_others_are_told_has_none(house: House) -> None:
    client = await control(house, caps=f"{NOTIFY} batch labeled-response message-tags")
    await client.until("BATCH -")  # the first list
    client.send("@label=one BOUNCER LISTNETWORKS")
    lines = await client.until("BATCH -")
    assert [line for line in lines if line.startswith("@label=one ") and line.endswith(NETWORKS)]
    client.send("@label=two BOUNCER ADDNETWORK host=192.0.2.1;bouncer/enabled=0")
    lines = await client.until("ADDNETWORK")
    assert lines[-1].startswith("@label=two :bouncer BOUNCER ADDNETWORK ")
    assert all(line.startswith(":bouncer ") for line in told(lines))
    client.send("@label=three BOUNCER DELNETWORK 99")
    assert (await client.until("FAIL"))[-1].startswith("@label=three :bouncer FAIL BOUNCER INVALID_NETID")


async def test_what_cannot_be_done_is_refused_with_its_code(house: House) -> None:
    client = await control(house)
    values = {"name": "net", "address": "192.0.2.1", "enabled": False}
    number = (await house.supervisor.service.servers.add(house.ids["alice"], values)).id
    for command, answer in (
        ("FROB", "UNKNOWN_COMMAND FROB :"),
        ("ADDNETWORK name=x", "NEED_ATTRIBUTE ADDNETWORK host :"),
        ("ADDNETWORK host=a.example;port=x", "INVALID_ATTRIBUTE ADDNETWORK * port :"),
        ("ADDNETWORK host=a.example;name=NET", "INVALID_ATTRIBUTE ADDNETWORK * name :"),
        ("ADDNETWORK host=a.example;state=connected", "READ_ONLY_ATTRIBUTE ADDNETWORK * state :"),
        ("ADDNETWORK host=a.example;colour=red", "UNKNOWN_ATTRIBUTE ADDNETWORK * colour :"),
        ("CHANGENETWORK 99 name=x", "INVALID_NETID CHANGENETWORK 99 :"),
        ("CHANGENETWORK x name=x", "INVALID_NETID CHANGENETWORK x :"),
        (f"CHANGENETWORK {number} error=x", f"READ_ONLY_ATTRIBUTE CHANGENETWORK {number} error :"),
        (f"CHANGENETWORK {number} nickname=1", f"INVALID_ATTRIBUTE CHANGENETWORK {number} nickname :"),
        (f"CHANGENETWORK {number} realname=\\r\\n", f"INVALID_ATTRIBUTE CHANGENETWORK {number} realname :"),
        ("DELNETWORK 99", "INVALID_NETID DELNETWORK 99 :"),
        (f"DELNETWORK {'9' * 30}", f"INVALID_NETID DELNETWORK {'9' * 30} :"),
    ):
        client.send(f"BOUNCER {command}")
        assert f"FAIL BOUNCER {answer}" in (await client.until("FAIL"))[-1]
    for command in ("ADDNETWORK", f"CHANGENETWORK {number}", "DELNETWORK", f"CHANGENETWORK {number} :"):
        client.send(f"BOUNCER {command}")
        await client.until(" 461 me BOUNCER ")
    client.send("BOUNCER")
    await client.until(" 461 me BOUNCER ")


async def test_every_field_of_a_server_can_be_set(house: House) -> None:
    client = await control(house)
    text = (
        "host=192.0.2.1;pass=s1;username=u;realname=r;tls=1;bouncer/tls-verify=0;bouncer/auth-method=sasl-plain;"
        "bouncer/auth-account=a;bouncer/auth-password=s2;bouncer/auth-required=1;bouncer/alternatives=b\\sc;"
        "bouncer/keep-nick=0;bouncer/auto-away=0;bouncer/away-message=gone;bouncer/encoding=koi8-r;bouncer/enabled=0;"
        "bouncer/flood-burst=5;bouncer/flood-interval-ms=10;bouncer/quit-message=bye;bouncer/channels=#a,#b;"
        "bouncer/regain-command=NS\\sREGAIN\\s{nick};bouncer/fallbacks=192.0.2.2\\s6697;"
        f"bouncer/connect-commands=MODE\\sme\\s+x\\nWAIT\\s1;bouncer/tls-fingerprint={'ab' * 32}"
    )
    client.send(f"BOUNCER ADDNETWORK {text}")
    number = int((await client.until("BOUNCER ADDNETWORK"))[-1].split()[-1])
    row = await house.supervisor.service.servers.get(house.ids["alice"], number)
    assert (row.name, row.password, row.auth_password, row.auth_method) == ("192.0.2.1", "s1", "s2", "sasl-plain")
    assert (row.connect_commands, row.fallbacks) == ("MODE me +x\nWAIT 1", "192.0.2.2 6697")
    assert (row.auth_required, row.tls_verify, row.keep_nick, row.auto_away) == (True, False, False, False)
    client.send("BOUNCER LISTNETWORKS")
    client.send(f"BOUNCER CHANGENETWORK {number} pass;bouncer/keep-nick;bouncer/auth-method")
    shown = " ".join(told(await client.until("BOUNCER CHANGENETWORK")))
    for item in text.split(";"):
        name, _, value = item.partition("=")
        assert (item in shown) is (name not in {"pass", "bouncer/auth-password"}) or value == "1", item
    row = await house.supervisor.service.servers.get(house.ids["alice"], number)
    assert (row.password, row.keep_nick, row.auth_method, row.auth_password) == (None, True, "none", None)


async def test_one_user_neither_sees_nor_reaches_the_networks_of_another(house: House) -> None:
    await house.user("bob")
    for number in range(3):
        values = {"name": f"bobs{number}", "address": "192.0.2.7", "enabled": False}
        theirs = (await house.supervisor.service.servers.add(house.ids["bob"], values)).id
    client = await control(house, caps=NOTIFY)
    bob = await control(house, "bob", caps=NOTIFY)
    client.send("BOUNCER LISTNETWORKS", f"BOUNCER CHANGENETWORK {theirs} name=taken", f"BOUNCER DELNETWORK {theirs}")
    lines = await client.barrier()
    bob.send(f"BOUNCER CHANGENETWORK {theirs} name=renamed")
    await bob.until("BOUNCER CHANGENETWORK")
    lines += await client.barrier()
    assert not told(lines)
    assert sum("INVALID_NETID" in line for line in lines) == 2
    assert not [line for line in lines if "bobs" in line or "192.0.2.7" in line]
