"""Clients, app passwords, certificates, sasl, history, notifications, away and the bouncer itself, by BouncerServ."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bouncer import tenant
from bouncer.config import Config, Storage
from bouncer.errors import UsageError
from bouncer.events import ClientInfo, LiveStatus
from bouncer.models.tenant import ClientName, Conversation, DeliveryReceipt, Message, Notification
from bouncer.service import Service
from bouncer.service.argparser import parse
from bouncer.service.bouncerserv import BouncerServ
from bouncer.service.help import ADMIN, HELP
from bouncer.service.live import DISCONNECTED, Offline
from bouncer.service.parser import command_line, irc_commands
from bouncer.service.znc import COMMANDS, MODULES, OTHERS, WORDS, is_znc, znc_hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bouncer.database import MainDatabase
    from bouncer.models.main import User
    from bouncer.tenant import Tenants


class Attached(Offline):
    """A bouncer with clients, by user."""

    running = True

    def __init__(self) -> None:
        super().__init__()
        self.here: dict[int, list[ClientInfo]] = {}
        self.forgotten: list[tuple[int, str]] = []
        self.told: list[str] = []
        self.reloads = 0

    def clients(self, user_id: int) -> Sequence[ClientInfo]:
        return self.here.get(user_id, [])

    async def drop_client(self, user_id: int, client_id: int, reason: str = DISCONNECTED) -> bool:
        del reason
        before = self.here.get(user_id, [])
        self.here[user_id] = [one for one in before if one.id != client_id]
        return len(self.here[user_id]) < len(before)

    def forget_client(self, user_id: int, name: str) -> None:
        self.forgotten.append((user_id, name))

    def status(self) -> LiveStatus:
        return LiveStatus(1_000, 2, 1, 3, 4, 5, 1_000_000, 0)

    def broadcast(self, text: str) -> int:
        self.told.append(text)
        return 2

    async def reload_configuration(self) -> None:
        self.reloads += 1


@pytest.fixture
def live() -> Attached:
    return Attached()


@pytest.fixture
def service(storage: Path, main_db: MainDatabase, tenants: Tenants, live: Attached) -> Iterator[Service]:
    made = Service(Config(storage=Storage(storage)), main_db, tenants, live)
    yield made
    made.close()


@pytest.fixture
def serv(service: Service) -> BouncerServ:
    return BouncerServ(service)


async def say(serv: BouncerServ, user: User, text: str, server: str | None = "net") -> list[str]:
    return await serv.handle(user.id, text, server=server)


async def fill(service: Service, user: User, words: str = "xylophone") -> int:
    """A server `net` with #a, a talk with grace and a notification; gives the server's id."""
    row = await service.servers.add(user.id, {"name": "net", "address": f"{user.name}.example", "channels": "#a"})
    channel = await service.channels.by_name(user.id, row.id, "#a")
    async with tenant.switch(user.id), tenant.session() as session:
        talk = Conversation(server_id=row.id, nick="grace", folded="grace")
        session.add(talk)
        await session.flush()
        for number in range(30):
            where = {"channel_id": channel.id, "target": "#a"} if number % 3 else {"conversation_id": talk.id}
            session.add(
                Message(
                    server_id=row.id,
                    message_type="privmsg",
                    sender=f"n{number % 2}!u@h",
                    msgid=str(number),
                    content=f"{words} {number:02}",
                    time=1_700_000_000_000 + number,
                    **{"target": "grace", **where},
                )
            )
        await session.flush()
        session.add(Notification(message_id=1, reason="dm"))
        session.add(Notification(message_id=4, reason="dm"))
        session.add(DeliveryReceipt(server_id=row.id, client="phone", message_id=3))
        await session.commit()
    return row.id


def client(number: int, name: str) -> ClientInfo:
    return ClientInfo(number, name, "net", "192.0.2.9", True, 1_700_000_000_000, ("batch",), "password")


