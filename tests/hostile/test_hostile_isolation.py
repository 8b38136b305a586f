"""Two people with equal names for everything: no command of any door tells or changes what is the other's.

The commands are read from the grammars and the table: one that is new is tried too, or the test asks how.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bouncer import tenant
from bouncer.commands import TABLE
from bouncer.config import Web
from bouncer.endpoints import parse_http
from bouncer.errors import BouncerError
from bouncer.models.tenant import Channel, Conversation, Notification
from bouncer.service.bouncerserv import BouncerServ
from bouncer.service.commands import Request, run
from bouncer.service.parser import command_line, irc_commands, parse
from tests.support.house import Attached
from tests.support.network import ScriptedNetwork
from tests.web.panelkit import Browser, message
from web.app import start_panel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bouncer.config import Config
    from bouncer.models.main import User
    from bouncer.service import Service
    from bouncer.service.argparser import Parser
    from tests.support.house import House
    from tests.support.network import Peer

MARK = "wonderland"
VALUES = {
    "user": "bob", "server": "net", "name": "other", "address": "irc.example.org", "channel": "#den", "client": "phone",
    "token": "1", "certificate": "1", "fingerprint": "ab" * 32, "buffer": "#den", "words": "words", "state": "on",
    "method": "external", "which": "1", "key": "key", "reason": "bye", "account": "acc", "browser": "1", "days": "30",
    "file": "out", "job": "1", "number": "1", "before": "2026-01-01", "level": "all",
    "backup": "20260101T000000Z",
}  # fmt: skip
"""A word for each positional argument there is, by its name in the grammar."""
OPERATORS = {"run", "config", "tls", "secrets", "shell"}
"""Nouns of the command line that are about no user."""
OF_ALL = {("user", None), ("bouncer", None), ("server", "list")}
"""What is of the installation: an admin's, and the operator's."""


def verbs(parser: Parser) -> Iterator[tuple[str, str, Parser]]:
    for noun, one in parser.choices_of("noun").items():
        if noun not in OPERATORS:
            for verb, leaf in one.choices_of("verb").items():
                yield noun, verb, leaf


def words(noun: str, verb: str, leaf: Parser, **instead: str) -> list[str]:
    """The command with each argument it must have, and those it may have that stand alone."""
    found = [noun, verb]
    for action in leaf._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if not action.option_strings:
            values = {**VALUES, **instead}
            choices = list(action.choices or ())
            assert action.dest in values or choices, f"say what {action.dest} of {noun} {verb} may be"
            found.append(choices[0] if choices else values[action.dest])
        elif action.option_strings[0] in {"--yes", "--json", "--all"}:
            found.append(action.option_strings[0])
        elif action.option_strings[0] == "--server":
            found += ["--server", instead.get("server", "net")]
    return found


async def fill(service: Service, user: User, mark: str) -> None:
    """Everything a person may have, with the mark in it and the same names as the other."""
    base = {
        "name": "net", "address": f"{mark}.example.org", "realname": mark, "enabled": False, "away_message": mark,
        "connect_commands": f"AWAY {mark}", "channels": f"#den {mark}", "password": mark,
    }  # fmt: skip
    server = await service.servers.add(user.id, base, trusted=True)
    await service.servers.make_certificate(user.id, server.id)
    await service.tokens.create(user.id, "phone")
    await service.certificates.enrol(user.id, hashlib.sha256(mark.encode()).hexdigest(), mark)
    async with tenant.switch(user.id), tenant.session() as session:
        talk = Conversation(server_id=server.id, nick="friend", folded="friend")
        session.add(talk)
        channel = await session.get(Channel, 1)
        assert channel is not None
        channel.topic, channel.joined = mark, True
        await session.flush()
        for buffer in ({"channel_id": channel.id}, {"conversation_id": talk.id}, {}):
            session.add(message(server.id, f"words of {mark}", sender=f"{mark}!u@h", **buffer))
        await session.flush()
        session.add(Notification(message_id=1, reason="highlight"))
        await session.commit()


async def dump(user: User) -> list[object]:
    async with tenant.switch(user.id):
        return await tenant.read(lambda db: list(db.iterdump()))


@pytest.mark.parametrize("admin", [False, True])
async def test_no_verb_of_bouncerserv_tells_or_changes_what_is_anothers(
    service: Service, alice: User, bob: User, *, admin: bool
) -> None:
    await fill(service, alice, MARK)
    await fill(service, bob, "bobs-own")
    await service.users.set_admin(bob.id, admin)
    before, serv, told = await dump(alice), BouncerServ(service), ""
    for noun, verb, leaf in sorted(verbs(irc_commands(admin=admin)), key=lambda one: one[1] in {"delete", "clear"}):
        if noun == "user" and verb != "list":
            continue  # what admins do to accounts is theirs to do
        for number in ("1", "2", "999"):
            instead = dict.fromkeys(("token", "certificate", "which", "browser", "job", "number"), number)
            for line in await serv.handle(bob.id, " ".join(words(noun, verb, leaf, **instead)), server="net"):
                assert MARK not in line, (noun, verb)
                told += line
    assert "bobs-own" in told
    assert await dump(alice) == before
    assert len(await service.tokens.list(alice.id)) == 1
    assert len(await service.certificates.list(alice.id)) == 1


class Lines:
    """An `Output` that keeps what it is given."""

    def __init__(self) -> None:
        self.text = ""

    def line(self, text: str) -> None:
        self.text += f"{text}\n"

    def progress(self, done: int, total: int, what: str) -> None:
        self.line(f"{done} {total} {what}")


async def test_no_command_about_one_user_tells_or_changes_what_is_anothers(
    service: Service, alice: User, bob: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await fill(service, alice, MARK)
    await fill(service, bob, "bobs-own")
    before, output, tried = await dump(alice), Lines(), 0
    for noun, verb, leaf in sorted(verbs(command_line()), key=lambda one: one[1] in {"delete", "clear", "restore"}):
        if {(noun, None), (noun, verb)} & OF_ALL or "--all" in words(noun, verb, leaf):
            continue
        for number in ("1", "2", "999"):
            instead = dict.fromkeys(("token", "certificate", "which", "browser", "job", "number"), number)
            args = parse(command_line(), words(noun, verb, leaf, **instead))
            assert args.user == "bob", f"{noun} {verb} names no user"
            tried += 1
            try:
                await run(Request(service, args, output, {"auth_password": "x"}))
            except BouncerError as error:
                output.line(str(error))
    assert tried > 60
    assert MARK not in output.text
    assert "bobs-own" in output.text
    assert await dump(alice) == before


# -- a running bouncer -------------------------------------------------------------------------------------------------

CAPS = (
    "server-time message-tags batch echo-message standard-replies draft/chathistory draft/read-marker draft/metadata-2 "
    "draft/event-playback soju.im/bouncer-networks soju.im/bouncer-networks-notify"
)
SECRETS = ("server-pw", "account-pw", "command-pw", "key-pw", "login-pw")


@pytest.fixture
async def networks() -> object:
    async with ScriptedNetwork() as one, ScriptedNetwork() as other:
        yield one, other


async def live(house: House, network: ScriptedNetwork, name: str) -> tuple[Peer, Attached]:
    """A person on a network, with the names the other has too; each word and secret is marked with theirs."""
    user = await house.supervisor.service.users.add(name, password=f"login-pw-{name}")
    house.ids[name] = user.id
    fields = {
        "name": "net", "address": network.host, "port": str(network.port), "tls": False, "nickname": "same",
        "password": f"server-pw-{name}", "auth_method": "sasl-plain", "auth_account": "acc",
        "auth_password": f"account-pw-{name}", "connect_commands": f"/msg Q AUTH acc command-pw-{name}",
        "channels": f"#den key-pw-{name}", "realname": f"real-{name}",
    }  # fmt: skip
    await house.supervisor.service.servers.add(user.id, fields, trusted=True)
    peer = await network.accept()
    await peer.welcome(caps=["sasl", "echo-message", "message-tags"], accounts={"acc": f"account-pw-{name}"})
    await peer.expect("PRIVMSG", "Q")
    await peer.send(f":{peer.mask} PRIVMSG Q :AUTH acc command-pw-{name}")
    await peer.expect("JOIN", "#den")
    await peer.let_in("#den", "@friend", topic=f"topic-{name}")
    await peer.send(f"@msgid=one :friend!f@h PRIVMSG #den :words-{name}", f":friend!f@h PRIVMSG same :aside-{name}")
    await peer.barrier()
    client = await Attached.connect(house.port, f"{name}/net@phone", caps=CAPS, password=f"login-pw-{name}")
    house.clients.append(client)
    return peer, client


SPAN = "timestamp=2020-01-01T00:00:00.000Z timestamp=2030-01-01T00:00:00.000Z"
LINES = (
    "CHATHISTORY LATEST #den * 100", "CHATHISTORY AROUND #den msgid=one 10", f"CHATHISTORY TARGETS {SPAN} 10",
    "SEARCH text=words", "SEARCH from=friend", "MARKREAD #den", "MARKREAD #den timestamp=2026-01-01T00:00:00.000Z",
    "METADATA * SET key :value-{name}", "METADATA * LIST", "METADATA #den SUB key", "BOUNCER LISTNETWORKS",
    "BOUNCER CHANGENETWORK 2 realname=x", "BOUNCER DELNETWORK 2", "BOUNCER CHANGENETWORK 1 nickname=same",
    "CLIENTCERT LIST", "PRIVMSG *playback :PLAY *", "PRIVMSG BouncerServ :server status",
    "PRIVMSG BouncerServ :client list", "PRIVMSG BouncerServ :history search words",
    "PRIVMSG BouncerServ :notify list", "PRIVMSG BouncerServ :channel list", "PRIVMSG #den :said-by-{name}",
)  # fmt: skip


PAGES = (
    "/servers", "/servers/1", "/servers/1/edit", "/servers/1/log", "/servers/1/channels", "/channels/1",
    "/channels/1/messages", "/conversations/1/messages", "/chat", "/search?q=words", "/history", "/clients",
    "/notifications?all=1", "/account", "/account/data",
)  # fmt: skip


async def pages(house: House, config: Config) -> dict[str, str]:
    """What each is shown in the panel; connect commands stand in the form they are typed into, and nowhere else."""
    with_panel = replace(config, web=Web(listen=parse_http("http://127.0.0.1:0")))
    panel = await start_panel(with_panel, house.supervisor.service)
    shown = dict.fromkeys(house.ids, "")
    try:
        for name in shown:
            browser = Browser(panel.address)
            await browser.sign_in(name, f"login-pw-{name}")
            for path in PAGES:
                answer = await browser.get(path)
                assert answer.status == 200, path
                assert path == "/servers/1/edit" or f"command-pw-{name}" not in answer.text
                shown[name] += answer.text
            await browser.close()
    finally:
        await panel.close()
    return shown


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
async def test_nothing_of_one_reaches_the_other_and_no_secret_reaches_a_log_or_a_page(
    house: House, networks: tuple[ScriptedNetwork, ScriptedNetwork], config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    people = {}
    for name, network in zip(("alice", "bob"), networks, strict=True):
        people[name] = await live(house, network, name)
    got: dict[str, str] = {}
    for name, (peer, client) in people.items():
        lines = await client.barrier()
        plain = [f"{command} #den" for command in sorted(TABLE) if command not in {"QUIT", "PART", "JOIN", "NICK"}]
        for line in (*LINES, *plain):
            client.send(line.format(name=name))
        await peer.barrier()
        lines += await client.barrier()
        wrong = await Attached.connect(house.port, f"{name}/net", password=f"login-pw-{name}-not")
        house.clients.append(wrong)
        lines += await wrong.until("ERROR")
        got[name] = "\n".join([*lines, *peer.received])
    for name, text in (await pages(house, config)).items():
        got[name] += text
    for name, other in (("alice", "bob"), ("bob", "alice")):
        for word in ("words", "aside", "topic", "said-by", "real", "value", *SECRETS):
            assert f"{word}-{other}" not in got[name], word
        for word in ("words", "aside", "said-by", "real", "value"):
            assert f"{word}-{name}" in got[name], word
    logged = [f"{secret}-{name}" for name in people for secret in SECRETS if f"{secret}-{name}" in caplog.text]
    assert logged == []
    for name in people:
        shown = got[name].replace(f"PASS server-pw-{name}", "").replace(f"JOIN #den key-pw-{name}", "")
        assert re.findall(f"(?:server|account|key|login)-pw-{name}", shown) == []
