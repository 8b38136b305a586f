"""Owns the words that tell an IRC client how to reach this bouncer: exact host, port and login for a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

    from bouncer.config import Config
    from bouncer.endpoints import Endpoint

ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - recognised here, not bound


@dataclass(frozen=True, slots=True)
class Door:
    """One listener as a client sees it."""

    host: str
    port: int
    tls: bool
    path: str = ""

    @property
    def address(self) -> str:
        """Host for a command line, IPv6 without brackets; the path of a unix socket."""
        return self.path or self.host


@dataclass(frozen=True, slots=True)
class ClientCard:
    """What to type: `login` without a client's name, `lines` by program."""

    door: Door
    login: str
    irssi: str
    weechat: str
    goguma: str


def doors(config: Config, request: web.Request) -> list[Door]:
    """Every listener, with a name instead of `every address` where one is known."""
    return [_door(endpoint, config, request) for endpoint in config.listen]


def _door(endpoint: Endpoint, config: Config, request: web.Request) -> Door:
    if endpoint.path is not None:
        return Door("", 0, tls=False, path=str(endpoint.path))
    host = endpoint.host
    if host in ANYWHERE:
        host = urlsplit(config.web.public_url or f"//{request.host}").hostname or host
    return Door(host, endpoint.port, tls=endpoint.tls)


def client_card(door: Door, user: str, server: str) -> ClientCard:
    """The lines for this listener; PASSWORD stands where one's own belongs.

    Both programs get the login in the server password (`user/server@client:password`), so neither needs SASL.
    """
    login = f"{user}/{server}"
    network = f"bouncer-{server}"
    secure = " -tls -tls_verify" if door.tls else ""
    irssi = (
        f"/network add {network}\n"
        f"/server add -auto -network {network}{secure} {door.address} {door.port or 6667} {login}@irssi:PASSWORD\n"
        f"/connect {network}"
    )
    secure = "-tls" if door.tls else "-notls"  # older than 4.0 has no TLS unless told to, and passes -notls over
    host = f"unix:{door.path}" if door.path else f"{door.host}/{door.port}"
    weechat = (
        f"/server add {network} {host} {secure} -autoconnect -password={login}@weechat:PASSWORD\n/connect {network}"
    )
    shown = f"[{door.host}]" if ":" in door.host else door.host
    goguma = f"{'ircs' if door.tls else 'irc+insecure'}://{user}@{shown}:{door.port}"
    return ClientCard(door, login, irssi, weechat, goguma)


def socket_address(config: Config, request: web.Request) -> str:
    """Where IRC clients in browsers connect: the panel's own address, by WebSocket."""
    base = config.web.public_url or f"http://{request.host}"
    return f"ws{base.removeprefix('http')}/socket"
