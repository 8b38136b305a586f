"""Keeps compiled templates from one start to the next, where Python keeps compiled modules: beside the code."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import marshal
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from jinja2.bccache import Bucket

HERE = Path(__file__).parent


class Compiled(jinja2.BytecodeCache):
    """Templates compiled before, of one file; Jinja asks for each and checks that its source is the same.

    The file is as much trusted as the `.pyc` files it lies among: who may write there may change the program. Where
    nobody may, or Python is told to write none, each start compiles anew. All of it is another file's when Python,
    Jinja or a module of the panel changes, as compiling works out what filters make of constants.
    """

    def __init__(self, file: Path | None = None) -> None:
        """Read `file`, for which the panel's own stands; a broken one counts as none."""
        self.file = file or Path(importlib.util.cache_from_source(HERE / "templates.py")).with_suffix(".templates")
        self._key = _key()
        self._known = self._read()
        self._used: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give Jinja what is known of a template, if it is of the same source."""
        if (code := self._known.get(bucket.key)) is not None:
            bucket.bytecode_from_string(code)
            if bucket.code is not None:
                self._used[bucket.key] = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Take what Jinja has compiled."""
        self._used[bucket.key] = bucket.bytecode_to_string()

    def keep(self) -> None:
        """All templates have been asked for: write them down if one was compiled or has gone, and let go of them."""
        if self._used != self._known and not sys.dont_write_bytecode:
            with contextlib.suppress(OSError):
                self._write()
        self._used, self._known = {}, {}

    def _read(self) -> dict[str, bytes]:
        try:
            data = self.file.read_bytes()
        except OSError:
            return {}
        digest, content = data[:32], data[32:]
        if digest != hashlib.sha256(self._key + content).digest():
            return {}
        found: dict[str, bytes] = marshal.loads(content)  # noqa: S302 - trusted as a .pyc is
        return found

    def _write(self) -> None:
        content = marshal.dumps(self._used)
        self.file.parent.mkdir(exist_ok=True)
        made = self.file.with_suffix(f".{os.getpid()}")
        try:
            made.write_bytes(hashlib.sha256(self._key + content).digest() + content)
            made.replace(self.file)
        except OSError:
            made.unlink(missing_ok=True)
            raise


def _key() -> bytes:
    """What compiling depends on beside the templates."""
    found = hashlib.sha256(f"{sys.version} {version('jinja2')}".encode())
    for file in sorted(HERE.glob("*.py")):
        found.update(file.read_bytes())
    return found.digest()
