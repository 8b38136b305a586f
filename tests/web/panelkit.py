"""What the panel's tests share: an installation to talk to, a person's HTTP client, a server to add."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiohttp

from bouncer.clock import now_ms
from bouncer.events import Hub, ServerState
from bouncer.service.live import Offline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bouncer import tenant
    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.models.main import User
    from bouncer.service import Service
    from web.app import Panel

PASSWORD = "correct horse battery"


class Recording(Offline):
    """The live half of a bouncer that keeps no connection: each user has a hub, states are what a test says."""

    running = True

    def __init__(self) -> None:
        super().__init__()
        self.hubs: dict[int, Hub] = {}
        self.states: dict[int, dict[int, ServerState]] = {}

    def hub(self, user_id: int) -> Hub:
        return self.hubs.setdefault(user_id, Hub())

    def server_states(self, user_id: int) -> Mapping[int, ServerState]:
        return self.states.get(user_id, {})


@dataclass
class Installation:
    """Everything under one panel."""

    config: Config
    main: MainDatabase
    tenants: tenant.Tenants
    live: Recording
    service: Service
    panel: Panel

    @property
    def url(self) -> str:
        return self.panel.address

    async def user(self, name: str, *, temporary: bool = False, admin: bool = False) -> User:
        return await self.service.users.add(
            name, password=PASSWORD, email=f"{name}@example.org", temporary=temporary, admin=admin
        )


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers and the text of the body."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    def error_beside(self, field: str) -> str:
        """The words beside a field of the form, "" for none."""
        found = re.search(rf'id="{field}-error">.*?<span>(.*?)</span>', self.text, re.DOTALL)
        return found[1] if found else ""


class Browser:
    """A person's HTTP client with its cookies; follows nothing by itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.request("GET", path, headers=headers)

    async def post(
        self, path: str, fields: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return await self.request("POST", path, data=dict(fields or {}), headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        data: dict[str, str] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(total=20)
        async with self.http.request(
            method, self.url + path, data=data, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            return Answer(response.status, response.headers, await response.text())

    async def sign_in(self, name: str, password: str = PASSWORD, then: str = "") -> Answer:
        return await self.post("/session", {"name": name, "password": password, "next": then})

    async def close(self) -> None:
        await self.http.close()


SERVER = {
    "name": "libera",
    "address": "irc.libera.chat",
    "port": "6697",
    "tls": "on",
    "tls_verify": "on",
    "nickname": "alice",
    "username": "alice",
    "realname": "Alice",
    "auth_method": "none",
    "channels": "#python\n#bouncer",
    "enabled": "on",
}


async def add_server(browser: Browser, **fields: str) -> int:
    """Add a server through the form and return its id."""
    answer = await browser.post("/servers", {**SERVER, **fields})
    assert answer.status == 303, answer.text
    return int(answer.location.rsplit("/", 1)[1])


def connected(nickname: str = "alice") -> ServerState:
    return ServerState(
        "connected", connected_since=now_ms() - 7_200_000, nickname=nickname, lag_ms=42, clients=2, tls="TLSv1.3"
    )


def with_web(config: Config, **values: object) -> Config:
    return replace(config, web=replace(config.web, **values))  # type: ignore[arg-type]  # fields of Web
