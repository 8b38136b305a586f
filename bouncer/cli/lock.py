"""Owns the lock of a storage folder: one bouncer at a time, and no command on its files beside it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Role = Literal["daemon", "command"]


class StorageLock:
    """flock(2) on `storage/lock`, which the kernel lets go of however the process ends.

    The file says who holds it, for messages, and carries a token: when it is still ours, nobody had the lock since.
    """

    def __init__(self, folder: Path, role: Role) -> None:
        self._path = folder / "lock"
        self._role = role
        self._descriptor: int | None = None
        self._token = ""
        self.undisturbed = False

    def try_acquire(self) -> bool:
        """Take the lock if it is free; then `undisturbed` tells whether nobody else had it since we last did.

        Makes the folder (0700) when it is not there. Raises OSError.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self.undisturbed = bool(self._token) and self._read().get("token") == self._token
        self._token = secrets.token_hex(8)
        content = json.dumps({"role": self._role, "pid": os.getpid(), "token": self._token}).encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)
        return True

    def release(self) -> None:
        """Let go of it; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> tuple[str, int]:
        """(role, process id) of who holds it, ("", 0) when that cannot be told."""
        said = self._read()
        role, pid = said.get("role"), said.get("pid")
        return (role, pid) if isinstance(role, str) and isinstance(pid, int) else ("", 0)

    def _read(self) -> dict[str, object]:
        try:
            said = json.loads(self._path.read_text("ascii"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}
