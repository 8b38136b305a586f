from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from bouncer.upstream import Backoff, ConnectParams, forget_contexts
from bouncer.upstream.connection import plain_address
from bouncer.upstream.reasons import in_words
from bouncer.upstream.tls import context_for
from tests.support.certificates import Certificate, self_signed
from tests.support.network import ScriptedNetwork
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _fresh_contexts() -> Iterator[None]:
    forget_contexts()
    yield
    forget_contexts()


@pytest.fixture
def certificate() -> Certificate:
    return self_signed()


@pytest.fixture
async def tls_network(certificate: Certificate, tmp_path: Path) -> AsyncIterator[ScriptedNetwork]:
    async with ScriptedNetwork(context=certificate.server_context(tmp_path)) as started:
        yield started


async def let_in(network: ScriptedNetwork, recorder: Recorder) -> None:
    peer = await network.accept()
    await peer.welcome()
    await recorder.ready()


# -- TLS


async def test_a_self_signed_certificate_is_refused_by_default(
    tls_network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(port=tls_network.port, tls=True)
    assert (await recorder.ended()).startswith("certificate is self-signed: ")
    assert recorder.refused


async def test_a_certificate_of_a_known_authority_is_accepted(
    tls_network: ScriptedNetwork,
    certificate: Certificate,
    connect: Callable[..., Recorder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "authority.pem").write_text(certificate.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    recorder = connect(port=tls_network.port, tls=True)
    await let_in(tls_network, recorder)
    facts = recorder.upstream.tls_facts
    assert facts is not None
    assert facts.verified == "authority"
    assert facts.fingerprint == certificate.fingerprint
    assert facts.version == "TLSv1.3"
    assert facts.issuer == "CN=irc.test"
    assert facts.expires_ms > 1_700_000_000_000
    assert facts.fingerprint in recorder.noted("tls")[0]


async def test_a_certificate_for_another_name_is_refused(
    connect: Callable[..., Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(names=("irc.example.org",))
    (tmp_path / "authority.pem").write_text(certificate.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with ScriptedNetwork(context=certificate.server_context(tmp_path)) as network:
        for address, words in (("localhost", "another host name"), ("127.0.0.1", "another address")):
            recorder = connect(port=network.port, tls=True, address=address)
            assert f"certificate is for {words}" in await recorder.ended()


async def test_an_expired_certificate_is_refused_with_that_reason(
    connect: Callable[..., Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(days=-1)
    (tmp_path / "authority.pem").write_text(certificate.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with ScriptedNetwork(context=certificate.server_context(tmp_path)) as network:
        recorder = connect(port=network.port, tls=True)
        assert (await recorder.ended()).startswith("certificate has expired")


async def test_checking_can_be_turned_off_for_a_server(
    tls_network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(port=tls_network.port, tls=True, tls_verify=False)
    await let_in(tls_network, recorder)
    assert recorder.upstream.tls_facts is not None
    assert recorder.upstream.tls_facts.verified == "not"


async def test_a_pinned_certificate_needs_no_authority_and_no_other_is_taken(
    tls_network: ScriptedNetwork, certificate: Certificate, connect: Callable[..., Recorder]
) -> None:
    pin = ":".join(certificate.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    recorder = connect(port=tls_network.port, tls=True, tls_fingerprint=pin)
    await let_in(tls_network, recorder)
    assert recorder.upstream.tls_facts is not None
    assert recorder.upstream.tls_facts.verified == "fingerprint"
    wrong = connect(port=tls_network.port, tls=True, tls_fingerprint="00" * 32, password="not for strangers")
    assert await wrong.ended() == f"the certificate's fingerprint is {certificate.fingerprint}, not the pinned one"
    another = connect(port=tls_network.port, tls=True, tls_fingerprint=pin)
    while not another.registrations:  # the one turned away may have got as far as being accepted
        peer = await tls_network.accept()
        with contextlib.suppress(EOFError):
            await peer.welcome()
            await another.ready()
    for peer in tls_network.connections:
        assert "PASS" not in " ".join(peer.received)


async def test_a_server_without_tls_on_the_port_is_named_as_such(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(tls=True)
    peer = await network.accept()
    await peer.send("NOTICE * :*** Looking up your hostname...")
    assert await recorder.ended() == "the server does not speak TLS on this port"


async def test_contexts_are_shared_by_kind(certificate: Certificate) -> None:
    def params(**more: Any) -> ConnectParams:
        return ConnectParams(address="irc.example.org", port=6697, nickname="me", **more)

    checked = await context_for(params())
    assert checked is await context_for(params(tls_verify=True))
    assert checked.verify_mode == ssl.CERT_REQUIRED
    assert checked.check_hostname
    loose = await context_for(params(tls_verify=False))
    assert loose is not checked
    assert loose is await context_for(params(tls_fingerprint="00" * 32))
    ours = await context_for(params(client_certificate=certificate.pem))
    assert ours is await context_for(params(client_certificate=certificate.pem))
    assert ours is not checked


async def test_a_client_certificate_that_cannot_be_used_is_told(connect: Callable[..., Recorder]) -> None:
    for bad in ("", "not PEM", self_signed().certificate):
        recorder = connect(tls=True, client_certificate=bad)
        assert (await recorder.ended()).startswith("the client certificate cannot be used")


# -- reaching it


async def test_refused_connections_are_told_in_words(connect: Callable[..., Recorder]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        recorder = connect(port=held.getsockname()[1])
        assert await recorder.ended() == "connection refused"
        recorder = connect(port=held.getsockname()[1], address="localhost")
        assert await recorder.ended() == "connection refused"


async def test_a_name_that_is_none_is_told(connect: Callable[..., Recorder]) -> None:
    assert (await connect(address="no-such-host.invalid").ended()).startswith("host name not found")
    assert await connect(address="a..b").ended() == "not a host name: a..b"


async def test_w13_a_server_that_accepts_and_says_nothing_in_the_handshake_is_given_up(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    recorder = connect(tls=True, connect_s=0.3)
    assert await recorder.ended(5) == "no answer within 0.3 s"
    peer = await network.accept()
    async with asyncio.timeout(5):
        await peer.closed.wait()


async def test_quit_while_connecting_ends_at_once(network: ScriptedNetwork, connect: Callable[..., Recorder]) -> None:
    recorder = connect(tls=True, connect_s=60)
    await network.accept()
    async with asyncio.timeout(5):
        await recorder.upstream.quit("never mind", 5)
    assert await recorder.ended() == "quit"


async def test_an_address_that_is_not_allowed_is_not_connected_to(
    network: ScriptedNetwork, connect: Callable[..., Recorder]
) -> None:
    asked: list[str] = []

    def allow(address: str) -> bool:
        asked.append(address)
        return False

    recorder = connect(address="localhost", allow=allow)
    assert "not allowed here" in await recorder.ended()
    assert "127.0.0.1" in asked
    assert network.connections == []


def test_an_ipv4_address_dressed_as_ipv6_is_seen_as_what_it_is() -> None:
    assert plain_address("::ffff:127.0.0.1") == "127.0.0.1"
    assert plain_address("fe80::1%eth0") == "fe80::1"


def test_failures_have_words_a_person_understands() -> None:
    several = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed"
    )
    assert in_words(several) == "connection refused"
    assert in_words(OSError(113, "x")) == "no route to the server"
    assert in_words(OSError()) == "connection lost"
    assert in_words(ssl.SSLError(1, "no such cipher")).startswith("TLS failed: ")


async def test_an_upstream_runs_once(network: ScriptedNetwork) -> None:
    recorder = Recorder(port=network.port)
    recorder.start()
    await network.accept()
    with pytest.raises(RuntimeError):
        await recorder.upstream.run()
    await recorder.stop()


async def test_what_is_quit_before_it_runs_never_connects(network: ScriptedNetwork) -> None:
    recorder = Recorder(port=network.port)
    await recorder.upstream.quit("bye", 1)
    assert await recorder.ended() == "quit"
    assert network.connections == []


# -- trying again


def test_the_waits_double_from_one_second_to_ten_minutes_with_jitter() -> None:
    lowest, highest = Backoff(chance=lambda: 0.0), Backoff(chance=lambda: 0.999999)
    low = [lowest.delay() for _ in range(12)]
    high = [highest.delay() for _ in range(12)]
    assert low[:5] == [1, 2, 4, 8, 16]
    assert low[-1] == 300
    assert [round(delay) for delay in high[:5]] == [2, 4, 8, 16, 32]
    assert high[-1] == pytest.approx(600, abs=0.01)
    for _ in range(2000):
        assert 1 <= lowest.delay() <= 600


def test_only_a_minute_of_health_starts_the_waits_over() -> None:
    backoff = Backoff(chance=lambda: 0.0)
    for _ in range(4):
        backoff.delay()
        backoff.healthy(59.9)
    assert backoff.attempt == 4
    backoff.healthy(60)
    assert backoff.delay() == 1


async def test_w1_a_server_that_closes_right_after_registering_us_is_left_in_peace(network: ScriptedNetwork) -> None:
    """The waits of a whole hour of it, each after a real registration; the clock alone is not waited for."""

    async def close(peer: Any) -> None:
        await peer.welcome()
        peer.hang_up()

    network.serve(close)
    backoff = Backoff()
    waited: list[float] = []
    while sum(waited) < 3600:
        recorder = Recorder(port=network.port)
        assert await recorder.ended() == "closed by the server"
        assert recorder.registrations == 1
        backoff.healthy(0.1)
        waited.append(backoff.delay())
    within_ten_seconds = next(number for number in range(len(waited)) if sum(waited[:number]) > 10)
    assert within_ten_seconds <= 5
    assert len(network.connections) < 25
