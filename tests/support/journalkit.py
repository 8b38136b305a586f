"""A journal with one tenant and one server, that writes messages and remembers what was released."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bouncer.journal import Batch, MessageRow
from bouncer.models.tenant import Server
from bouncer.tenant import session, switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from bouncer.journal import Journal

DEADLINE_S = 10


class Kit:
    """A started journal with the tenant `tenant`, which has one server; `released` holds (content, stored) in order."""

    def __init__(self, journal: Journal, tenant: str, server_id: int) -> None:
        self.journal = journal
        self.tenant = tenant
        self.server_id = server_id
        self.released: list[tuple[str, bool]] = []
        self._changed = asyncio.Event()

    def row(
        self, content: str, *, target: str = "#room", time: int = 1, kind: str = "", notify: str = ""
    ) -> MessageRow:
        """A message in `target`, whose first character tells what it is; msgid and content are the same."""
        buffer = "" if not target else "channel" if target[0] in "#@" else "conversation"
        folded = target.lstrip("@").lower()
        return MessageRow(
            self.server_id, buffer, target, folded, "bob!b@host", kind or "privmsg", content, None,
            f"id-{content}", time, own=False, notify=notify,
        )  # fmt: skip

    def batch(self, *rows: MessageRow) -> Batch:
        return Batch(self._release, self._stored, rows=list(rows))

    def submit(self, *rows: MessageRow) -> Batch:
        batch = self.batch(*rows)
        self.journal.submit(self.tenant, batch)
        return batch

    async def store(self, *rows: MessageRow) -> Batch:
        batch = self.submit(*rows)
        await self.flush()
        return batch

    async def flush(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.journal.flush(self.tenant)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; looked at again after each release."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _release(self, batch: Batch, stored: bool) -> None:
        self.released += [(row.content, stored) for row in batch.rows]
        self._changed.set()

    def _stored(self, _batch: Batch) -> None:
        self._changed.set()


async def add_server(tenant: str, name: str = "net") -> int:
    async with switch(tenant), session() as db:
        server = Server(name=name, address="irc.example.org", port=6697, nickname="ada")
        db.add(server)
        await db.commit()
        return server.id
