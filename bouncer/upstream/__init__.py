"""Owns our connection to one IRC network: pydle, tamed; the only package that imports it.

params      what goes over the seam: ConnectParams, UpstreamEvents, TlsFacts, OUR_PING
link        Upstream: connect, register, read; lines in, lines out
client      registration, nick, PING, on pydle's dispatch; over login (SASL) and capabilities (CAP)
connection  TCP and TLS; tls the shared contexts; reasons the words for failures
reader      bytes to messages; nicks the candidates; backoff the waits between attempts
"""

from __future__ import annotations

from bouncer.upstream.backoff import Backoff
from bouncer.upstream.link import Upstream
from bouncer.upstream.params import (
    LINE_LIMIT,
    OUR_PING,
    AuthMethod,
    ConnectParams,
    NoteKind,
    TlsFacts,
    UpstreamEvents,
    is_own_pong,
)
from bouncer.upstream.tls import forget_contexts

__all__ = [
    "LINE_LIMIT",
    "OUR_PING",
    "AuthMethod",
    "Backoff",
    "ConnectParams",
    "NoteKind",
    "TlsFacts",
    "Upstream",
    "UpstreamEvents",
    "forget_contexts",
    "is_own_pong",
]