async def test_clients_are_listed_and_sent_away(serv: BouncerServ, service: Service, bob: User, live: Attached) -> None:
    assert await say(serv, bob, "client list") == ["no client is attached"]
    live.here[bob.id] = [client(7, "phone"), client(8, "desk"), client(9, "desk")]
    await fill(service, bob)
    lines = await say(serv, bob, "cl li")
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["7", "phone", "net"],
        ["8", "desk", "net"],
        ["9", "desk", "net"],
    ]
    assert await say(serv, bob, "client disconnect 7") == ["1 client disconnected"]
    assert await say(serv, bob, "client disconnect desk") == ["2 clients disconnected"]
    assert "client list" in (await say(serv, bob, "client disconnect desk"))[0]
    lines = await say(serv, bob, "client list")
    assert lines[2].startswith("phone"), "it was here, and what it has is known"


async def test_a_forgotten_client_has_no_place_in_the_history(
    serv: BouncerServ, service: Service, bob: User, live: Attached
) -> None:
    await fill(service, bob)
    assert "on for phone" in (await say(serv, bob, "client timestamps phone on"))[0]
    async with tenant.switch(bob.id), tenant.session() as session:
        assert (await session.get_one(ClientName, "phone")).text_timestamps
    assert "on" in (await say(serv, bob, "client list"))[2]
    assert "forgotten" in (await say(serv, bob, "client forget phone"))[0]
    assert live.forgotten == [(bob.id, "phone")]
    async with tenant.switch(bob.id), tenant.session() as session:
        assert await session.get(ClientName, "phone") is None
        assert await session.get(DeliveryReceipt, (1, "phone")) is None
    assert "client list" in (await say(serv, bob, "client forget phone"))[0]
    assert "no blank" in (await say(serv, bob, "client timestamps 'a b' on"))[0]
    assert "on for -" in (await say(serv, bob, "client timestamps - on"))[0]
    assert "forgotten" in (await say(serv, bob, "client forget -"))[0]
    assert "without a name" in (await say(serv, bob, "client forget -"))[0]
    assert "on" in (await say(serv, bob, "client timestamps x perhaps"))[0]


async def test_app_passwords_are_made_shown_once_and_revoked(serv: BouncerServ, service: Service, bob: User) -> None:
    assert "token create" in (await say(serv, bob, "token list"))[0]
    made = await say(serv, bob, "token create phone")
    secret = made[0].rpartition(" ")[2]
    assert await service.tokens.check("bob", secret, address="") is not None
    lines = await say(serv, bob, "token list")
    assert lines[1].split()[1] == "phone"
    assert secret not in " ".join(lines)
    assert "revoke it first" in (await say(serv, bob, "token create phone"))[0]
    assert "is revoked" in (await say(serv, bob, "token revoke phone"))[0]
    assert await service.tokens.check("bob", secret, address="") is None
    number = (await say(serv, bob, "token create"))[1].split("`")[1].split()[-1]
    assert "is revoked" in (await say(serv, bob, f"token revoke {number}"))[0]
    assert "no app password" in (await say(serv, bob, f"token revoke {number}"))[0]


async def test_a_certificate_for_a_network_is_made_shown_and_removed(
    serv: BouncerServ, service: Service, bob: User
) -> None:
    await fill(service, bob)
    assert "certfp generate" in (await say(serv, bob, "certfp show"))[0]
    made = await say(serv, bob, "certfp generate")
    view = await service.servers.view(bob.id, 1)
    assert f"/msg NickServ CERT ADD {view.fingerprint}" in " ".join(made)
    assert view.fingerprint_sha512 in " ".join(made)
    assert await say(serv, bob, "certfp show") == made
    assert "--anew" in (await say(serv, bob, "certfp generate"))[0]
    assert await say(serv, bob, "certfp generate --anew") != made
    await say(serv, bob, "sasl set external")
    assert "sasl off" in (await say(serv, bob, "certfp remove"))[0]
    await say(serv, bob, "sasl off")
    assert "no certificate any more" in (await say(serv, bob, "certfp remove"))[0]
    assert (await service.servers.get(bob.id, 1)).client_certificate is None
    await say(serv, bob, "server update --no-tls --port 6667")
    assert "TLS" in (await say(serv, bob, "certfp generate"))[0]


