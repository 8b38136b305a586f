"""Servers and channels of a user: rows in their own file only, and what is told to the live half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text

from bouncer import tenant
from bouncer.config import Config, Limits, Storage
from bouncer.endpoints import parse_listen
from bouncer.errors import InvalidError, NotFoundError, RefusedError
from bouncer.events import ServerState
from bouncer.models.tenant import Channel, ChannelUser, Message, Server
from bouncer.network.settings import ChannelRules, load
from bouncer.service import Service
from bouncer.service.fields import CLEAR
from bouncer.service.live import Offline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bouncer.database import MainDatabase
    from bouncer.models.main import User
    from bouncer.tenant import Tenants

LIBERA: dict[str, object] = {"name": "Libera", "address": "irc.libera.chat"}


def all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


class Listening(Offline):
    """A live half that only remembers what it was told."""

    running = True

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, ...]] = []
        self.states: dict[int, ServerState] = {}

    async def nudge(self, user_id: int) -> None:
        self.told.append(("nudge", user_id))

    async def connect(self, user_id: int, server_id: int) -> None:
        self.told.append(("connect", user_id, server_id))

    async def disconnect(self, user_id: int, server_id: int) -> None:
        self.told.append(("disconnect", user_id, server_id))

    def send(self, user_id: int, server_id: int, line: bytes) -> bool:
        self.told.append(("send", user_id, server_id, line))
        return True

    def server_states(self, user_id: int) -> Mapping[int, ServerState]:
        del user_id
        return self.states


@pytest.fixture
def live() -> Listening:
    return Listening()


@pytest.fixture
def service(storage: Path, main_db: MainDatabase, tenants: Tenants, live: Listening) -> Iterator[Service]:
    config = Config(
        storage=Storage(storage),
        listen=(parse_listen("irc+insecure://0.0.0.0:6667"),),
        limits=Limits(servers_per_user=3),
    )
    made = Service(config, main_db, tenants, live)
    yield made
    made.close()


async def test_user_a_cannot_see_or_touch_the_servers_of_user_b(service: Service, alice: User, bob: User) -> None:
    """The same id names another row, or none, in another user's file."""
    row = await service.servers.add(bob.id, LIBERA)
    assert await service.servers.list(alice.id) == []
    for act in (
        service.servers.get(alice.id, row.id),
        service.servers.by_name(alice.id, "libera"),
        service.servers.update(alice.id, row.id, {"nickname": "eve"}),
        service.servers.delete(alice.id, row.id),
        service.servers.connect(alice.id, row.id),
        service.servers.disconnect(alice.id, row.id),
        service.channels.list(alice.id, row.id),
        service.channels.join(alice.id, row.id, "#a"),
    ):
        with pytest.raises(NotFoundError):
            await act
    assert (await service.servers.get(bob.id, row.id)).nickname == "bob"


async def test_names_are_matched_without_case_and_taken_once(service: Service, bob: User) -> None:
    row = await service.servers.add(bob.id, LIBERA)
    assert (await service.servers.by_name(bob.id, "LIBERA")).id == row.id
    other = await service.servers.add(bob.id, {**LIBERA, "name": "other"})
    for act in (
        service.servers.add(bob.id, {**LIBERA, "name": "lIBERA"}),
        service.servers.update(bob.id, other.id, {"name": "libera"}),
    ):
        with pytest.raises(InvalidError) as caught:
            await act
        assert list(caught.value.fields) == ["name"]
    assert (await service.servers.update(bob.id, row.id, {"name": "LIBERA"})).name == "LIBERA"


async def test_an_update_changes_what_it_names_and_keeps_secrets(service: Service, bob: User) -> None:
    secrets = {"password": "pw", "auth_method": "sasl-plain", "auth_account": "bob", "auth_password": "apw"}
    row = await service.servers.add(bob.id, {**LIBERA, **secrets, "channels": "#a,#b key"})
    row = await service.servers.update(bob.id, row.id, {"nickname": "bobby", "password": "", "auth_password": ""})
    assert (row.nickname, row.password, row.auth_password) == ("bobby", "pw", "apw")
    fields = await service.servers.fields(bob.id, row.id)
    assert "pw" not in repr(fields)
    row = await service.servers.update(bob.id, row.id, {"auth_method": "none"})
    assert (row.auth_account, row.auth_password, row.password) == (None, None, "pw")
    assert [view.row.key for view in await service.channels.list(bob.id, row.id)] == [None, "key"]


async def test_secrets_are_not_readable_in_the_file(service: Service, bob: User, storage: Path) -> None:
    await service.servers.add(bob.id, {**LIBERA, "password": "sesame-open", "channels": "#b sesame-key"})
    assert b"sesame" not in all_bytes(storage)


