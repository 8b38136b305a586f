"""Clients that come over TLS with a certificate nobody has signed: catgirl, and WeeChat with all it knows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support import daemon
from tests.support.clients import Catgirl, WeeChat, quits, sees
from tests.support.den import BOB, Den, story
from tests.support.ircd import free_port, ngircd
from tests.support.person import person

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.daemon import Bouncer

TLS = """
[[listen]]
uri = "ircs://127.0.0.1:{port}"
[tls]
cert = "storage/tls/cert.pem"
key = "storage/tls/key.pem"
"""


class Asking(WeeChat):
    """WeeChat with the habits of its users: every capability, and a script that asks ZNC's way for what it missed.

    The script writes down when the last line came that it has seen, and asks for what is later; at first for all.
    """

    def __init__(self, folder: Path, port: int, bouncer: Bouncer, fingerprint: str) -> None:
        super().__init__(folder, port, bouncer.login(self.name))
        self._fingerprint = fingerprint
        self.since("0")

    def since(self, time: str) -> None:
        """When it starts it asks for what came later, in seconds."""
        self.settings = [
            "/set irc.server.net.capabilities *,znc.in/playback",
            "/set irc.server.net.command /quote PRIVMSG *playback :PLAY * " + time,
        ]
        for name in ("ssl", "tls"):  # before 4.0, and from 4.0 on
            self.settings += [
                f"/set irc.server.net.{name} on",
                f"/set irc.server.net.{name}_fingerprint {self._fingerprint}",
            ]


class Here(Den):
    """The den, which WeeChat leaves without having been asked what it has got."""

    async def leave(self, client: Asking | Catgirl) -> None:  # type: ignore[override]  # the two that are here
        if isinstance(client, Catgirl):
            await super().leave(client)
            return
        await quits(client)
        ((time,),) = self.bouncer.rows("SELECT max(time) FROM messages WHERE message_type = 'privmsg'")
        client.since(f"{time / 1000:.3f}")


async def test_catgirl_by_its_certificate_and_weechat_that_asks_for_its_playback(tmp_path: Path) -> None:
    """catgirl enrols its certificate with BouncerServ and comes by it; WeeChat knows ours by its fingerprint."""
    port, folder = free_port(), tmp_path / "bouncer"
    folder.mkdir()
    bouncer = await asyncio.to_thread(daemon.prepare, folder, more=TLS.format(port=port))
    made = await asyncio.to_thread(bouncer.cli.ok, "tls", "self-signed", "--host", "localhost", "--host", "127.0.0.1")
    (fingerprint,) = [line.split()[-1] for line in made.out.splitlines() if "fingerprint" in line]
    catgirl = Catgirl(tmp_path, port, bouncer.cli.storage / "tls/cert.pem", "alice@catgirl", "pw")  # of her only server
    weechat = Asking(tmp_path, port, bouncer, fingerprint)
    try:
        with daemon.process(bouncer):
            await enrolled(catgirl)
            async with ngircd(tmp_path) as ircd, person(ircd.port, *BOB) as bob:
                await bob.join("#den")
                words = ["--port", str(ircd.port), "--no-tls", "--nick", "alice", "--join", "#den"]
                await asyncio.to_thread(bouncer.cli.ok, "server", "add", "alice", "net", ircd.host, *words)
                await bob.until("JOIN")
                await story(Here(bouncer, bob, (catgirl, weechat)))
    finally:
        catgirl.kill()
        weechat.kill()


async def enrolled(catgirl: Catgirl) -> None:
    """It made a certificate, which from now on lets it in."""
    catgirl.make_certificate()
    catgirl.start()
    await sees(catgirl, "Not bound to a network")
    catgirl.do("/msg BouncerServ certfp enrol --name girl")
    await sees(catgirl, "enrolled")
    await quits(catgirl)
    catgirl.password = ""
