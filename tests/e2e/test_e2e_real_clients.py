"""The whole thing with nothing of ours pretending: real networks on one side, two real clients at once on the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support import browser
from tests.support.clients import Irssi, WeeChat, quits, sees, until
from tests.support.ircd import inspircd, ngircd
from tests.support.person import Person, person

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.clients import Shown
    from tests.support.daemon import Bouncer
    from tests.support.ircd import Ircd

ACKNOWLEDGED = (
    "SELECT 1 FROM delivery_receipts r WHERE r.client = ? AND r.message_id >= (SELECT max(id) FROM messages "
    "WHERE message_type = 'privmsg')"
)
FOUND = "SELECT m.sender, m.target FROM messages_fts f JOIN messages m ON m.id = f.rowid WHERE messages_fts MATCH ?"
BOB = ("NICK bob", "USER b 0 * :b")


@dataclass
class Den:
    """#den and its people: alice with two clients, irssi as @desk and WeeChat as @phone, and bob."""

    bouncer: Bouncer
    bob: Person
    desk: Shown
    phone: Shown
    said: list[tuple[str, str]] = field(default_factory=list)
    """Each word that was said, all different, and the buffer it belongs to on alice's side."""

    async def attach(self) -> None:
        for client in (self.desk, self.phone):
            client.start()
        for client in (self.desk, self.phone):
            await sees(client, "#den")

    async def alice_says(self, client: Shown, when: str) -> None:
        """A word to the channel and one to bob."""
        word, whisper = f"{when}-by-{client.name}", f"{when}-whispered-by-{client.name}"
        client.do(f"/msg #den {word}")
        assert "alice!" in await self.bob.until(f"PRIVMSG #den :{word}")
        client.do(f"/msg bob {whisper}")
        assert "alice!" in await self.bob.until(f"PRIVMSG bob :{whisper}")
        self.said += [(word, "#den"), (whisper, "bob")]

    async def bob_says(self, when: str) -> None:
        word, whisper = f"{when}-by-bob", f"{when}-whispered-by-bob"
        self.bob.send(f"PRIVMSG #den :{word}", f"PRIVMSG alice :{whisper}")
        await self.bob.barrier()
        self.said += [(word, "#den"), (whisper, "bob")]

    async def stored(self) -> None:
        """All that was said is in the file, once, where it belongs."""
        for word, buffer in self.said:
            await until(lambda word=word: self.rows(word), lambda word=word: f"{word} is not stored")  # type: ignore[misc]  # bound at once
            assert self.rows(word) == [(buffer, "bob" not in word.split("-"))], word

    def rows(self, word: str) -> list[tuple[object, ...]]:
        return self.bouncer.rows("SELECT target, own FROM messages WHERE content = ?", word)

    async def shown(self, *clients: Shown) -> None:
        """Each of them has been shown each word, ever, exactly once."""
        for client in clients:
            for word, _ in self.said:
                await sees(client, word)
            shown = client.shown()
            assert {word: shown.count(word) for word, _ in self.said if shown.count(word) != 1} == {}, shown

    async def acknowledged(self, client: str) -> None:
        """Wait until the client of that name has acknowledged everything said so far."""
        await until(lambda: self.bouncer.rows(ACKNOWLEDGED, client), lambda: f"no receipt: {receipts(self.bouncer)}")


async def test_ngircd_added_by_the_command_line(tmp_path: Path, bouncer: Bouncer) -> None:
    """Who comes back with irssi and WeeChat has missed nothing and sees nothing twice; the network has no msgid."""
    async with ngircd(tmp_path) as ircd, person(ircd.port, *BOB) as bob:
        await bob.join("#den")
        words = ["--port", str(ircd.port), "--no-tls", "--nick", "alice", "--join", "#den"]
        bouncer.cli.ok("server", "add", "alice", "net", ircd.host, *words)
        await bob.until("JOIN")
        await story(tmp_path, bouncer, bob)


