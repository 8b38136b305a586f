"""Certificates: made, loaded, exchanged while connections go on; with real handshakes."""

from __future__ import annotations

import asyncio
import ssl
import stat
from typing import TYPE_CHECKING

import pytest
import uvloop

from bouncer import tls
from bouncer.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def pair(folder: Path, name: str, *hosts: str) -> tuple[tls.Certificate, Path, Path]:
    made = tls.self_signed(hosts or ("localhost", "127.0.0.1"))
    cert, key = folder / "tls" / f"{name}.pem", folder / "tls" / f"{name}.key"
    tls.write_pair(made, cert, key)
    return made, cert, key


async def seen(port: int, server_hostname: str) -> str:
    """The fingerprint of what a client without any trust is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(10):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_hostname)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
    return tls.fingerprint(der)


async def reload_story(folder: Path, server_hostname: str) -> None:
    first, cert, key = pair(folder, "first")
    second, *newer = pair(folder, "second")
    server_tls = tls.ServerTls(cert, key)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_tls.context)
    async with server, asyncio.timeout(20):
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cafile=cert)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
        assert await seen(port, server_hostname) == first.fingerprint

        await asyncio.to_thread(server_tls.reload, *newer)
        assert await seen(port, server_hostname) == second.fingerprint
        with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
            await asyncio.to_thread(server_tls.reload, newer[0], key)
        assert await seen(port, server_hostname) == second.fingerprint

        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("server_hostname", ["localhost", ""], ids=["with SNI", "without SNI"])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_reload_counts_for_new_handshakes_and_drops_nobody(run: object, server_hostname: str, tmp_path: Path) -> None:
    assert callable(run)
    run(reload_story(tmp_path, server_hostname))


def test_the_key_is_for_its_owner_only_and_nothing_is_overwritten(tmp_path: Path) -> None:
    made, cert, key = pair(tmp_path, "x")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert sorted(each.name for each in key.parent.iterdir()) == ["x.key", "x.pem"]
    with pytest.raises(ConfigError, match="is there already"):
        tls.write_pair(made, cert, tmp_path / "other.key")
    assert not (tmp_path / "other.key").exists()


@pytest.mark.parametrize("host", ["", "a..b", "x" * 64, "a b"])
def test_a_name_that_no_certificate_can_carry_is_refused(host: str) -> None:
    with pytest.raises(ConfigError):
        tls.self_signed([host])


def test_a_certificate_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        tls.self_signed([])


def test_a_name_with_umlauts_is_written_as_dns_has_it() -> None:
    assert tls.self_signed(["bücher.example"]).fingerprint


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("gone", "good.key", "gone: No such file or directory"),
        ("good.pem", "empty", "not a certificate and its unencrypted key"),
        ("good.key", "good.pem", "not a certificate and its unencrypted key"),
        ("good.pem", "encrypted", "not a certificate and its unencrypted key"),
    ],
)
def test_files_that_are_no_pair_are_named(tmp_path: Path, cert: str, key: str, words: str) -> None:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415  # only here

    made, _, good_key = pair(tmp_path, "good")
    folder = good_key.parent
    (folder / "empty").touch()
    secret = form.load_pem_private_key(made.key_pem, None)
    (folder / "encrypted").write_bytes(
        secret.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(ConfigError, match=words):
        tls.ServerTls(folder / cert, folder / key)


async def test_a_client_certificate_is_shown_to_the_server_and_known_by_its_fingerprint(tmp_path: Path) -> None:
    _, cert, key = pair(tmp_path, "server")
    mine = tls.client_certificate("anna on examplenet")
    assert tls.pem_fingerprint(mine.pem) == mine.fingerprint
    assert len(mine.fingerprint) == 64

    (tmp_path / "mine.pem").write_bytes(mine.cert_pem)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_verify_locations(tmp_path / "mine.pem")
    client_side = ssl.create_default_context(cafile=cert)
    tls.use_client_certificate(client_side, mine.pem)
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.set_result(tls.fingerprint(writer.get_extra_info("ssl_object").getpeercert(binary_form=True)))
        writer.close()

    server = await asyncio.start_server(look, "127.0.0.1", 0, ssl=server_side)
    async with server, asyncio.timeout(10):
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_side, server_hostname="localhost")
        assert await shown == mine.fingerprint
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "ü"])
def test_a_text_that_is_no_client_certificate_is_refused(pem: str) -> None:
    with pytest.raises(ConfigError):
        tls.use_client_certificate(ssl.create_default_context(), pem)
    with pytest.raises(ConfigError):
        tls.pem_fingerprint(pem)
