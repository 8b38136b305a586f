"""Owns what systemd is told: the sd_notify(3) protocol over its datagram socket, and nothing about when to say it."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Says how the service is; without a socket every method does nothing and returns False.

    `address` is what $NOTIFY_SOCKET holds: a path, or `@name` in the abstract namespace. Nothing here waits: a message
    for which the socket has no room is not sent, and the method returns False.

    `watchdog_s`: how often `watchdog` must be called, in seconds (half of what systemd allows); None when not at all.
    """

    def __init__(self, address: str = "", *, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._socket: socket.socket | None = None
        self._address = address
        if address.startswith(("/", "@")):
            self._address = "\0" + address[1:] if address.startswith("@") else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        elif address:
            log.warning("$NOTIFY_SOCKET is neither a path nor @name: systemd is not told anything")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        """The one that systemd asks for; see sd_notify(3) and sd_watchdog_enabled(3)."""
        watchdog_s = None
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        if usec.isdecimal() and int(usec) > 0 and pid in {"", str(os.getpid())}:
            watchdog_s = int(usec) / 2_000_000
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog_s=watchdog_s)

    @property
    def enabled(self) -> bool:
        """Whether anybody listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> bool:
        """Start-up, or a reload, is complete."""
        return self._send("READY=1", status)

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it. The time stamp is what Type=notify-reload asks for."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> bool:
        """The ordered stop begins."""
        return self._send("STOPPING=1", status)

    def watchdog(self) -> bool:
        """Still alive."""
        return self._send("WATCHDOG=1")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send("", text)

    def close(self) -> None:
        """Let go of the socket; later messages go nowhere."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str, more: str = "") -> bool:
        if self._socket is None:
            return False
        if more and not more.startswith("MONOTONIC_USEC="):
            more = "STATUS=" + " ".join(more.split())
        try:
            self._socket.sendto("\n".join(part for part in (state, more) if part).encode(), self._address)
        except OSError as error:  # full, gone, not permitted: the service itself must go on
            log.warning("systemd could not be told %s: %s", state or "the status", error)
            return False
        return True
