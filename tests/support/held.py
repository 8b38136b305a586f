"""What the process holds for connections, counted: tasks by name, sockets, and the objects that belong to them."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

from bouncer import tasks
from bouncer.downstream import Client
from bouncer.live_user import Session
from bouncer.network.attachment import Attachment
from bouncer.network.entry import Question
from bouncer.upstream import Upstream
from bouncer.upstream.connection import Dialled
from bouncer.upstream.reader import Reader

KINDS = (Client, Session, Attachment, Question, Upstream, Dialled, Reader, asyncio.StreamReader, asyncio.StreamWriter)
DEADLINE_S = 10.0


def held() -> Counter[str]:
    """Everything of these kinds that is there now; what only waits to be collected is not."""
    gc.collect()
    found = Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, KINDS))
    found.update(f"task {task.get_name()}" for task in tasks._running)
    found["sockets"] = sum(_is_socket(path) for path in Path("/proc/self/fd").iterdir())
    return found


def _is_socket(path: Path) -> bool:
    try:
        return str(path.readlink()).startswith("socket:")
    except OSError:
        return False  # it was the listing's own


async def nothing_more_than(before: Counter[str]) -> None:
    """Wait until nothing is held that was not before; AssertionError names what still is."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while more := held() - before:
        assert loop.time() < deadline, f"left behind: {dict(more)}"
        await asyncio.sleep(0.05)
