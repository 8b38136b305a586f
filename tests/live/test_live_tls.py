"""Clients on a TLS listener: who shows a certificate, who shows none, and logging in by it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bouncer import tls
from bouncer.config import Tls
from bouncer.endpoints import parse_listen
from tests.support.house import PASSWORD, Attached

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.config import Config
    from tests.support.house import House


@pytest.fixture
def config(config: Config, tmp_path: Path) -> Config:
    """With a TLS listener."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    tls.write_pair(tls.self_signed(["localhost"]), cert, key)
    return replace(config, listen=(parse_listen("ircs://127.0.0.1:0"),), tls=Tls(cert, key))


async def connect(house: House, certificate: tls.Certificate | None, *lines: str) -> Attached:
    """A client that shows this certificate, or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        await asyncio.to_thread(tls.use_client_certificate, context, certificate.pem)
    client = Attached(*await asyncio.open_connection("127.0.0.1", house.port, ssl=context))
    house.clients.append(client)
    client.send(*lines)
    return client


async def test_a_certificate_is_enrolled_used_listed_and_removed(house: House) -> None:
    await house.user("alice")
    mine = tls.client_certificate("alice's laptop")
    client = await connect(house, mine, "CAP LS 302", "CAP REQ :soju.im/client-cert batch", "AUTHENTICATE EXTERNAL")
    assert "sasl=PLAIN,EXTERNAL,SCRAM-SHA-256" in " ".join(await client.until("AUTHENTICATE +"))
    client.send("AUTHENTICATE +")
    assert " 904 * " in (await client.until(" 904 "))[-1]
    plain = base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode()
    client.send("AUTHENTICATE PLAIN", f"AUTHENTICATE {plain}", "NICK me", "USER me 0 * :me", "CAP END")
    await client.until(" 422 ")
    client.send("CLIENTCERT CREATE :on the\tlaptop")
    assert (await client.until("CLIENTCERT CREATE"))[-1].endswith(" CLIENTCERT CREATE")

    other = await connect(house, mine, "CAP REQ :sasl batch soju.im/client-cert", "AUTHENTICATE EXTERNAL")
    name = base64.b64encode(b"alice/@pc").decode()
    other.send(f"AUTHENTICATE {name}", "NICK me", "USER me 0 * :me", "CAP END")
    lines = await other.until(" 422 ")
    assert any(" 900 * *!alice@bouncer alice " in line for line in lines)
    der = ssl.PEM_cert_to_DER_cert(mine.cert_pem.decode())
    shown = hashlib.sha512(der).hexdigest().upper()
    other.send("CLIENTCERT LIST")
    (begin, line, _) = (await other.until("BATCH -"))[-3:]
    assert begin.endswith("soju.im/client-cert")
    assert f" CLIENTCERT LIST {shown} name=on\\sthe\\slaptop time=2" in line
    assert line.endswith(" ip=127.0.0.1")
    other.send("CLIENTCERT FROB", "CLIENTCERT DELETE 1234")
    assert "FAIL CLIENTCERT UNKNOWN_COMMAND FROB" in (await other.until("FROB"))[-1]
    await other.until("FAIL CLIENTCERT INTERNAL_ERROR DELETE")
    client.send(f"CLIENTCERT DELETE {shown}")
    await client.until(f"CLIENTCERT DELETE {shown}")
    await other.until("ERROR")  # it came in with that
    again = await connect(house, mine, "AUTHENTICATE EXTERNAL", "AUTHENTICATE +")
    await again.until(" 904 ")


async def test_who_shows_no_certificate_is_let_in_by_the_password(house: House) -> None:
    await house.user("alice")
    client = await connect(house, None, "CAP REQ soju.im/client-cert", "AUTHENTICATE EXTERNAL", "AUTHENTICATE +")
    await client.until(" 904 ")
    client.send("CAP END", f"PASS :alice:{PASSWORD}", "NICK me", "USER me 0 * :me")
    await client.until(" 422 ")
    client.send("CLIENTCERT CREATE :x", "CLIENTCERT DELETE", "CLIENTCERT LIST", "PING end")
    lines = await client.until("PONG")
    assert "FAIL CLIENTCERT NOCERT CREATE" in lines[-3]
    assert "FAIL CLIENTCERT INTERNAL_ERROR DELETE" in lines[-2]


async def test_a_certificate_by_itself_lets_nobody_in(house: House) -> None:
    number = await house.user("alice")
    mine, strange = tls.client_certificate("mine"), tls.client_certificate("strange")
    await house.supervisor.service.certificates.enrol(number, mine.fingerprint, "by hand")
    client = await connect(house, mine, "NICK me", "USER alice 0 * :me")
    await client.until(" 464 ")
    for certificate, claimed in ((strange, ""), (mine, "bob")):
        client = await connect(house, certificate, "AUTHENTICATE EXTERNAL")
        client.send(f"AUTHENTICATE {base64.b64encode(claimed.encode()).decode() or '+'}")
        await client.until(" 904 ")
