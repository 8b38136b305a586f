"""Clients that know little: none of the capabilities, those of 2012, and what people set up for ZNC."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.support.clients import until
from tests.support.den import ACKNOWLEDGED, BOB, receipts
from tests.support.ircd import ngircd
from tests.support.person import DEADLINE_S, Person, person

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.daemon import Bouncer

SIGN_IN = ("NICK al", "USER al 0 * :al")
FIRST_CAPS = "multi-prefix userhost-in-names"
ZNC_CAPS = "server-time znc.in/server-time-iso znc.in/batch znc.in/playback znc.in/self-message"
ZNC_LOGINS = (
    ("PASS alice/net:pw", *SIGN_IN),
    ("PASS pw", "NICK al", "USER alice/net 0 * :al"),
    ("PASS pw", "NICK al", "USER alice@phone/net 0 * :al"),
)
ZNC_QUESTIONS = {
    "PRIVMSG *status :help": "/msg BouncerServ help",
    "ZNC ListChans": "/msg BouncerServ channel list",
    "ZNC *status jumpnetwork other": "log in as USER/SERVER",
    "DETACH #den": "/msg BouncerServ channel update #den --detached",
    "PRIVMSG *sasl :mechanism": "/msg BouncerServ sasl set",
}


@pytest.fixture
async def bob(tmp_path: Path, bouncer: Bouncer) -> AsyncIterator[Person]:
    """In #den of a network on which alice is."""
    async with ngircd(tmp_path) as ircd, person(ircd.port, *BOB) as someone:
        await someone.join("#den")
        words = ["--port", str(ircd.port), "--no-tls", "--nick", "alice", "--join", "#den"]
        await asyncio.to_thread(bouncer.cli.ok, "server", "add", "alice", "net", ircd.host, *words)
        await someone.until("JOIN")
        yield someone


@dataclass
class Old:
    """One client of alice's, as it comes and goes, and all the lines it was ever sent."""

    bouncer: Bouncer
    name: str
    greeting: tuple[str, ...]
    lines: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def attached(self) -> AsyncIterator[Person]:
        async with person(self.bouncer.port, *self.greeting, ready=" 366 ") as client:
            seen = client.read[:]
            assert any(line.endswith(" JOIN #den") for line in seen), seen
            assert any(" 353 alice = #den :" in line for line in seen), seen
            yield client
            self.lines += client.read

    async def leave(self, client: Person) -> None:
        """QUIT once all was acknowledged: PINGs are answered while it waits."""
        async with asyncio.timeout(DEADLINE_S):
            while not self.bouncer.rows(ACKNOWLEDGED, self.name):
                await client.barrier()
        client.send("QUIT :home")
        await client.until("ERROR")

    def once(self, *words: str) -> None:
        """Each was said to it once, and is stored once."""
        for word in words:
            assert [line for line in self.lines if line.endswith(f" :{word}")] != [], (word, self.lines)
            assert len([line for line in self.lines if line.endswith(f" :{word}")]) == 1, (word, self.lines)
            assert len(self.bouncer.rows("SELECT 1 FROM messages WHERE content = ?", word)) == 1


async def test_a_client_without_capabilities(bouncer: Bouncer, bob: Person) -> None:
    """It is told everything in lines as they were in 1993, and what it missed when it comes back."""
    old = Old(bouncer, "old", (f"PASS {bouncer.login('old')}", *SIGN_IN))
    await story(old, bob)
    for line in old.lines:
        assert line.startswith((":", "PING ", "ERROR ")), line
        assert len(line.encode()) <= 510
        assert not re.match(r"\S+ (CAP|BATCH|TAGMSG|AWAY|ACCOUNT|CHGHOST|SETNAME|MARKREAD|BOUNCER|NOTE|FAIL) ", line)
    await asyncio.to_thread(bouncer.cli.ok, "client", "timestamps", "alice", "-", "on")
    async with person(bouncer.port, "PASS alice/net:pw", *SIGN_IN, ready=" 366 ") as nameless:
        line = await nameless.until("missed")
        assert re.search(r" PRIVMSG #den :\[\d\d:\d\d:\d\d\] missed$", line), line


