"""Owns what a process writes, syncs and sends, in order, as `strace` tells it, and the disk that a power cut leaves."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

DEADLINE_S = 60.0
CALLS = "pwrite64,fdatasync,fsync,ftruncate,write,writev,sendto,sendmsg"
SECTOR = 512
"""What a disk writes as a whole."""
_CALL = re.compile(r"^(\d+) +(\w+)\(\d+<([^>]*)>(.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_AT = re.compile(r", (\d+)\) += (\d+)$")


class Happened(NamedTuple):
    """One call that has returned: bytes written to a file at `offset`, a file synced or cut, or bytes sent."""

    kind: Literal["write", "sync", "cut", "send"]
    path: str
    offset: int = 0
    data: bytes = b""


@contextlib.asynccontextmanager
async def traced(pid: int, out: Path) -> AsyncIterator[None]:
    """A block in which all that the process does to files and sockets is written to `out`."""
    strace = shutil.which("strace")
    assert strace is not None, "strace is not there: apt-get install strace"
    words = [strace, "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(out), "-p", str(pid)]
    tracer = await asyncio.create_subprocess_exec(*words, stderr=subprocess.PIPE)
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert tracer.stderr is not None
            while b"attached" not in (line := await tracer.stderr.readline()):
                assert line, "strace could not attach: may this user trace processes?"
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE_S):
            await tracer.communicate()


def read(out: Path) -> Iterator[Happened]:
    """The calls in the order of their ends, but sending in the order of their beginnings: what left, left."""
    begun: dict[str, tuple[str, str, str]] = {}
    with out.open(encoding="ascii", errors="replace") as lines:
        for text in lines:
            line = text.rstrip("\n")
            if found := _CALL.match(line):
                thread, name, rest = found[1], found[2], found[4]
                path = _plain(found[3]).decode()
                if _sends(name, path):
                    yield Happened("send", path, 0, b"".join(_data(rest)))
                elif rest.endswith("<unfinished ...>"):
                    begun[thread] = name, path, rest.removesuffix("<unfinished ...>")
                else:
                    yield from _ended(name, path, rest)
            elif (found := _RESUMED.match(line)) and (call := begun.pop(found[1], None)) is not None:
                name, path, rest = call
                yield from _ended(name, path, rest.rstrip() + found[2])


def _sends(name: str, path: str) -> bool:
    return name in {"write", "writev", "sendto", "sendmsg"} and path.startswith(("socket:", "TCP", "UNIX"))


def _data(rest: str) -> Iterator[bytes]:
    for text in _BYTES.findall(rest):
        yield _plain(text)


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _ended(name: str, path: str, rest: str) -> Iterator[Happened]:
    if name == "pwrite64":
        where = _AT.search(rest)
        assert where is not None, rest[-200:]
        yield Happened("write", path, int(where[1]), b"".join(_data(rest))[: int(where[2])])
    elif name in {"fdatasync", "fsync"}:
        yield Happened("sync", path)
    elif name == "ftruncate":
        yield Happened("cut", path, int(rest.split(",")[1].split(")", maxsplit=1)[0]))


@dataclass
class Disk:
    """Files as the disk has them: what was synced is there, of what was not any part may be, sector by sector."""

    synced: dict[str, bytearray]
    pending: dict[str, list[Happened]] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Disk:
        """As they are now, all of it synced."""
        return cls({str(path): bytearray(path.read_bytes()) for path in paths if path.exists()})

    def happen(self, what: Happened) -> None:
        """A call has returned."""
        if what.kind in {"write", "cut"}:
            self.pending.setdefault(what.path, []).append(what)
        elif what.kind == "sync":
            for one in self.pending.pop(what.path, []):
                _apply(self.synced.setdefault(what.path, bytearray()), one)

    def after_a_cut(self, dice: random.Random) -> dict[str, bytes]:
        """The files as they are found when the power is back."""
        found = {path: bytearray(content) for path, content in self.synced.items()}
        for path, writes in self.pending.items():
            for one in writes:
                _apply(found.setdefault(path, bytearray()), one, dice)
        return {path: bytes(content) for path, content in found.items()}


def _apply(content: bytearray, what: Happened, dice: random.Random | None = None) -> None:
    if what.kind == "cut":
        if dice is None or dice.random() < 0.5:
            del content[what.offset :]
        return
    for start in range(0, len(what.data), SECTOR):
        if dice is not None and dice.random() < 0.5:
            continue
        piece = what.data[start : start + SECTOR]
        begin = what.offset + start
        if len(content) < begin:
            content.extend(bytes(begin - len(content)))
        content[begin : begin + len(piece)] = piece
