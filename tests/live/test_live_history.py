"""CHATHISTORY on a running bouncer: every subcommand, exact bounds, pages that lose nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.room import CAPS, ask, named, on_room, reader, said, stamp

if TYPE_CHECKING:
    from tests.live.conftest import Attached, House
    from tests.support.network import ScriptedNetwork


async def page(client: Attached, line: str) -> list[str]:
    """The last words of the lines inside the one batch that answers."""
    first, *inside, last = [each for each in await ask(client, line) if not each.startswith("PING")]
    found = re.fullmatch(r":\S+ BATCH \+(\S+) chathistory (\S+)", first)
    assert found, first
    assert last.endswith(f" BATCH -{found[1]}")
    assert all(f"batch={found[1]}" in each.split(" ")[0] for each in inside)
    return [each.rpartition(":")[2] for each in inside]


@pytest.mark.parametrize("kind", ["msgid", "timestamp"])
async def test_every_subcommand_gives_what_lies_strictly_within_its_bounds(
    house: House, network: ScriptedNetwork, kind: str
) -> None:
    peer = await on_room(house, network)
    await said(peer, 10)
    client = await reader(house)

    def at(number: int) -> str:
        return f"msgid=id{number}" if kind == "msgid" else f"timestamp={stamp(number * 2)}"

    for line, expected in (
        ("LATEST #room * 20", range(10)),
        ("latest #Room * 5", range(5, 10)),
        ("Latest #ROOM * 1", range(9, 10)),
        (f"LATEST #room {at(4)} 20", range(5, 10)),
        (f"LATEST #room {at(4)} 2", range(8, 10)),
        (f"BEFORE #room {at(6)} 20", range(6)),
        (f"BEFORE #room {at(6)} 2", range(4, 6)),
        (f"BEFORE #room {at(0)} 2", range(0)),
        (f"AFTER #room {at(3)} 20", range(4, 10)),
        (f"after #room {at(3)} 3", range(4, 7)),
        (f"AROUND #room {at(7)} 1", range(7, 8)),
        (f"AROUND #room {at(7)} 3", range(6, 9)),
        (f"AROUND #room {at(9)} 4", range(6, 10)),
        (f"AROUND #room {at(0)} 4", range(4)),
        (f"BETWEEN #room {at(0)} {at(9)} 20", range(1, 9)),
        (f"BETWEEN #room {at(9)} {at(0)} 20", range(1, 9)),
        (f"BETWEEN #room {at(0)} {at(9)} 3", range(1, 4)),
        (f"BETWEEN #room {at(9)} {at(0)} 3", range(6, 9)),
        (f"BETWEEN #room {at(5)} {at(5)} 3", range(0)),
        ("LATEST #room * 0", range(0)),
    ):
        assert await page(client, f"CHATHISTORY {line}") == named(*expected), line


async def test_the_batch_names_the_channel_as_the_network_spells_it(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await said(peer, 1)
    client = await reader(house)
    first, line, _ = await ask(client, "CHATHISTORY LATEST #rOOM * 5")
    assert first.endswith(" chathistory #Room")
    assert f"time={stamp(0)};msgid=id0 :friend!f@example PRIVMSG #Room :m0" in line


@pytest.mark.parametrize("going", ["BEFORE", "AFTER"])
@pytest.mark.parametrize("kind", ["msgid", "timestamp"])
@pytest.mark.parametrize("size", [1, 3, 5])
async def test_messages_of_one_millisecond_are_all_there_page_by_page(
    house: House, network: ScriptedNetwork, going: str, kind: str, size: int
) -> None:
    """W7: however the client goes on, by msgid or by the time of the last line it has."""
    peer = await on_room(house, network)
    await said(peer, 10, apart=0)
    await peer.send(f"@time={stamp(9)};msgid=id10 :friend!f@example PRIVMSG #Room :m10")
    await peer.barrier()
    client = await reader(house)
    seen: list[str] = []
    line = f"LATEST #room * {size}"
    if going == "AFTER":
        line = f"AFTER #room timestamp=2026-01-01T00:00:00.000Z {size}"
    while found := await page(client, f"CHATHISTORY {line}"):
        assert len(found) <= size
        seen = [*found, *seen] if going == "BEFORE" else [*seen, *found]
        edge = int((found[0] if going == "BEFORE" else found[-1])[1:])
        place = f"msgid=id{edge}" if kind == "msgid" else f"timestamp={stamp(9 if edge == 10 else 0)}"
        line = f"{going} #room {place} {size}"
    assert seen == named(*range(11))


async def test_without_event_playback_pages_are_filled_with_messages(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    for number in range(6):
        await peer.send(
            f"@time={stamp(number * 9)};msgid=t{number} :friend!f@example TOPIC #Room :topic {number}",
            f"@time={stamp(number * 9 + 1)};msgid=id{number} :friend!f@example PRIVMSG #Room :m{number}",
            f"@time={stamp(number * 9 + 2)};msgid=r{number};+draft/react=x :friend!f@example TAGMSG #Room",
        )
    await peer.barrier()
    client = await reader(house)
    assert await page(client, "CHATHISTORY BEFORE #room timestamp=2026-02-01T00:00:00.000Z 4") == named(2, 3, 4, 5)
    client = await reader(house, caps=f"{CAPS} draft/event-playback")
    shown = await ask(client, "CHATHISTORY BEFORE #room timestamp=2026-02-01T00:00:00.000Z 4")
    assert [line.split(" ")[2] for line in shown[1:-1]] == ["TAGMSG", "TOPIC", "PRIVMSG", "TAGMSG"]
    assert ";msgid=t5 :friend!f@example TOPIC #Room :topic 5" in shown[2]
    client = await reader(house, caps="server-time batch draft/chathistory draft/event-playback")
    shown = await ask(client, "CHATHISTORY BEFORE #room timestamp=2026-02-01T00:00:00.000Z 4")
    assert [line.split(" ")[2] for line in shown[1:-1]] == ["TOPIC", "PRIVMSG", "TOPIC", "PRIVMSG"]


async def test_a_conversation_is_found_by_any_spelling_of_the_nick(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await said(peer, 3, to="alice")
    client = await reader(house)
    first, *lines, _ = await ask(client, "CHATHISTORY LATEST FRIEND * 10")
    assert first.endswith(" chathistory FRIEND")
    assert [line.rpartition(" PRIVMSG ")[2] for line in lines] == ["alice :m0", "alice :m1", "alice :m2"]


async def test_targets_are_ordered_by_their_newest_message_and_bounds_are_exclusive(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await on_room(house, network)
    lines = [("friend", "alice", 5), ("other", "alice", 20), ("friend", "#Room", 30), ("Friend", "alice", 40)]
    await peer.send(*(f"@time={stamp(ms)} :{who}!f@example PRIVMSG {to} :hello" for who, to, ms in lines))
    await peer.barrier()
    client = await reader(house)
    early, late = "timestamp=2020-01-01T00:00:00.000Z", "timestamp=2262-01-01T00:00:00.000Z"

    async def targets(start: str, end: str, limit: int = 10) -> list[str]:
        shown = await ask(client, f"CHATHISTORY TARGETS {start} {end} {limit}")
        assert re.fullmatch(r":\S+ BATCH \+\S+ draft/chathistory-targets", shown[0])
        assert all(re.match(r"@batch=\S+ :\S+ CHATHISTORY TARGETS \S+ 2026-\S+Z$", line) for line in shown[1:-1])
        return [line.split(" ")[4] for line in shown[1:-1]]

    assert await targets(early, late) == ["other", "#Room", "Friend"]
    assert await targets(early, late, 2) == ["other", "#Room"]
    assert await targets(late, early, 2) == ["#Room", "Friend"]
    assert await targets(f"timestamp={stamp(20)}", late) == ["#Room", "Friend"]
    assert await targets(f"timestamp={stamp(20)}", f"timestamp={stamp(40)}") == ["#Room"]
    assert await targets(early, f"timestamp={stamp(10)}") == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("CHATHISTORY", "INVALID_PARAMS * :"),
        ("CHATHISTORY latest #room *", "INVALID_PARAMS latest :"),
        ("CHATHISTORY LATEST #room * 5 6", "INVALID_PARAMS LATEST :"),
        ("CHATHISTORY SIDEWAYS #room * 5", "INVALID_PARAMS SIDEWAYS :"),
        ("CHATHISTORY :odd one", "INVALID_PARAMS * :"),
        ("CHATHISTORY LATEST #room * many", "INVALID_PARAMS LATEST many :"),
        ("CHATHISTORY LATEST #room * -1", "INVALID_PARAMS LATEST -1 :"),
        ("CHATHISTORY BEFORE #room * 5", "INVALID_PARAMS BEFORE * :"),
        ("CHATHISTORY BEFORE #room timestamp=yesterday 5", "INVALID_PARAMS BEFORE timestamp=yesterday :"),
        ("CHATHISTORY BEFORE #room timestamp=2026-02-31T00:00:00.000Z 5", "INVALID_PARAMS BEFORE timestamp=2026-02-31"),
        ("CHATHISTORY BEFORE #room id0 5", "INVALID_PARAMS BEFORE id0 :"),
        ("CHATHISTORY BEFORE #room colour=red 5", "INVALID_MSGREFTYPE BEFORE #room :"),
        ("CHATHISTORY BEFORE #room msgid=nobodys 5", "MESSAGE_ERROR BEFORE #room :"),
        ("CHATHISTORY TARGETS msgid=id0 msgid=id1 5", "INVALID_PARAMS TARGETS :"),
        ("CHATHISTORY LATEST #nowhere * 5", "INVALID_TARGET LATEST #nowhere :"),
    ],
)
async def test_what_cannot_be_answered_is_a_fail_in_the_words_of_the_specification(
    house: House, network: ScriptedNetwork, line: str, answer: str
) -> None:
    peer = await on_room(house, network)
    await said(peer, 1)
    client = await reader(house)
    (shown,) = await ask(client, line)
    assert f" FAIL CHATHISTORY {answer}" in shown


async def test_a_nick_never_spoken_to_has_an_empty_history(house: House, network: ScriptedNetwork) -> None:
    await on_room(house, network)
    assert await page(await reader(house), "CHATHISTORY LATEST stranger * 5") == []


async def test_a_channel_that_was_left_keeps_its_history(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await said(peer, 2)
    await peer.send(":alice!a@b PART #Room")
    await peer.barrier()
    client = await house.client("alice/net@reader", caps=CAPS)
    await client.barrier()
    assert await page(client, "CHATHISTORY LATEST #room * 5") == named(0, 1)


async def test_a_client_without_batch_gets_the_bare_lines(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await said(peer, 2)
    client = await reader(house, caps="draft/chathistory")
    lines = [line for line in await ask(client, "CHATHISTORY LATEST #room * 5") if "PING" not in line]
    assert lines == [":friend!f@example PRIVMSG #Room :m0", ":friend!f@example PRIVMSG #Room :m1"]


async def test_a_thousand_messages_are_the_most_of_one_page(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await said(peer, 1_005, apart=0)
    client = await reader(house)
    assert await page(client, "CHATHISTORY LATEST #room * 5000") == named(*range(5, 1_005))


async def test_words_to_ourselves_are_there_once(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network, caps=("message-tags", "server-time", "echo-message"))
    client = await reader(house, caps=f"{CAPS} echo-message")
    client.send("PRIVMSG alice :to myself")
    await peer.expect("PRIVMSG", "alice", "to myself")
    line = f"@time={stamp(1)};msgid=own :alice!a@b PRIVMSG alice :to myself"
    await peer.send(line, line)
    await peer.barrier()
    await client.barrier()
    assert await page(client, "CHATHISTORY LATEST alice * 10") == ["to myself"]
