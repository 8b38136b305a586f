"""Takes the pictures in docs/screenshots: a real bouncer on real networks with people who talk, in Chromium.

Run it from the checkout with the tools of the tests: `.venv/bin/python scripts/screenshots.py [PAGE …]`
"""

# ruff: noqa: INP001 - a program, not a package
from __future__ import annotations

import asyncio
import base64
import random
import shutil
import socket
import ssl
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from bouncer.tls import self_signed  # noqa: E402
from scripts.screenshot_talk import LIVE, LOG, NAME, PEOPLE, ROOMS, TALK, TOPIC  # noqa: E402
from tests.support.ircd import inspircd, ngircd  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playwright.async_api import Browser, Page

PICTURES = ROOT / "docs" / "screenshots"
WIDTHS = {1280: 860, 390: 844}
PASSWORD = "correct horse battery"  # noqa: S105 - of a bouncer that lives for a minute
QUALITY = 82
"""Of WebP: a third of a PNG's bytes, and no difference to be seen."""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


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
        f'[web]\nlisten = "http://127.0.0.1:{web}"\n[[listen]]\nuri = "irc+insecure://127.0.0.1:{irc}"\n'
        "[timeouts]\nping_s = 5\nregister_s = 600\n",
        "utf-8",
    )
    return file


class Person:
    """Somebody on a network, as a client of theirs would be: a nick, a connection, PINGs answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._seen = asyncio.Event()
        self._wanted = ""
        self._task = asyncio.create_task(self._read())  # noqa: TID251 - a program of its own

    @classmethod
    async def arrive(cls, stack: AsyncExitStack, port: int, nick: str, password: str = "") -> Person:
        """Connected and welcomed."""
        person = cls(*await asyncio.open_connection("127.0.0.1", port))
        stack.push_async_callback(person.leave)
        greeting = (*([f"PASS :{password}"] if password else []), f"NICK {nick}", f"USER {nick} 0 * :{nick}")
        await person.say(*greeting, until=" 001 ")
        return person

    async def say(self, *lines: str, until: str = "") -> None:
        """Send lines, and wait for one that holds `until`; without it for the answer to a PING of ours."""
        self._wanted = until or "PONG"
        self._seen.clear()
        self._writer.write("".join(f"{line}\r\n" for line in (*lines, *([] if until else ["PING :here"]))).encode())
        async with asyncio.timeout(20):
            await self._seen.wait()

    async def leave(self) -> None:
        """Gone."""
        self._task.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        async for raw in self._reader:
            line = raw.decode()
            if line.startswith("PING"):
                self._writer.write(f"PONG{line[4:]}".encode())
            elif self._wanted in line:
                self._seen.set()


async def encrypted(stack: AsyncExitStack, folder: Path, port: int) -> tuple[int, str]:
    """TLS in front of a network: the port and the fingerprint of its certificate."""
    made = self_signed(["localhost"])
    (folder / "network.pem").write_bytes(made.key_pem + made.cert_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "network.pem")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", free_port(6697), ssl=context)
    stack.callback(server.close)
    return server.sockets[0].getsockname()[1], made.fingerprint


async def silent(stack: AsyncExitStack) -> int:
    """A network that takes connections and says nothing."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", free_port(6665))
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


async def gather_people(stack: AsyncExitStack, big: int, small: int) -> dict[str, Person]:
    """Everybody in the channels before we come, so that they have operators and topics."""
    people = {nick: await Person.arrive(stack, big, nick) for nick in PEOPLE}
    rooms = ["#bouncer", *ROOMS]
    await people["grace"].say(f"JOIN {','.join(rooms)}")
    for number, (nick, person) in enumerate(people.items()):
        mine = ["#bouncer"] if nick != "linus" else []
        mine += [room for room, size in ROOMS.items() if number < size]
        await person.say(f"JOIN {','.join(mine or ['#python'])}")
    await people["grace"].say(
        f"TOPIC #bouncer :{TOPIC}",
        "TOPIC #debian :Debian 12.9 is out | paste more than three lines elsewhere",
        "TOPIC #sqlite :one writer, many readers",
        "MODE #bouncer +oo edsger katherine",
    )
    for nick in ("joey", "enrico"):
        await (await Person.arrive(stack, small, nick)).say("JOIN #debian-devel")
    return people


async def talk(stack: AsyncExitStack, people: dict[str, Person], irc: int) -> None:
    """We attach with two clients, and everybody says their line, each after the one before has been seen."""
    login = f"{NAME}/libera@{{}}:{PASSWORD}"
    us = await Person.arrive(stack, irc, NAME, login.format("laptop"))
    await Person.arrive(stack, irc, NAME, login.format("phone"))
    for nick, kind, content in LIVE:
        line = {
            "privmsg": f"PRIVMSG #bouncer :{content}",
            "action": f"PRIVMSG #bouncer :\x01ACTION {content}\x01",
            "notice": f"NOTICE #bouncer :{content}",
            "topic": f"TOPIC #bouncer :{content}",
            "mode": f"MODE #bouncer {content}",
            "join": "JOIN #bouncer",
            "quit": f"QUIT :{content}",
        }[kind]
        if kind == "quit":
            await people[nick].say(line, until="ERROR")
        else:
            await (us if nick == NAME else people[nick]).say(line)
        await asyncio.sleep(0.1)  # as it is said, so it is stored: through two networks' ends and one bouncer


