from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import pytest

from bouncer.irc.caps import UPSTREAM_WANTED
from bouncer.upstream.capabilities import MAX_OFFERED
from bouncer.upstream.nicks import candidates
from tests.support.network import ISUPPORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.network import Peer, ScriptedNetwork
    from tests.support.recorder import Recorder


async def test_a_plain_server_lets_us_in_and_everything_it_said_is_reported_once(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(username="me", realname="Some One", password="let me in")
    peer = await network.accept()
    said = await peer.welcome()
    await recorder.ready()
    await peer.barrier()
    assert (said.nick, said.username, said.realname, said.password) == ("someone", "me", "Some One", "let me in")
    assert said.ends == 1
    assert recorder.registrations == 1
    commands = [message.command for message in recorder.got]
    assert commands == ["CAP", "001", "002", "003", "004", "005", "375", "372", "376", "PING"]
    upstream = recorder.upstream
    assert upstream.connected
    assert upstream.registered
    assert upstream.nickname == upstream.wanted_nick == "someone"


async def test_registered_comes_once_and_after_the_lines_that_brought_the_end_of_the_motd(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    order: list[tuple[int, list[str]]] = []
    recorder.on_lines = lambda lines: order.append((recorder.registrations, [line.command for line in lines]))
    peer = await network.accept()
    await peer.register()
    await peer.numerics(motd=())
    await recorder.ready()
    await peer.numerics(motd=["asked for again"])
    await peer.barrier()
    before = [commands for registrations, commands in order if registrations == 0]
    assert before[-1][-1] == "422"
    assert recorder.registrations == 1


async def test_a_server_without_cap_is_fine(network: ScriptedNetwork, connect: Callable[..., Recorder]) -> None:
    recorder = connect()
    peer = await network.accept()
    said = await peer.welcome(caps=None)
    await recorder.ready()
    await peer.barrier()
    assert said.ends == 0
    assert peer.seen("CAP") == ["CAP LS 302"]
    assert recorder.upstream.caps == frozenset()


async def test_a_server_that_answers_cap_with_451_is_fine(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    peer = await network.accept()
    await peer.expect("USER")
    peer.welcomed.nick = "someone"
    await peer.send(":irc.test 451 * :Connection not registered")
    await peer.numerics()
    await recorder.ready()
    await peer.barrier()
    assert not [line for line in peer.received if line.startswith("CAP END")]


async def test_a_list_of_capabilities_in_many_lines_is_one_list(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    peer = await network.accept()
    offered = [*UPSTREAM_WANTED, "example.org/other=1,2", "sts=duration=1"]
    said = await peer.welcome(caps=offered, caps_per_line=2)
    await recorder.ready()
    assert said.caps == set(UPSTREAM_WANTED)
    assert recorder.upstream.caps == set(UPSTREAM_WANTED)
    assert recorder.upstream.cap_values["example.org/other"] == "1,2"
    assert said.ends == 1
    assert said.cap_ls == "302"


async def test_one_refused_capability_costs_no_other(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    peer = await network.accept()
    said = await peer.welcome(caps=UPSTREAM_WANTED, refuse_caps=["chghost"])
    await recorder.ready()
    assert recorder.upstream.caps == set(UPSTREAM_WANTED) - {"chghost"}
    assert said.ends == 1
    assert any("chghost" in note for note in recorder.noted("caps"))


async def test_capabilities_that_come_and_go_are_followed_without_another_cap_end(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    peer = await network.accept()
    await peer.welcome(caps=["server-time", "away-notify"])
    await recorder.ready()
    await peer.send(":irc.test CAP someone DEL :away-notify")
    await peer.barrier()
    assert recorder.upstream.caps == {"server-time"}
    await peer.send(":irc.test CAP someone NEW :away-notify chghost example.org/x=1")
    request = await peer.expect("CAP", "REQ")
    assert request.params[1].split() == ["away-notify", "chghost"]
    await peer.send(":irc.test CAP someone ACK :away-notify ", ":irc.test CAP someone ACK :chghost")
    await peer.barrier()
    assert recorder.upstream.caps == {"server-time", "away-notify", "chghost"}
    assert peer.welcomed.ends == 1
    assert len([line for line in peer.received if line == "CAP END"]) == 1


async def test_odd_capability_lines_stop_nothing(network: ScriptedNetwork, connect: Callable[..., Recorder]) -> None:
    recorder = connect()
    peer = await network.accept()
    await peer.expect("USER")
    await peer.send("CAP", "CAP *", "CAP * LS", ":x CAP * ACK :", ":x CAP * NAK :never-asked", ":x CAP * WHAT :x y")
    await peer.send(":x CAP * LS :server-time")
    assert (await peer.expect("CAP", "REQ")).params[1] == "server-time"
    await peer.send(":x CAP * ACK :-server-time")
    await peer.expect("CAP", "END")
    peer.welcomed.nick = "someone"
    await peer.numerics()
    await recorder.ready()
    assert recorder.upstream.caps == frozenset()


async def test_the_users_alternatives_come_before_a_suffix(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(alternatives=("other", "third"))
    peer = await network.accept()
    said = await peer.welcome(taken=["someone", "other"])
    await recorder.ready()
    assert said.nick == recorder.upstream.nickname == "third"
    assert recorder.upstream.wanted_nick == "someone"
    assert recorder.noted("nick")[0] == "someone: Nickname is already in use; trying other"


@pytest.mark.parametrize("number", [432, 433, 436, 437])
async def test_every_way_of_refusing_a_nick_leads_to_the_next(
    network: ScriptedNetwork, connect: Callable[..., Recorder], number: int
) -> None:
    recorder = connect()
    peer = await network.accept()
    await peer.expect("NICK", "someone")
    await peer.send(f":irc.test {number} * someone :not this one")
    await peer.expect("NICK", "someone_")
    peer.welcomed.nick = "someone_"
    await peer.numerics()
    await recorder.ready()
    assert recorder.upstream.nickname == "someone_"


async def test_a_nick_that_is_never_accepted_ends_with_the_servers_words(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(nickname="1bad")
    peer = await network.accept()
    with contextlib.suppress(EOFError):
        while True:
            nick = (await peer.expect("NICK")).params[0]
            await peer.send(f":irc.test 432 * {nick} :Erroneous nickname")
    assert await recorder.ended() == "no nickname was accepted: Erroneous nickname"
    assert recorder.refused
    assert len(peer.seen("NICK")) < 40


def test_candidates_reach_a_nine_letter_network_and_end() -> None:
    tried = list(candidates("averylongnickname", ["mine", "mine"], lambda _: 42))
    assert tried[:3] == ["mine", "averylongnickname_", "averylongnickname__"]
    assert [nick for nick in tried if len(nick) <= 9][1:4] == ["averylong", "averylon_", "averylon2"]
    assert len(tried) == len(set(tried)) < 30


async def test_the_nick_is_followed_when_it_changes_by_wish_or_by_force(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    peer = await network.accept()
    await peer.welcome()
    await recorder.ready()
    await peer.send(":somebody!u@h NICK someone2", ":Someone!u@h NICK :Guest1", ":someone!u@h NICK nobody")
    await peer.barrier()
    assert recorder.upstream.nickname == "Guest1"


async def test_a_ping_before_registration_is_answered_word_for_word(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    connect()
    peer = await network.accept()
    await peer.expect("USER")
    await peer.send("PING :a cookie: with\xff words".encode("latin-1"))
    assert await peer.expect("PONG")
    assert peer.seen("PONG") == [b"PONG :a cookie: with\xff words".decode("utf-8", "surrogateescape")]


async def test_an_endless_motd_does_not_keep_us_out(network: ScriptedNetwork, connect: Callable[..., Recorder]) -> None:
    recorder = connect(register_s=0.3)
    peer = await network.accept()
    await peer.register()
    await peer.send(":irc.test 001 someone :hello")
    await recorder.ready()
    assert recorder.noted("motd")
    assert recorder.upstream.registered
    await peer.numerics()
    await peer.barrier()
    assert recorder.registrations == 1


async def test_a_setting_that_cannot_be_sent_is_named_and_nothing_is_injected(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(realname="x\r\nQUIT")
    assert (await recorder.ended()).startswith("a setting of this server cannot be sent")
    peer = await network.accept()
    await peer.closed.wait()
    assert "QUIT" not in peer.received


async def test_nickserv_is_told_after_001_and_the_echo_of_the_password_is_not_reported(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(auth_method="nickserv", auth_account="acc", auth_password="p4ssword")
    peer = await network.accept()
    await peer.welcome(caps=["echo-message"])
    await peer.expect("PRIVMSG", "NickServ", "IDENTIFY acc p4ssword")
    await peer.send(
        f":{peer.mask} PRIVMSG NickServ :IDENTIFY acc p4ssword", f":{peer.mask} PRIVMSG #a :IDENTIFY is how"
    )
    await peer.barrier()
    assert not [raw for raw in recorder.raw if b"p4ssword" in raw]
    assert [raw for raw in recorder.raw if b"IDENTIFY is how" in raw]


async def answer_by(peer: Peer, *lines: str) -> None:
    """The server's answer to a registration, then its end."""
    await peer.expect("USER")
    await peer.send(*lines)
    peer.hang_up()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["ERROR :Closing Link: (K-lined)"], "closed by the server: Closing Link: (K-lined)"),
        ([":irc.test 464 * :Password incorrect"], "closed by the server: Password incorrect"),
        ([":irc.test 465 * :You are banned"], "closed by the server: You are banned"),
        ([], "closed by the server"),
    ],
)
async def test_the_reason_for_being_turned_away_is_the_servers(
    network: ScriptedNetwork, connect: Callable[..., Recorder], lines: list[str], reason: str
) -> None:
    recorder = connect()
    await answer_by(await network.accept(), *lines)
    assert await recorder.ended() == reason
    assert recorder.refused


async def test_a_server_that_says_nothing_is_given_up_after_the_registration_time(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(register_s=0.3)
    await network.accept()
    assert await recorder.ended(5) == "registration timed out after 0.3 s"
    assert recorder.refused


async def test_isupport_and_the_rest_of_the_welcome_come_as_they_were_sent(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    peer = await network.accept()
    await peer.welcome(isupport=[*ISUPPORT, *(f"EXAMPLE{number}=x" for number in range(30))])
    await recorder.ready()
    tokens = itertools.chain.from_iterable(one.params[1:-1] for one in recorder.got if one.command == "005")
    assert list(tokens)[-1] == "EXAMPLE29=x"


async def test_a_network_that_offers_without_end_is_asked_once_and_remembered_in_part(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect()
    peer = await network.accept()
    await peer.welcome(caps=[])
    await recorder.ready()
    for start in range(0, 2000, 100):
        names = " ".join(f"example.org/{number}" for number in range(start, start + 100))
        await peer.send(f":irc.test CAP someone NEW :{names}", ":irc.test CAP someone NEW :away-notify")
        await peer.send(f":irc.test CAP someone ACK :{names}")
    await peer.barrier()
    assert len(recorder.upstream.cap_values) == MAX_OFFERED
    assert len(recorder.upstream.caps) <= MAX_OFFERED
    assert [line for line in peer.received if line.startswith("CAP REQ")] == ["CAP REQ :away-notify"]
