"""Owns everything live of one user: networks, clients, events. Starting and stopping all of it is one call each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from bouncer import journal_sql as sql
from bouncer import tenant
from bouncer.clock import now_ms
from bouncer.commands import dispatch, markers, metadata, multiline, typed
from bouncer.commands.bouncer import NETWORKS, NOTIFY, Announcer
from bouncer.commands.table import Answer
from bouncer.database import storage_failure
from bouncer.downstream import SERVER
from bouncer.errors import RefusedError
from bouncer.events import Event, Hub
from bouncer.health import Health
from bouncer.irc.authentication import SaslLines
from bouncer.irc.supported import UNBOUND, UNBOUND_LINE, in_batches
from bouncer.irc.welcome import channels_burst, registration_burst
from bouncer.journal import Change
from bouncer.network import names, settings
from bouncer.network.attachment import Attachment
from bouncer.network.network import Network
from bouncer.tasks import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bouncer.config import Config
    from bouncer.downstream import Client
    from bouncer.events import Reply, Trouble
    from bouncer.irc.message import Message
    from bouncer.journal import Journal
    from bouncer.service.bouncerserv import BouncerServ
    from bouncer.service.facade import Service

log = logging.getLogger(__name__)

VERSION = "bouncer"
AGAIN_MIN_S, AGAIN_MAX_S = 1.0, 30.0
"""How long until a file that could not be read is tried again; doubled each time."""
STORED_S = 2.0
"""What a person typed is answered after this time even if it is not on disk yet."""


class Session:
    """One registered client and what it is bound to."""

    def __init__(self, user: LiveUser, client: Client, network: Network | None) -> None:
        self.user = user
        self.client = client
        self.network = network
        self.attachment = Attachment(client, network) if network is not None else None
        self.answer = Answer(client, "", SERVER)
        self.drafts: dict[str, multiline.Draft] = {}
        self.sasl = SaslLines(lambda: "PLAIN")

    async def collect(self, msg: Message) -> bool:
        """Take a line that belongs to one of `drafts`; whether it did."""
        return await multiline.collect(self, msg)

    async def service(self, text: str) -> list[str]:
        """BouncerServ's answer; the command layer switches tenants itself."""
        server = self.network.settings.name if self.network is not None else None
        user, certificate = self.user, self.client.certificate
        return await user.bouncerserv.handle(user.user_id, text, server=server, certificate=certificate)