async def test_a_client_of_the_first_capabilities(bouncer: Bouncer, bob: Person) -> None:
    """CAP as it was in IRCv3.1: a list of one short line, names without values, no CAP NEW."""
    async with person(bouncer.port, "CAP LS", ready=" LS ") as first:
        (listed,) = first.read
        assert re.match(r":\S+ CAP \* LS :", listed)
        assert "=" not in listed
        assert len(listed.encode()) <= 510
        assert {*FIRST_CAPS.split(), "sasl"} <= set(listed.partition(" :")[2].split())
        first.send("CAP REQ :multi-prefix no-such-thing")
        await first.until("CAP * NAK :multi-prefix no-such-thing")
        first.send("CAP LIST")
        assert (await first.until(" LIST ")).endswith(" LIST :")
    caps = ("CAP LS", f"CAP REQ :{FIRST_CAPS}")
    old = Old(bouncer, "first", (*caps, f"PASS {bouncer.login('first')}", *SIGN_IN, "CAP END"))
    await story(old, bob)
    (names, *_) = [line for line in old.lines if " 353 " in line]
    assert "@bob" in names
    assert not any(line.startswith("@") or " BATCH " in line for line in old.lines)


async def story(old: Old, bob: Person) -> None:
    """Attach, talk both ways, go, be talked to, attach, talk."""
    async with old.attached() as client:
        client.send("PRIVMSG #den :early-by-alice", "PRIVMSG bob :early-whispered-by-alice")
        await bob.until("PRIVMSG bob :early-whispered-by-alice")
        bob.send("PRIVMSG #den :early", "PRIVMSG alice :early-whispered")
        await client.until("PRIVMSG alice :early-whispered")
        await old.leave(client)
    bob.send("PRIVMSG #den :missed", "PRIVMSG alice :missed-whispered", "NOTICE #den :missed-notice")
    await bob.barrier()
    count = "SELECT 1 FROM messages WHERE content = 'missed-notice'"
    await until(lambda: old.bouncer.rows(count), lambda: str(receipts(old.bouncer)))
    async with old.attached() as client:
        await client.until("missed-notice")
        client.send("PRIVMSG #den :late-by-alice", "PRIVMSG bob :late-whispered-by-alice")
        await bob.until("PRIVMSG bob :late-whispered-by-alice")
        bob.send("PRIVMSG #den :late")
        await client.until("PRIVMSG #den :late")
        await client.barrier()
    old.once("early", "early-whispered", "missed", "missed-whispered", "missed-notice", "late")
    for line in old.lines:
        assert "early-by-alice" not in line  # it asked for no echo
        assert "late-by-alice" not in line


async def test_a_client_set_up_for_znc(bouncer: Bouncer, bob: Person) -> None:
    """Its login, its playback by time, its own words from elsewhere; its commands are answered with ours."""
    caps = ("CAP LS 302", f"CAP REQ :{ZNC_CAPS}", "PASS alice@laptop/net:pw", *SIGN_IN, "CAP END")
    bob.send("PRIVMSG #den :before")
    await bob.barrier()
    znc = Old(bouncer, "laptop", caps)
    async with znc.attached() as client:
        client.send("PRIVMSG *playback :PLAY * 0")
        await client.until(" :before")
        for number, login in enumerate(ZNC_LOGINS):
            async with person(bouncer.port, *login, ready=" 366 ") as elsewhere:
                elsewhere.send(f"PRIVMSG bob :from elsewhere {number}")
                line = await client.until(f" :from elsewhere {number}")
                assert re.match(r"@time=\S+ :alice!\S+ PRIVMSG bob ", line)
        for question, answer in ZNC_QUESTIONS.items():
            client.send(question)
            assert answer in await client.until(":BouncerServ!")
    bob.send("PRIVMSG #den :meanwhile", "PRIVMSG alice :psst")
    await bob.barrier()
    ((time,),) = bouncer.rows("SELECT max(time) FROM messages WHERE content LIKE 'from elsewhere%'")
    async with znc.attached() as client:
        client.send(f"PRIVMSG *playback :PLAY * {time / 1000:.3f}")
        await client.barrier()
        batches = [line.split(" ", 1)[1] for line in client.read if " BATCH +" in line]
        assert [words.split(" ", 2)[2] for words in batches] == ["znc.in/playback #den", "znc.in/playback bob"]
    znc.once("before", "from elsewhere 0", "from elsewhere 1", "from elsewhere 2", "meanwhile", "psst")
