"""Owns what can be done with a user's servers: rows in their own file, and the nudge that makes live state follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from bouncer import tenant
from bouncer.errors import InvalidError, NotFoundError, RefusedError
from bouncer.events import ServerState
from bouncer.models.tenant import Channel, Server
from bouncer.service.destinations import SECRETS, hold_keys, hold_secrets, places
from bouncer.service.fields import CLEAR, KEEP, Join, Secret, ServerFields, new_server, server_fields
from bouncer.service.folding import casemap_of
from bouncer.service.outbound import check_address
from bouncer.service.removal import remove_server
from bouncer.tls import client_certificate, pem_fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.config import Config
    from bouncer.service.live import Live
    from bouncer.service.users import Users

_PLAIN = tuple(
    field.name for field in fields(ServerFields) if field.name not in {*SECRETS, "channels", "realname", "username"}
)


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server's row, how it is doing, and the names of the channels that are joined or wanted, sorted."""

    row: Server
    state: ServerState
    channels: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate we show to the network, 64 hex digits, "" without one."""
        return pem_fingerprint(self.row.client_certificate) if self.row.client_certificate else ""

    @property
    def fingerprint_sha512(self) -> str:
        """SHA-512 of the same, 128 hex digits."""
        return pem_fingerprint(self.row.client_certificate, "sha512") if self.row.client_certificate else ""


class Servers:
    """All functions take the user's id, go into that tenant themselves and give detached rows.

    A server of another user does not exist here: NotFoundError. `trusted` says that an admin or the command line asks,
    whose servers may be at private addresses.
    """

    def __init__(self, config: Config, users: Users, live: Live) -> None:
        self.config = config
        self._users = users
        self._live = live

    async def list(self, user_id: int) -> Sequence[ServerView]:
        """Every server, by name."""
        async with tenant.switch(user_id), tenant.session() as session:
            rows = list(await session.scalars(select(Server).order_by(func.lower(Server.name))))
            channels = list(await session.scalars(_wanted(None)))
        return [self._view(user_id, row, channels) for row in rows]

    async def view(self, user_id: int, server_id: int) -> ServerView:
        """One server with its state and channels."""
        async with tenant.switch(user_id), tenant.session() as session:
            row = await _get(session, server_id)
            channels = list(await session.scalars(_wanted(server_id)))
        return self._view(user_id, row, channels)

    async def get(self, user_id: int, server_id: int) -> Server:
        """The row of this id."""
        async with tenant.switch(user_id), tenant.session() as session:
            return await _get(session, server_id)

    async def by_name(self, user_id: int, name: str) -> Server:
        """The row of this name, whatever its capitals."""
        async with tenant.switch(user_id), tenant.session() as session:
            row: Server | None = await session.scalar(select(Server).where(func.lower(Server.name) == name.lower()))
        if row is None:
            raise NotFoundError(f"there is no server {name!r}")
        return row

    async def fields(self, user_id: int, server_id: int) -> ServerFields:
        """What the row says now, for a form: secrets are KEEP where there is one, CLEAR where there is none."""
        async with tenant.switch(user_id), tenant.session() as session:
            return await _fields(session, await _get(session, server_id))

    async def add(self, user_id: int, raw: Mapping[str, object] | ServerFields, *, trusted: bool = False) -> Server:
        """A new server, connected at once when enabled.

        `raw` is what `fields.server_fields` takes. Raises InvalidError (also for a name in use), RefusedError.
        """
        user = await self._users.get(user_id)
        wanted = raw if isinstance(raw, ServerFields) else server_fields(raw, new_server(user.name))
        self._check_places(wanted, trusted=trusted)
        limit = self.config.limits.servers_per_user if user.max_servers is None else user.max_servers
        certificate = await _certificate(wanted, user.name, None)
        async with tenant.switch(user_id), tenant.session() as session:
            if (await session.scalar(select(func.count()).select_from(Server)) or 0) >= limit:
                raise RefusedError(f"no more than {limit} servers are allowed")
            await _free(session, wanted.name, None)
            row = Server(trusted=trusted)
            _apply(row, wanted, certificate)
            session.add(row)
            await _commit(session, row, wanted.channels)
        await self._live.nudge(user_id)
        return row

    async def update(
        self,
        user_id: int,
        server_id: int,
        raw: Mapping[str, object] | ServerFields,
        *,
        trusted: bool = False,
        confirmed: bool = True,
    ) -> Server:
        """Change what `raw` names, the rest stays; the connection is made anew only if it has to be.

        A new address, port or fallback has to be allowed to who asks. `channels` replaces the list of those joined on
        connecting; nothing is parted. Raises InvalidError, and ElsewhereError when stored secrets would go to another
        place and who asks has not `confirmed` who they are.
        """
        user = await self._users.get(user_id)
        async with tenant.switch(user_id), tenant.session() as session:
            row = await _get(session, server_id)
            before = await _fields(session, row)
            wanted = raw if isinstance(raw, ServerFields) else server_fields(raw, before)
            if not places(wanted) <= places(before):
                self._check_places(wanted, trusted=trusted)
                row.trusted = trusted
            if not confirmed:
                hold_secrets(before, wanted)
                await hold_keys(session, server_id, before, wanted)
            await _free(session, wanted.name, server_id)
            _apply(row, wanted, await _certificate(wanted, user.name, row.client_certificate))
            await _commit(session, row, None if wanted.channels == before.channels else wanted.channels)
        await self._live.nudge(user_id)
        return row

    async def delete(self, user_id: int, server_id: int) -> None:
        """Remove a server and all its history; the connection ends first. Takes seconds for millions of messages."""
        await self._set_enabled(user_id, server_id, enabled=False)
        await self._live.flush(user_id)
        async with tenant.switch(user_id):
            await remove_server(server_id)
        await self._live.nudge(user_id)

    async def draft(
        self,
        user_id: int,
        raw: Mapping[str, object],
        server_id: int | None = None,
        *,
        trusted: bool = False,
        confirmed: bool = True,
    ) -> Server:
        """What `add`, or with `server_id` what `update`, would store; it is stored nowhere. Raises as they do.

        A name is not needed and not looked at.
        """
        user = await self._users.get(user_id)
        row, base = Server(trusted=trusted), new_server(user.name)
        if server_id is not None:
            stored, base = await self.get(user_id, server_id), await self.fields(user_id, server_id)
            for name in (*SECRETS, "client_certificate"):
                setattr(row, name, getattr(stored, name))
            row.trusted = trusted or stored.trusted
        wanted = server_fields({**raw, "name": "draft"}, base)
        if server_id is None or not places(wanted) <= places(base):
            self._check_places(wanted, trusted=trusted)
            row.trusted = trusted
        if not confirmed:
            hold_secrets(base, wanted)
        _apply(row, wanted, await _certificate(wanted, user.name, row.client_certificate))
        return row

    async def make_certificate(self, user_id: int, server_id: int, *, anew: bool = False) -> ServerView:
        """Show the network a certificate from the next connection on (CertFP), made here; RefusedError for no TLS.

        One that is there stays, unless another is wanted: the network's services have to be told of that one again.
        """
        user = await self._users.get(user_id)
        row = await self.get(user_id, server_id)
        if not row.tls:
            raise RefusedError("a certificate needs TLS: it is shown in it")
        if row.client_certificate is not None and not anew:
            raise RefusedError(
                "there is a certificate already; a new one has to be told to the network again: say --anew"
            )
        made = await asyncio.to_thread(client_certificate, row.auth_account or user.name)
        await self._set_certificate(user_id, server_id, made.pem)
        return await self.view(user_id, server_id)

    async def remove_certificate(self, user_id: int, server_id: int) -> None:
        """Show the network no certificate any more; RefusedError while one logs in with it."""
        row = await self.get(user_id, server_id)
        if row.client_certificate is None:
            raise NotFoundError("there is no certificate")
        if row.auth_method == "sasl-external":
            raise RefusedError("sasl-external logs in with it; choose another way first (`sasl set` or `sasl off`)")
        await self._set_certificate(user_id, server_id, None)

    async def _set_certificate(self, user_id: int, server_id: int, pem: str | None) -> None:
        async with tenant.switch(user_id), tenant.session() as session:
            row = await _get(session, server_id)
            row.client_certificate = pem
            await session.commit()
        await self._live.nudge(user_id)

    async def connect(self, user_id: int, server_id: int) -> None:
        """Be connected from now on, and try at once."""
        await self._set_enabled(user_id, server_id, enabled=True)
        await self._live.connect(user_id, server_id)

    async def disconnect(self, user_id: int, server_id: int) -> None:
        """Leave the network and stay away, also after a restart."""
        await self._live.disconnect(user_id, server_id)
        await self._set_enabled(user_id, server_id, enabled=False)

    async def _set_enabled(self, user_id: int, server_id: int, *, enabled: bool) -> None:
        async with tenant.switch(user_id), tenant.session() as session:
            row = await _get(session, server_id)
            row.enabled = enabled
            await session.commit()
        await self._live.nudge(user_id)

    def _check_places(self, wanted: ServerFields, *, trusted: bool) -> None:
        check_address(self.config, wanted.address, trusted=trusted)
        for line in wanted.fallbacks.splitlines():
            check_address(self.config, line.partition(" ")[0], trusted=trusted, field="fallbacks")

    def _view(self, user_id: int, row: Server, channels: Sequence[Channel]) -> ServerView:
        state = self._live.server_states(user_id).get(row.id, ServerState())
        if not row.enabled and state.state != "connected":
            state = ServerState("disabled", error=state.error)
        return ServerView(row, state, tuple(channel.name for channel in channels if channel.server_id == row.id))


def _wanted(server_id: int | None) -> Any:
    query = select(Channel).where(Channel.auto_join | Channel.joined).order_by(Channel.folded)
    return query if server_id is None else query.where(Channel.server_id == server_id)


async def _get(session: AsyncSession, server_id: int) -> Server:
    row = await session.get(Server, server_id)
    if row is None:
        raise NotFoundError("there is no such server")
    return row


async def _fields(session: AsyncSession, row: Server) -> ServerFields:
    query = select(Channel).where(Channel.server_id == row.id, Channel.auto_join).order_by(Channel.folded)
    values: dict[str, Any] = {name: getattr(row, name) for name in (*_PLAIN, "username", "realname")}
    values |= {name: CLEAR if getattr(row, name) is None else KEEP for name in SECRETS}
    channels = tuple(Join(channel.name) for channel in await session.scalars(query))
    return ServerFields(**values, channels=channels)


async def _free(session: AsyncSession, name: str, server_id: int | None) -> None:
    taken = await session.scalar(select(Server.id).where(func.lower(Server.name) == name.lower()))
    if taken is not None and taken != server_id:
        raise InvalidError({"name": f"there is a server {name} already"})


async def _certificate(wanted: ServerFields, user_name: str, present: str | None) -> str | None:
    """The certificate to show: one is made where the method needs it, and kept when the method changes."""
    if wanted.auth_method != "sasl-external" or present:
        return present
    return (await asyncio.to_thread(client_certificate, wanted.auth_account or user_name)).pem


def _apply(row: Server, wanted: ServerFields, certificate: str | None) -> None:
    values: dict[str, Any] = {name: getattr(wanted, name) for name in _PLAIN}
    values["username"] = wanted.username or wanted.nickname
    values["realname"] = wanted.realname or wanted.nickname
    values["client_certificate"] = certificate
    for name in SECRETS:
        secret: str | Secret = getattr(wanted, name)
        if not isinstance(secret, Secret):
            values[name] = secret
        elif secret is CLEAR:
            values[name] = None
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)


async def _commit(session: AsyncSession, row: Server, channels: Sequence[Join] | None) -> None:
    """Write the row, and the channels to join on connecting unless None; raises InvalidError for a name in use."""
    try:
        await session.flush()
        if channels is not None:
            await _set_channels(session, row, channels)
        await session.commit()
    except IntegrityError as error:
        raise InvalidError({"name": f"there is a server {row.name} already"}) from error


async def _set_channels(session: AsyncSession, row: Server, channels: Sequence[Join]) -> None:
    fold = casemap_of(row).fold
    present = {c.folded: c for c in await session.scalars(select(Channel).where(Channel.server_id == row.id))}
    wanted = {fold(join.name): join for join in channels}
    for folded, channel in present.items():
        channel.auto_join = folded in wanted
    for folded, join in wanted.items():
        channel = present.get(folded) or Channel(server_id=row.id, name=join.name, folded=folded, auto_join=True)
        if join.key is not None:
            channel.key = join.key
        session.add(channel)