async def test_a_clients_own_certificate_is_enrolled_listed_and_revoked(serv: BouncerServ, bob: User) -> None:
    assert "FINGERPRINT" in (await say(serv, bob, "certfp enrol"))[0]
    der = b"the certificate of this client"
    answer = await serv.handle(bob.id, "certfp enrol --name laptop", server=None, certificate=der)
    assert answer[0].startswith("certificate 1 is enrolled")
    await say(serv, bob, f"certfp enrol {'ab:' * 63}ab")
    lines = await say(serv, bob, "certfp list")
    assert lines[1].split()[:4] == ["1", "laptop", "SHA-256", hashlib.sha256(der).hexdigest()]
    assert "SHA-512" in lines[2]
    assert "hex digits" in (await say(serv, bob, "certfp enrol abcdef"))[0]
    assert "lets nobody in" in (await say(serv, bob, "certfp revoke 1"))[0]
    assert "no such certificate" in (await say(serv, bob, "certfp revoke 1"))[0]
    assert "lets nobody in" in (await say(serv, bob, f"certfp revoke {'ab' * 64}"))[0]


async def test_the_way_to_log_in_is_set_and_shown(serv: BouncerServ, service: Service, bob: User) -> None:
    await fill(service, bob)
    assert await say(serv, bob, "sasl status") == ["net: you do not log in"]
    set_ = "sasl set scram acct --password 'two words' --require"
    assert await say(serv, bob, set_) == ["net: sasl-scram as acct, never connected without: not connected"]
    row = await service.servers.get(bob.id, 1)
    assert (row.auth_method, row.auth_account, row.auth_password) == ("sasl-scram", "acct", "two words")
    assert row.auth_required
    assert "say the account" in (await say(serv, bob, "sasl set plain"))[0].lower()
    assert "sha-256" in " ".join(await say(serv, bob, "sasl set external")).lower()
    assert await say(serv, bob, "sasl off", None) == ["on which network? Say --server NAME"]
    assert await say(serv, bob, "sasl off --server net", None) == ["net: you do not log in"]


async def test_the_history_is_searched_counted_and_cleared(serv: BouncerServ, service: Service, bob: User) -> None:
    await fill(service, bob)
    lines = await say(serv, bob, "history search xylo* --limit 3")
    assert [line.rpartition(" ")[2] for line in lines] == ["27", "28", "29"]
    assert "net/#a <n1> xylophone 29" in lines[-1]
    assert [line.rpartition(" ")[2] for line in await say(serv, bob, "hi se xylo* --in GRACE --from n0 --limit 2")] == [
        "18",
        "24",
    ]
    assert await say(serv, bob, "history search nowhere") == ["nothing found"]
    assert "--server" in (await say(serv, bob, "history search x --in #a", None))[0]
    assert "no history of" in (await say(serv, bob, "history search x --in #nope"))[0]
    assert "--limit" in (await say(serv, bob, "history search x --limit 1000"))[0]
    assert "retention" in " ".join(await say(serv, bob, "help history"))
    sizes = await say(serv, bob, "history sizes")
    assert [line.split()[:3] for line in sizes[1:3]] == [["net", "#a", "20"], ["net", "grace", "10"]]
    assert sizes[-1].startswith("30 messages in all")
    assert "--yes" in (await say(serv, bob, "history clear #a"))[-1]
    assert await say(serv, bob, "history clear #A --yes") == ["20 messages deleted"]
    assert (await say(serv, bob, "history sizes"))[-1].startswith("10 messages in all")
    assert await say(serv, bob, "history clear grace --yes") == ["10 messages deleted"]
    assert await tenant_terms(bob) == 0


