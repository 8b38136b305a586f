"""Owns the programs that ours is measured beside, both Debian's: ngircd as the network, ZNC as the other bouncer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from typing import TYPE_CHECKING

from benchmarks.process import Process, connect, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NGIRCD = """[Global]
Name = bench.test
Info = a network to measure on
AdminInfo1 = nobody
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hello
[Limits]
MaxNickLength = 20
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 600
[Options]
DNS = no
Ident = no
PAM = no
SyslogFacility = local7
"""
ZNC = """Version = 1.8.2
ConnectDelay = 1
ServerThrottle = 0
AnonIPLimit = 0
MaxBufferSize = {missed}
<Listener l>
  Port = {port}
  Host = 127.0.0.1
  IPv4 = true
  IPv6 = false
  SSL = false
  AllowIRC = true
  AllowWeb = false
</Listener>
"""
ZNC_USER = """<User {name}>
  Nick = {name}
  Ident = {name}
  RealName = {name}
  Buffer = {missed}
  MaxJoins = 0
  {module}
  <Pass password>
    Method = SHA256
    Hash = {password}
    Salt = {salt}
  </Pass>
  <Network net>
    FloodRate = -1.00
    IRCConnectEnabled = true
    Server = 127.0.0.1 {network}
{channels}
  </Network>
</User>
"""
LOGGED = re.compile(r"^\[[0-9:]+\] <[^>]+> (.*)$", re.MULTILINE)
SALT = "as-salty-as-the-sea-"
MISSED = 20_000
"""Messages of a channel that ZNC is told to keep for who is not there."""


class Program(Process):
    """A running program and the port it listens on; `folder` has its files."""

    def __init__(self, port: int, folder: Path, pid: int) -> None:
        super().__init__(pid)
        self.port = port
        self.folder = folder


@contextlib.contextmanager
def ngircd(place: Path) -> Iterator[Program]:
    """Debian's ircd, with nothing that slows people down."""
    port = free_port()
    config = place / "ngircd.conf"
    config.write_text(NGIRCD.format(port=port), encoding="utf-8")
    with running([_program("ngircd"), "-n", "-f", str(config)], place / "ngircd.log") as process:
        connect(port).close()
        yield Program(port, place, process.pid)


@contextlib.contextmanager
def znc(
    place: Path, users: list[str], password: str, network: int, channels: list[str], *, log: bool
) -> Iterator[Program]:
    """ZNC with those users on that network, with its log module or without."""
    port = free_port()
    text = ZNC.format(port=port, missed=MISSED)
    for name in users:
        text += ZNC_USER.format(
            name=name,
            password=hashlib.sha256(f"{password}{SALT}".encode()).hexdigest(),
            salt=SALT,
            network=network,
            missed=MISSED,
            module="LoadModule = log" if log else "",
            channels="\n".join(f"    <Chan {channel}>\n    </Chan>" for channel in channels),
        )
    config = place / "configs" / "znc.conf"
    config.parent.mkdir(parents=True)
    config.write_text(text, encoding="utf-8")
    command = [_program("znc"), "--foreground", "--datadir", str(place)]
    with running(command, place / "znc.log", user=_not_root(place)) as process:
        connect(port).close()
        yield Program(port, place, process.pid)


def logged(place: Path, user: str) -> list[str]:
    """What ZNC's log module has written of what was said to that user, in order."""
    files = sorted((place / "users" / user / "moddata" / "log").rglob("*.log"))
    return [
        said for file in files for said in re.findall(r"^\[[0-9:]+\] <[^>]+> (.*)$", file.read_text(), re.MULTILINE)
    ]


def _not_root(place: Path) -> str | None:
    """Whom to run as: ZNC makes root wait for half a minute. The folder is given to them."""
    if os.getuid() != 0:
        return None
    place.parent.chmod(0o711)
    for path in (place, *place.rglob("*")):
        shutil.chown(path, "nobody")
    return "nobody"


def _program(name: str) -> str:
    path = shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")
    assert path, f"{name} is not installed; `make bench` sees to it"
    return path
