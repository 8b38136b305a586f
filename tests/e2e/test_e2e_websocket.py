"""A web client in a real Chromium: over WebSocket to a running bouncer, on a real network."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tests.support import browser
from tests.support.ircd import inspircd
from tests.support.person import person

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.daemon import Bouncer

BOB = ("NICK bob", "USER bob 0 * :Bob")
CAPS = (
    "sasl batch message-tags server-time echo-message labeled-response draft/chathistory draft/event-playback "
    "draft/read-marker soju.im/bouncer-networks soju.im/bouncer-networks-notify draft/extended-isupport"
)
DEADLINE_MS = 10_000
CLIENT = """() => {
window.open_socket = (name, url) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ["text.ircv3.net"]);
    const state = {socket, lines: [], waiting: []};
    window[name] = state;
    socket.onmessage = (event) => {
        if (event.data.startsWith("PING ")) socket.send("PONG " + event.data.slice(5));
        state.lines.push(event.data);
        state.waiting = state.waiting.filter((look) => !look());
    };
    socket.onopen = () => resolve(socket.protocol);
    socket.onerror = () => reject(new Error("refused"));
});
window.until = (name, text, deadline) => new Promise((resolve, reject) => {
    const state = window[name];
    const look = () => {
        const at = state.lines.findIndex((line) => line.includes(text));
        if (at < 0) return false;
        resolve(state.lines.splice(0, at + 1));
        return true;
    };
    if (!look()) state.waiting.push(look);
    setTimeout(() => reject(new Error(`no ${text} in ${state.lines.join("\\n")}`)), deadline);
});
}"""


class WebClient:
    """What a web page with an IRC client in it does, on the page it is given."""

    def __init__(self, page: Page, name: str) -> None:
        self._page = page
        self._name = name

    async def open(self, url: str) -> str:
        """Connect; the protocol that was agreed on."""
        return str(await self._page.evaluate("([name, url]) => open_socket(name, url)", [self._name, url]))

    async def send(self, *lines: str) -> None:
        script = "([name, lines]) => lines.forEach((line) => window[name].socket.send(line))"
        await self._page.evaluate(script, [self._name, list(lines)])

    async def until(self, text: str) -> list[str]:
        """The lines up to the one with `text` in it."""
        arguments: list[Any] = [self._name, text, DEADLINE_MS]
        lines: list[str] = await self._page.evaluate("([name, text, ms]) => until(name, text, ms)", arguments)
        return lines

    async def log_in(self, *more: str) -> None:
        """Negotiate and authenticate; `more` is said before CAP END."""
        secret = base64.b64encode(b"\0alice\0pw").decode()
        await self.send("CAP LS 302", f"CAP REQ :{CAPS}", "AUTHENTICATE PLAIN", f"AUTHENTICATE {secret}")
        assert " ACK " in " ".join(await self.until(" 903 "))
        await self.send("NICK alice", "USER alice 0 * :Alice", *more, "CAP END")


async def test_a_web_client_lists_networks_binds_to_one_and_talks(tmp_path: Path, bouncer: Bouncer) -> None:
    async with (
        inspircd(tmp_path) as ircd,
        person(ircd.port, *BOB) as bob,
        browser.chromium() as chromium,
        browser.signed_in(chromium, bouncer.panel, "alice", "pw") as page,
    ):
        await bob.join("#den")
        words = ["--port", str(ircd.port), "--no-tls", "--nick", "alice", "--join", "#den"]
        bouncer.cli.ok("server", "add", "alice", "net", ircd.host, *words)
        await bob.until("JOIN")
        bob.send("PRIVMSG #den :before you came, caf\u00e9")
        await bob.barrier()
        await page.evaluate(CLIENT)
        url = bouncer.panel.replace("http:", "ws:") + "/socket"

        control = WebClient(page, "control")
        assert await control.open(url) == "text.ircv3.net"
        await control.log_in()
        line = next(line for line in await control.until("name=net") if "name=net" in line)
        number = line.split("BOUNCER NETWORK ")[1].split()[0]

        client = WebClient(page, "client")
        await client.open(url)
        await client.log_in(f"BOUNCER BIND {number}")
        await client.until(" 366 alice #den ")
        await client.send("@label=h CHATHISTORY LATEST #den * 50")
        await client.until(":before you came, caf\u00e9")
        await client.send("@label=p PRIVMSG #den :hello from a page")
        assert "label=p" in (await client.until(":hello from a page"))[-1]
        await bob.until("hello from a page")
        bob.send("PRIVMSG #den :\U0001f44b")
        await client.until(":\U0001f44b")


async def test_a_page_of_another_site_cannot_attach(bouncer: Bouncer) -> None:
    async with browser.chromium() as chromium:
        page = await chromium.new_page()
        await page.goto("data:text/html,<title>elsewhere</title>")
        await page.evaluate(CLIENT)
        url = bouncer.panel.replace("http:", "ws:") + "/socket"
        refused = await page.evaluate("(url) => open_socket('client', url).catch((error) => error.message)", url)
        assert refused == "refused"
