"""What the panel's tests share: an installation to talk to, a person's HTTP client, a server to add."""

from __future__ import annotations

import html
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import aiohttp

from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.events import ClientInfo, Hub, ServerState
from bouncer.models.tenant import Channel, ChannelUser, Conversation, Message, ServerEvent
from bouncer.service.live import DISCONNECTED, Offline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.models.main import User
    from bouncer.service import Service
    from web.serving import HttpListener

PASSWORD = "correct horse battery"


class Recording(Offline):
    """The live half of a bouncer that keeps no connection: each user has a hub, states are what a test says."""

    running = True

    def __init__(self) -> None:
        super().__init__()
        self.hubs: dict[int, Hub] = {}
        self.states: dict[int, dict[int, ServerState]] = {}
        self.here: dict[int, list[ClientInfo]] = {}

    def hub(self, user_id: int) -> Hub:
        return self.hubs.setdefault(user_id, Hub())

    def clients(self, user_id: int) -> Sequence[ClientInfo]:
        return self.here.get(user_id, [])

    async def drop_client(self, user_id: int, client_id: int, reason: str = DISCONNECTED) -> bool:
        del reason
        self.here[user_id] = [one for one in self.here[user_id] if one.id != client_id]
        return True

    def server_states(self, user_id: int) -> Mapping[int, ServerState]:
        return self.states.get(user_id, {})


@dataclass
class Installation:
    """Everything under one panel."""

    config: Config
    main: MainDatabase
    live: Recording
    service: Service
    panel: HttpListener

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

    def link(self, relation: str) -> str:
        """The address of the first link with this `rel`, "" for none."""
        found = re.search(rf'href="([^"]*)" rel="{relation}"', self.text)
        return html.unescape(found[1]).partition("#")[0] if found else ""

    def numbers(self) -> list[str]:
        """The numbers of the lines `line 007.` on the page, in order."""
        return re.findall(r"line (\d{3})\.", self.text)

    def fields(self) -> dict[str, str]:
        """What a browser would post from the page's main form as it is."""
        form = self.text.partition("<main")[2]
        found = {}
        for tag in re.findall(r"<input[^>]*>", form):
            attributes = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
            if attributes["type"] != "checkbox" or re.search(r"\bchecked\b", tag):
                found[attributes["name"]] = html.unescape(attributes.get("value", ""))
        for name, value in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
            found[name] = html.unescape(value).replace("\n", "\r\n")
        selected = re.search(r'<select [^>]*name="(\w+)".*?value="([^"]*)" selected', form, re.DOTALL)
        return found | ({selected[1]: selected[2]} if selected else {})


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
        data: dict[str, str] | bytes | IO[bytes] | None = None,
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


async def fill(
    user_id: int, server_id: int, *, name: str = "#secret", text: str = "the words of alice"
) -> tuple[int, int]:
    """A channel with a person, a topic and a message, and a conversation with one; the ids of both."""
    async with tenant.switch(user_id), tenant.session() as session:
        channel = Channel(server_id=server_id, name=name, folded=name, joined=True, topic=f"of alice: {text}")
        conversation = Conversation(server_id=server_id, nick="grace", folded="grace")
        session.add_all((channel, conversation))
        await session.flush()
        session.add(ChannelUser(channel_id=channel.id, folded="grace", nickname="grace", modes="o"))
        for buffer in ({"channel_id": channel.id}, {"conversation_id": conversation.id}):
            session.add(message(server_id, text, **buffer))
        session.add(ServerEvent(server_id=server_id, kind="connected", detail="irc.libera.chat"))
        await session.commit()
        return channel.id, conversation.id


def message(server_id: int, content: str, **values: Any) -> Message:
    """A line of history, from grace and now unless said otherwise."""
    row: dict[str, Any] = {
        "sender": "grace!g@host",
        "message_type": "privmsg",
        "msgid": "m",
        "time": now_ms(),
        **values,
    }
    return Message(server_id=server_id, content=content, **row)


def rows(file: Path) -> list[str]:
    """Everything in an SQLite file, as SQL."""
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())