async def tenant_terms(user: User) -> int:
    async with tenant.switch(user.id):
        sql = "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'xylo*'"
        return int(await tenant.read(lambda db: db.execute(sql).fetchone()[0]))


async def test_notifications_are_listed_and_marked_as_read(serv: BouncerServ, service: Service, bob: User) -> None:
    assert await say(serv, bob, "notify list") == ["nothing new"]
    await fill(service, bob)
    lines = await say(serv, bob, "notify list")
    assert lines[0].startswith("1: ")
    assert lines[0].endswith("net/grace <n0> xylophone 00")
    assert await say(serv, bob, "notify read 1") == ["1 marked as read"]
    assert len(await say(serv, bob, "notify list")) == 1
    assert (await say(serv, bob, "notify list --all"))[0].endswith("(read)")
    assert await say(serv, bob, "notify read all") == ["1 marked as read"]
    assert "notify list" in (await say(serv, bob, "notify read 99"))[0]
    assert "notify read all" in (await say(serv, bob, "notify read x"))[0]


async def test_what_others_see_meanwhile_is_said_per_server(serv: BouncerServ, service: Service, bob: User) -> None:
    await fill(service, bob)
    assert "the usual" in (await say(serv, bob, "away show"))[0]
    assert "“back at nine”" in (await say(serv, bob, "away message back at nine"))[0]
    assert await say(serv, bob, "away auto off") == ["net: never away"]
    row = await service.servers.get(bob.id, 1)
    assert (row.auto_away, row.away_message) == (False, "back at nine")
    await say(serv, bob, "away message")
    assert (await service.servers.get(bob.id, 1)).away_message == ""
    assert "--server" in (await say(serv, bob, "away auto on", None))[0]


async def test_the_bouncer_is_for_admins(serv: BouncerServ, alice: User, bob: User, live: Attached) -> None:
    for text in ("bouncer status", "bouncer broadcast hello", "bouncer reload", "help bouncer"):
        assert "unknown" in (await say(serv, bob, text))[0]
    assert (live.told, live.reloads) == ([], 0)
    status = " ".join(await say(serv, alice, "bouncer status"))
    for words in ("users: 2", "clients attached: 4", "1 connected of 3", "1000000", "lag: 5 ms"):
        assert words in status
    assert await say(serv, alice, "bouncer broadcast back in 'five minutes'") == ["2 clients were told"]
    assert live.told == ["back in five minutes"]
    await say(serv, alice, "bouncer reload")
    assert live.reloads == 1


async def test_without_a_bouncer_there_is_nothing_to_tell_of(
    storage: Path, main_db: MainDatabase, tenants: Tenants, alice: User
) -> None:
    service = Service(Config(storage=Storage(storage)), main_db, tenants, Offline())
    serv = BouncerServ(service)
    for text in ("bouncer status", "bouncer broadcast x", "bouncer reload"):
        assert await say(serv, alice, text) == ["Error: no bouncer is running"]
    service.close()


WALK = (
    "client list", "client disconnect phone", "client disconnect 7", "client forget phone", "token list",
    "token revoke 1", "token revoke phone", "certfp list", "certfp revoke 1", "certfp show", "certfp generate",
    "certfp remove", "sasl status", "sasl set plain x --password y", "sasl off", "history search xylophone",
    "history search xylophone --in grace", "history sizes", "history clear grace --yes",
    "history keep 3 --in grace --yes", "history keep 3 --server net --yes", "history keep 3 --yes", "history retention",
    "history work", "history stop 1", "history resume 1", "history compact", "history clear --everything --yes",
    "notify list --all",
    "notify read 1", "notify read all", "notify rules --word mine", "browser list", "browser end all", "server log net",
    "server clone net copy", "channel update #a --notify all", "away show", "away message mine", "away auto off",
)  # fmt: skip


