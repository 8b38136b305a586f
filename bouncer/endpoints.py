"""Owns the URIs that say where to listen: their grammar, and what each part means; opens nothing."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bouncer.errors import ConfigError

LISTEN_FORMS = "irc+insecure://HOST:PORT, ircs://HOST:PORT or unix:///PATH, with ?proxy=1 behind a proxy"
HTTP_FORMS = 'http://HOST:PORT, unix:///PATH or "" (off)'
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_PROXY = "proxy=1"
_DEFAULT_PORTS = {"irc+insecure": 6667, "ircs": 6697, "http": 80}
_UNIX_PATH_BYTES = 107  # sun_path of unix(7), less its final NUL
_NAME = re.compile(r"[0-9a-z]([0-9a-z._-]*[0-9a-z])?\.?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Somewhere to listen: `scheme` irc+insecure, ircs, http or unix; `path` for unix, else `host` and `port`.

    Port 0 lets the system choose one. `host` is an address or a name, an IPv6 address without its brackets. `proxy`:
    each connection begins with a PROXY header, which only `trusted` networks (and a unix socket) may send.
    """

    uri: str
    scheme: str
    host: str = ""
    port: int = 0
    path: Path | None = None
    proxy: bool = False
    trusted: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = LOOPBACK

    @property
    def tls(self) -> bool:
        """Whether clients must speak TLS here."""
        return self.scheme == "ircs"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect, as by a unix socket; a proxy brings people from elsewhere."""
        address = _address(self.host)
        if self.proxy:
            return False
        return self.scheme == "unix" or self.host == "localhost" or (address is not None and address.is_loopback)


def parse_listen(uri: str) -> Endpoint:
    """An IRC listener; raises ConfigError. `irc://` is refused: it does not say that it is not encrypted."""
    if uri.lower().startswith("irc://"):
        raise ConfigError(f"{uri!r}: say ircs:// for TLS, or irc+insecure:// if passwords may cross the wire in clear")
    return _parse(uri, {"irc+insecure", "ircs", "unix"}, LISTEN_FORMS)


def parse_http(uri: str) -> Endpoint:
    """An HTTP listener; raises ConfigError."""
    if uri.lower().startswith("https:"):
        raise ConfigError(f"{uri!r}: TLS is the work of a reverse proxy in front; say {HTTP_FORMS}")
    return _parse(uri, {"http", "unix"}, HTTP_FORMS)


def _parse(uri: str, schemes: set[str], forms: str) -> Endpoint:
    try:
        url = urlsplit(uri)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"{uri!r}: {error}") from None
    if url.scheme not in schemes:
        raise ConfigError(f"{uri!r} is not {forms}")
    proxy = url.query == _PROXY and "http" not in schemes
    if (url.query and not proxy) or url.fragment or "@" in url.netloc:
        raise ConfigError(f"{uri!r} has more in it than {forms}")
    if url.scheme == "unix":
        return Endpoint(uri, "unix", path=_unix_path(uri, url.netloc, unquote(url.path)), proxy=proxy)
    host = url.hostname or ""
    if url.path not in {"", "/"} or (_address(host) is None and not _NAME.fullmatch(host)):
        raise ConfigError(f"{uri!r} is not {forms}; every address of this machine is 0.0.0.0 or [::]")
    return Endpoint(uri, url.scheme, host, _DEFAULT_PORTS[url.scheme] if port is None else port, proxy=proxy)


def _unix_path(uri: str, host: str, path: str) -> Path:
    if host or not path.startswith("/") or path.endswith("/"):
        raise ConfigError(f"{uri!r} is not unix:///PATH with an absolute path (three slashes)")
    if len(os.fsencode(path)) > _UNIX_PATH_BYTES:
        raise ConfigError(f"{uri!r}: the path of a unix socket has at most {_UNIX_PATH_BYTES} bytes")
    return Path(path)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
