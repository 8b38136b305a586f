"""Owns the running bouncer: listeners, users, the journal; implements `Live` for the command layer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING

from bouncer import tasks
from bouncer.clock import now_ms
from bouncer.commands.bouncer import NETWORKS, find
from bouncer.database import storage_failure
from bouncer.downstream import Admission, Client
from bouncer.entrance import Entrance
from bouncer.errors import CommandError, RefusedError
from bouncer.events import ClientInfo, Hub, LiveStatus, ServerState, Trouble
from bouncer.irc import numerics
from bouncer.irc.lines import split_text
from bouncer.journal import Journal
from bouncer.listeners import FULL, Listeners
from bouncer.live_user import LiveUser
from bouncer.looplag import LoopLag
from bouncer.service import Service
from bouncer.service.live import DISCONNECTED
from bouncer.service.outbound import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from bouncer.config import Config
    from bouncer.database import MainDatabase
    from bouncer.downstream import Challenge, Drop
    from bouncer.events import Reply
    from bouncer.gate import Ticket
    from bouncer.irc.entering import Attempt, Login, Onward
    from bouncer.irc.message import Message
    from bouncer.models.main import User
    from bouncer.network.network import Network
    from bouncer.tenant import Tenants
    from bouncer.transport import Transport

log = logging.getLogger(__name__)

BROADCAST_BYTES = 400
"""Text in one line of a broadcast."""
START_AT_ONCE = 20
"""Users whose files are opened side by side at the start."""
AWAKE_S = 10.0
"""How long a client waits for its user while a start is under way."""
SETTLE_S = 1.5
"""How long after its login a client waits for a network of which nothing is known; 001 comes within 2 s."""


class Supervisor:
    """The live half. `start` raises ConfigError naming a port in use; `stop` ends everything in order."""

    running = True

    def __init__(self, config: Config, main: MainDatabase, tenants: Tenants) -> None:
        self.config = config
        self.tenants = tenants
        self.service = Service(config, main, tenants, self)
        self.journal = Journal(tenants, live_ms=config.timeouts.commit_live_ms, max_rows=config.limits.journal_rows)
        self.journal.on_trouble = self._trouble
        self.users: dict[int, LiveUser] = {}
        self.entrance = Entrance(self.service)
        self.listeners = Listeners(config, self._serve)
        self._clients = tasks.Group()
        self._tickets: dict[int, Ticket] = {}
        self._entering: dict[int, Client] = {}
        self._hubs: dict[int, Hub] = {}
        self._by_client: dict[int, LiveUser] = {}
        self._nudged: set[int] | None = None
        """Users whose rows were read since the start read those of all; None when all have been brought to life."""
        self.started_at = now_ms()
        self.on_reload: Callable[[], Awaitable[None]] | None = None
        """Reads the configuration again and gives it to `reload`; None where there is no file to read."""
        self.lag = LoopLag()
        self.drops: Counter[str] = Counter()
        """Clients that we have ended, by why."""

    @property
    def listening(self) -> list[str]:
        """URIs of the listeners, with real ports."""
        return self.listeners.uris

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the listeners, then bring every enabled user to life."""
        self.lag.start()
        self.journal.start()
        await self.listeners.follow(self.config)
        await self.bring_all()

    async def bring_all(self) -> None:
        """Bring every enabled user to life; one that is nudged meanwhile follows the newer row."""
        nudged: set[int] = set()
        self._nudged = nudged
        users = await self.service.users.list()
        gate = asyncio.Semaphore(START_AT_ONCE)

        async def begin(user: User) -> None:
            async with gate:
                if user.id not in nudged:  # else whoever nudged has read a newer row
                    await self._begin(user.id, self._follow(user.id, user))

        await asyncio.gather(*(begin(user) for user in users))
        self._nudged = None

    async def _begin(self, user_id: int, following: Awaitable[None]) -> None:
        """Bring one user to life; a broken file must not keep others down."""
        try:
            await following
        except Exception as error:
            if (reason := storage_failure(error)) is None:
                log.exception("user %d could not be started", user_id)
            else:
                log.error("user %d could not be started: %s", user_id, reason)

    async def stop(self, reason: str) -> None:
        """No new clients, ERROR to those attached, QUIT to the networks, and the journal on disk."""
        await self.listeners.close()
        await asyncio.gather(*(user.stop(reason) for user in self.users.values()), return_exceptions=True)
        await self.listeners.end()
        await self._clients.cancel()
        await self.journal.close()
        self.lag.stop()

    async def reload(self, config: Config) -> None:
        """Follow a configuration read again: certificates, listeners, flood limits, timeouts; nobody is dropped."""
        await self.listeners.follow(config)
        self.config = config
        for user in self.users.values():
            user.configure(config)

    # -- clients that come -----------------------------------------------------------------------------------------

    async def serve(self, transport: Transport) -> None:
        """Serve a client that came by another door than the listeners, to its end."""
        ticket = self.listeners.enter(transport.address)
        if ticket is None:
            transport.write(FULL)
            transport.close()
            return
        try:
            await self._clients.spawn(self._serve(transport, ticket), name="arrival")
        finally:
            ticket.leave()

    async def _serve(self, transport: Transport, ticket: Ticket) -> None:
        client = Client(transport, self, self.config)
        if (task := asyncio.current_task()) is not None:
            task.set_name(f"client-{client.id}")
        self._tickets[client.id] = ticket
        self._entering[client.id] = client
        try:
            await client.run()
        finally:
            self._entering.pop(client.id, None)
            self._tickets.pop(client.id, None)

    # -- Door: what a client asks of the house ---------------------------------------------------------------------

    async def log_in(self, client: Client, attempt: Attempt) -> Admission:
        """Check a login."""
        return await self._awake(await self.entrance.log_in(client, attempt))

    async def exchange(self, client: Client, data: bytes) -> Challenge | Admission:
        """Go on with a SCRAM exchange."""
        step = await self.entrance.exchange(client, data)
        return await self._awake(step) if isinstance(step, Admission) else step

    async def _awake(self, admission: Admission) -> Admission:
        """While a start brings everybody to life, who comes for somebody has them brought to life first."""
        if self._nudged is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AWAKE_S):
                    await self._begin(admission.user_id, self.nudge(admission.user_id))
        return admission

    async def offers(self, client: Client, login: Login) -> tuple[Mapping[str, str], Sequence[str]]:
        """What a client is told before it is registered: as the network is now, else as it was last known."""
        user = self.users.get(client.user_id)
        if user is None:
            return {}, ()
        network = user.networks.get(client.bound) if client.bound is not None else user.find(login.server)
        if network is None:
            return {}, ()
        await self._settle(user, network, client)
        return network.cap_values, network.tokens()

    async def log_in_to_network(self, client: Client, onward: Onward) -> tuple[bool, str]:
        """SASL at the network of that login: whether it worked, and the account or the reason."""
        user = self.users.get(client.user_id)
        network = user.find(onward.login.server) if user is not None else None
        if network is None or not network.up:
            return False, "Not connected to a network"
        return await network.log_in(onward.account, onward.password)

    async def _settle(self, user: LiveUser, network: Network, client: Client) -> None:
        """Wait for the network's first word, if it is about to come."""
        loop = asyncio.get_running_loop()
        deadline = client.admitted_at + SETTLE_S
        with user.hub.subscribe() as events:
            while (
                network.settings.enabled
                and not (network.up or network.error or network.cap_values)
                and (left := deadline - loop.time()) > 0
            ):
                await events.get(left)

    def bind(self, client: Client, netid: str) -> bool:
        """A client that is logged in chooses one of its user's networks."""
        user = self.users.get(client.user_id)
        network = find(user.networks, netid) if user is not None else None
        if network is not None:
            client.bound = network.server_id
        return network is not None

    async def attach(self, client: Client) -> None:
        """Bind a registered client to its user and network."""
        if (ticket := self._tickets.pop(client.id, None)) is not None:
            ticket.leave()
        registered = client.registered
        user = self.users.get(client.user_id)
        if registered is None or user is None:
            client.drop("this account is not available")
            return
        if len(user.sessions) >= self.config.limits.clients_per_user:
            client.drop("too many clients are attached")
            return
        login = registered.login
        client.name = login.client or ""
        if client.bound is not None:
            network = user.networks.get(client.bound)
        else:
            network = user.find(login.server, knows_networks=NETWORKS in client.caps)
        if client.bound is not None and network is None:
            client.drop("the network you chose is gone")
            return
        if login.server is not None and network is None:
            words = user.no_server(login.server)
            client.reply(numerics.ERR_PASSWDMISMATCH, words)
            client.drop(f"Closing link: {words}")
            return
        if network is not None:
            await self._settle(user, network, client)
            if self.users.get(client.user_id) is not user or network.server_id not in user.networks:
                client.drop("this server was deleted")
                return
        # From here on it is found among the user's sessions; before, it was told what counts no more.
        self._entering.pop(client.id, None)
        if (client.user_id, client.credential) in client.disavowed:
            client.drop("what you logged in with counts no more")
            return
        self._by_client[client.id] = user
        user.attach(client, network)

    async def command(self, client: Client, msg: Message) -> None:
        """One line of an attached client."""
        user = self._by_client.get(client.id)
        if user is not None:
            await user.command(client, msg)

    def leave(self, client: Client) -> None:
        """A client is gone."""
        self.entrance.leave(client)
        user = self._by_client.pop(client.id, None)
        if user is not None:
            user.leave(client)

    def dropped(self, why: Drop) -> None:
        """A client was ended by us."""
        self.drops[why] += 1

    # -- Live: what the command layer asks -------------------------------------------------------------------------

    async def nudge(self, user_id: int) -> None:
        """Rows of this user changed: make live state follow."""
        if self._nudged is not None:
            self._nudged.add(user_id)
        await self._follow(user_id, await self._row(user_id))

    async def _follow(self, user_id: int, row: User | None) -> None:
        live = self.users.get(user_id)
        if row is None or not row.enabled:
            if live is not None:
                await self.forget(user_id, "account disabled")
            if row is None:
                self.journal.forget(str(user_id))
            return
        if live is None:
            bouncerserv = self.service.bouncerserv
            live = self.users[user_id] = LiveUser(user_id, self.config, self.journal, bouncerserv, self._allows)
            live.hub = self.hub(user_id)
        await _apart(live.reconcile(), f"reconcile-{user_id}")

    async def _row(self, user_id: int) -> User | None:
        try:
            return await self.service.users.get(user_id)
        except CommandError:
            return None

    async def forget(self, user_id: int, reason: str) -> None:
        """End every connection of this user and wait until nothing of theirs is used."""
        live = self.users.pop(user_id, None)
        if live is not None:
            await _apart(live.stop(reason), f"forget-{user_id}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await self.journal.flush(str(user_id))

    def server_states(self, user_id: int) -> Mapping[int, ServerState]:
        """State by server id."""
        live = self.users.get(user_id)
        return {} if live is None else {number: network.snapshot() for number, network in live.networks.items()}

    def clients(self, user_id: int) -> Sequence[ClientInfo]:
        """The attached clients of this user."""
        live = self.users.get(user_id)
        return [] if live is None else [session.client.info for session in live.sessions.values()]

    async def drop_client(self, user_id: int, client_id: int, reason: str = DISCONNECTED) -> bool:
        """Disconnect one client."""
        live = self.users.get(user_id)
        session = live.sessions.get(client_id) if live is not None else None
        if session is None:
            return False
        session.client.drop(reason)
        return True

    def disavow(self, user_id: int, credential: str) -> None:
        """Who is on the way in with that does not get in; a check that is under way may have read what was before."""
        for client in self._entering.values():
            client.disavowed.add((user_id, credential))

    async def connect(self, user_id: int, server_id: int) -> None:
        """Connect now, forgetting any back-off."""
        await self.nudge(user_id)
        live = self.users.get(user_id)
        network = live.networks.get(server_id) if live is not None else None
        if network is not None and not network.up and network.snapshot().state != "connecting":
            await _apart(network.reconnect("connecting anew"), f"connect-{user_id}")

    async def disconnect(self, user_id: int, server_id: int) -> None:  # noqa: ARG002 - the row says which
        """Leave this network; its row has been disabled."""
        await self.nudge(user_id)

    def send(self, user_id: int, server_id: int, line: bytes) -> bool:
        """Queue one IRC line behind the flood limit."""
        live = self.users.get(user_id)
        network = live.networks.get(server_id) if live is not None else None
        return network is not None and network.send(line)

    async def say(self, user_id: int, server_id: int, lines: Sequence[Message]) -> Sequence[Reply]:
        """Lines of the person without any client."""
        live = self.users.get(user_id)
        if live is None:
            raise RefusedError("this account is not live")
        return await live.say(server_id, lines)

    async def mark_read(self, user_id: int, server_id: int, name: str, time_ms: int) -> bool:
        """Move a read marker and tell the clients."""
        live = self.users.get(user_id)
        return live is not None and await live.mark_read(server_id, name, time_ms)

    def hub(self, user_id: int) -> Hub:
        """The stream of this user's events; it outlives a restart of the user."""
        return self._hubs.setdefault(user_id, Hub())

    def forget_client(self, user_id: int, name: str) -> None:
        """Keep no receipts of this client name any more."""
        live = self.users.get(user_id)
        for network in live.networks.values() if live is not None else ():
            network.forget_receipt(name)

    def status(self) -> LiveStatus:
        """How the whole bouncer is doing."""
        networks = [network for user in self.users.values() for network in user.networks.values()]
        return LiveStatus(
            started_at=self.started_at,
            users=len(self.users),
            servers_connected=sum(network.up for network in networks),
            servers_enabled=sum(network.settings.enabled for network in networks),
            clients=sum(len(user.sessions) for user in self.users.values()),
            lag_ms=self.lag.worst_ms,
            rows_stored=self.journal.stats.rows,
            rows_lost=self.journal.stats.lost,
        )

    def broadcast(self, text: str) -> int:
        """Tell every attached client of every user; gives how many."""
        lines = split_text(" ".join(text.split()), BROADCAST_BYTES)
        return sum(user.tell(*lines) for user in self.users.values())

    def tell(self, user_id: int, text: str) -> int:
        """Tell every attached client of one user; gives how many."""
        live = self.users.get(user_id)
        return 0 if live is None else live.tell(text)

    async def reload_configuration(self) -> None:
        """Read the configuration again."""
        if self.on_reload is None:
            raise RefusedError("there is no configuration to read again")
        await self.on_reload()

    async def flush(self, user_id: int) -> None:
        """Everything received so far is on disk, or ten seconds have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                await self.journal.flush(str(user_id))

    def _allows(self, address: str, trusted: bool) -> bool:
        return not refusal(self.config, address, trusted=trusted)

    def _trouble(self, tenant_id: str, trouble: Trouble | None) -> None:
        live = self.users.get(int(tenant_id)) if tenant_id.isdigit() else None
        if live is not None:
            live.trouble(trouble)


async def _apart(work: Coroutine[object, object, None], name: str) -> None:
    """Run in a task without the caller's tenant (an admin's command may concern another user), and wait for it."""
    await tasks.spawn(work, name=name)
