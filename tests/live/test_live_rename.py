"""A channel's new name, people's new hosts, and what of it clients are shown that do not know such news."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bouncer import tenant
from bouncer.network import traffic
from tests.support.arrival import again, arrived, asked, client

if TYPE_CHECKING:
    import pytest

    from tests.support.house import House
    from tests.support.network import ScriptedNetwork

NETWORK = ("message-tags", "server-time", "draft/channel-rename", "draft/message-redaction", "chghost")
CAPS = "server-time message-tags batch draft/chathistory draft/read-marker draft/metadata-2"
WHEN = "2026-01-02T03:04:05.678Z"


def bare(lines: list[str]) -> list[str]:
    """Without source and tags."""
    return [(line.partition(" ")[2] if line.startswith("@") else line).partition(" ")[2] for line in lines]


async def test_history_marker_key_and_metadata_follow(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, caps=NETWORK, channels="#room")
    one = await client(house, "one", CAPS)
    await asked(one, "CAP REQ draft/channel-rename")
    one.send("JOIN #locked sesame")
    await peer.expect("JOIN", "#locked", "sesame")
    await peer.let_in("#locked", "@friend")
    await one.until(" 366 alice #locked")
    await peer.send(f"@time={WHEN};msgid=id1 :friend!f@h PRIVMSG #locked :before")
    await one.until("before")
    await asked(one, f"MARKREAD #locked timestamp={WHEN}", "METADATA #locked SET soju.im/pinned :1")
    await peer.send(":friend!f@h RENAME #locked #Opened :nicer", ":friend!f@h PRIVMSG #opened :after")
    lines = bare(await one.until(":after"))
    assert lines[-2] == "RENAME #locked #Opened :nicer"
    await house.supervisor.flush(house.ids["alice"])
    texts = [line for line in await asked(one, "CHATHISTORY LATEST #opened * 10") if "PRIVMSG" in line]
    assert [line.rpartition(":")[2] for line in texts] == ["before", "after"]
    assert f"timestamp={WHEN}" in (await asked(one, "MARKREAD #opened"))[0]
    assert "soju.im/pinned" in "".join(await asked(one, "METADATA #opened GET soju.im/pinned"))
    peer.hang_up()
    peer = await network.accept()
    await peer.welcome()
    assert (await peer.expect("JOIN")).params == ["#Opened,#room", "sesame"]


async def test_where_everybody_knows_it_the_channel_is_not_gone_through(
    house: House, network: ScriptedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one = await client(house, "one", CAPS)
    await asked(one, "CAP REQ draft/channel-rename")
    monkeypatch.delattr(traffic, "rename_fallback")
    await peer.send(":friend!f@h RENAME #room #hall :nicer")
    assert bare(await one.until("RENAME"))[-1] == "RENAME #room #hall :nicer"


async def test_clients_that_do_not_know_it_leave_one_and_are_on_the_other(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one = await client(house, "one")
    quiet = await client(house, "quiet", "no-implicit-names", until="JOIN")
    await peer.send(":friend!f@h TOPIC #room :words", ":friend!f@h RENAME #room #hall :nicer")
    lines = [line for line in bare(await one.until(" 366 ")) if "333" not in line]
    assert lines == [
        "TOPIC #room :words",
        "PART #room :Channel renamed: nicer",
        "JOIN #hall",
        "332 alice #hall :words",
        "353 alice = #hall :alice @friend",
        "366 alice #hall :End of /NAMES list.",
    ]
    assert bare(await quiet.barrier())[1:3] == ["PART #room :Channel renamed: nicer", "JOIN #hall"]


async def test_the_name_of_a_channel_of_long_ago_is_taken_with_its_history(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, caps=NETWORK, channels="#hall,#room")
    one = await client(house, "one", CAPS, until=" 366 alice #room")
    await peer.send(f"@time={WHEN} :friend!f@h PRIVMSG #hall :long ago", f":{peer.mask} PART #hall")
    await peer.send(
        ":friend!f@h PRIVMSG #room :before", ":friend!f@h RENAME #room #hall :", ":friend!f@h PRIVMSG #hall :after"
    )
    await one.until("after")
    await house.supervisor.flush(house.ids["alice"])
    texts = [line for line in await asked(one, "CHATHISTORY LATEST #hall * 10") if "PRIVMSG" in line]
    assert [line.rpartition(":")[2] for line in texts] == ["long ago", "before", "after"]
    peer.hang_up()
    peer = await network.accept()
    await peer.welcome()
    assert (await peer.expect("JOIN")).params == ["#hall"]


async def test_another_spelling_is_the_same_channel(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one = await client(house, "one", CAPS)
    await peer.send(":friend!f@h PRIVMSG #room :before", ":friend!f@h RENAME #room #Room :")
    await one.until(" 366 alice #Room")
    await house.supervisor.flush(house.ids["alice"])
    assert "before" in "".join(await asked(one, "CHATHISTORY LATEST #ROOM * 10"))
    async with tenant.switch(house.ids["alice"]):
        names = await tenant.read(lambda db: db.execute("SELECT name FROM channels").fetchall())
    assert names == [("#Room",)]


async def test_who_takes_a_message_back_takes_it_from_clients_that_know_and_from_storage(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one, plain = await client(house, "one", CAPS), await client(house, "plain")
    await asked(one, "CAP REQ draft/message-redaction")
    await peer.send("@msgid=bad :friend!f@h PRIVMSG #room :unspeakable")
    await one.until("unspeakable")
    one.send("REDACT #room bad :sorry")
    assert (await peer.expect("REDACT")).params == ["#room", "bad", "sorry"]
    await peer.send(":alice!a@b REDACT #room bad :sorry")
    assert bare(await one.until("REDACT"))[-1] == "REDACT #room bad :sorry"
    assert "REDACT" not in "".join(await plain.barrier())
    await house.supervisor.flush(house.ids["alice"])
    assert "unspeakable" not in "".join(await asked(one, "CHATHISTORY LATEST #room * 10"))


async def test_names_come_to_those_who_ask(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    quiet = await client(house, "quiet", "no-implicit-names", until="JOIN")
    loud = await client(house, "loud")
    quiet.send("JOIN #new")
    await peer.expect("JOIN", "#new")
    await peer.let_in("#new", "@friend", topic="words")
    lines = bare(await loud.until(" 366 alice #new"))
    assert [line.split(" ")[0] for line in lines] == ["JOIN", "332", "333", "353", "366"]
    assert [line.split(" ")[0] for line in bare((await quiet.barrier())[:-1])] == ["JOIN", "332", "333"]
    quiet.send("NAMES #new")
    await peer.expect("NAMES", "#new")
    await peer.numeric(353, "=", "#new", "alice @friend")
    await peer.numeric(366, "#new", "End of /NAMES list.")
    await quiet.until(" 366 alice #new")
    assert not [line for line in await loud.barrier() if " 366 " in line]
    peer.hang_up()
    await again(network, channels="#new,#room")
    assert not [line for line in await quiet.barrier() if " 353 " in line or " 366 " in line]


async def test_a_new_host_is_leaving_and_coming_back_to_those_who_do_not_know(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    knows, plain = await client(house, "knows"), await client(house, "plain")
    long = await client(house, "long")
    await asked(knows, "CAP REQ chghost")
    await asked(long, "CAP REQ userhost-in-names")
    await peer.send(":friend!f@old CHGHOST g new", ":nobody!n@old CHGHOST g new", f":{peer.mask} CHGHOST a cloak")
    await peer.barrier()
    assert bare(await knows.barrier())[:-1] == ["CHGHOST g new", "CHGHOST a cloak"]
    lines = (await plain.barrier())[:-1]
    assert lines == [
        ":friend!f@old QUIT :Changing host",
        ":friend!g@new JOIN #room",
        ":friend!g@new MODE #room +o friend",
    ]
    two = await house.client("alice/net@two", caps="userhost-in-names")
    assert "alice!a@cloak @friend!g@new" in "".join(await two.until(" 366 "))