async def test_every_verb_of_one_user_leaves_the_other_as_they_were(
    serv: BouncerServ, service: Service, alice: User, bob: User, live: Attached, storage: Path
) -> None:
    await fill(service, alice, "wonderland")
    await say(serv, alice, "token create phone")
    await say(serv, alice, f"certfp enrol {'cd' * 32}")
    live.here[alice.id] = [client(7, "phone")]
    file = storage / "tenants" / f"{alice.id}.sqlite3"
    before = await contents(alice)
    for text in WALK:
        for server in ("net", None):
            for line in await say(serv, bob, text, server):
                assert "wonderland" not in line
                assert "alice" not in line
    await fill(service, bob, "xylophone")
    for text in WALK:
        for line in await say(serv, bob, text):
            assert "wonderland" not in line
            assert "alice" not in line
    assert await contents(alice) == before
    assert file.exists()
    assert live.here[alice.id] == [client(7, "phone")]
    assert len(await service.tokens.list(alice.id)) == 1
    assert len(await service.certificates.list(alice.id)) == 1


async def contents(user: User) -> list[tuple[object, ...]]:
    tables = ("servers", "channels", "messages", "notifications", "delivery_receipts", "clients")

    async with tenant.switch(user.id):
        return await tenant.read(
            lambda db: [row for name in tables for row in db.execute(f"SELECT * FROM {name}").fetchall()]  # noqa: S608 - constants
        )


def test_there_is_help_for_every_noun_and_it_names_every_verb() -> None:
    nouns = irc_commands(admin=True).choices_of("noun")
    assert set(nouns) == set(HELP)
    assert set(irc_commands(admin=False).choices_of("noun")) == set(HELP) - ADMIN
    for noun, parser in nouns.items():
        for verb in parser.choices_of("verb"):
            assert f"{noun} {verb}" in " ".join(HELP[noun]), (noun, verb)


def test_the_command_line_has_every_noun_of_irc_with_the_same_verbs() -> None:
    line = command_line().choices_of("noun")
    for noun, parser in irc_commands(admin=True).choices_of("noun").items():
        missing = set(parser.choices_of("verb")) - set(line[noun].choices_of("verb"))
        assert missing <= {"status"}, noun


def test_what_is_said_to_znc_is_answered_with_what_works_here() -> None:
    parser = irc_commands(admin=True)
    nouns = parser.choices_of("noun")
    for said in (*MODULES.values(), *COMMANDS.values()):
        noun, _, rest = said.partition(" ")
        assert noun == "help" or rest.split()[0].strip(",") in nouns[noun].choices_of("verb"), said
    assert znc_hint("ListNetworks") == ["This is no ZNC, but I can do that: /msg BouncerServ server list"]
    assert znc_hint("addchan")[0].endswith("channel join CHANNEL [KEY]")
    assert znc_hint("addchan #a key")[0].endswith("channel join #a [KEY]")
    assert znc_hint("detach '#a")[0].endswith("channel update CHANNEL --detached")
    assert znc_hint("set nick x", "*controlpanel")[0].startswith("This is no ZNC")
    assert znc_hint("SaveConfig") == [WORDS["saveconfig"]]
    for odd in ("", "zzz", "\x01VERSION\x01", "l"):
        assert znc_hint(odd) == ["This is no ZNC, but I can do that: /msg BouncerServ help"]
    assert all(is_znc(f"*{name.upper()}") and znc_hint("x", name) for name in ("status", *MODULES, *OTHERS))
    assert not any(map(is_znc, ("status", "*", "*mine", "")))


def test_a_choice_that_is_none_says_which_there_are() -> None:
    with pytest.raises(UsageError, match="on, off"):
        parse(irc_commands(admin=False), ["away", "auto", "perhaps"])
