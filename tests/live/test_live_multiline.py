"""Messages of several lines: from clients to networks that know them or not, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer import tenant
from tests.support.arrival import LABELS, answered, arrived, asked, client

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.network import Peer, ScriptedNetwork

CAPS = f"{LABELS} draft/multiline echo-message standard-replies"
NETWORK = ("batch", "message-tags", "echo-message", "server-time", "draft/multiline=max-bytes=100,max-lines=4")


def batch(*lines: str, reference: str = "1", label: str = "", to: str = "#room", tags: str = "") -> list[str]:
    """A message of these lines; one that begins with `+` goes on in the line before."""
    head = ";".join(part for part in (f"label={label}" if label else "", tags) if part)
    opening = f"BATCH +{reference} draft/multiline {to}"
    inside = []
    for line in lines:
        concat = ";draft/multiline-concat" if line.startswith("+") else ""
        inside.append(f"@batch={reference}{concat} PRIVMSG {to} :{line.removeprefix('+')}")
    return [f"@{head} {opening}" if head else opening, *inside, f"BATCH -{reference}"]


async def texts(peer: Peer) -> list[str]:
    """What of PRIVMSGs reached the network."""
    await peer.barrier()
    return [line.partition("PRIVMSG ")[2] for line in peer.received if "PRIVMSG " in line]


async def stored(house: House) -> list[str]:
    await house.supervisor.flush(house.ids["alice"])
    sql = "SELECT content FROM messages WHERE message_type = 'privmsg' ORDER BY id"
    async with tenant.switch(house.ids["alice"]):
        return await tenant.read(lambda db: [row[0] for row in db.execute(sql)])


# -- to a network without it ---------------------------------------------------------------------------------------


async def test_it_goes_line_by_line_where_the_network_knows_no_better(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    one, other = await client(house, "one", CAPS), await client(house, "two")
    one.send(*batch("first ", "+and more", "", "second", "", label="m"))
    lines = [line for line in await one.until("second") if "PRIVMSG" in line or "BATCH" in line]
    assert await texts(peer) == ["#room :first and more", "#room second"]
    assert "label=m" in lines[0]
    assert await stored(house) == ["first and more", "second"]
    assert [line.partition("PRIVMSG ")[2] for line in await other.until("second") if "PRIVMSG" in line] == [
        "#room :first and more",
        "#room second",
    ]


async def test_lines_that_are_too_long_are_cut_where_the_network_would(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    one = await client(house, "one", CAPS)
    words = "wörter " * 70
    await asked(one, *batch(words[:300], "+" + words[300:], "end"))
    said = await texts(peer)
    assert len(said) == 3
    assert said[-1] == "#room end"
    assert " ".join(text.partition(":")[2].strip() for text in said[:-1]) == words.strip()
    assert all(len(f":{peer.mask} PRIVMSG {text}\r\n".encode()) <= 512 for text in said)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (batch("", ""), ["FAIL BATCH MULTILINE_INVALID"]),
        (batch(), ["FAIL BATCH MULTILINE_INVALID"]),
        (batch(*"x" * 25), ["FAIL BATCH MULTILINE_MAX_LINES 24"]),
        (batch(*["x" * 400] * 11), ["FAIL BATCH MULTILINE_MAX_BYTES 4096"]),
        (["BATCH +1 draft/multiline"], ["FAIL BATCH MULTILINE_INVALID"]),
        (
            ["BATCH +1 draft/multiline #room", "@batch=1 PRIVMSG #other :x", "BATCH -1"],
            ["FAIL BATCH MULTILINE_INVALID_TARGET #room #other"],
        ),
        (["BATCH +1 draft/multiline #room", "@batch=1 TAGMSG #room", "BATCH -1"], ["FAIL BATCH MULTILINE_INVALID"]),
        (
            ["BATCH +1 draft/multiline #room", "@batch=1 PRIVMSG #room :x", "@batch=1 NOTICE #room :y", "BATCH -1"],
            ["FAIL BATCH MULTILINE_INVALID"],
        ),
        (batch("x", "+"), ["FAIL BATCH MULTILINE_INVALID"]),
        (batch("+x"), []),
        ([*batch("x")[:-1], *batch("x", reference="1")[:1]], ["FAIL BATCH MULTILINE_INVALID"]),
    ],
)
async def test_what_is_wrong_is_told_once_and_nothing_of_it_is_sent(
    house: House, network: ScriptedNetwork, lines: list[str], words: list[str]
) -> None:
    peer = await arrived(house, network)
    one = await client(house, "one", CAPS)
    found = [line.partition(" ")[2] for line in await asked(one, *lines) if "FAIL" in line]
    assert len(found) == len(words)
    assert all(
        line.partition(" ")[2].startswith(word) or line.startswith(word)
        for line, word in zip(found, words, strict=True)
    )
    if words:
        assert await texts(peer) == []


async def test_two_clients_draft_at_once_and_neither_comes_between(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    one, other = await client(house, "one", CAPS), await client(house, "two", CAPS)
    mine, theirs = batch("a1", "a2"), batch("b1", "b2")
    for left, right in zip(mine[:-1], theirs[:-1], strict=True):
        assert await asked(one, left) == []
        assert await asked(other, right) == []
    assert await texts(peer) == []
    other.send(theirs[-1])
    await other.until("b2")
    one.send(mine[-1])
    await one.until("a2")
    assert await texts(peer) == ["#room b1", "#room b2", "#room a1", "#room a2"]


async def test_a_draft_of_a_client_that_vanishes_is_never_sent(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    one, other = await client(house, "one", CAPS), await client(house, "two", CAPS)
    await asked(one, *batch("never", "sent")[:-1])
    await one.close()
    await asked(other, *batch("said"))
    assert await texts(peer) == ["#room said"]


async def test_words_to_the_service_stay_here(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network)
    one = await client(house, "one", CAPS)
    lines = await asked(one, *batch("help", "help server", to="BouncerServ"))
    assert len([line for line in lines if "PRIVMSG" in line]) > 1
    assert await texts(peer) == []


# -- to a network with it ------------------------------------------------------------------------------------------


async def test_it_goes_in_one_piece_where_the_network_knows_it(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one, plain = await client(house, "one", CAPS), await client(house, "plain")
    one.send(*batch("first ", "+and more", "second", label="m", tags="+draft/reply=id"))
    await peer.expect("BATCH", "-1")
    sent = [line for line in peer.received if "BATCH" in line or "PRIVMSG" in line]
    assert sent == batch("first ", "+and more", "second", tags="+draft/reply=id")
    await peer.send(
        "@msgid=true;time=2026-01-02T03:04:05.678Z :alice!a@b BATCH +e draft/multiline #room",
        "@batch=e :alice!a@b PRIVMSG #room :first ",
        "@batch=e;draft/multiline-concat :alice!a@b PRIVMSG #room :and more",
        "@batch=e :alice!a@b PRIVMSG #room second",
        ":alice!a@b BATCH -e",
    )
    lines = [line for line in await one.barrier() if "BATCH" in line or "PRIVMSG" in line]
    assert "msgid=true" in lines[0]
    assert [line.partition(":alice!a@b ")[2].split(" ")[0] for line in lines] == [
        "BATCH", "PRIVMSG", "PRIVMSG", "PRIVMSG", "BATCH",
    ]  # fmt: skip
    assert await stored(house) == ["first and more\nsecond"]
    seen = [line.partition("PRIVMSG ")[2] for line in await plain.barrier() if "PRIVMSG" in line]
    assert seen == ["#room :first ", "#room :and more", "#room :second"]


async def test_a_network_that_does_not_send_it_back_gets_lines_so_that_they_are_kept(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, caps=[cap for cap in NETWORK if cap != "echo-message"])
    one = await client(house, "one", CAPS)
    one.send(*batch("first", "second"))
    await one.until("second")
    assert await texts(peer) == ["#room first", "#room second"]
    assert await stored(house) == ["first", "second"]


async def test_its_limits_are_the_networks(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one = await client(house, "one", f"{CAPS} cap-notify")
    assert "MULTILINE_MAX_LINES 4" in "".join(await asked(one, *batch(*"abcde")))
    assert "MULTILINE_MAX_BYTES 100" in "".join(await asked(one, *batch("x" * 60, "y" * 60)))
    assert await texts(peer) == []
    await asked(one, *batch("x" * 49, "y" * 50))
    assert len(await texts(peer)) == 2


async def test_what_the_network_says_to_it_reaches_the_asker(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one, other = await client(house, "one", CAPS), await client(house, "two", CAPS)
    peer.answer_pings = False
    one.send(*batch("a", "b", label="m"))
    await peer.expect("BATCH", "-1")
    await answered(peer, ":irc.test FAIL BATCH MULTILINE_INVALID :No")
    peer.answer_pings = True
    assert [line.partition(" ")[0] for line in await one.barrier() if "FAIL" in line] == ["@label=m"]
    assert not [line for line in await other.barrier() if "FAIL" in line]


# -- from a network ------------------------------------------------------------------------------------------------


async def test_one_from_the_network_is_one_message_to_those_who_know_and_lines_to_others(
    house: House, network: ScriptedNetwork
) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    knows, plain = await client(house, "knows", CAPS), await client(house, "plain", "message-tags server-time batch")
    await peer.send(
        "@msgid=m1;account=f :friend!f@h BATCH +x draft/multiline #room",
        "@batch=x :friend!f@h PRIVMSG #room :one",
        ":friend!f@h PRIVMSG #room :not of it",
        "@batch=x :friend!f@h PRIVMSG #room :",
        "@batch=x :friend!f@h PRIVMSG #room :two ",
        "@batch=x;draft/multiline-concat :friend!f@h PRIVMSG #room :and a half",
        ":friend!f@h BATCH -x",
    )
    await peer.barrier()
    assert await stored(house) == ["not of it", "one\n\ntwo and a half"]
    lines = [line for line in await knows.barrier() if "BATCH" in line or "PRIVMSG" in line]
    assert [line.partition("friend!f@h ")[2].split(" ")[0] for line in lines] == [
        "PRIVMSG",
        "BATCH",
        *["PRIVMSG"] * 4,
        "BATCH",
    ]
    assert "msgid=m1" in lines[1]
    assert ["msgid" in line for line in lines[2:]] == [False] * 5
    assert [line.rpartition(":")[2] for line in lines[2:6]] == ["one", "", "two ", "and a half"]
    assert "draft/multiline-concat" in lines[5]
    lines = [line for line in await plain.barrier() if "BATCH" in line or "PRIVMSG" in line]
    assert [line.rpartition(":")[2] for line in lines] == ["not of it", "one", "two ", "and a half"]
    assert ["msgid=m1" in line for line in lines] == [False, True, False, False]


async def test_one_that_is_never_ended_is_not_shown_and_harms_nothing(house: House, network: ScriptedNetwork) -> None:
    peer = await arrived(house, network, caps=NETWORK)
    one = await client(house, "one", CAPS)
    await peer.send(":f!f@h BATCH +x draft/multiline #room", "@batch=x :f!f@h PRIVMSG #room :open")
    await peer.send(":f!f@h BATCH -unknown", ":f!f@h PRIVMSG #room :after")
    lines = await one.until("after")
    assert not [line for line in lines if "open" in line]
