"""METADATA that we keep on a network that keeps none, and our own keys on one that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer.supervisor import Supervisor
from tests.support.house import running
from tests.support.room import ask, on_room

if TYPE_CHECKING:
    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.tenant import Tenants
    from tests.support.house import Attached, House
    from tests.support.network import ScriptedNetwork

CAPS = "batch draft/metadata-2 standard-replies"
PINNED = "soju.im/pinned"


async def client_of(house: House, caps: str = CAPS) -> Attached:
    client = await house.client("alice/net", caps=caps)
    await client.until(" 366 ")
    await client.barrier()
    return client


async def said(client: Attached, line: str) -> list[str]:
    """The answer without source and tags, and without the lines of a `metadata` batch."""
    lines = []
    for shown in await ask(client, line):
        bare = shown.partition(" ")[2] if shown[0] == "@" else shown
        bare = bare.partition(" ")[2] if bare[0] == ":" else bare
        if not bare.startswith("PING"):
            lines.append(bare)
    if lines and lines[0].startswith("BATCH +"):
        return lines[1:-1]
    return lines


async def test_values_are_set_got_listed_and_cleared(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    client = await client_of(house)
    for line, answer in (
        ("METADATA * LIST", []),
        ("METADATA * GET url avatar", ["766 alice alice url :key not set", "766 alice alice avatar :key not set"]),
        ("METADATA * SET url :http://a b", ["761 alice alice url * :http://a b"]),
        ("METADATA alice GET url", ["761 alice alice url * :http://a b"]),
        ("METADATA #room SET soju.im/pinned 1", ["761 alice #room soju.im/pinned * :1"]),
        ("METADATA #room set soju.im/muted :", ["761 alice #room soju.im/muted * :"]),
        ("METADATA #ROOM LIST", ["761 alice #ROOM soju.im/muted * :", "761 alice #ROOM soju.im/pinned * :1"]),
        ("METADATA friend SET soju.im/blocked 1", ["761 alice friend soju.im/blocked * :1"]),
        ("METADATA #room SET soju.im/muted", ["766 alice #room soju.im/muted :key not set"]),
        ("METADATA #room SET soju.im/muted", ["FAIL METADATA KEY_NOT_SET #room soju.im/muted :Key not set"]),
        ("METADATA #room CLEAR", ["766 alice #room soju.im/pinned :key not set"]),
        ("METADATA #room LIST", []),
    ):
        assert await said(client, line) == answer, line


async def test_a_batch_names_its_target(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    first, last = await ask(await client_of(house), "METADATA #room LIST")
    assert first.endswith(" metadata #room")
    assert " BATCH -" in last


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("METADATA * DESTROY", "FAIL METADATA SUBCOMMAND_INVALID DESTROY :"),
        ("METADATA $a:user SET url x", "FAIL METADATA INVALID_TARGET $a:user :"),
        ("METADATA a!b@c LIST", "FAIL METADATA INVALID_TARGET a!b@c :"),
        ("METADATA * SET $url$ x", "FAIL METADATA KEY_INVALID $url$ :"),
        ("METADATA * SET URL x", "FAIL METADATA KEY_INVALID URL :"),
        ("METADATA * GET $url$", "FAIL METADATA KEY_INVALID $url$ :"),
        (f"METADATA * SET url :{'x' * 401}", "FAIL METADATA VALUE_INVALID :"),
        ("METADATA * SET url :\udcff", "FAIL METADATA VALUE_INVALID :"),
        ("METADATA * SET", "461 alice METADATA :"),
        ("METADATA *", "461 alice METADATA :"),
        ("METADATA * SET bouncer/cleared 1", "FAIL METADATA KEY_INVALID bouncer/cleared :"),
    ],
)
async def test_what_is_wrong_fails_as_the_specification_says(
    house: House, network: ScriptedNetwork, line: str, answer: str
) -> None:
    await on_room(house, network)
    client = await client_of(house)
    client.writer.write(line.encode("utf-8", "surrogateescape") + b"\r\n")
    (shown,) = [line for line in (await client.barrier())[:-1] if " BATCH " not in line]
    assert answer in shown


async def test_clients_follow_the_keys_they_ask_for(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    one, two, three = [await client_of(house) for _ in range(3)]
    await said(one, f"METADATA #Room SET {PINNED} 1")
    lines = await ask(two, f"METADATA * SUB {PINNED} url $bad")
    assert f" 770 alice {PINNED} url" in lines[0]
    assert " FAIL METADATA KEY_INVALID $bad :" in lines[1]
    assert lines[3].endswith(f" METADATA #Room {PINNED} * :1")
    assert await said(two, "METADATA * SUBS") == [f"772 alice {PINNED} url"]
    assert await said(two, "METADATA #room SYNC") == [f"METADATA #room {PINNED} * :1"]
    await said(one, f"METADATA friend SET {PINNED} 1")
    await said(one, f"METADATA friend SET {PINNED}")
    await said(one, "METADATA * SET colour red")
    assert [line.split(" ", 1)[1] for line in (await two.barrier())[:-1]] == [
        f"METADATA friend {PINNED} * :1",
        f"766 alice friend {PINNED} :key not set",
    ]
    assert await said(two, f"METADATA * UNSUB {PINNED}") == [f"771 alice {PINNED}"]
    await said(one, f"METADATA friend SET {PINNED} 1")
    assert (await two.barrier())[:-1] == []
    assert (await three.barrier())[:-1] == []


async def test_too_many_subscriptions_stop_at_the_first_that_does_not_fit(
    house: House, network: ScriptedNetwork
) -> None:
    await on_room(house, network)
    client = await client_of(house)
    lines = await said(client, "METADATA * SUB " + " ".join(f"k{n}" for n in range(102)))
    assert lines[-1].startswith("FAIL METADATA TOO_MANY_SUBS k100 :")
    assert " ".join(lines[:-1]).split()[2:][-1] == "k99"


async def test_values_outlive_a_restart_and_are_in_the_welcome(
    config: Config, main_db: MainDatabase, tenants: Tenants, network: ScriptedNetwork
) -> None:
    async with running(Supervisor(config, main_db, tenants)) as house:
        (await on_room(house, network)).lets_go = True
        client = await client_of(house)
        await said(client, "METADATA * SET url there")
        await said(client, f"METADATA #room SET {PINNED} 1")
        await house.supervisor.flush(house.ids["alice"])
    async with running(Supervisor(config, main_db, tenants)) as house:
        peer = await network.accept()
        peer.lets_go = True
        await peer.welcome()
        await peer.barrier()
        client = await house.client("alice/net", caps=CAPS)
        lines = await client.until(" 376 ")
        assert any(line.endswith(" METADATA alice url * :there") for line in lines)
        assert await said(client, f"METADATA #room GET {PINNED}") == [f"761 alice #room {PINNED} * :1"]


async def test_where_the_network_keeps_values_only_our_own_keys_stay_with_us(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await on_room(house, network, caps=("message-tags", "batch", "draft/metadata-2"))
    client = await client_of(house)
    client.send("METADATA * SET url there")
    await peer.expect("METADATA", "*", "SET", "url", "there")
    assert await said(client, f"METADATA #room SET {PINNED} 1") == [f"761 alice #room {PINNED} * :1"]
    client.send(f"METADATA * SUB avatar {PINNED}")
    await peer.expect("METADATA", "*", "SUB", "avatar", PINNED)
    other = await client_of(house)
    await said(other, f"METADATA #room SET {PINNED} 0")
    await client.until(f" METADATA #room {PINNED} * :0")
