"""BouncerServ: the command layer in lines of IRC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bouncer.errors import NotFoundError
from bouncer.service.bouncerserv import BouncerServ

if TYPE_CHECKING:
    from bouncer.models.main import User
    from bouncer.service import Service


@pytest.fixture
def serv(service: Service) -> BouncerServ:
    return BouncerServ(service)


async def test_it_adds_shows_changes_and_deletes_a_server(serv: BouncerServ, service: Service, bob: User) -> None:
    add = "server add Libera irc.libera.chat --join '#a,#b key' --sasl-plain bob --account-password pw --password spw"
    assert await serv.handle(bob.id, add, server=None) == ["server Libera added"]
    row = await service.servers.by_name(bob.id, "libera")
    assert (row.auth_method, row.auth_account, row.auth_password, row.password) == ("sasl-plain", "bob", "pw", "spw")
    status = await serv.handle(bob.id, "server status", server=None)
    assert status[0] == "Libera: disconnected"
    assert status[-1] == "  channels: #a #b"
    assert await serv.handle(bob.id, "server update LIBERA --nick bobby", server=None) == ["server Libera updated"]
    assert (await serv.handle(bob.id, "server list", server=None))[1].split() == [
        "Libera", "irc.libera.chat:6697", "bobby", "disconnected", "#a", "#b",
    ]  # fmt: skip
    assert "--yes" in (await serv.handle(bob.id, "server delete libera", server=None))[0]
    assert await serv.handle(bob.id, "server delete libera --yes", server=None) == ["server libera deleted"]
    assert await serv.handle(bob.id, "server status", server=None) == [
        "no servers yet: add one with `server add NAME ADDRESS`"
    ]


async def test_the_server_one_is_attached_to_is_meant_where_none_is_named(
    serv: BouncerServ, service: Service, bob: User
) -> None:
    for name in ("one", "two"):
        await service.servers.add(bob.id, {"name": name, "address": "irc.example.org"})
    assert await serv.handle(bob.id, "server disconnect", server="two") == ["server two stays disconnected"]
    assert await serv.handle(bob.id, "server update --nick x", server="two") == ["server two updated"]
    assert await serv.handle(bob.id, "server connect one", server="two") == [
        "server one connects when the bouncer starts"
    ]
    assert await serv.handle(bob.id, "channel join #a", server="two") == ["#a will be joined"]
    assert (await serv.handle(bob.id, "channel list", server="two"))[1].split()[:2] == ["#a", "wanted"]
    assert await serv.handle(bob.id, "channel list --server one", server="two") == ["no channels yet"]
    assert "--server NAME" in (await serv.handle(bob.id, "channel list", server=None))[0]
    assert await serv.handle(bob.id, "channel part #A 'so long'", server="two") == ["#a left"]


async def test_a_server_is_told_how_to_go_about_its_network(serv: BouncerServ, service: Service, bob: User) -> None:
    add = (
        "server add net irc.example.org --fallback 'b.example 1' --fallback c.example:2 --connect-command 'MODE bob +x'"
        " --connect-command 'WAIT 5' --regain-command '/msg NickServ REGAIN {nick}' --no-auto-away --encoding latin1"
        " --away-message 'not here' --auth-required --no-keep-nick"
    )
    assert await serv.handle(bob.id, add, server=None) == ["server net added"]
    row = await service.servers.by_name(bob.id, "net")
    assert (row.fallbacks, row.connect_commands) == ("b.example 1\nc.example 2", "MODE bob +x\nWAIT 5")
    assert (row.regain_command, row.auto_away, row.encoding) == ("PRIVMSG NickServ :REGAIN {nick}", False, "iso8859-1")
    assert (row.away_message, row.auth_required, row.keep_nick) == ("not here", True, False)
    await serv.handle(bob.id, "server update --no-fallbacks --no-connect-commands --auto-away", server="net")
    row = await service.servers.by_name(bob.id, "net")
    assert (row.fallbacks, row.connect_commands, row.auto_away) == ("", "", True)


async def test_a_channel_is_detached_with_its_rules(serv: BouncerServ, service: Service, bob: User) -> None:
    await service.servers.add(bob.id, {"name": "net", "address": "irc.example.org", "channels": "#a"})
    update = "channel update #a --detached --relay-detached highlight --reattach-on none --detach-after 30m --key k"
    assert await serv.handle(bob.id, update, server="net") == [
        "#a: detached, relay-detached highlight, reattach-on none, detach after 30m, with a key"
    ]
    assert "detached" in (await serv.handle(bob.id, "channel list", server="net"))[1]
    update = "channel update #A --no-detached --relay-detached default --detach-after never --no-key --no-auto-join"
    assert await serv.handle(bob.id, update, server="net") == ["#a: shown, reattach-on none, not joined on connecting"]
    assert "--detached" in (await serv.handle(bob.id, "channel update #a", server="net"))[0]
    assert "--detach-after" in (await serv.handle(bob.id, "channel update #a --detach-after soon", server="net"))[0]


async def test_words_may_be_shortened_while_they_stay_clear(serv: BouncerServ, bob: User) -> None:
    assert await serv.handle(bob.id, "SE li", server=None) == ["no servers yet: add one with `server add`"]
    assert "connect" not in (await serv.handle(bob.id, "server d x", server=None))[0].split()
    assert "delete or disconnect" in (await serv.handle(bob.id, "server d x", server=None))[0]
    assert (await serv.handle(bob.id, "h se", server=None))[0].startswith("server status")
    assert (await serv.handle(bob.id, "hi ret", server=None))[0].startswith("messages are kept")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("frobnicate", "server, channel"), ("server frobnicate", "add, update"), ("server", "add, update"),
        ("server add x", "ADDRESS"), ("server add 'x", "quot"), ("server connect nope", "no server 'nope'"),
        ("server add x irc.example.org --port 0", "1 to 65535"), ("server add x y --nick 1", "--nick"),
        ("server add x y --nosuch", "--nosuch"), ("server status nope", "server list"), ("help nope", "channel"),
        ("server add x y --sasl-plain me", "--account-password"), ("server add x y --pass pw", "--pass"),
    ],
)  # fmt: skip
async def test_an_error_says_what_to_type_instead(serv: BouncerServ, bob: User, text: str, says: str) -> None:
    answer = await serv.handle(bob.id, text, server=None)
    assert len(answer) == 1
    assert says in answer[0]


async def test_users_are_for_admins_only(serv: BouncerServ, service: Service, alice: User, bob: User) -> None:
    for text in ("user list", "user add eve", "us del alice --yes", "help user"):
        assert "unknown" in (await serv.handle(bob.id, text, server=None))[0]
    assert [line.split()[0] for line in await serv.handle(alice.id, "user list", server=None)] == [
        "NAME",
        "alice",
        "bob",
    ]
    answer = await serv.handle(alice.id, "user add carol", server=None)
    password = answer[1].removeprefix("one-time password: ")
    assert await service.users.authenticate("carol", password, address="") is not None
    await serv.handle(alice.id, "user passwd carol --password 'two words'", server=None)
    assert await service.users.authenticate("carol", "two words", address="") is not None
    assert await serv.handle(alice.id, "user limits carol --servers 1", server=None) == [
        "carol: servers 1, disk default MB"
    ]
    assert await serv.handle(alice.id, "user delete carol --yes", server=None) == ["user carol deleted"]
    with pytest.raises(NotFoundError):
        await service.users.get("carol")


async def test_nobody_reaches_the_command_lines_other_nouns(serv: BouncerServ, alice: User) -> None:
    for text in ("tenant backup alice /tmp/x", "secrets rotate", "run", "shell", "config check", "tls self-signed"):
        assert "unknown" in (await serv.handle(alice.id, text, server=None))[0]


async def test_what_one_user_has_never_shows_to_another(
    serv: BouncerServ, service: Service, alice: User, bob: User
) -> None:
    row = await service.servers.add(alice.id, {"name": "wonder", "address": "wonder.example", "channels": "#rabbit"})
    assert row.id
    for text in (
        "server list", "server status", "server status wonder", "server update wonder --nick x",
        "server connect wonder", "server disconnect wonder", "server delete wonder --yes",
        "channel list --server wonder",
        "channel update #rabbit --detached --server wonder",
        "channel join #x --server wonder", "channel part #rabbit --server wonder", "help", "help server",
    ):  # fmt: skip
        for line in await serv.handle(bob.id, text, server=None):
            assert "rabbit" not in line
            assert "wonder.example" not in line
            assert "wonder" not in line.replace("'wonder'", ""), "but for repeating what was typed"
    assert (await service.servers.get(alice.id, row.id)).nickname == "alice"


async def test_help_says_that_passwords_pass_through_the_clients_log(serv: BouncerServ, bob: User) -> None:
    assert any("client's log" in line for line in await serv.handle(bob.id, "help server", server=None))


async def test_every_line_fits_into_one_of_irc(serv: BouncerServ, service: Service, bob: User) -> None:
    channels = ",".join(f"#{'ü' * 20}{number}" for number in range(60))
    await service.servers.add(bob.id, {"name": "n", "address": "irc.example.org", "channels": channels})
    for text in ("server status", "server list", "help server", "x" * 500, "server status '" + "ü" * 200 + "'", ""):
        answer = await serv.handle(bob.id, text, server=None)
        assert answer
        assert all(line and len(line.encode()) <= 400 and not set(line) & set("\r\n\0") for line in answer)
