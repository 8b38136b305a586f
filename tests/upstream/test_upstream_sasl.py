from __future__ import annotations

import base64
import contextlib
import ssl
from typing import TYPE_CHECKING

import pytest

from bouncer import sasl
from bouncer.errors import ProtocolError
from tests.support.certificates import self_signed
from tests.support.network import ScriptedNetwork
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ACCOUNTS = {"acc": "p4ss"}
CAPS = ["sasl=PLAIN,EXTERNAL,SCRAM-SHA-256", "server-time"]


def plain(method: str = "sasl-plain", **more: object) -> dict[str, object]:
    return {"auth_method": method, "auth_account": "acc", "auth_password": "p4ss"} | more


@pytest.mark.parametrize("method", ["sasl-plain", "sasl-scram"])
@pytest.mark.parametrize("caps", [CAPS, ["sasl"]])
async def test_the_password_logs_us_in_before_the_negotiation_ends(
    network: ScriptedNetwork, connect: Callable[..., Recorder], method: str, caps: list[str]
) -> None:
    recorder = connect(**plain(method))
    peer = await network.accept()
    said = await peer.welcome(caps=caps, accounts=ACCOUNTS)
    await recorder.ready()
    assert said.account == recorder.upstream.account == "acc"
    assert recorder.noted("sasl") == ["logged in as acc"]
    assert peer.received.index("CAP END") == len(peer.received) - 1


async def test_external_logs_in_by_our_certificate(tmp_path: Path) -> None:
    ours = self_signed(common_name="someone")
    server = self_signed()
    context = server.server_context(tmp_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=ours.certificate)
    async with ScriptedNetwork(context=context) as network:
        recorder = Recorder(
            port=network.port, tls=True, tls_verify=False, auth_method="sasl-external", client_certificate=ours.pem
        )
        recorder.start()
        peer = await network.accept()
        said = await peer.welcome(caps=CAPS, accounts={"external": ""})
        await recorder.ready()
        assert said.account == "external"
        assert peer.client_fingerprint == ours.fingerprint
        await recorder.stop()


