"""What stored messages look like again: redacted, of several lines, searched, played by time, stamped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import text

from bouncer import tenant
from tests.support.room import CAPS, ask, named, on_room, reader, said, stamp

if TYPE_CHECKING:
    from bouncer.config import Config
    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

REDACTING = ("message-tags", "server-time", "draft/message-redaction")


def bodies(lines: list[str]) -> list[str]:
    """Lines without tags and batches."""
    bare = [line.partition(" ")[2] if line.startswith("@") else line for line in lines]
    return [line for line in bare if " BATCH " not in line and not line.startswith("PING")]


# -- redaction -----------------------------------------------------------------------------------------------------


async def test_a_redacted_message_is_gone_from_storage_and_replay_says_so(
    house: House, network: ScriptedNetwork, config: Config
) -> None:
    peer = await on_room(house, network, caps=REDACTING)
    await said(peer, 2)
    await peer.send(
        f"@time={stamp(10)};msgid=bad;+draft/reply=id0 :friend!f@example PRIVMSG #Room :unspeakable",
        f"@time={stamp(11)};msgid=wave;+draft/react=w :friend!f@example TAGMSG #Room",
        ":op!o@example REDACT #Room bad :not here",
        ":op!o@example REDACT #Room wave",
        ":op!o@example REDACT #elsewhere id0",
    )
    await peer.barrier()
    await house.supervisor.flush(house.ids["alice"])
    client = await reader(house, f"{CAPS} draft/event-playback")
    await ask(client, "CAP REQ draft/message-redaction")
    lines = await ask(client, "CHATHISTORY AFTER #room msgid=id0 10")
    assert bodies(lines)[:3] == [
        ":friend!f@example PRIVMSG #Room :m1",
        ":friend!f@example PRIVMSG #Room :[redacted]",
        ":op!o@example REDACT #Room bad :not here",
    ]
    assert "draft/chathistory-context" in lines[3]
    assert not [line for line in lines if "TAGMSG" in line]
    assert bodies(await ask(client, "CHATHISTORY LATEST #room * 1")) != []
    old = await reader(house)
    shown = bodies(await ask(old, "CHATHISTORY LATEST #room * 2"))
    assert [line.rpartition(" ")[2] for line in shown] == [":m1", ":[redacted]"]
    async with tenant.switch(house.ids["alice"]):
        found = await tenant.read(
            lambda db: db.execute(
                "SELECT m.content, m.tags, m.redacted, (SELECT count(*) FROM messages_fts WHERE messages_fts MATCH ?) "
                "FROM messages m WHERE m.msgid = 'bad'",
                ("unspeakable",),
            ).fetchone()
        )
    assert found == ("", None, "op!o@example not here", 0)
    await house.supervisor.stop("look at the file")
    file = config.storage.tenants / f"{house.ids['alice']}.sqlite3"
    assert b"unspeakable" not in await asyncio.to_thread(file.read_bytes)


async def test_a_redacted_direct_message_names_who_it_was_to(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network, caps=(*REDACTING, "echo-message"))
    await peer.send(
        f"@time={stamp(1)};msgid=in :friend!f@example PRIVMSG alice :one",
        f"@time={stamp(2)};msgid=out :alice!a@b PRIVMSG friend :two",
        ":friend!f@example REDACT alice in",
        ":alice!a@b REDACT friend out :sorry",
    )
    await peer.barrier()
    await house.supervisor.flush(house.ids["alice"])
    client = await reader(house)
    await ask(client, "CAP REQ draft/message-redaction")
    assert bodies(await ask(client, "CHATHISTORY LATEST friend * 10")) == [
        ":friend!f@example PRIVMSG alice :[redacted]",
        ":friend!f@example REDACT alice in",
        ":alice!a@b PRIVMSG friend :[redacted]",
        ":alice!a@b REDACT friend out :sorry",
    ]


# -- several lines -------------------------------------------------------------------------------------------------


async def test_a_message_of_several_lines_is_one_message_or_a_line_each(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network, caps=(*REDACTING, "batch", "draft/multiline"))
    await said(peer, 1)
    await peer.send(
        f"@time={stamp(5)};msgid=many :friend!f@example BATCH +x draft/multiline #Room",
        "@batch=x :friend!f@example PRIVMSG #Room :first",
        "@batch=x :friend!f@example PRIVMSG #Room :",
        f"@batch=x :friend!f@example PRIVMSG #Room :{'long ' * 150}end",
        ":irc.test BATCH -x",
    )
    await peer.barrier()
    client = await reader(house, f"{CAPS} draft/multiline")
    outer, one, opening, *inside, closing, end = await ask(client, "CHATHISTORY LATEST #room * 2")
    reference = outer.split(" ")[2].removeprefix("+")
    assert one.startswith(f"@batch={reference};")
    assert opening.startswith(f"@batch={reference};time={stamp(5)};msgid=many ")
    assert " BATCH +" in opening
    assert opening.endswith(" draft/multiline #Room")
    inner = opening.split(" ")[3].removeprefix("+")
    assert closing == f"@batch={reference} :friend!f@example BATCH -{inner}"
    assert end.endswith(f"BATCH -{reference}")
    assert [line.split(" ")[0] for line in inside] == [
        f"@batch={inner}",
        f"@batch={inner}",
        f"@batch={inner}",
        f"@batch={inner};draft/multiline-concat",
    ]
    texts = [line.partition(" PRIVMSG #Room :")[2] for line in inside]
    assert texts[:2] == ["first", ""]
    assert "".join(texts[2:]) == "long " * 150 + "end"
    old = await reader(house)
    _, *lines, _ = await ask(old, "CHATHISTORY LATEST #room * 1")
    assert [line.partition(" PRIVMSG #Room :")[2][:5] for line in lines] == ["first", "long ", "long "]
    assert [";msgid=many" in line for line in lines] == [True, False, False]
    assert all(f"time={stamp(5)}" in line for line in lines)


# -- SEARCH --------------------------------------------------------------------------------------------------------


async def test_a_search_takes_every_attribute_and_any_of_them_alone(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await peer.send(
        f"@time={stamp(1)} :jackie!j@example PRIVMSG #Room :that was fast",
        f"@time={stamp(2)} :bill!b@example NOTICE #Room :fasting is hard",
        f"@time={stamp(3)} :jackie!j@example PRIVMSG alice :be fast; be \x02bold\x02",
        f"@time={stamp(4)} :jackie!j@example TOPIC #Room :fast food",
        f"@time={stamp(5)} :bill!b@example PRIVMSG #Room :slow",
    )
    await peer.barrier()
    client = await reader(house, f"{CAPS} soju.im/search")

    async def found(attributes: str) -> list[str]:
        first, *lines, last = await ask(client, f"SEARCH {attributes}")
        assert first.endswith(" soju.im/search")
        assert " BATCH -" in last
        return [line.split(" ")[0].partition("time=")[2][20:23] for line in lines]

    assert await found("text=fast*") == ["001", "002", "003"]
    assert await found("text=fast") == ["001", "003"]
    assert await found("text=fast*;in=#room") == ["001", "002"]
    assert await found("text=fast;in=JACKIE") == ["003"]
    assert await found("text=fast*;limit=2") == ["002", "003"]
    assert await found(f"text=fast*;after={stamp(1)};limit=2") == ["001", "002"]
    assert await found(f"text=fast*;after={stamp(2)};before={stamp(2)}") == ["002"]
    assert await found("from=jackie") == ["001", "003"]
    assert await found("from=Bill;in=#room") == ["002", "005"]
    assert await found(f"in=#room;before={stamp(2)}") == ["001", "002"]
    assert await found(r"text=be\sfast\:") == ["003"]
    assert await found("text=nothing") == []
    assert await found("text=fast*;in=#elsewhere") == []
    for attributes, answer in (
        ("text=fast*;limit=some", "INVALID_PARAMS limit=some :"),
        ("after=yesterday", "INVALID_PARAMS after=yesterday :"),
        ("colour=red", "INVALID_PARAMS colour=red :"),
    ):
        (line,) = await ask(client, f"SEARCH {attributes}")
        assert f" FAIL SEARCH {answer}" in line


# -- znc.in/playback -----------------------------------------------------------------------------------------------


async def test_playback_is_asked_for_by_time_and_never_comes_unasked(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await said(peer, 10)
    await peer.send(f"@time={stamp(50)};msgid=dm :friend!f@example PRIVMSG alice :hi there")
    await peer.barrier()
    client = await house.client("alice/net@znc", caps="batch server-time znc.in/playback")
    assert not [line for line in await client.until(" 366 ") if "PRIVMSG" in line]
    assert bodies((await client.barrier())[:-1]) == []
    seconds = 1_767_323_045  # stamp(0)

    async def play(words: str) -> list[str]:
        lines = await ask(client, f"PRIVMSG *playback :{words}")
        batches = [line for line in lines if " BATCH +" in line]
        assert all(" znc.in/playback " in line for line in batches)
        return [line.rpartition(" :")[2] for line in lines if "PRIVMSG" in line]

    assert await play("PLAY * 0") == [*named(*range(10)), "hi there"]
    assert await play("play *") == [*named(*range(10)), "hi there"]
    assert await play(f"play * {seconds}.010") == [*named(6, 7, 8, 9), "hi there"]
    assert await play(f"PLAY #ro?m {seconds}.004 {seconds}.014") == named(3, 4, 5, 6)
    assert await play("PLAY FRIEND,#nowhere 0") == ["hi there"]
    assert await play("LIMIT 3") == ["At most 3 lines of each buffer are played"]
    assert await play("PLAY #room 0") == named(7, 8, 9)
    assert await play("LIST") == [f"#Room {seconds}.000 {seconds}.018", f"friend {seconds}.050 {seconds}.050"]
    assert await play("CLEAR #room") == ["1 cleared for playback"]
    assert await play("PLAY * 0") == ["hi there"]
    assert await play("PLAY") == ["Usage: PLAY <buffer(s)> [from] [to]"]
    assert len(await play("DANCE")) == 4
    client.send("ZNC *playback PLAY friend 0")
    await client.until(":hi there")
    other = await reader(house)
    assert len(bodies(await ask(other, "CHATHISTORY LATEST #room * 5"))) == 5


async def test_times_stand_in_the_text_where_a_client_wants_them(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    for client_name in ("plain", "stamped"):
        client = await house.client(f"alice/net@{client_name}")
        await client.until(" 366 ")
        await client.barrier()
        await client.close()
    await house.supervisor.flush(house.ids["alice"])
    async with tenant.switch(house.ids["alice"]), tenant.session() as db, db.begin():
        await db.execute(text("UPDATE clients SET text_timestamps = 1 WHERE name = 'stamped'"))
    await said(peer, 1)
    await peer.send(f"@time={stamp(1)} :friend!f@example PRIVMSG #Room :\x01ACTION waves\x01")
    await peer.barrier()
    for name, caps, shown in (
        ("plain", "", [":m0", ":\x01ACTION waves\x01"]),
        ("stamped", "", [":[03:04:05] m0", ":\x01ACTION [03:04:05] waves\x01"]),
        ("stamped", "server-time", [":m0", ":\x01ACTION waves\x01"]),
    ):
        client = await house.client(f"alice/net@{name}", caps=caps)
        client.mute = True
        lines = [line for line in await client.until("waves") if " PRIVMSG " in line]
        assert [line.partition(" PRIVMSG #Room ")[2] for line in lines] == shown
        await client.close()


async def test_znc_names_of_capabilities_do_what_the_newer_ones_do(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    await said(peer, 1)
    client = await house.client("alice/net@old", caps="znc.in/batch znc.in/server-time-iso")
    first, line = [each for each in await client.until(":m0") if " BATCH " in each or "PRIVMSG" in each]
    assert " BATCH +" in first
    assert line.endswith(f";time={stamp(0)} :friend!f@example PRIVMSG #Room :m0")
    await peer.send(f"@time={stamp(1)} :friend!f@example PRIVMSG #Room :live")
    assert (await client.until(":live"))[-1] == f"@time={stamp(1)} :friend!f@example PRIVMSG #Room :live"


async def test_events_come_back_as_the_lines_they_were(house: House, network: ScriptedNetwork) -> None:
    peer = await on_room(house, network)
    lines = [
        ":other!o@example JOIN #Room",
        ":other!o@example NICK another",
        ":friend!f@example MODE #Room +ov another another",
        ":friend!f@example TOPIC #Room :a new topic",
        ":friend!f@example KICK #Room another :out with you",
        ":late!l@example JOIN #Room",
        ":late!l@example PART #Room :good bye",
        ":friend!f@example QUIT :gone away",
    ]
    await peer.send(*(f"@time={stamp(n)} {line}" for n, line in enumerate(lines)))
    await peer.barrier()
    client = await reader(house, f"{CAPS} draft/event-playback")
    shown = await ask(client, "CHATHISTORY BEFORE #room timestamp=2026-02-01T00:00:00.000Z 50")
    assert bodies(shown) == lines
