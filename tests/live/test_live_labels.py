"""Clients' labels on a network that knows none, and who asked what among several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.arrival import LABELS, answered, arrived, asked, client

if TYPE_CHECKING:
    from tests.support.house import Attached, House
    from tests.support.network import Peer, ScriptedNetwork


def shape(lines: list[str]) -> list[str]:
    """The lines of an answer with references of batches as R, without times and message ids, and without our PINGs."""
    names: dict[str, str] = {}
    found = []
    for line in (one for one in lines if not one.startswith("PING ")):
        tags, _, rest = line[1:].partition(" ") if line.startswith("@") else ("", "", line)
        kept = []
        for tag in tags.split(";") if tags else ():
            key, _, value = tag.partition("=")
            if key == "batch":
                kept.append(f"batch={names.get(value, value)}")
            elif key == "label":
                kept.append(tag)
        words = rest.split(" ", 1)[1]
        if words.startswith("BATCH +"):
            reference = words.split(" ")[1][1:]
            names[reference] = f"R{len(names) + 1}"
        for reference, name in names.items():
            words = words.replace(f"+{reference}", f"+{name}").replace(f"-{reference}", f"-{name}")
        found.append(f"@{';'.join(kept)} {words}" if kept else words)
    return found


async def two(house: House, network: ScriptedNetwork, caps: str = LABELS) -> tuple[Peer, Attached, Attached]:
    """alice on a network without labels that answers PINGs by the test's leave, and two clients."""
    peer = await arrived(house, network, auto_away=False)
    one, other = await client(house, "one", caps), await client(house, "two", LABELS)
    peer.answer_pings = False
    return peer, one, other


CASES: list[tuple[str, list[str], list[str]]] = [
    ("VERSION", ["351 alice v1 irc.test :here"], ["@label=x 351 alice v1 irc.test :here"]),
    ("AWAY :out", ["306 alice :You are away"], ["@label=x 306 alice :You are away"]),
    ("PRIVMSG #room :hello", [], ["@label=x ACK"]),
    ("PRIVMSG #room :hello", ["404 alice #room :No"], ["@label=x 404 alice #room :No"]),
    ("NOTICE gone :hello", ["401 alice gone :No"], ["@label=x 401 alice gone :No"]),
    ("ODDITY a b", ["421 alice ODDITY :Unknown command"], ["@label=x 421 alice ODDITY :Unknown command"]),
    ("ODDITY a b", [], ["@label=x ACK"]),
    ("JOIN #shut", ["474 alice #shut :Banned"], ["@label=x 474 alice #shut :Banned"]),
    ("KICK #room who", ["441 alice who #room :No"], ["@label=x 441 alice who #room :No"]),
    (
        "WHOIS friend",
        ["311 alice friend f host * :F", "318 alice friend :End"],
        [
            "@label=x BATCH +R1 labeled-response",
            "@batch=R1 311 alice friend f host * :F",
            "@batch=R1 318 alice friend :End",
            "BATCH -R1",
        ],
    ),
    (
        "PRIVMSG #room,gone :hello",
        ["401 alice gone :No"],
        ["@label=x 401 alice gone :No"],
    ),
    (
        "PRIVMSG gone,lost :hello",
        ["401 alice gone :No", "401 alice lost :No"],
        [
            "@label=x BATCH +R1 labeled-response",
            "@batch=R1 401 alice gone :No",
            "@batch=R1 401 alice lost :No",
            "BATCH -R1",
        ],
    ),
    (
        "MODE #room b",
        ["367 alice #room a!*@* friend 1", "368 alice #room :End"],
        [
            "@label=x BATCH +R1 labeled-response",
            "@batch=R1 367 alice #room a!*@* friend 1",
            "@batch=R1 368 alice #room :End",
            "BATCH -R1",
        ],
    ),
]


async def test_an_answer_has_the_label_whatever_its_length(house: House, network: ScriptedNetwork) -> None:
    peer, one, other = await two(house, network)
    for line, answer, shown in CASES:
        peer.answer_pings = False
        one.send(f"@label=x {line}")
        await peer.expect(line.partition(" ")[0])
        await answered(peer, *(f":irc.test {text}" for text in answer))
        peer.answer_pings = True
        assert shape((await one.barrier())[:-1]) == shown, line
        heard = [text.partition(" ")[0] for text in shape((await other.barrier())[:-1])]
        assert heard in ([], ["PRIVMSG"]), line


async def test_a_join_of_two_channels_is_one_answer_and_news_to_the_others(
    house: House, network: ScriptedNetwork
) -> None:
    peer, one, other = await two(house, network)
    one.send("@label=j JOIN #a,#b,#shut")
    await peer.expect("JOIN", "#a,#b,#shut")
    await peer.let_in("#a")
    await peer.numeric(474, "#shut", "Banned")
    await peer.let_in("#b")
    await answered(peer)
    peer.answer_pings = True
    lines = shape((await one.barrier())[:-1])
    assert lines[0] == "@label=j BATCH +R1 labeled-response"
    assert [line.split(" ", 2)[:2] for line in lines[1:-1]] == [
        ["@batch=R1", word] for word in ("JOIN", "353", "366", "474", "JOIN", "353", "366")
    ]
    assert lines[-1] == "BATCH -R1"
    news = shape((await other.barrier())[:-1])
    assert [line.split(" ")[0] for line in news] == ["JOIN", "353", "366", "JOIN", "353", "366"]