class LiveUser:
    """One user's live half."""

    def __init__(
        self,
        user_id: int,
        config: Config,
        journal: Journal,
        bouncerserv: BouncerServ,
        allows: Callable[[str, bool], bool],
    ) -> None:
        self.user_id = user_id
        self.config = config
        self.journal = journal
        self.bouncerserv = bouncerserv
        self.hub = Hub()
        self.group = Group()
        self.networks: dict[int, Network] = {}
        self.sessions: dict[int, Session] = {}
        self._allows = allows
        self._reconciling = asyncio.Lock()
        self.health = Health(str(user_id), journal, self.tell, self._note)
        self._again: asyncio.Task[None] | None = None
        self.announcer = Announcer(self)

    @property
    def service(self) -> Service:
        """The command layer."""
        return self.bouncerserv.service

    def allows(self, address: str, *, trusted: bool) -> bool:
        """Whether this user's servers may be at that IP address."""
        return self._allows(address, trusted)

    def configure(self, config: Config) -> None:
        """Follow a configuration read again; connections stay."""
        self.config = config
        for network in self.networks.values():
            network.configure()

    # -- networks --------------------------------------------------------------------------------------------------

    async def reconcile(self) -> None:
        """Make the live networks match the rows; where these cannot be read that is tried again until they can."""
        self.hub.health = self.health
        try:
            await self._reconcile()
        except Exception as error:
            self.health.unreadable(storage_failure(error) or type(error).__name__)
            if self._again is None:
                self._again = self.group.spawn(self._until_readable(), name=f"reconcile-{self.user_id}-again")
            raise
        self.health.readable()

    async def _until_readable(self) -> None:
        delay_s = AGAIN_MIN_S
        while True:
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, AGAIN_MAX_S)
            try:
                await self._reconcile()
            except Exception as error:  # noqa: BLE001 - whatever it is, it holds up nobody else
                if self.health.unreadable(reason := storage_failure(error) or type(error).__name__):
                    log.warning("the servers still cannot be read: %s", reason)
            else:
                break
        self._again = None
        self.health.readable()

    async def _reconcile(self) -> None:
        async with self._reconciling:
            async with tenant.switch(self.user_id):
                wanted = {one.server_id: one for one in await settings.load(self.config)}
            for server_id in [known for known in self.networks if known not in wanted]:
                network = self.networks.pop(server_id)
                for session in [one for one in self.sessions.values() if one.network is network]:
                    session.client.drop("this server was deleted")
                await network.stop("deleted")
            for server_id, one in wanted.items():
                network_or_none = self.networks.get(server_id)
                if network_or_none is None:
                    self._start(one)
                elif network_or_none.settings != one:
                    await network_or_none.apply(one)
            self.hub.subscriptions |= {self.announcer, self}
            self.hub.publish(Event("servers"))

    def _start(self, one: settings.ServerSettings) -> None:
        network = self.networks[one.server_id] = Network(self, one)
        network.on_capabilities = lambda: self._capabilities(network)
        network.start()

    def _capabilities(self, network: Network) -> None:
        for session in self.sessions.values():
            if session.network is network:
                session.client.update_caps(network.cap_values)

    async def stop(self, reason: str) -> None:
        """End every client and every network, and wait."""
        current = asyncio.current_task()
        self.hub.subscriptions -= {self.announcer, self}
        self.hub.health = None
        for session in list(self.sessions.values()):
            session.client.drop(reason)
        await asyncio.gather(*(network.stop(reason) for network in self.networks.values()))
        self.networks.clear()
        if current is not None:
            await self.group.cancel()

    def trouble(self, trouble: Trouble | None) -> None:
        """Storage of this user fails, or works again."""
        self.health.storing(trouble)
        self.hub.publish(Event("servers"))

    def _note(self, text: str) -> None:
        for network in self.networks.values():
            network.event("storage", text)

    def tell(self, *lines: str) -> int:
        """Notices to every client; how many clients there are."""
        for session in self.sessions.values():
            for line in lines:
                session.client.notice(line)
        return len(self.sessions)

    # -- the person without a client ---------------------------------------------------------------------------------

    async def say(self, server_id: int, lines: Sequence[Message]) -> list[Reply]:
        """See `service.live.Live.say`."""
        network = self.networks.get(server_id)
        if network is None:
            raise RefusedError("this server is not live")
        async with tenant.switch(self.user_id):
            found = await typed.say(network, lines)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORED_S):
                await self.journal.flush(str(self.user_id))
        return found

    async def mark_read(self, server_id: int, name: str, time_ms: int) -> bool:
        """See `service.live.Live.mark_read`."""
        network = self.networks.get(server_id)
        if network is None:
            return False
        if markers.move(network, name, min(time_ms, now_ms())):
            await markers.written(network)
        return True

    def put(self, event: Event) -> None:
        """Somebody began or ceased to read in the panel."""
        if event.kind == "readers":
            for network in self.networks.values():
                network.presence.changed()

    # -- clients ---------------------------------------------------------------------------------------------------

    def find(self, name: str | None, *, knows_networks: bool = False) -> Network | None:
        """The network a login names; without a name the only one there is. None: no such network."""
        if name is None:
            only = list(self.networks.values())
            return only[0] if len(only) == 1 and not knows_networks else None
        return next((one for one in self.networks.values() if one.settings.name.lower() == name.lower()), None)

    def no_server(self, name: str) -> str:
        """Why there is no network of that name, in words."""
        known = ", ".join(one.settings.name for one in self.networks.values()) or "none yet"
        return self.health.words() or f"No server named {name} (yours: {known})"

    def attach(self, client: Client, network: Network | None) -> None:
        """Welcome a client: numerics, channels from state, then what it missed, then live."""
        session = self.sessions[client.id] = Session(self, client, network)
        if network is None:
            client.line_bytes = UNBOUND_LINE
            self._welcome_unbound(client)
            self._tell_what_waits(client)
            client.update_caps({})
            if NOTIFY in client.caps:
                self.announcer.greet(session)
            return
        attachment = session.attachment
        assert attachment is not None  # noqa: S101 - a bound session has one
        client.server = network.settings.name
        client.nick = network.nick
        client.line_bytes, client.source = network.state.isupport.linelen, network.source
        self._welcome(client, network)
        if NOTIFY in client.caps:
            self.announcer.greet(session)
        attachment.background = client.away == "*"
        network.attach(attachment)
        if client.away and not attachment.background:
            network.presence.declare(client.away)
        seen = Change(sql.CLIENT_SEEN, (client.name, now_ms(), now_ms(), client.address))
        network.keep(seen, Change(sql.CLIENTS_TRIM, (names.MAX_NAMES,)))
        client.update_caps(network.cap_values)
        self._tell_what_waits(client)
        client.tasks.spawn(self._catch_up(attachment, client), name=f"playback-{client.id}")

    def _tell_what_waits(self, client: Client) -> None:
        for words in (self.health.words(), self.service.caretaker.untold(self.user_id)):
            if words:
                client.notice(words)

    async def _catch_up(self, attachment: Attachment, client: Client) -> None:
        try:
            async with tenant.switch(self.user_id):
                await attachment.catch_up()
        except (ConnectionError, TimeoutError):
            client.drop("too slow")
        except Exception as error:
            reason = storage_failure(error)
            if reason is None:
                log.exception("playback failed")
                client.drop("the history cannot be read")
                return
            log.warning("playback failed: %s", reason)
            client.notice(f"What you missed cannot be read ({reason}): it is played when you attach again")
            await self._go_live(attachment, client)

    async def _go_live(self, attachment: Attachment, client: Client) -> None:
        try:
            await attachment.go_live()
        except (ConnectionError, TimeoutError):
            client.drop("too slow")

    def _welcome(self, client: Client, network: Network) -> None:
        state = network.state
        lines = registration_burst(
            server=network.source,
            nick=state.nick,
            mask=state.mask,
            network=state.isupport.network or network.settings.name,
            created="with the bouncer",
            version=VERSION,
            tokens=network.tokens(),
            umodes=state.umodes,
            motd=network.motd,
            greeting=network.greeting,
        )
        lines.insert(len(lines) - 1, metadata.burst(network, client))  # before the end of the MOTD
        lines += channels_burst(
            state,
            network.source,
            client.caps,
            realname=network.settings.params.realname,
            behind_join=network.marker_lines,
            hides=network.hides,
        )
        client.write(b"".join(in_batches(lines, network.source, client.caps)))
        if not network.up:
            why = network.error or ("it is disabled" if not network.settings.enabled else "connecting")
            client.notice(f"Not connected to {network.settings.name}: {why}", source=network.source)

    def _welcome_unbound(self, client: Client) -> None:
        names = ", ".join(one.settings.name for one in self.networks.values()) or "none yet"
        lines = registration_burst(
            server=SERVER,
            nick=client.nick,
            mask=f"{client.nick}!{client.nick}@{SERVER}",
            network="Bouncer",
            created="with the bouncer",
            version=VERSION,
            tokens=UNBOUND,
        )
        client.write(b"".join(in_batches(lines, SERVER, client.caps)))
        if NETWORKS in client.caps:
            return
        client.notice(
            f"Not bound to a network (yours: {names}). Log in as user/server, or /msg BouncerServ help",
            source=SERVER,
        )

    def leave(self, client: Client) -> None:
        """A client has gone; its receipts are saved."""
        session = self.sessions.pop(client.id, None)
        if session is not None and session.network is not None and session.attachment is not None:
            session.network.detach(session.attachment)

    async def command(self, client: Client, msg: Message) -> None:
        """One line of a client, inside the user's tenant."""
        session = self.sessions.get(client.id)
        if session is None:
            return
        if session.network is not None:
            client.nick = session.network.nick
            client.line_bytes, client.source = session.network.state.isupport.linelen, session.network.source
        if msg.command in ("PRIVMSG", "NOTICE") and msg.params and msg.params[0].lower() == "bouncerserv":
            await dispatch(session, msg)  # the service switches tenants itself, an admin's verbs to others' files
            return
        async with tenant.switch(self.user_id):
            await dispatch(session, msg)
