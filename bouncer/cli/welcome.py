"""Owns what a first start says: who the admin is, where things are, and a line to paste into a client."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked for, not listened on


def welcome(name: str, password: str, listening: Sequence[str], panel: str) -> list[str]:
    """The lines for a terminal; `listening` are URIs, `panel` its address or "" when it is off."""
    return [
        "This is the first start: an admin was made.",
        f"  name      {name}",
        f"  password  {password}",
        "            (one-time: the panel asks for your own at the first sign-in; until then it works for IRC, too)",
        f"  panel     {panel or 'off'}",
        *(f"  IRC       {uri}" for uri in listening),
        *client_lines(name, password, listening),
    ]


def client_lines(name: str, password: str, listening: Sequence[str]) -> list[str]:
    """Lines to paste into irssi and clients like it; none when there are only unix sockets."""
    for uri in listening:
        url = urlsplit(uri)
        if url.hostname is None or url.port is None:
            continue
        host = EVERYWHERE.get(url.hostname, url.hostname)
        tls = url.scheme == "ircs"
        start = f"/connect {'-tls ' if tls else ''}{host} {url.port}"
        return [
            "Paste into an IRC client:",
            f"  {start} {name}:{password}",
            "and once you have added a server, `libera` for one:",
            f"  {start} {name}/libera:{password}",
        ]
    return []


def write_password(path: Path, name: str, password: str) -> None:
    """Put name and password into a file only its owner can read (0600), whole or not at all. Blocking."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{name} {password}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
