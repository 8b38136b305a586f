"""Takes the pictures in docs/screenshots: a real bouncer, made-up networks, every page wide and narrow, in Chromium.

Run it from the checkout with the tools of the tests: `.venv/bin/python scripts/screenshots.py [PAGE …]`
"""

# ruff: noqa: INP001 - a program, not a package
from __future__ import annotations

import asyncio
import random
import shutil
import socket
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.async_api import async_playwright  # noqa: E402 - after the path
from sqlalchemy import select  # noqa: E402

from bouncer import tenant, vault  # noqa: E402
from bouncer.clock import now_ms  # noqa: E402
from bouncer.config import load  # noqa: E402
from bouncer.database import MainDatabase  # noqa: E402
from bouncer.models.tenant import Channel, Conversation, Message, ServerEvent  # noqa: E402
from bouncer.service import Service  # noqa: E402
from bouncer.service.live import Offline  # noqa: E402
from tests.support.network import Peer, ScriptedNetwork  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playwright.async_api import Browser, Page

PICTURES = ROOT / "docs" / "screenshots"
WIDTHS = {1280: 860, 390: 844}
NAME, PASSWORD = "ada", "correct horse battery"
DARK = ("servers", "server", "messages")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

PEOPLE = "@grace +barbara +ken linus margaret edsger donald radia dennis alan katherine annie"
TOPIC = "\x02bouncer 0.1\x02 is out: https://example.org/news | questions welcome, answers too"
TALK = (
    ("grace", "privmsg", "morning! did the nightly build go through?"),
    (NAME, "privmsg", "yes: 1,204 tests, all green"),
    ("linus", "join", ""),
    ("linus", "privmsg", "what is the \x02plan\x02 for \x1dtoday\x1d? I only see https://example.org/plan?week=47"),
    ("grace", "action", "hands out coffee"),
    ("margaret", "privmsg", "may I look at the reconnect logic again? It waits minutes where one second would do"),
    (NAME, "privmsg", "\x0304careful\x03, it has a reason: half of us would come back in the same second"),
    ("ken", "quit", "Ping timeout: 240 seconds"),
    ("barbara", "privmsg", "then let it be random. \x11sleep(random() * ceiling)\x11 and done"),
    ("donald", "notice", "the wiki is read-only until 14:00"),
    ("edsger", "topic", TOPIC),
    ("katherine", "privmsg", "I checked the numbers by hand, they are right"),
    ("grace", "mode", "+v barbara"),
    ("radia", "privmsg", "of course they are, it is a tree"),
)  # fmt: skip
LOG = (
    ("connecting", "127.0.0.1"),
    ("connected", "encrypted by TLSv1.3"),
    ("disconnected", "Ping timeout after 9 d 3 h"),
)


@dataclass
class Demo:
    """What the pages need to know of the made-up data."""

    servers: dict[str, int]
    channel: int
    conversation: int


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else any free port."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        return int(probe.getsockname()[1])


def write_config(folder: Path) -> Path:
    """A configuration with listeners of its own."""
    file = folder / "bouncer.toml"
    web, irc = free_port(8080), free_port(6667)
    file.write_text(
        f'[web]\nlisten = "http://127.0.0.1:{web}"\n[[listen]]\nuri = "irc+insecure://127.0.0.1:{irc}"\n', "utf-8"
    )
    return file


async def network(stack: AsyncExitStack, *, silent: bool = False) -> ScriptedNetwork:
    """A made-up network; a silent one accepts and never answers."""
    made = await stack.enter_async_context(ScriptedNetwork())

    async def talk(peer: Peer) -> None:
        if silent:
            await peer.closed.wait()
            return
        await peer.welcome(caps=["server-time", "multi-prefix"])
        while (message := await peer.line(600)).command != "QUIT":
            if message.command == "JOIN":
                for channel in message.param(0).split(","):
                    await peer.let_in(channel, PEOPLE, TOPIC)

    made.serve(talk)
    return made


async def prepare(config_file: Path, ports: dict[str, int]) -> Demo:
    """A user with servers, channels and three days of history, before the bouncer starts."""
    config = await asyncio.to_thread(load, config_file)
    config.storage.path.mkdir(mode=0o700)
    await asyncio.to_thread(lambda: vault.install(vault.Vault(config.storage.secret_key)))
    main, tenants = MainDatabase(config.main_url), tenant.Tenants(config.storage.tenants)
    await main.migrate()
    await tenants.start()
    tenant.install(tenants)
    service = Service(config, main, tenants, Offline())
    user = await service.users.add(NAME, password=PASSWORD, email="ada@example.org", admin=True)
    servers = {}
    for name, fields in servers_of(ports).items():
        row = await service.servers.add(user.id, {"name": name, "address": "127.0.0.1", **fields}, trusted=True)
        servers[name] = row.id
    async with tenant.switch(user.id):
        demo = await history(servers)
    service.close()
    tenant.install(None)
    await tenants.close()
    await main.close()
    return demo


def servers_of(ports: dict[str, int]) -> dict[str, dict[str, object]]:
    """One server in each state."""
    plain = {"tls": False, "nickname": NAME}
    return {
        "libera": {**plain, "port": ports["libera"], "channels": "#bouncer,#debian,#python,#sqlite"},
        "oftc": {**plain, "port": ports["oftc"], "channels": "#debian-devel"},
        "quakenet": {**plain, "port": ports["silent"], "channels": "#quake"},
        "efnet": {**plain, "port": ports["closed"], "channels": "#c"},
        "office": {"nickname": NAME, "address": "irc.office.example", "enabled": False},
    }