async def test_w12_a_wrong_password_is_told_and_we_go_on_without(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(**plain(auth_password="wrong"))
    peer = await network.accept()
    said = await peer.welcome(caps=CAPS, accounts=ACCOUNTS)
    await recorder.ready()
    assert said.account is None
    assert recorder.noted("sasl") == ["failed: SASL authentication failed; not logged in to an account"]
    assert said.ends == 1


@pytest.mark.parametrize("method", ["sasl-plain", "sasl-scram"])
async def test_w12_where_login_is_required_we_are_never_let_in_without(
    network: ScriptedNetwork, connect: Callable[..., Recorder], method: str
) -> None:
    recorder = connect(**plain(method, auth_password="wrong", auth_required=True))
    peer = await network.accept()
    with pytest.raises(EOFError):
        await peer.register(caps=CAPS, accounts=ACCOUNTS)
    assert await recorder.ended() == "SASL failed: SASL authentication failed"
    assert recorder.refused
    assert recorder.registrations == 0
    assert not [line for line in peer.received if line == "CAP END"]


@pytest.mark.parametrize(
    ("caps", "why"),
    [
        (None, "the network does not offer SASL"),
        (["server-time"], "the network does not offer SASL"),
        (["sasl=EXTERNAL"], "the network does not offer PLAIN, only EXTERNAL"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
async def test_sasl_that_is_not_offered_is_no_reason_to_wait(
    network: ScriptedNetwork, connect: Callable[..., Recorder], caps: list[str] | None, why: str, required: bool
) -> None:
    recorder = connect(**plain(auth_required=required))
    peer = await network.accept()
    if required:
        with contextlib.suppress(EOFError, OSError):
            await peer.register(caps=caps, accounts=ACCOUNTS)
        assert await recorder.ended() == f"SASL failed: {why}"
        assert recorder.registrations == 0
    else:
        await peer.welcome(caps=caps, accounts=ACCOUNTS)
        await recorder.ready()
        assert recorder.noted("sasl") == [f"failed: {why}; not logged in to an account"]


async def test_sasl_that_is_offered_and_then_refused_is_no_reason_to_wait(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(**plain())
    peer = await network.accept()
    said = await peer.welcome(caps=CAPS, refuse_caps=["sasl"])
    await recorder.ready()
    assert said.caps == {"server-time"}
    assert "does not give it" in recorder.noted("sasl")[0]


@pytest.mark.parametrize("number", [902, 904, 905, 906])
async def test_no_refusal_is_answered_so_there_is_no_loop(
    network: ScriptedNetwork, connect: Callable[..., Recorder], number: int
) -> None:
    recorder = connect(**plain())
    peer = await network.accept()
    await peer.expect("CAP", "LS")
    await peer.send(":irc.test CAP * LS :sasl")
    await peer.expect("CAP", "REQ")
    await peer.send(":irc.test CAP * ACK :sasl")
    await peer.expect("AUTHENTICATE", "PLAIN")
    for _ in range(20):
        await peer.send(f":irc.test {number} * :no")
    await peer.expect("CAP", "END")
    peer.welcomed.nick = "someone"
    await peer.numerics()
    await recorder.ready()
    assert len(peer.seen("AUTHENTICATE")) == 1
    assert len(recorder.noted("sasl")) == 1


async def test_a_mechanism_list_in_908_is_told(network: ScriptedNetwork, connect: Callable[..., Recorder]) -> None:
    recorder = connect(**plain())
    peer = await network.accept()
    await peer.expect("CAP", "LS")
    await peer.send(":irc.test CAP * LS :sasl")
    await peer.expect("CAP", "REQ")
    await peer.send(":irc.test CAP * ACK :sasl")
    await peer.expect("AUTHENTICATE", "PLAIN")
    await peer.send(":irc.test 908 * EXTERNAL :are available", ":irc.test 904 * :failed")
    await peer.expect("CAP", "END")
    assert "(offered: EXTERNAL)" in recorder.noted("sasl")[0]


@pytest.mark.parametrize("required", [True, False])
async def test_services_that_never_answer_are_given_up_within_half_the_registration_time(
    network: ScriptedNetwork, connect: Callable[..., Recorder], required: bool
) -> None:
    recorder = connect(**plain(register_s=0.6, auth_required=required))
    peer = await network.accept()
    await peer.expect("CAP", "LS")
    await peer.send(":irc.test CAP * LS :sasl")
    await peer.expect("CAP", "REQ")
    await peer.send(":irc.test CAP * ACK :sasl")
    await peer.expect("AUTHENTICATE", "PLAIN")
    if required:
        assert await recorder.ended() == "SASL failed: no answer within 0.3 s"
        return
    await peer.expect("AUTHENTICATE", "*")
    await peer.expect("CAP", "END")
    await peer.send(":irc.test 906 * :aborted", "AUTHENTICATE +")
    peer.welcomed.nick = "someone"
    await peer.numerics()
    await recorder.ready()
    assert len(peer.seen("AUTHENTICATE")) == 2


async def test_a_server_that_lets_us_in_in_the_middle_of_it_is_noticed(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(**plain(auth_required=True))
    peer = await network.accept()
    await peer.expect("USER")
    await peer.send(":irc.test 001 someone :hello")
    assert await recorder.ended() == "SASL failed: the network let us in before it ended"
    assert recorder.registrations == 0


async def test_when_services_come_back_we_log_in_then(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(**plain())
    peer = await network.accept()
    await peer.welcome(caps=["cap-notify"])
    await recorder.ready()
    await peer.send(":irc.test CAP someone NEW :sasl=PLAIN")
    await peer.expect("CAP", "REQ")
    await peer.send(":irc.test CAP someone ACK :sasl")
    await peer.expect("AUTHENTICATE", "PLAIN")
    await peer.send("AUTHENTICATE +")
    await peer.expect("AUTHENTICATE", base64.b64encode(b"\0acc\0p4ss").decode())
    await peer.send(":irc.test 900 someone someone!u@h acc :you are", ":irc.test 903 someone :done")
    await peer.barrier()
    assert recorder.noted("sasl")[-1] == "logged in as acc"
    await peer.send(":irc.test 901 someone someone!u@h :you are no longer")
    await peer.barrier()
    assert recorder.upstream.account is None
    assert len([line for line in peer.received if line == "CAP END"]) == 1


async def test_a_challenge_that_cannot_be_read_or_does_not_end_is_given_up(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    for challenge in (["!!!"], ["AAA\xe9"], ["A" * 400] * 50):
        recorder = connect(**plain())
        peer = await network.accept()
        await peer.expect("CAP", "LS")
        await peer.send(":irc.test CAP * LS :sasl")
        await peer.expect("CAP", "REQ")
        await peer.send(":irc.test CAP * ACK :sasl")
        await peer.expect("AUTHENTICATE", "PLAIN")
        await peer.send(*(f"AUTHENTICATE {line}" for line in challenge))
        await peer.expect("AUTHENTICATE", "*")
        await peer.expect("CAP", "END")
        assert "challenge" in recorder.noted("sasl")[0]


def test_scram_gives_the_vectors_of_rfc_7677() -> None:
    client = sasl.ScramSha256("user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    assert client.step(b"") == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert client.step(first) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert client.step(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\xff",
        b"r=another,s=QUJD,i=4096",
        b"r=nonce,s=QUJD,i=4096",
        b"r=nonceX,s=QUJD,i=1",
        b"r=nonceX,s=QUJD,i=99999999999",
        b"r=nonceX,s=*,i=4096",
        b"r=nonceX,i=4096",
        b"r=nonceX,s=QUJD,i=many",
    ],
)
def test_a_scram_server_that_breaks_the_rules_gets_no_proof(first: bytes) -> None:
    client = sasl.ScramSha256("user", "pencil", nonce="nonce")
    client.step(b"")
    with pytest.raises(ProtocolError):
        client.step(first)


@pytest.mark.parametrize("final", [b"v=AAAA", b"e=other-error", b"x"])
def test_a_scram_server_that_does_not_know_the_password_is_noticed(final: bytes) -> None:
    client = sasl.ScramSha256("user", "pencil", nonce="nonce")
    client.step(b"")
    client.step(b"r=nonceX,s=QUJD,i=4096")
    with pytest.raises(ProtocolError):
        client.step(final)


def test_names_are_prepared_so_that_equal_looking_ones_are_equal() -> None:
    assert sasl.prepare("I\u00adX") == "IX"
    assert sasl.prepare("\u2168") == "IX"
    assert sasl.prepare("\u00aa") == "a"
    for bad in ("\x07", "\u0627\u0031", "a\x7f"):
        with pytest.raises(ProtocolError):
            sasl.prepare(bad)


@pytest.mark.parametrize(("size", "lines"), [(0, ["+"]), (3, 1), (300, 2), (301, 2), (600, 3)])
def test_responses_are_cut_into_lines_of_400_and_an_even_end_is_marked(size: int, lines: object) -> None:
    pieces = sasl.chunks(b"x" * size)
    assert lines in (pieces, len(pieces))
    assert all(len(piece) <= 400 for piece in pieces)
    assert (pieces[-1] == "+") == (size % 300 == 0)