async def prepare(config_file: Path, ports: dict[str, int], fingerprint: str) -> Demo:
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
    for name, fields in servers_of(ports, fingerprint).items():
        row = await service.servers.add(user.id, {"name": name, "address": "localhost", **fields}, trusted=True)
        servers[name] = row.id
    async with tenant.switch(user.id):
        demo = await history(servers)
    service.close()
    tenant.install(None)
    await tenants.close()
    await main.close()
    return demo


def servers_of(ports: dict[str, int], fingerprint: str) -> dict[str, dict[str, object]]:
    """One server in each state."""
    plain = {"tls": False, "nickname": NAME}
    return {
        "libera": {
            "nickname": NAME,
            "port": ports["libera"],
            "tls_fingerprint": fingerprint,
            "channels": "#bouncer,#debian,#python,#sqlite",
        },
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
        rounds = [line for _ in range(9) for line in TALK]
        times = sorted(now - 600_000 - rng.randrange(280_000_000) for _ in rounds)
        for number, ((nick, kind, content), time) in enumerate(zip(rounds, times, strict=True)):
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
        **{name: f"/{name}" for name in ("servers", "chat", "history", "clients", "account")},
        **{f"server-{part}": f"{libera}/{part}" for part in ("log", "edit", "delete")},
        **{f"history-{part}": f"/history/{part}" for part in ("rules", "deletion")},
        **{f"admin-{part}": f"/admin/{part}" for part in ("users", "house", "audit")},
        "admin-user": "/admin/users/1",
        **{part: f"/account/{part}" for part in ("data", "totp", "password")},
        "server": libera,
        "server-refused": f"/servers/{demo.servers['efnet']}",
        "server-new": "/servers/new",
        "channels": f"{libera}/channels",
        "channel": f"/channels/{demo.channel}",
        "messages": f"/channels/{demo.channel}/messages#newest",
        "conversation": f"/conversations/{demo.conversation}/messages",
        "days": f"/channels/{demo.channel}/days",
        "search": "/search?q=numbers",
        "notifications": "/notifications?all=1",
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
    await picture(page, f"sign-in-{suffix_of(width, scheme)}")
    await page.get_by_label("Name or e-mail").fill(NAME)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/servers")
    return page


def suffix_of(width: int, scheme: str) -> str:
    """What the name of a picture ends with: four forms of each page."""
    return f"{width}-dark" if scheme == "dark" else str(width)


async def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """What is in sight, or the whole page, as a file; Playwright itself writes no WebP."""
    cdp = await page.context.new_cdp_session(page)
    options: dict[str, Any] = {"format": "webp", "quality": QUALITY}
    if whole:
        size = (await cdp.send("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12_000), "scale": 1}
        options |= {"clip": clip, "captureBeyondViewport": True}
    made = await cdp.send("Page.captureScreenshot", options)
    await asyncio.to_thread((PICTURES / f"{name}.webp").write_bytes, base64.b64decode(made["data"]))
    await cdp.detach()
    print(f"{name}.webp")  # noqa: T201 - a tool for a terminal


async def take(page: Page, name: str, path: str, suffix: str) -> None:
    """One picture, of the whole page unless it is a conversation, which is read at its end."""
    await page.goto(path)
    await page.wait_for_timeout(300)
    await picture(page, f"{name}-{suffix}", whole=name not in ("messages", "conversation", "chat"))


async def take_errors(page: Page, suffix: str) -> None:
    """The form that was refused."""
    await page.goto("/servers/new")
    await page.get_by_label("Name", exact=True).fill("lib era")
    await page.get_by_label("Port").fill("66977")
    await page.get_by_label("Identify by").select_option("sasl-plain")
    await page.get_by_role("button", name="Add server").click()
    await page.locator(".error").first.wait_for()
    await picture(page, f"server-refused-form-{suffix}", whole=True)


async def all_pictures(url: str, demo: Demo, only: Iterable[str]) -> None:
    """Every page in four forms: wide and narrow, light and dark."""
    wanted = {name: path for name, path in pages(demo).items() if not only or name in only}
    async with async_playwright() as playwright:
        chromium = shutil.which("chromium") or playwright.chromium.executable_path
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                page = await signed_in(browser, url, width, scheme)
                suffix = suffix_of(width, scheme)
                for name, path in wanted.items():
                    await take(page, name, path, suffix)
                if not only:
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
    """Make the data, start everything, let them talk, take the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bouncer-pictures-")))
        config_file = await asyncio.to_thread(write_config, folder)
        big = await stack.enter_async_context(ngircd(folder, nick_length=20))
        small = await stack.enter_async_context(inspircd(folder, port=free_port(6668)))
        port, fingerprint = await encrypted(stack, folder, big.port)
        ports = {"libera": port, "oftc": small.port, "silent": await silent(stack), "closed": free_port(6669)}
        people = await gather_people(stack, big.port, small.port)
        demo = await prepare(config_file, ports, fingerprint)
        await running(stack, config_file)
        config = await asyncio.to_thread(load, config_file)
        if config.web.listen is None:
            raise RuntimeError("the panel is off")
        url = f"http://{config.web.listen.host}:{config.web.listen.port}"
        await answering(url)
        await asyncio.sleep(45)  # for a life to tell of: attempts that were refused, a measured lag
        await talk(stack, people, config.listen[0].port)
        await all_pictures(url, demo, only)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
