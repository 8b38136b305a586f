"""Away or not: what is sent for who is there, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bouncer.config import Config, Timeouts
from bouncer.events import Hub
from bouncer.network.presence import DEFAULT_TEXT, Presence

if TYPE_CHECKING:
    from bouncer.irc.message import Message


@dataclass
class Here:
    """A client, perhaps with nobody in front of it."""

    background: bool = False


@dataclass
class Settings:
    auto_away: bool = True
    away_message: str = ""


@dataclass
class Owner:
    config: Config
    hub: Hub = field(default_factory=Hub)


@dataclass
class Server:
    """A network that keeps what it is told."""

    owner: Owner
    settings: Settings = field(default_factory=Settings)
    attachments: list[Here] = field(default_factory=list)
    up: bool = True
    said: list[str] = field(default_factory=list)

    def ask(self, attachment: object, msg: Message, label: str = "") -> bool:
        assert (attachment, label) == (None, "")
        self.said.append(msg.param(0))
        return True


def made(away_s: float = 0.0) -> tuple[Server, Presence]:
    config = Config(timeouts=replace(Timeouts(), away_s=away_s))
    server = Server(Owner(config))
    return server, Presence(server)  # type: ignore[arg-type]  # of a network it has what is looked at


async def soon() -> None:
    """Whatever is due now has happened."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_who_is_back_within_the_time_was_never_away() -> None:
    server, presence = made(60.0)
    presence.registered()
    server.attachments.append(Here())
    presence.changed()
    server.attachments.clear()
    presence.changed()
    await soon()
    assert server.said == []
    presence.stop()


async def test_away_is_said_once_and_taken_back_once() -> None:
    server, presence = made()
    presence.registered()
    await soon()
    presence.changed()
    await soon()
    assert server.said == [DEFAULT_TEXT]
    for _ in range(2):
        server.attachments.append(Here())
        presence.changed()
    assert server.said == [DEFAULT_TEXT, ""]


async def test_clients_in_the_background_are_nobody() -> None:
    server, presence = made()
    server.attachments.append(Here(background=True))
    presence.registered()
    await soon()
    assert server.said == [DEFAULT_TEXT]
    server.attachments[0].background = False
    presence.changed()
    assert server.said[-1] == ""


async def test_a_persons_words_are_never_overridden() -> None:
    server, presence = made()
    presence.person("fishing")
    presence.registered()
    presence.changed()
    await soon()
    assert server.said == ["fishing"]
    presence.person("")
    presence.changed()
    await soon()
    assert server.said == ["fishing", DEFAULT_TEXT]
    presence.declare("asleep")
    presence.registered()
    await soon()
    assert server.said[2:] == ["asleep", "asleep"]


async def test_nothing_is_said_to_a_network_that_is_not_there() -> None:
    server, presence = made()
    server.up = False
    presence.declare("fishing")
    presence.changed()
    presence.configured()
    await soon()
    assert server.said == []
    server.up = True
    presence.person("")
    presence.changed()
    presence.stop()
    server.up = False
    await soon()
    assert server.said == []


async def test_the_row_says_whether_and_how() -> None:
    server, presence = made()
    server.settings = Settings(auto_away=False)
    presence.registered()
    await soon()
    assert server.said == []
    server.settings = Settings(away_message="out")
    presence.configured()
    await soon()
    server.settings = Settings(away_message="far out")
    presence.configured()
    presence.configured()
    server.settings = Settings(auto_away=False)
    presence.configured()
    await soon()
    assert server.said == ["out", "far out", ""]
