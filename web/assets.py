"""Owns stylesheet, script and pictures: read once at the start, served from memory at addresses that name content."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, the same packed with gzip, and the first 12 hex digits of its SHA-256."""

    content: bytes
    packed: bytes
    content_type: str
    version: str


class Assets(dict[str, Asset]):
    """The files of a folder by name."""

    @classmethod
    def read(cls, folder: Path) -> Assets:
        """Read them all: not for the event loop once the panel serves."""
        files = sorted(file for file in folder.iterdir() if file.is_file())
        return cls({file.name: _asset(file) for file in files})

    def address(self, name: str) -> str:
        """Where the file is, for ever; raises KeyError for one that is not there."""
        return f"/static/{name}?v={self[name].version}"


def _asset(file: Path) -> Asset:
    content = file.read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Asset(content, gzip.compress(content, mtime=0), kind, hashlib.sha256(content).hexdigest()[:12])


ASSETS = web.AppKey("assets", Assets)


async def show(request: web.Request) -> web.Response:
    """One file, packed for who takes that. Pages are not: their length would tell of what is said in them."""
    asset = request.app[ASSETS].get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    charset = "utf-8" if asset.content_type.startswith("text/") else None
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.content, content_type=asset.content_type, charset=charset)
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=asset.packed, content_type=asset.content_type, charset=charset, headers=headers)
