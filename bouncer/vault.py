"""Owns the key that encrypts stored secrets and the file it lives in; knows nothing of what it encrypts."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bouncer.errors import VaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_NAME = "secret.key"
_TEMPORARY = ".key-"


def key_path(storage: Path) -> Path:
    """Where the key is: systemd's credential directory if it holds one, else `storage`."""
    if directory := os.environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory, KEY_NAME)
        if credential.exists():
            return credential
    return storage / KEY_NAME


class Vault:
    """Fernet with every key of one file: one key a line, the newest first; a missing file is made (0600).

    Construction reads or writes the file: do it before the event loop runs, or in a thread.
    Raises VaultError for a file that is not a list of keys.
    """

    def __init__(self, key_file: Path) -> None:
        self.key_file = key_file
        try:
            _create(key_file)
            self._load(key_file.read_text("ascii").split())
        except OSError as error:
            raise VaultError(f"{key_file}: {error.strerror}") from error

    def _load(self, keys: Sequence[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise VaultError(f"{self.key_file} is not a list of keys") from error
        self._keys = list(keys)

    def encrypt(self, text: str) -> str:
        """The token (ASCII) that `decrypt` turns back into `text`; made with the newest key."""
        return self._fernet.encrypt(text.encode("utf-8", "surrogateescape")).decode("ascii")

    def decrypt(self, token: str) -> str:
        """The text of a token made with any of the keys; raises VaultError for any other."""
        try:
            return self._fernet.decrypt(token).decode("utf-8", "surrogateescape")
        except (InvalidToken, ValueError) as error:  # ValueError: it is not even ASCII
            raise VaultError(f"a stored secret cannot be read with the key in {self.key_file}") from error

    def digest(self, text: str) -> bytes:
        """32 bytes that only this installation makes of `text`, the same ones as long as its oldest key is kept."""
        key = base64.urlsafe_b64decode(self._keys[-1])
        return hmac.digest(key, b"digest:" + text.encode("utf-8", "surrogateescape"), "sha256")

    def add_key(self) -> None:
        """Put a new key before the others: what is encrypted from now on uses it, old tokens stay readable."""
        self._write([Fernet.generate_key().decode("ascii"), *self._keys])

    def retire_old_keys(self) -> None:
        """Forget every key but the newest; call only when each token has been encrypted anew."""
        self._write(self._keys[:1])

    def _write(self, keys: Sequence[str]) -> None:
        try:
            for left in self.key_file.parent.glob(f"{_TEMPORARY}*"):  # of one that was killed: old keys must not stay
                left.unlink()
            temporary = _write_temporary(self.key_file, keys)
            temporary.replace(self.key_file)
            _sync(self.key_file.parent)
        except OSError as error:
            raise VaultError(f"{self.key_file}: {error.strerror}") from error
        self._load(keys)


def _create(key_file: Path) -> None:
    """Make the file with one key unless it is there; complete before it has its name, so a crash leaves no half key."""
    if key_file.exists():
        return
    key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = _write_temporary(key_file, [Fernet.generate_key().decode("ascii")])
    try:
        with contextlib.suppress(FileExistsError):  # another process was first: its key is the key
            key_file.hardlink_to(temporary)
            _sync(key_file.parent)
    finally:
        temporary.unlink()


def _sync(folder: Path) -> None:
    """A name in the folder outlives a power cut: what is encrypted with a new key may be on the disk before it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_temporary(key_file: Path, keys: Sequence[str]) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=key_file.parent)  # 0600
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


_installed: list[Vault] = []


def install(vault: Vault | None) -> None:
    """Make `vault` the one that encrypted columns use in this process; None takes it away."""
    _installed[:] = [] if vault is None else [vault]


def installed() -> Vault:
    """The vault of this process; raises VaultError before `install`."""
    if not _installed:
        raise VaultError("no vault is installed: secrets can be neither read nor written")
    return _installed[0]


def encrypt(text: str) -> str:
    """`Vault.encrypt` of the installed vault."""
    return installed().encrypt(text)


def decrypt(token: str) -> str:
    """`Vault.decrypt` of the installed vault."""
    return installed().decrypt(token)