async def test_inspircd_added_in_the_panel(tmp_path: Path, bouncer: Bouncer) -> None:
    """The same with msgid, server-time, echo and labels from the network; the panel shows what was said."""
    async with (
        inspircd(tmp_path) as ircd,
        person(ircd.port, *BOB) as bob,
        browser.chromium() as chromium,
        browser.signed_in(chromium, bouncer.panel, "alice", "pw") as page,
    ):
        await bob.join("#den")
        await add_server(page, ircd)
        await bob.until("JOIN")
        await expect(page.get_by_text("Connected", exact=True)).to_be_visible()
        said = await story(tmp_path, bouncer, bob)
        await can_be_read(page, [word for word, buffer in said if buffer == "#den"])


async def story(folder: Path, bouncer: Bouncer, bob: Person) -> list[tuple[str, str]]:
    """Talk, leave, be talked to, come back; what was said, with its buffer."""
    desk = Irssi(folder, bouncer.port, bouncer.login("desk"))
    phone = WeeChat(folder, bouncer.port, bouncer.login("phone"))
    den = Den(bouncer, bob, desk, phone)
    try:
        await den.attach()
        await den.alice_says(desk, "early")
        await den.alice_says(phone, "early")
        await den.bob_says("early")
        await den.shown(desk, phone)

        await den.acknowledged("desk")
        await quits(desk)
        await den.alice_says(phone, "alone")
        await den.bob_says("alone")
        await den.shown(phone)
        await den.acknowledged("phone")
        await quits(phone)
        for number in range(3):
            await den.bob_says(f"missed{number}")
        await den.stored()

        await den.attach()
        await den.shown(desk, phone)
        await den.bob_says("late")  # live comes after the playback: nothing of it is still on its way
        await den.alice_says(desk, "late")
        await den.alice_says(phone, "late")
        await den.shown(desk, phone)
        await den.stored()
        await can_be_found(bouncer)
    finally:
        desk.kill()
        phone.kill()
    return den.said


async def add_server(page: Page, ircd: Ircd) -> None:
    await page.get_by_role("link", name="Add server").click()
    await page.get_by_label("Name", exact=True).fill("net")
    await page.get_by_label("Address", exact=True).fill(ircd.host)
    await page.get_by_label("Port", exact=True).fill(str(ircd.port))
    await page.get_by_label("Encrypt the connection").uncheck()
    await page.get_by_label("Nick", exact=True).fill("alice")
    await page.get_by_label("Channels to join").fill("#den")
    await page.get_by_role("button", name="Add server").click()
    await expect(page.get_by_text("net is added.")).to_be_visible()


async def can_be_read(page: Page, words: list[str]) -> None:
    await page.get_by_role("link", name="#den", exact=True).click()
    await page.get_by_role("link", name="Read", exact=True).click()
    for word in words:
        await expect(page.get_by_text(word, exact=True)).to_have_count(1)


async def can_be_found(bouncer: Bouncer) -> None:
    """The history answers a third client, and the index a search."""
    login = (f"PASS {bouncer.login('probe')}", "NICK alice", "USER a 0 * :a", "CAP END")
    asked = ("CAP LS 302", "CAP REQ :batch draft/chathistory server-time message-tags")
    async with person(bouncer.port, *asked, *login, ready=" 366 ") as probe:
        probe.send("CHATHISTORY LATEST #den * 50", "CHATHISTORY LATEST bob timestamp=2001-01-01T00:00:00.000Z 50")
        for end in ("late-by-weechat", "late-whispered-by-weechat"):
            await probe.until(end)
    history = "\n".join(probe.read)
    assert history.count("missed1-by-bob") == 1
    assert history.count("missed1-whispered-by-bob") == 1
    (row,) = bouncer.rows(FOUND, '"missed1-whispered-by-bob"')
    assert row[0].startswith("bob!")
    assert row[1] == "bob"


def receipts(bouncer: Bouncer) -> object:
    sql = "SELECT client, message_id, (SELECT max(id) FROM messages) FROM delivery_receipts"
    return bouncer.rows(sql), bouncer.log.read_text(encoding="utf-8")[-3000:]
