"""Owns who is let in by what: password, app password, certificate, SCRAM; each refusal in the same words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from bouncer.downstream import Admission, Challenge, Refused
from bouncer.errors import ProtocolError, RefusedError
from bouncer.irc.entering import parse_login
from bouncer.scram import ScramServer

if TYPE_CHECKING:
    from bouncer.downstream import Client
    from bouncer.irc.entering import Attempt, Login
    from bouncer.service import Service
    from bouncer.service.attempts import Admitted
    from bouncer.service.tokens import ScramLookup

WRONG = "Invalid username or password"
APP_PASSWORD = "This account signs in with two factors: make an app password for this client in the panel"  # noqa: S105 - words
"""Who reads it knew the password, which the panel's next question would tell them too."""


class _Exchange(NamedTuple):
    """A SCRAM exchange that goes on; `admitted` once the proof was good."""

    server: ScramServer
    login: Login
    lookup: ScramLookup
    admitted: Admitted | None = None


class Entrance:
    """The door's locks. Everything raises Refused with words for the client."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._exchanges: dict[int, _Exchange] = {}
        self.admitted: Counter[str] = Counter()
        """How many were let in, by what: password, token, certificate."""

    def leave(self, client: Client) -> None:
        """Forget what an exchange has left."""
        self._exchanges.pop(client.id, None)

    async def log_in(self, client: Client, attempt: Attempt) -> Admission:
        """Check what an Attempt says."""
        self.leave(client)
        return self._counted(await self._log_in(client, attempt))

    def _counted(self, admission: Admission) -> Admission:
        self.admitted[admission.credential.partition(" ")[0]] += 1
        return admission

    async def _log_in(self, client: Client, attempt: Attempt) -> Admission:
        login, address = attempt.login, client.address
        if attempt.via == "external":
            if client.certificate is None:
                raise Refused("SASL authentication failed: no client certificate was shown")
            found = await self._service.certificates.check(client.certificate, login.user, address=address)
            return _admission(found)
        found = await self._service.tokens.check(login.user, attempt.password, address=address)
        if found is not None:
            return _admission(found)
        try:
            user = await self._service.users.authenticate(login.user, attempt.password, address=address)
        except RefusedError as error:
            raise Refused(str(error)) from error
        if user is None:
            raise Refused(WRONG)
        if await self._service.second_factors.on(user.id):
            raise Refused(APP_PASSWORD)
        return Admission(user.id, user.name, "password", "")

    async def exchange(self, client: Client, data: bytes) -> Challenge | Admission:
        """The next message of a SCRAM exchange; the first one begins it."""
        going_on = self._exchanges.pop(client.id, None)
        try:
            if going_on is None:
                return await self._begin(client, data)
            if going_on.admitted is not None:
                return self._counted(_admission(going_on.admitted))
            return await self._finish(client, going_on, data)
        except ProtocolError as error:
            raise Refused("SASL authentication failed: not readable") from error
        except RefusedError as error:
            raise Refused(str(error)) from error

    async def _begin(self, client: Client, data: bytes) -> Challenge:
        server = ScramServer()
        login = parse_login(server.first(data))
        lookup = await self._service.tokens.lookup(login.user, login.client)
        self._exchanges[client.id] = _Exchange(server, login, lookup)
        return Challenge(server.challenge(lookup.keys), login)

    async def _finish(self, client: Client, exchange: _Exchange, data: bytes) -> Challenge:
        proof = exchange.server.finish(data)
        admitted = None
        if proof is not None and exchange.lookup.found is not None:
            admitted = await self._service.tokens.proved(exchange.lookup.found, address=client.address)
        if proof is None or admitted is None:
            await self._service.tokens.failed(exchange.login.user, address=client.address)
            raise Refused(WRONG)
        self._exchanges[client.id] = exchange._replace(admitted=admitted)
        return Challenge(proof, exchange.login)


def _admission(found: Admitted | None) -> Admission:
    if found is None:
        raise Refused(WRONG)
    return Admission(found.user.id, found.user.name, found.credential, found.client)