async def test_the_list_of_channels_is_replaced_and_keys_are_kept(service: Service, bob: User) -> None:
    row = await service.servers.add(bob.id, {**LIBERA, "channels": "#a key,#b"})
    await service.servers.update(bob.id, row.id, {"channels": "#A,#c"})
    views = await service.channels.list(bob.id, row.id)
    assert [(view.row.name, view.row.auto_join, view.row.key) for view in views] == [
        ("#a", True, "key"), ("#b", False, None), ("#c", True, None),
    ]  # fmt: skip
    assert (await service.servers.view(bob.id, row.id)).channels == ("#a", "#c")


async def test_external_makes_a_certificate_once(service: Service, bob: User) -> None:
    row = await service.servers.add(bob.id, {**LIBERA, "auth_method": "sasl-external"})
    first = (await service.servers.view(bob.id, row.id)).fingerprint
    assert len(first) == 64
    await service.servers.update(bob.id, row.id, {"nickname": "x"})
    assert (await service.servers.view(bob.id, row.id)).fingerprint == first


async def test_only_so_many_servers_are_allowed(service: Service, bob: User) -> None:
    for number in range(3):
        await service.servers.add(bob.id, {**LIBERA, "name": f"n{number}"})
    with pytest.raises(RefusedError, match="no more than 3"):
        await service.servers.add(bob.id, {**LIBERA, "name": "n4"})
    await service.users.set_limits(bob.id, max_servers=4)
    await service.servers.add(bob.id, {**LIBERA, "name": "n4"})


async def test_a_private_address_needs_an_admin_and_does_not_pass_its_trust_on(service: Service, bob: User) -> None:
    with pytest.raises(InvalidError):
        await service.servers.add(bob.id, {**LIBERA, "address": "127.0.0.1"})
    row = await service.servers.add(bob.id, {**LIBERA, "address": "127.0.0.1"}, trusted=True)
    assert row.trusted
    assert (await service.servers.update(bob.id, row.id, {"nickname": "x"})).trusted
    for change in ({"address": "127.0.0.2"}, {"port": "22"}):
        with pytest.raises(InvalidError):
            await service.servers.update(bob.id, row.id, change)
    assert not (await service.servers.update(bob.id, row.id, {"address": "irc.example.org"})).trusted


async def test_a_fallback_is_an_address_like_the_first(service: Service, bob: User) -> None:
    with pytest.raises(InvalidError) as caught:
        await service.servers.add(bob.id, {**LIBERA, "fallbacks": "127.0.0.1 6697"})
    assert list(caught.value.fields) == ["fallbacks"]
    row = await service.servers.add(bob.id, {**LIBERA, "fallbacks": "127.0.0.1 6697"}, trusted=True)
    assert row.trusted
    row = await service.servers.update(bob.id, row.id, {"fallbacks": ""})
    assert row.trusted, "less is not more"
    row = await service.servers.update(bob.id, row.id, {"fallbacks": "irc2.example.org 6697"})
    assert not row.trusted, "a name of theirs might lead to a private address"


async def test_the_live_half_reads_all_that_a_row_says(service: Service, bob: User) -> None:
    values = {
        "fallbacks": "a.example 1\nb.example 2", "auto_away": False, "away_message": "gone", "encoding": "koi8-r",
        "regain_command": "PRIVMSG NickServ :REGAIN {nick}", "connect_commands": "MODE bob +x\nWAIT 3",
        "auth_required": True, "flood_burst": "5", "flood_interval_ms": "100", "keep_nick": False,
    }  # fmt: skip
    row = await service.servers.add(bob.id, {**LIBERA, **values, "channels": "#a,#b"})
    channel = await service.channels.by_name(bob.id, row.id, "#b")
    rules = {"detached": "on", "relay_detached": "highlight", "detach_after_s": "1h", "auto_join": "", "key": "k"}
    await service.channels.update(bob.id, channel.id, rules)
    async with tenant.switch(bob.id):
        (one,) = await load(service.config)
    assert one.fallbacks == (("a.example", 1), ("b.example", 2))
    assert (one.auto_away, one.away_message, one.encoding) == (False, "gone", "koi8-r")
    assert (one.regain_command, one.keep_nick) == ("PRIVMSG NickServ :REGAIN {nick}", False)
    assert (one.connect_commands, one.params.auth_required) == (("MODE bob +x", "WAIT 3"), True)
    assert (one.flood_burst, one.flood_interval_ms, one.joins) == (5, 100, (("#a", None),))
    assert one.rules == (
        ChannelRules("#a", "#a", False, "default", "default", "default", None),
        ChannelRules("#b", "#b", True, "highlight", "default", "default", 3600),
    )


async def test_a_channels_key_is_kept_replaced_or_taken_away(service: Service, bob: User) -> None:
    row = await service.servers.add(bob.id, {**LIBERA, "channels": "#a key"})
    channel = await service.channels.by_name(bob.id, row.id, "#a")
    for raw, key in (
        ({"key": ""}, "key"),
        ({"key": "new"}, "new"),
        ({"detached": True}, "new"),
        ({"key": CLEAR}, None),
    ):
        assert (await service.channels.update(bob.id, channel.id, raw)).key == key


