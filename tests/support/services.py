"""Runs Debian's atheme-services on a running InspIRCd: NickServ, and SASL for who connects.

async with inspircd(folder, extra=services_link(port)) as server, atheme(folder, port):
    ... PRIVMSG NickServ :REGISTER password mail@example.test ...
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.support.ircd import STOP_S, program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MODULES = (
    *("protocol/inspircd", "backend/opensex", "crypto/pbkdf2v2", "nickserv/main", "nickserv/identify"),
    *("nickserv/register", "nickserv/logout", "nickserv/info", "saslserv/main", "saslserv/plain"),
)


def services_link(port: int) -> str:
    """What an InspIRCd needs in its configuration to take services at that port, and SASL from them."""
    return f"""<module name="spanningtree">
<module name="sasl">
<bind address="127.0.0.1" port="{port}" type="servers">
<link name="services.test" ipaddr="127.0.0.1" port="{port}" allowmask="127.0.0.0/8" sendpass="link" recvpass="link">
<uline server="services.test" silent="yes">
<sasl target="services.test" requiressl="no">
"""


@contextlib.asynccontextmanager
async def atheme(folder: Path, port: int) -> AsyncIterator[None]:
    """Services linked to the server that takes them at that port, until the end; AssertionError if they are not."""
    home = folder / f"atheme-{port}"
    lines = "".join(f'loadmodule "modules/{name}";\n' for name in MODULES)
    config = home / "atheme.conf"
    text = f"""{lines}
crypto {{ pbkdf2v2_rounds = 10000; }};
serverinfo {{
  name = "services.test"; desc = "services for tests"; numeric = "00A"; recontime = 1; netname = "InspTest";
  hidehostsuffix = "users.test"; adminname = "nobody"; adminemail = "nobody@example.test";
  registeremail = "nobody@example.test"; auth = none; mta = "/bin/true"; loglevel = {{ error; info; }};
  maxlogins = 100; maxusers = 100; mdlimit = 100; casemapping = rfc1459;
}};
uplink "inspircd.test" {{ host = "127.0.0.1"; send_password = "link"; receive_password = "link"; port = {port}; }};
nickserv {{ nick = "NickServ"; user = "NickServ"; host = "services.test"; real = "Nickname services"; }};
saslserv {{ nick = "SaslServ"; user = "SaslServ"; host = "services.test"; real = "SASL"; }};
general {{ commit_interval = 60; }};
database {{ }};
"""
    await asyncio.to_thread(_write, config, text)
    process = await asyncio.create_subprocess_exec(
        *(program("atheme-services"), "-n", "-c", str(config), "-D", str(home)),
        *("-l", str(home / "log"), "-p", str(home / "pid")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(STOP_S):
            await process.wait()


def _write(config: Path, text: str) -> None:
    config.parent.mkdir(mode=0o700)
    config.write_text(text, encoding="utf-8")
