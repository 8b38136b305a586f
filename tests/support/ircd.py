"""Runs real IRC servers as processes on loopback: Debian's ngircd and inspircd, each with its files in a test's folder.

    async with ngircd(tmp_path) as server:
        ... connect to server.host, server.port ...

A missing program is a failure that says what to install, never a skip.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

START_S = 20.0
STOP_S = 5.0
_FIRST_PORT, _PORTS = 12_000, 2_000
_SERIAL = itertools.count(os.getpid())


@dataclass(frozen=True, slots=True)
class Ircd:
    """A running server; `port` is plain text, `log` the file with all it said."""

    host: str
    port: int
    log: Path
    process: asyncio.subprocess.Process

    def kill(self) -> None:
        """SIGKILL, as a power cut: connections are reset, nobody is told."""
        self.process.kill()


@contextlib.asynccontextmanager
async def ngircd(
    folder: Path, *, port: int = 0, nick_length: int = 9, penalties: bool = False, extra: str = ""
) -> AsyncIterator[Ircd]:
    """Short nicks and hardly any capability. `extra` is added to its configuration file.

    `penalties` leaves on what it does by itself: a second for a JOIN, two for a refused nick, and so on.
    """
    port = port or free_port()
    config = folder / f"ngircd-{port}.conf"
    config.write_text(
        f"""[Global]
Name = ngircd.test
Info = a server for tests
AdminInfo1 = nobody
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = welcome to ngircd
Network = NgTest

[Limits]
MaxNickLength = {nick_length}
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = {-1 if penalties else 0}
PingTimeout = 120
PongTimeout = 60

[Options]
DNS = no
Ident = no
PAM = no
SyslogFacility = local7
{extra}
"""
    )
    async with _running([program("ngircd"), "-n", "-f", str(config)], port, folder / f"ngircd-{port}.log") as server:
        yield server


@contextlib.asynccontextmanager
async def inspircd(folder: Path, *, port: int = 0, extra: str = "") -> AsyncIterator[Ircd]:
    """Capabilities as large networks have them. `extra` is added to its configuration file."""
    port = port or free_port()
    state = folder / f"inspircd-{port}"
    state.mkdir()
    modules = [
        *("cap", "ircv3", "ircv3_accounttag", "ircv3_batch", "ircv3_capnotify", "ircv3_chghost", "ircv3_ctctags"),
        *("ircv3_echomessage", "ircv3_invitenotify", "ircv3_labeledresponse", "ircv3_msgid", "ircv3_servertime"),
        *("namesx", "uhnames", "monitor", "services_account", "setname", "chghost"),
    ]
    config = state / "inspircd.conf"
    config.write_text(
        f"""<server name="inspircd.test" description="a server for tests" network="InspTest" id="1TS">
<admin name="nobody" nick="nobody" email="nobody@example.test">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect name="all" allow="*" timeout="60" pingfreq="120" recvq="65536" softsendq="1048576" hardsendq="16777216"
 threshold="1000000" fakelag="no" commandrate="1000000" localmax="10000" globalmax="10000" maxchans="1000"
 useident="no" resolvehostnames="no" maxconnwarn="no">
<path configdir="{state}" datadir="{state}" logdir="{state}" runtimedir="{state}">
<files motd="{state}/motd">
<options prefixquit="Quit: " syntaxhints="no" cyclehostsfromuser="no" defaultmodes="nt">
<performance nouserdns="yes" somaxconn="1024" softlimit="10000">
<security hidewhois="" flatlinks="no" hideulines="no">
<limits maxnick="30" maxchan="64" maxmodes="20" maxident="10" maxhost="64" maxquit="255" maxtopic="307" maxkick="255"
 maxreal="128" maxaway="200">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{state}/server.log">
<pid file="{state}/server.pid">
{"".join(f'<module name="{name}">{chr(10)}' for name in modules)}{extra}
"""
    )
    (state / "motd").write_text("welcome to inspircd\n")
    command = [program("inspircd"), "--nofork", "--nolog", "--config", str(config)]
    if os.geteuid() == 0:
        command.append("--runasroot")
    async with _running(command, port, folder / f"inspircd-{port}.log") as server:
        yield server


def program(name: str) -> str:
    """Where a system program is. AssertionError names what to install."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    assert found, f"{name} is not installed; this test runs the real one: apt-get install {name}"
    return found


def free_port() -> int:
    """A loopback port nothing listens on now, which nobody is given by chance: not one of those the system hands out.

    Each worker of the tests has some of its own, in turn.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for _ in range(_PORTS):
        port = _FIRST_PORT + worker % 10 * _PORTS + next(_SERIAL) % _PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextlib.asynccontextmanager
async def _running(command: Sequence[str], port: int, log: Path) -> AsyncIterator[Ircd]:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        await _answering(process, port, log)
        yield Ircd("127.0.0.1", port, log, process)
    finally:
        await _stop(process)


async def _answering(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    """Wait until the server takes connections; AssertionError with its own words when it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_S
    pause = asyncio.Event()
    while process.returncode is None and loop.time() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            with contextlib.suppress(TimeoutError):  # nothing tells when it listens: knock again
                await asyncio.wait_for(pause.wait(), 0.02)
            continue
        writer.close()
        return
    said = await asyncio.get_running_loop().run_in_executor(None, log.read_text)
    raise AssertionError(f"{process.returncode=} instead of listening on {port}: {said[-2000:]}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            continue
        return