async def test_words_to_two_targets_come_back_in_one_answer(house: House, network: ScriptedNetwork) -> None:
    peer, one, other = await two(house, network, f"{LABELS} echo-message")
    one.send("@label=e PRIVMSG #room,friend :hello")
    await peer.expect("PRIVMSG", "#room,friend")
    await answered(peer)
    peer.answer_pings = True
    assert shape((await one.barrier())[:-1]) == [
        "@label=e BATCH +R1 labeled-response",
        "@batch=R1 PRIVMSG #room hello",
        "@batch=R1 PRIVMSG friend hello",
        "BATCH -R1",
    ]
    assert shape((await other.barrier())[:-1]) == ["PRIVMSG #room hello", "PRIVMSG friend hello"]


async def test_an_echo_has_the_label(house: House, network: ScriptedNetwork) -> None:
    peer, one, other = await two(house, network, f"{LABELS} echo-message")
    one.send("@label=e PRIVMSG #room :hello there")
    await peer.expect("PRIVMSG", "#room")
    await answered(peer)
    peer.answer_pings = True
    assert shape((await one.barrier())[:-1]) == ["@label=e PRIVMSG #room :hello there"]
    assert shape((await other.barrier())[:-1]) == ["PRIVMSG #room :hello there"]


async def test_what_comes_between_is_no_part_of_an_answer(house: House, network: ScriptedNetwork) -> None:
    peer, one, _ = await two(house, network)
    one.send("@label=w WHO #room")
    await peer.expect("WHO", "#room")
    await answered(
        peer,
        ":irc.test 352 alice #room f host irc.test friend H :0 F",
        ":friend!f@host PRIVMSG #room :meanwhile",
        ":irc.test 352 alice #room f host irc.test alice H :0 A",
        ":irc.test 315 alice #room :End",
    )
    peer.answer_pings = True
    lines = shape((await one.barrier())[:-1])
    assert len(lines) == 6
    assert [line for line in lines if "meanwhile" in line] == ["PRIVMSG #room :meanwhile"]
    assert len([line for line in lines if line.startswith("@batch=R1")]) == 3


async def test_two_clients_that_ask_the_same_at_once_get_an_answer_each(house: House, network: ScriptedNetwork) -> None:
    peer, one, other = await two(house, network)
    one.send("@label=one WHOIS friend")
    await peer.expect("WHOIS", "friend")
    ping = await peer.expect("PING")
    other.send("@label=two WHOIS friend")
    await peer.expect("WHOIS", "friend")
    for realname in ("First", "Second"):
        await peer.numeric(311, "friend", "f", "host", "*", realname)
        await peer.numeric(318, "friend", "End")
    peer.answer_pings = True
    await peer.send(f":irc.test PONG irc.test {ping.params[-1]}")
    for attached, label, realname in ((one, "one", "First"), (other, "two", "Second")):
        assert shape((await attached.barrier())[:-1]) == [
            f"@label={label} BATCH +R1 labeled-response",
            f"@batch=R1 311 alice friend f host * :{realname}",
            "@batch=R1 318 alice friend :End",
            "BATCH -R1",
        ]


async def test_two_clients_whose_words_are_refused_learn_it_each(house: House, network: ScriptedNetwork) -> None:
    peer, one, other = await two(house, network)
    one.send("@label=one PRIVMSG #room :x")
    await peer.expect("PRIVMSG", "#room")
    ping = await peer.expect("PING")
    other.send("@label=two PRIVMSG #room :x")
    await peer.expect("PRIVMSG", "#room")
    await peer.numeric(404, "#room", "first")
    await peer.numeric(404, "#room", "second")
    peer.answer_pings = True
    await peer.send(f":irc.test PONG irc.test {ping.params[-1]}")
    assert shape((await one.barrier())[:-1]) == ["@label=one 404 alice #room :first"]
    assert shape((await other.barrier())[:-1]) == ["@label=two 404 alice #room :second"]


async def test_what_is_never_answered_ends_with_the_label(house: House, network: ScriptedNetwork) -> None:
    """The network answers neither the question nor the PING behind it."""
    _, one, _ = await two(house, network)
    one.send("@label=w WHOIS silence", "@label=k KNOCK #elsewhere", "@label=p PRIVMSG #room :x")
    lines = await one.until("label=w") + await one.until("label=p")
    found = [line for line in shape(lines) if line.startswith("@label")]
    assert sorted(found) == [
        "@label=k ACK",
        "@label=p ACK",
        "@label=w 318 alice silence :The network did not answer",
    ]


async def test_one_lost_pong_holds_nothing_up_for_good(house: House, network: ScriptedNetwork) -> None:
    peer, one, other = await two(house, network)
    one.send("PRIVMSG #room :behind it is the PING that is lost")
    await peer.expect("PRIVMSG", "#room")
    await peer.expect("PING")
    peer.answer_pings = True
    assert "PRIVMSG" in (await other.until("behind it"))[-1]
    one.send("PRIVMSG #room :later words")
    await other.until("later words")


async def test_a_label_of_a_line_that_is_ours_to_answer_is_answered(house: House, network: ScriptedNetwork) -> None:
    await arrived(house, network)
    one = await client(house, caps=LABELS)
    assert shape(await asked(one, "@label=p PART #room :detach"))[0] == "PART #room :Detached"
    lines = await asked(one, "@label=n PRIVMSG BouncerServ :nonsense")
    assert "label=n" in lines[0]
    assert "@label=j ACK" in shape(await asked(one, "@label=j JOIN #room"))
