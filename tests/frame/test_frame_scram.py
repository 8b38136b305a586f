"""SCRAM-SHA-256 from the server's side: against the RFC's own example, and against our client's side."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.errors import ProtocolError
from bouncer.sasl import ScramSha256
from bouncer.scram import ScramServer, derive


def test_the_example_of_rfc_7677() -> None:
    server = ScramServer(nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == "user"
    keys = derive("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    first = server.challenge(keys)
    assert first == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert server.finish(final) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize(("password", "right"), [("secret", True), ("guess", False)])
def test_our_client_and_our_server_agree(password: str, right: bool) -> None:
    client, server = ScramSha256("al,ice/net=1@phone", password), ScramServer()
    assert server.first(client.step(b"")) == "al,ice/net=1@phone"
    answer = server.finish(client.step(server.challenge(derive("secret"))))
    assert (answer is not None) is right
    if answer is not None:
        assert client.step(answer) == b""


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,",
        b"p=tls-unique,,n=a,r=b",
        b"n,a=other,n=a,r=b",
        b"n,,m=ext,n=a,r=b",
        b"n,,n=a=,r=b",
        b"n,,n=a,r=",
        b"n,,n=a,r=" + b"x" * 300,
        b"n,,n=\xff,r=b",
    ],
)
def test_a_first_message_that_cannot_be_read(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        ScramServer().first(message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws,r=nonce,p=AAAA",
        b"c=eSws,r={nonce},p=AAAA",
        b"c=biws,r={nonce}",
        b"c=biws,r={nonce},p=!",
        b"r={nonce},c=biws,p=AA==",
    ],
)
def test_a_final_message_of_another_exchange(message: bytes) -> None:
    server = ScramServer()
    server.first(b"n,,n=a,r=abc")
    nonce = server.challenge(derive("x", rounds=1)).split(b",")[0].removeprefix(b"r=")
    with pytest.raises(ProtocolError):
        server.finish(message.replace(b"{nonce}", nonce))


@given(st.binary(max_size=60))
def test_a_proof_that_is_no_proof_is_wrong(proof: bytes) -> None:
    server = ScramServer()
    server.first(b"n,,n=a,r=abc")
    nonce = server.challenge(derive("x", b"salt", rounds=1)).split(b",")[0]
    assert server.finish(b"c=biws," + nonce + b",p=" + base64.b64encode(proof)) is None