async def test_what_is_live_is_told_after_the_row_is_written(service: Service, bob: User, live: Listening) -> None:
    row = await service.servers.add(bob.id, LIBERA)
    live.told.clear()
    await service.servers.disconnect(bob.id, row.id)
    assert live.told == [("disconnect", bob.id, row.id), ("nudge", bob.id)]
    assert not (await service.servers.get(bob.id, row.id)).enabled
    live.told.clear()
    await service.servers.connect(bob.id, row.id)
    assert live.told == [("nudge", bob.id), ("connect", bob.id, row.id)]
    assert (await service.servers.get(bob.id, row.id)).enabled


async def test_a_disabled_server_says_so_whatever_was_before(service: Service, bob: User, live: Listening) -> None:
    row = await service.servers.add(bob.id, {**LIBERA, "enabled": False})
    live.states[row.id] = ServerState("failed", error="refused", attempt=3)
    assert (await service.servers.view(bob.id, row.id)).state == ServerState("disabled", error="refused")


async def test_joining_and_parting_write_the_wish_and_send_the_line(
    service: Service, bob: User, live: Listening
) -> None:
    row = await service.servers.add(bob.id, LIBERA)
    live.told.clear()
    channel = await service.channels.join(bob.id, row.id, "#Room", "key")
    assert (channel.auto_join, channel.key) == (True, "key")
    assert live.told == [("nudge", bob.id), ("send", bob.id, row.id, b"JOIN #Room key")]
    same = await service.channels.join(bob.id, row.id, "#room")
    assert (same.id, same.key) == (channel.id, "key")
    live.told.clear()
    await service.channels.part(bob.id, channel.id, "good bye")
    assert ("send", bob.id, row.id, b"PART #Room :good bye") in live.told
    assert not (await service.channels.get(bob.id, channel.id)).row.auto_join


async def test_channels_are_compared_as_the_network_does(service: Service, bob: User) -> None:
    row = await service.servers.add(bob.id, LIBERA)
    first = await service.channels.join(bob.id, row.id, "#a[b]")
    assert (await service.channels.by_name(bob.id, row.id, "#A{B}")).id == first.id
    async with tenant.switch(bob.id), tenant.session() as session:
        stored = await session.get_one(Server, row.id)
        stored.known_isupport = '{"CASEMAPPING": "ascii", "CHANTYPES": "#"}'
        await session.commit()
    second = await service.channels.join(bob.id, row.id, "#c[d]")
    assert (await service.channels.by_name(bob.id, row.id, "#C[D]")).id == second.id
    with pytest.raises(NotFoundError):
        await service.channels.by_name(bob.id, row.id, "#c{d}")
    with pytest.raises(InvalidError):
        await service.channels.join(bob.id, row.id, "&local")


@pytest.mark.parametrize("name", ["", "room", "#a b", "#a,b", "#a\x07", "#a\r\nQUIT"])
async def test_what_is_no_channel_is_not_joined(service: Service, bob: User, live: Listening, name: str) -> None:
    row = await service.servers.add(bob.id, LIBERA)
    live.told.clear()
    with pytest.raises(InvalidError):
        await service.channels.join(bob.id, row.id, name)
    assert live.told == []


async def test_the_people_of_a_channel_are_counted_and_listed(service: Service, bob: User) -> None:
    row = await service.servers.add(bob.id, {**LIBERA, "channels": "#a,#b"})
    (first, second) = await service.channels.list(bob.id, row.id)
    async with tenant.switch(bob.id), tenant.session() as session:
        session.add_all(ChannelUser(channel_id=first.row.id, folded=nick, nickname=nick, modes="") for nick in "cab")
        await session.commit()
    assert [view.people for view in await service.channels.list(bob.id, row.id)] == [3, 0]
    view = await service.channels.get(bob.id, first.row.id)
    assert [person.nickname for person in view.roster] == ["a", "b", "c"]
    assert (await service.channels.get(bob.id, second.row.id)).people == 0


async def test_deleting_a_server_takes_its_history_and_its_words_along(
    service: Service, bob: User, tenants: Tenants
) -> None:
    row = await service.servers.add(bob.id, {**LIBERA, "channels": "#a"})
    kept = await service.servers.add(bob.id, {**LIBERA, "name": "kept"})
    async with tenant.switch(bob.id), tenant.session() as session:
        channel = await session.scalar(select(Channel.id))
        session.add_all(
            Message(
                server_id=kept.id if number % 2 else row.id,
                channel_id=None if number % 2 else channel,
                message_type="privmsg",
                content="stays" if number % 2 else f"xylophone{number}",
                msgid=str(number),
                time=number,
            )
            for number in range(1_000)
        )
        await session.commit()
    await service.servers.delete(bob.id, row.id)
    async with tenant.switch(bob.id), tenant.session() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 500
        assert await session.scalar(select(func.count()).select_from(Channel)) == 0
        terms = text("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'xylo*'")
        assert await session.scalar(terms) == 0
    assert await tenants.check(bob.id) == []
    assert [view.row.name for view in await service.servers.list(bob.id)] == ["kept"]
