"""The whole thing with nothing of ours pretending: real networks on one side, real clients on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.clients import WeeChat, quits, sees, until
from tests.support.ircd import inspircd, ngircd
from tests.support.person import Person, person

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.support.clients import Shown
    from tests.support.daemon import Bouncer
    from tests.support.ircd import Ircd

NETWORKS = [ngircd, inspircd]
CLIENTS = [WeeChat]
ACKNOWLEDGED = (
    "SELECT 1 FROM delivery_receipts r WHERE r.client = ? AND r.message_id >= (SELECT max(id) FROM messages "
    "WHERE message_type = 'privmsg')"
)
FOUND = "SELECT m.sender, m.target FROM messages_fts f JOIN messages m ON m.id = f.rowid WHERE messages_fts MATCH ?"


@pytest.mark.parametrize("client_of", CLIENTS, ids=lambda one: one.__name__.lower())
@pytest.mark.parametrize("network", NETWORKS, ids=lambda one: one.__name__)
async def test_who_comes_back_has_missed_nothing_and_sees_nothing_twice(
    tmp_path: Path,
    bouncer: Bouncer,
    network: Callable[[Path], AbstractAsyncContextManager[Ircd]],
    client_of: Callable[[Path, int, str], Shown],
) -> None:
    async with network(tmp_path) as ircd, person(ircd.port, "NICK bob", "USER b 0 * :b") as bob:
        bob.send("JOIN #den")
        await bob.until(" 366 ")
        add_server(bouncer, ircd)
        await bob.until("JOIN")
        client = client_of(tmp_path, bouncer.port, bouncer.login("desk"))
        try:
            await story(bouncer, client, bob)
        finally:
            client.kill()


async def story(bouncer: Bouncer, client: Shown, bob: Person) -> None:
    client.start()
    await sees(client, "#den")
    await talk(client, bob, "early")
    await acknowledged(bouncer, "desk")
    await quits(client)

    missed = ["missed-first", "missed-second", "missed-third"]
    bob.send("PRIVMSG #den :missed-first", "PRIVMSG alice :missed-second", "PRIVMSG #den :missed-third")
    await bob.barrier()
    await stored(bouncer, missed)

    client.start()
    for text in missed:
        await sees(client, text)
    await talk(client, bob, "late")  # live comes after the playback: nothing of it is still on its way
    shown = client.shown()
    assert [shown.count(text) for text in missed] == [1, 1, 1], shown
    await can_be_found(bouncer)


async def talk(client: Shown, bob: Person, when: str) -> None:
    """A word each way in the channel and in private, each shown once."""
    client.do(f"/msg #den {when}-from-alice")
    assert "alice!" in await bob.until(f"PRIVMSG #den :{when}-from-alice")
    client.do(f"/msg bob {when}-to-bob")
    assert "alice!" in await bob.until(f"PRIVMSG bob :{when}-to-bob")
    bob.send(f"PRIVMSG #den :{when}-in-den", f"PRIVMSG alice :{when}-to-alice")
    words = [f"{when}-{rest}" for rest in ("from-alice", "to-bob", "in-den", "to-alice")]
    for text in words:
        await sees(client, text)
    shown = client.shown()
    assert [shown.count(text) for text in words] == [1, 1, 1, 1], shown


async def can_be_found(bouncer: Bouncer) -> None:
    """The history answers a third client, the index a search, and the rows are in alice's file, once."""
    login = (f"PASS {bouncer.login('probe')}", "NICK alice", "USER a 0 * :a", "CAP END")
    asked = ("CAP LS 302", "CAP REQ :batch draft/chathistory server-time message-tags")
    async with person(bouncer.port, *asked, *login, ready=" 366 ") as probe:
        probe.send("CHATHISTORY LATEST #den * 50", "CHATHISTORY LATEST bob timestamp=2001-01-01T00:00:00.000Z 50")
        await probe.until("BATCH -")
        await probe.barrier()
    history = "\n".join(probe.read)
    assert "missed-first" in history
    assert "missed-second" in history
    (row,) = bouncer.rows(FOUND, '"missed-second"')
    assert row[0].startswith("bob!")
    assert row[1] == "bob"
    for text, target, own in (
        ("missed-first", "#den", 0),
        ("missed-third", "#den", 0),
        ("early-from-alice", "#den", 1),
        ("late-to-bob", "bob", 1),
    ):
        assert bouncer.rows("SELECT target, own FROM messages WHERE content = ?", text) == [(target, own)]


def add_server(bouncer: Bouncer, ircd: Ircd) -> None:
    words = ["--port", str(ircd.port), "--no-tls", "--nick", "alice", "--join", "#den"]
    bouncer.cli.ok("server", "add", "alice", "net", ircd.host, *words)


async def acknowledged(bouncer: Bouncer, client: str) -> None:
    """Wait until the client of that name has everything said so far."""
    await until(lambda: bouncer.rows(ACKNOWLEDGED, client), lambda: f"no receipt: {receipts(bouncer)}")


async def stored(bouncer: Bouncer, texts: list[str]) -> None:
    for text in texts:
        await until(
            lambda text=text: bouncer.rows("SELECT 1 FROM messages WHERE content = ?", text),  # type: ignore[misc]  # bound at once
            lambda text=text: f"{text} is not stored",  # type: ignore[misc]  # the same
        )


def receipts(bouncer: Bouncer) -> object:
    sql = "SELECT client, message_id, (SELECT max(id) FROM messages) FROM delivery_receipts"
    return bouncer.rows(sql), bouncer.log.read_text(encoding="utf-8")[-3000:]
