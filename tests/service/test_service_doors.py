"""What the panel does is done by words too, over real files and real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer import browse, tasks, tenant
from bouncer.clock import now_ms
from bouncer.models.main import Session
from bouncer.models.tenant import Channel, Message, ServerEvent
from bouncer.service import histories
from bouncer.service.bouncerserv import BouncerServ
from tests.support.certificates import self_signed
from tests.support.network import ScriptedNetwork

if TYPE_CHECKING:
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.service import Service


@pytest.fixture
def serv(service: Service) -> BouncerServ:
    return BouncerServ(service)


async def say(serv: BouncerServ, user: User, text: str, server: str | None = None) -> list[str]:
    return await serv.handle(user.id, text, server=server)


async def test_a_connection_is_tested_without_being_stored(serv: BouncerServ, service: Service, bob: User) -> None:
    async with ScriptedNetwork() as network:
        words = f"server test --address 127.0.0.1 --port {network.port} --no-tls --nick Bobby"
        running = tasks.spawn(say(serv, bob, words), name="a test's own")
        peer = await network.accept()
        await peer.welcome()
        peer.hang_up()
        said = await running
    assert said[0] == f"careful: 127.0.0.1:{network.port} is not encrypted"
    assert said[-1] == "it works; nothing was stored"
    assert await service.servers.list(bob.id) == []
    failed = await say(serv, bob, words)
    assert "refused" in failed[1]
    assert failed[-1] == "Error: it does not work; nothing was stored"
    assert "which network" in (await say(serv, bob, "server test"))[0]


async def test_the_attached_network_is_tested_unless_an_address_is_named(
    serv: BouncerServ, service: Service, bob: User
) -> None:
    async with ScriptedNetwork() as network:
        place = {"address": "127.0.0.1", "port": str(network.port), "tls": False}
        row = await service.servers.add(bob.id, {"name": "net", **place, "nickname": "stored"}, trusted=True)
        assert row.nickname == "stored"
        for words, nick in (
            ("server test", "stored"),
            (f"server test --address 127.0.0.1 --port {network.port} --no-tls", "bob"),
        ):
            running = tasks.spawn(say(serv, bob, words, "net"), name="a test's own")
            peer = await network.accept()
            assert (await peer.welcome()).nick == nick
            peer.hang_up()
            assert (await running)[-1] == "it works; nothing was stored"


async def test_a_certificate_is_shown_to_pin_it(serv: BouncerServ, service: Service, bob: User, tmp_path: Path) -> None:
    certificate = self_signed()
    async with ScriptedNetwork(context=certificate.server_context(tmp_path)) as network:
        place = {"address": "127.0.0.1", "port": str(network.port)}
        await service.servers.add(bob.id, {"name": "net", **place}, trusted=True)
        said = await say(serv, bob, "server certificate", "net")
    pin = said[3].removeprefix("SHA-256: ")
    assert pin == certificate.fingerprint
    assert said[4].endswith(f"server update net --tls-fingerprint {pin}")
    assert await say(serv, bob, said[4].partition("on: ")[2]) == ["server net updated"]
    assert (await service.servers.by_name(bob.id, "net")).tls_fingerprint == pin


async def test_a_network_is_copied_without_secrets_and_a_known_one_needs_no_address(
    serv: BouncerServ, service: Service, bob: User
) -> None:
    add = "server add libera --nick Bobby --join '#a key' --password pw --quit-message 'so long'"
    assert await say(serv, bob, add) == ["server libera added"]
    assert await say(serv, bob, "server clone libera two --nick Second") == [
        "server two added, like libera but without its secrets"
    ]
    row = await service.servers.by_name(bob.id, "two")
    assert (row.address, row.nickname, row.quit_message, row.password) == ("irc.libera.chat", "Second", "so long", None)
    (channel,) = await service.channels.list(bob.id, row.id)
    assert (channel.row.name, channel.row.key) == ("#a", None)
    assert "ADDRESS" in (await say(serv, bob, "server add nowhere"))[0]


async def test_the_log_of_a_connection_is_read_in_words(serv: BouncerServ, service: Service, bob: User) -> None:
    row = await service.servers.add(bob.id, {"name": "net", "address": "irc.example.org"})
    assert await say(serv, bob, "server log", "net") == ["nothing yet"]
    async with tenant.switch(bob.id), tenant.session() as session:
        for kind, detail in (("connected", "irc.example.org:6697"), ("backoff", "2 42"), ("failed", "re\x1bfused")):
            session.add(ServerEvent(server_id=row.id, kind=kind, detail=detail))
            await session.flush()
        await session.commit()
    said = await say(serv, bob, "server log net --limit 2")
    assert [line.partition(" UTC ")[2] for line in said] == [
        "Attempt 2 failed; the next one 42 s later",
        "Failed: re\N{REPLACEMENT CHARACTER}fused",
    ]
    assert "--limit" in (await say(serv, bob, "server log net --limit 0"))[0]


async def test_what_calls_one_is_said_and_changed(serv: BouncerServ, service: Service, bob: User) -> None:
    usual = "in channels your nick calls you, and no words; direct messages always do"
    assert await say(serv, bob, "notify rules") == [usual]
    said = await say(serv, bob, "notify rules --no-nick --word sqlite --word 'big deal'")
    assert said[0].startswith("in channels not your nick calls you, and “sqlite”, “big deal”")
    assert (await service.attention.rules(bob.id)).words == ("sqlite", "big deal")
    assert await say(serv, bob, "notify rules --nick --no-words") == [usual]
    row = await service.servers.add(bob.id, {"name": "net", "address": "irc.example.org", "channels": "#a"})
    assert await say(serv, bob, "channel update #a --notify all", "net") == ["#a: shown, notify all"]
    assert (await say(serv, bob, "notify rules"))[1:] == ["net/#a: all"]
    assert "notify" in (await say(serv, bob, "channel update #a --notify loud", "net"))[0]
    (view,) = await service.channels.list(bob.id, row.id)
    assert view.row.notify == "all"


async def test_browsers_are_listed_and_signed_out(serv: BouncerServ, service: Service, alice: User, bob: User) -> None:
    async with service.main.session() as session:
        for number, user in enumerate((bob, bob, alice)):
            session.add(
                Session(token_hash=str(number), user_id=user.id, expires_at=now_ms() + 9999, agent=f"Fire{number}")
            )
        await session.commit()
    said = await say(serv, bob, "browser list")
    assert len(said) == 3
    assert not any("Fire2" in line for line in said)
    theirs = (await service.sessions.list(alice.id))[0].id
    assert "no such session" in (await say(serv, bob, f"browser end {theirs}"))[0]
    mine = said[1].split()[0]
    assert await say(serv, bob, f"browser end {mine}") == [f"browser {mine} is signed out"]
    assert await say(serv, bob, "browser end all") == ["1 browser is signed out"]
    assert len(await service.sessions.list(alice.id)) == 1


async def test_search_takes_days_and_beginnings_as_the_panel_does(
    serv: BouncerServ, service: Service, bob: User
) -> None:
    row = await service.servers.add(bob.id, {"name": "net", "address": "irc.example.org"})
    async with tenant.switch(bob.id), tenant.session() as session:
        channel = Channel(server_id=row.id, name="#a", folded="#a")
        session.add(channel)
        await session.flush()
        for day, words in ((1, "quick one"), (2, "quickly two"), (3, "quick three")):
            time = 1_767_225_600_000 + (day - 1) * 86_400_000  # 2026-01-01
            session.add(Message(server_id=row.id, channel_id=channel.id, target="#a", sender="grace!g@h",
                                message_type="privmsg", content=words, msgid=words, time=time))  # fmt: skip
            await session.flush()
        await session.commit()
    for words, found in (
        ("quick", ["one", "three"]), ("quick*", ["one", "two", "three"]), ("quick --since 2026-01-02", ["three"]),
        ("quick* --until 2026-01-02", ["one", "two"]), ("quick --since 2026-01-02 --until 2026-01-02", []),
    ):  # fmt: skip
        said = await say(serv, bob, f"history search {words}")
        assert [line.split()[-1] for line in said if "grace" in line] == found, words
    assert "2026-" in (await say(serv, bob, "history search x --since yesterday"))[0]


async def test_a_search_that_takes_too_long_says_so(
    serv: BouncerServ, service: Service, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await service.servers.add(bob.id, {"name": "net", "address": "irc.example.org"})
    async with tenant.switch(bob.id), tenant.session() as session:
        for number in range(3):
            session.add(Message(server_id=row.id, target="", sender="s", message_type="notice", msgid=str(number),
                                content=f"quick {number}", time=number + 1))  # fmt: skip
            await session.flush()
        await session.commit()
    monkeypatch.setattr(browse, "FIRST_WINDOW", 1)
    monkeypatch.setattr(browse, "SEARCH_S", 0.0)
    assert [line[-1] for line in await say(serv, bob, "history search quick")] == ["0", "1", "2"]
    monkeypatch.setattr(histories, "SEARCH_S", 0.0)
    said = await say(serv, bob, "history search quick")
    assert said[0].endswith("quick 2")
    assert said[1:] == ["there was not time to look at all of it: say where, or between which days"]


async def test_admins_see_the_trail_listeners_backups_and_invitations(serv: BouncerServ, alice: User) -> None:
    assert (await say(serv, alice, "user email bob bob@example.org"))[0].startswith("Error: there is no user")
    assert await say(serv, alice, "user email alice alice@example.org") == [
        "alice can sign in to the panel as alice@example.org"
    ]
    assert await say(serv, alice, "user email alice none") == ["alice signs in by name only"]
    link = (await say(serv, alice, "user invite for carol"))[0]
    said = await say(serv, alice, "user invites")
    assert "for carol" in said[1]
    assert link.rsplit("/", 1)[1].split()[0] not in " ".join(said)
    number = said[1].split()[0]
    assert await say(serv, alice, f"user uninvite {number}") == [f"invitation {number} is taken back"]
    assert (await say(serv, alice, "bouncer listeners"))[-1] == "no certificate is configured"
    assert "there is none yet" in (await say(serv, alice, "bouncer backups"))[0]
    made = (await say(serv, alice, "bouncer backup"))[0].partition(",")[0].rsplit("/", 1)[1]
    assert (await say(serv, alice, "bouncer backups"))[1].split()[0] == made
    assert await say(serv, alice, f"bouncer verify {made}") == [f"{made} is whole"]
    assert "no such backup" in (await say(serv, alice, "bouncer verify 20200101T000000Z"))[0]
    trail = await say(serv, alice, "bouncer audit --limit 3")
    assert len(trail) == 3
    assert "alice: backup" in trail[-1]
