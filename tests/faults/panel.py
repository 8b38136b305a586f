"""A person's browser, without script, on the panel of a bouncer that runs as a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import aiohttp

from soak.witness import PASSWORD

if TYPE_CHECKING:
    from types import TracebackType

DEADLINE_S = 30


class Page(NamedTuple):
    """What came: status and text."""

    status: int
    text: str


class Person:
    """Signs in at the beginning of its block."""

    def __init__(self, panel: str, user: str) -> None:
        self.user = user
        self._panel = panel
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(DEADLINE_S)
        )

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        signed_in = await self.post("/session", name=self.user, password=PASSWORD)
        assert signed_in.status == 303, signed_in
        return self

    @classmethod
    async def sign_in(cls, panel: str, user: str) -> Page:
        """What somebody is shown who signs in and goes away."""
        person = cls(panel, user)
        async with person._session:
            return await person.post("/session", name=user, password=PASSWORD)

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, value, trace)

    async def page(self, path: str) -> Page:
        async with self._session.get(self._panel + path, allow_redirects=False) as answer:
            return Page(answer.status, await answer.text())

    async def post(self, path: str, **fields: str) -> Page:
        headers = {"Origin": self._panel}
        async with self._session.post(
            self._panel + path, data=fields, headers=headers, allow_redirects=False
        ) as answer:
            return Page(answer.status, await answer.text())