async def history(servers: dict[str, int]) -> Demo:
    """Messages of three days in one channel and one conversation."""
    server, now, rng = servers["libera"], now_ms(), random.Random(3)  # noqa: S311 - the same pictures each time
    async with tenant.session() as session:
        channel = (await session.scalars(select(Channel).where(Channel.name == "#bouncer"))).one()
        conversation = Conversation(server_id=server, nick="grace", folded="grace")
        session.add(conversation)
        await session.flush()
        rounds = [line for _ in range(9) for line in TALK][:-2]
        time = now - 60_000 - 1_500_000 * len(rounds)
        for number, (nick, kind, content) in enumerate(rounds):
            time += rng.randrange(40_000, 2_900_000) if number < len(rounds) - 20 else 90_000
            row = {
                "sender": f"{nick}!{nick}@example.org",
                "message_type": kind,
                "content": content,
                "own": nick == NAME,
            }
            session.add(
                Message(
                    server_id=server, channel_id=channel.id, target="#bouncer", msgid=f"demo{number}", time=time, **row
                )
            )
        for number, (nick, content) in enumerate((("grace", "do you have a minute?"), (NAME, "always"))):
            session.add(
                Message(
                    server_id=server,
                    conversation_id=conversation.id,
                    target="grace",
                    sender=f"{nick}!{nick}@example.org",
                    message_type="privmsg",
                    content=content,
                    msgid=f"dm{number}",
                    time=now - 900_000 + number * 60_000,
                    own=nick == NAME,
                )
            )
        for number, (kind, detail) in enumerate(LOG):
            session.add(ServerEvent(server_id=server, time=now - (3 - number) * 3_600_000, kind=kind, detail=detail))
        await session.commit()
        return Demo(servers, channel.id, conversation.id)


def pages(demo: Demo) -> dict[str, str]:
    """Each picture's name and the page it shows."""
    libera = f"/servers/{demo.servers['libera']}"
    return {
        "servers": "/servers",
        "server": libera,
        "server-refused": f"/servers/{demo.servers['efnet']}",
        "server-new": "/servers/new",
        "server-edit": f"{libera}/edit",
        "server-delete": f"{libera}/delete",
        "channels": f"{libera}/channels",
        "channel": f"/channels/{demo.channel}",
        "messages": f"/channels/{demo.channel}/messages#newest",
        "conversation": f"/conversations/{demo.conversation}/messages",
        "account": "/account",
        "password": "/account/password",
        "not-found": "/servers/999",
    }


async def running(stack: AsyncExitStack, config_file: Path) -> None:
    """Start the bouncer as its users do, and stop it in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bouncer", "run", "--config", str(config_file), cwd=ROOT
    )

    async def stop() -> None:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await process.wait()

    stack.push_async_callback(stop)


async def signed_in(browser: Browser, url: str, width: int, scheme: str) -> Page:
    """A page of that width, signed in; on the way the sign-in form is pictured."""
    context = await browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme="dark" if scheme == "dark" else "light",
        base_url=url,
        locale="en-GB",
        timezone_id="Europe/London",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.goto("/session/new")
    if scheme == "light":
        await page.screenshot(path=PICTURES / f"sign-in-{width}.png")
    await page.get_by_label("Name or e-mail").fill(NAME)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/servers")
    return page


async def take(page: Page, name: str, path: str, suffix: str) -> None:
    """One picture, of the whole page unless it is a conversation, which is read at its end."""
    await page.goto(path)
    await page.wait_for_timeout(300)
    await page.screenshot(path=PICTURES / f"{name}-{suffix}.png", full_page=name != "messages", animations="disabled")
    print(f"{name}-{suffix}.png")  # noqa: T201 - a tool for a terminal


async def take_errors(page: Page, suffix: str) -> None:
    """The form that was refused."""
    await page.goto("/servers/new")
    await page.get_by_label("Name", exact=True).fill("lib era")
    await page.get_by_label("Port").fill("66977")
    await page.get_by_label("Identify by").select_option("sasl-plain")
    await page.get_by_role("button", name="Add server").click()
    await page.locator(".error").first.wait_for()
    await page.screenshot(path=PICTURES / f"server-refused-form-{suffix}.png", full_page=True)


async def all_pictures(url: str, demo: Demo, only: Iterable[str]) -> None:
    """Every page in every width, some in the dark."""
    wanted = {name: path for name, path in pages(demo).items() if not only or name in only}
    async with async_playwright() as playwright:
        chromium = shutil.which("chromium") or playwright.chromium.executable_path
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                page = await signed_in(browser, url, width, scheme)
                suffix = f"{width}-dark" if scheme == "dark" else str(width)
                for name, path in wanted.items():
                    if scheme == "light" or name in DARK:
                        await take(page, name, path, suffix)
                if scheme == "light" and not only:
                    await take_errors(page, suffix)
                await page.context.close()
        await browser.close()


async def answering(url: str) -> None:
    """Wait until the panel listens."""
    port = int(url.rsplit(":", 1)[1])
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


async def main(only: list[str]) -> None:
    """Make the data, start everything, take the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bouncer-pictures-")))
        config_file = await asyncio.to_thread(write_config, folder)
        networks = {name: await network(stack, silent=name == "silent") for name in ("libera", "oftc", "silent")}
        ports = {name: made.port for name, made in networks.items()} | {"closed": free_port()}
        demo = await prepare(config_file, ports)
        await running(stack, config_file)
        panel = (await asyncio.to_thread(load, config_file)).web.listen
        if panel is None:
            raise RuntimeError("the panel is off")
        url = f"http://{panel.host}:{panel.port}"
        await answering(url)
        await asyncio.sleep(6)  # for the refused network to be tried more than once
        await all_pictures(url, demo, only)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
