"""Owns the question whether a request was made by one of our own pages; refuses nothing itself."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

    from bouncer.config import Config


def from_here(request: web.Request, config: Config) -> bool:
    """Whether an unsafe request comes from our own pages.

    Browsers say so in Sec-Fetch-Site, older ones (and any over plain http to another host) in Origin. Origin is
    compared with the public URL where there is one: the request's own Host is not what the browser saw when a proxy is
    between, and anyone can make a name point here. A request with neither header is not from a browser.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    if config.web.public_url:
        public = urlsplit(config.web.public_url)
        return origin == f"{public.scheme}://{public.netloc}"
    return origin == f"http://{request.host}" and _is_ours(request.host, config)


def _is_ours(host: str, config: Config) -> bool:
    """A Host nobody else can make point here: a literal address, localhost, or the listener's own name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or (config.web.listen is not None and name == config.web.listen.host):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
