"""The event stream: what it tells, to whom, how many there may be, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp

from bouncer import tenant
from bouncer.events import Event
from web.streams import MAX_PER_USER
from web.views import events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from tests.web.panelkit import Browser, Installation

TIMEOUT = aiohttp.ClientTimeout(total=20)


@contextlib.asynccontextmanager
async def listening(browser: Browser) -> AsyncIterator[aiohttp.StreamReader]:
    """An open stream whose greeting has been read, so that it is subscribed."""
    async with browser.http.get(browser.url + "/events", timeout=TIMEOUT) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.content.readuntil(b"\n\n") == b"retry: 3000\n: hello\n\n"
        yield response.content


async def test_a_user_is_told_of_their_own_servers_only(
    installation: Installation, alice: Browser, bob: Browser
) -> None:
    one, two = [await installation.service.users.get(name) for name in ("alice", "bob")]
    async with listening(alice) as hers, listening(bob) as his:
        installation.live.hub(one.id).publish(Event("server", 7))
        installation.live.hub(two.id).publish(Event("servers"))
        assert await hers.readuntil(b"\n\n") == b'event: server\ndata: {"server": 7}\n\n'
        assert await his.readuntil(b"\n\n") == b'event: servers\ndata: {"server": 0}\n\n'
        installation.live.hub(one.id).publish(Event("message", 7, "#secret"))
        installation.live.hub(one.id).publish(Event("roster", 7))
        assert await hers.readuntil(b"\n\n") == b'event: roster\ndata: {"server": 7}\n\n'


async def test_a_stream_does_not_keep_the_users_file_in_use(installation: Installation, alice: Browser) -> None:
    user = await installation.service.users.get("alice")
    async with listening(alice):
        await tenant.destroy(user.id, timeout_s=1.0)


async def test_a_user_has_a_bounded_number_of_streams(alice: Browser) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_PER_USER):
            await stack.enter_async_context(listening(alice))
        async with alice.http.get(alice.url + "/events", timeout=TIMEOUT) as response:
            assert response.status == 429
    async with listening(alice):
        pass  # those of pages that were left do not count


async def test_a_stream_ends_when_its_session_does(
    installation: Installation, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    user = await installation.service.users.get("alice")
    async with listening(alice) as stream:
        assert await stream.readuntil(b"\n\n") == events.BEAT
        await installation.service.users.set_password(user.id, "another password")
        async with asyncio.timeout(10):
            assert (await stream.read()).replace(events.BEAT, b"") == b""


async def test_closing_the_panel_ends_streams_at_once(installation: Installation, alice: Browser) -> None:
    async with listening(alice) as stream:
        async with asyncio.timeout(2):
            await installation.panel.close()
        with contextlib.suppress(aiohttp.ClientError):
            assert await stream.read() == b""
