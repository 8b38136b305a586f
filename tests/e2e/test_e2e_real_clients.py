"""The whole thing with nothing of ours pretending: real networks on one side, two real clients at once on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support import browser
from tests.support.clients import Irssi, WeeChat
from tests.support.den import BOB, Den, story
from tests.support.ircd import inspircd, ngircd
from tests.support.person import person

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.daemon import Bouncer
    from tests.support.ircd import Ircd
    from tests.support.person import Person

FOUND = "SELECT m.sender, m.target FROM messages_fts f JOIN messages m ON m.id = f.rowid WHERE messages_fts MATCH ?"


async def test_ngircd_added_by_the_command_line(tmp_path: Path, bouncer: Bouncer) -> None:
    """Who comes back with irssi and WeeChat has missed nothing and sees nothing twice; the network has no msgid."""
    async with ngircd(tmp_path) as ircd, person(ircd.port, *BOB) as bob:
        await bob.join("#den")
        words = ["--port", str(ircd.port), "--no-tls", "--nick", "alice", "--join", "#den"]
        bouncer.cli.ok("server", "add", "alice", "net", ircd.host, *words)
        await bob.until("JOIN")
        await told(tmp_path, bouncer, bob)


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
        said = await told(tmp_path, bouncer, bob)
        await can_be_read(page, [word for word, buffer in said if buffer == "#den"])


async def told(folder: Path, bouncer: Bouncer, bob: Person) -> list[tuple[str, str]]:
    """The story with irssi and WeeChat; what was said, with its buffer."""
    clients = (
        Irssi(folder, bouncer.port, bouncer.login("irssi")),
        WeeChat(folder, bouncer.port, bouncer.login("weechat")),
    )
    den = Den(bouncer, bob, clients)
    try:
        await story(den)
        await can_be_found(bouncer)
    finally:
        for client in clients:
            client.kill()
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
