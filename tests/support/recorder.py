"""Runs an Upstream for a test and writes down all it reports; waits for what should come, with a deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bouncer import tasks
from bouncer.errors import ConnectError
from bouncer.upstream import ConnectParams, NoteKind, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.irc.message import Message

DEADLINE_S = 10.0


class Recorder:
    """An Upstream with its events: `batches` as they came, `got` all messages, `notes`, `registrations`.

    `ended` gives the reason, as returned or as the words of the ConnectError; `refused` tells which.
    """

    def __init__(self, **params: Any) -> None:
        defaults: dict[str, Any] = {"address": "127.0.0.1", "nickname": "someone", "tls": False, "register_s": 5.0}
        allow = params.pop("allow", None)
        self.batches: list[list[Message]] = []
        self.notes: list[tuple[str, str]] = []
        self.registrations = 0
        self.at_once = 100_000
        self.refused = False
        self.on_lines: Callable[[list[Message]], None] | None = None
        self.upstream = Upstream(ConnectParams(**(defaults | params)), self, allow=allow)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[str] | None = None

    def start(self) -> None:
        """Begin; `ended` waits for the end."""
        self._task = tasks.spawn(self._run(), name="upstream")

    async def _run(self) -> str:
        try:
            return await self.upstream.run()
        except ConnectError as error:
            self.refused = True
            return str(error)
        finally:
            self._changed.set()

    async def ended(self, deadline_s: float = DEADLINE_S) -> str:
        """The reason it ended for."""
        if self._task is None:
            self.start()
        assert self._task is not None
        async with asyncio.timeout(deadline_s):
            return await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Break off whatever is going on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=DEADLINE_S)

    async def until(self, condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
        """Wait until `condition` holds; looked at again after each event."""
        try:
            async with asyncio.timeout(deadline_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"did not happen; notes {self.notes}, last lines {self.raw[-5:]}") from None

    async def ready(self) -> None:
        """Wait until the network has let us in."""
        await self.until(lambda: self.registrations)

    @property
    def got(self) -> list[Message]:
        """Every message, in the order reported."""
        return [message for batch in self.batches for message in batch]

    @property
    def raw(self) -> list[bytes]:
        """The exact bytes of every line, in the order reported."""
        return [message.raw for message in self.got]

    def noted(self, kind: str) -> list[str]:
        """The notes of one kind."""
        return [text for one, text in self.notes if one == kind]

    # -- UpstreamEvents

    def lines(self, lines: list[Message]) -> int:
        """Write one batch down; `at_once` of it at most."""
        taken = lines[: self.at_once]
        self.batches.append(taken)
        self._changed.set()
        if self.on_lines is not None:
            self.on_lines(taken)
        return len(taken)

    def registered(self) -> None:
        """Count."""
        self.registrations += 1
        self._changed.set()

    def note(self, kind: NoteKind, text: str) -> None:
        """Write it down."""
        self.notes.append((kind, text))
        self._changed.set()
