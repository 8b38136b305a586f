from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.ircd import Ircd, inspircd, ngircd
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture(params=[ngircd, inspircd])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ircd]:
    start: Callable[[Path], AbstractAsyncContextManager[Ircd]] = request.param
    async with start(tmp_path) as running:
        yield running


async def joined(server: Ircd, nick: str, stack: AsyncExitStack) -> Recorder:
    recorder = Recorder(port=server.port, nickname=nick)
    stack.push_async_callback(recorder.stop)
    recorder.start()
    await recorder.ready()
    recorder.upstream.send(b"JOIN #room")
    await recorder.until(lambda: any(one.command == "366" for one in recorder.got))
    return recorder


async def test_two_of_us_join_talk_and_leave_on_a_real_server(server: Ircd) -> None:
    async with AsyncExitStack() as stack:
        first = await joined(server, "first", stack)
        second = await joined(server, "second", stack)
        text = "hello, wörld  with  blanks"  # ngIRCd takes a last blank away
        second.upstream.send(f"PRIVMSG #room :{text}".encode())
        await first.until(lambda: any(one.params[1:] == [text] for one in first.got if one.command == "PRIVMSG"))
        first.upstream.send(b"NICK renamed")
        await first.until(lambda: first.upstream.nickname == "renamed")
        await second.upstream.quit("gone for lunch", 10)
        assert await second.ended() == "quit"
        await first.until(lambda: any(one.command == "QUIT" for one in first.got))
        left = next(one for one in first.got if one.command == "QUIT")
        assert left.nick == "second"
        assert "gone for lunch" in left.params[-1]


async def test_a_taken_nick_leads_to_another_on_a_real_server(server: Ircd) -> None:
    async with AsyncExitStack() as stack:
        await joined(server, "ninechars", stack)
        second = await joined(server, "ninechars", stack)
        assert second.upstream.nickname != "ninechars"
        assert second.upstream.wanted_nick == "ninechars"
        assert second.noted("nick")


async def test_a_nick_too_long_for_ngircd_becomes_one_that_fits(tmp_path: Path) -> None:
    async with ngircd(tmp_path, penalties=True) as server, AsyncExitStack() as stack:
        one = await joined(server, "muchtoolongname", stack)
        assert len(one.noted("nick")) <= 2
        assert one.upstream.nickname == "muchtoolo"


async def test_inspircd_gives_what_it_offers(tmp_path: Path) -> None:
    async with inspircd(tmp_path) as server, AsyncExitStack() as stack:
        one = await joined(server, "someone", stack)
        wanted = {"server-time", "echo-message", "labeled-response", "message-tags", "batch", "extended-join"}
        assert wanted | {"multi-prefix", "userhost-in-names", "away-notify", "cap-notify"} <= one.upstream.caps
        one.upstream.send(b"@label=x1 PRIVMSG #room :echoed")
        await one.until(lambda: any(line.command == "PRIVMSG" for line in one.got))
        echo = next(line for line in one.got if line.command == "PRIVMSG")
        assert echo.tags["label"] == "x1"
        assert echo.tags["msgid"]
        assert echo.tags["time"].endswith("Z")
        assert any(raw.startswith(b"@time=") for raw in one.raw)


async def test_a_real_server_that_dies_ends_the_connection_with_a_reason(server: Ircd) -> None:
    async with AsyncExitStack() as stack:
        one = await joined(server, "someone", stack)
        server.kill()
        assert await one.ended() in {
            "closed by the server",
            "connection lost: connection reset by the server",
        }
