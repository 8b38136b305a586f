"""Owns app passwords: long random secrets, one for each client, usable on IRC wherever a password is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from bouncer import scram, vault
from bouncer.clock import now_ms
from bouncer.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from bouncer.models.main import Token, User
from bouncer.passwords import one_time_password
from bouncer.service.attempts import Admitted, attempt
from bouncer.throttle import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.database import MainDatabase
    from bouncer.service.live import Live
    from bouncer.service.users import Users

log = logging.getLogger(__name__)

MAX_TOKENS = 100
"""App passwords of one user that count."""
USED_MS = 60_000
"""When and where an app password was used is written at most once in this many ms."""
CLIENT_NAME = re.compile(r"[^\s/@:\x00-\x1f\x7f\ud800-\udfff]{0,64}")
"""What can stand behind the @ of a login."""


class ScramLookup(NamedTuple):
    """What an exchange is led with: the true keys, or made-up ones with `found` None."""

    keys: scram.ScramKeys
    found: Admitted | None


class Tokens:
    """`create` gives the secret, once; afterwards only what is needed to check it is there."""

    def __init__(self, main: MainDatabase, users: Users, live: Live) -> None:
        self._main = main
        self._users = users
        self._live = live

    async def create(self, user_id: int, name: str = "") -> tuple[Token, str]:
        """A new app password (second) for the client of that name, "" for any.

        Raises InvalidError for a name that no login can carry, ConflictError when that client has one, RefusedError
        when there are too many.
        """
        if not CLIENT_NAME.fullmatch(name):
            raise InvalidError({"name": "at most 64 characters, no blank and none of / @ :"})
        secret = one_time_password()
        name_of_user = (await self._users.get(user_id)).name
        keys = await asyncio.to_thread(scram.derive, secret, _salt(name_of_user))
        token = Token(
            user_id=user_id,
            name=name,
            token_hash=hashed(secret),
            salt=keys.salt.hex(),
            iterations=keys.rounds,
            stored_key=keys.stored_key.hex(),
            server_key=keys.server_key.hex(),
            created_at=now_ms(),
        )
        async with self._main.session() as session:
            valid = (Token.user_id == user_id, Token.revoked_at.is_(None))
            if name and await session.scalar(select(Token.id).where(*valid, Token.name == name)):
                raise ConflictError(f"the client {name} has an app password; revoke it first")
            if (await session.scalar(select(func.count()).select_from(Token).where(*valid)) or 0) >= MAX_TOKENS:
                raise RefusedError(f"there are {MAX_TOKENS} app passwords already; revoke one first")
            session.add(token)
            await session.commit()
        return token, secret

    async def list(self, user_id: int, *, revoked: bool = False) -> Sequence[Token]:
        """Those that count, oldest first; with `revoked` also those that once did."""
        query = select(Token).where(Token.user_id == user_id).order_by(Token.id)
        async with self._main.session() as session:
            return list(await session.scalars(query if revoked else query.where(Token.revoked_at.is_(None))))

    async def revoke(self, user_id: int, which: int | str) -> Token:
        """End the app password with this id or client name, and every connection that came in with it."""
        async with self._main.session() as session:
            mine = (Token.user_id == user_id, Token.revoked_at.is_(None))
            this = Token.id == which if isinstance(which, int) else Token.name == which
            token: Token | None = await session.scalar(select(Token).where(*mine, this).order_by(Token.id).limit(1))
            if token is None:
                raise NotFoundError(f"there is no app password {which}")
            token.revoked_at = now_ms()
            await session.commit()
        await drop_all(self._live, user_id, _credential(token), "the app password was revoked")
        return token

    async def check(self, who: str, secret: str, *, address: str) -> Admitted | None:
        """The enabled user `who`, if that is an app password of theirs. The same work for every name and word."""
        query = (
            select(Token, User)
            .join(User, User.id == Token.user_id)
            .where(Token.token_hash == hashed(secret), Token.revoked_at.is_(None), User.enabled)
        )
        async with self._main.session() as session:
            row = (await session.execute(query)).first()
        if row is None or not hmac.compare_digest(row[1].name.encode(), who.encode("utf-8", "surrogateescape")):
            return None
        await self._used(row[0], address)
        return _admitted(row[0], row[1])

    async def lookup(self, who: str, client: str | None) -> ScramLookup:
        """The keys for a SCRAM exchange: of the client's own app password, else of one for any client.

        Where there is none, keys that look the same and are the same every time, which no password fits. The salt is
        that of the name, whatever the client: it does not tell which names and clients there are.
        """
        async with self._main.session() as session:
            row = await _for_client(session, who, client or "")
        made_up = vault.installed().digest(f"scram key {who} {client or ''}")
        if row is None:
            return ScramLookup(scram.ScramKeys(_salt(who), scram.ROUNDS, made_up, made_up[::-1]), None)
        token, user = row
        texts = (token.salt, token.stored_key, token.server_key)
        salt, stored_key, server_key = (bytes.fromhex(text) for text in texts)
        return ScramLookup(scram.ScramKeys(salt, token.iterations, stored_key, server_key), _admitted(token, user))

    async def proved(self, found: Admitted, *, address: str) -> Admitted | None:
        """The end of a good SCRAM exchange; None when the app password has ceased to count since it began."""
        number = int(found.credential.partition(" ")[2])
        query = select(Token).join(User, User.id == Token.user_id)
        async with self._main.session() as session:
            token: Token | None = await session.scalar(
                query.where(Token.id == number, Token.revoked_at.is_(None), User.enabled)
            )
        if token is None:
            return None
        await self._used(token, address)
        return found

    async def failed(self, who: str, *, address: str) -> None:
        """A SCRAM proof was wrong: it counts as any wrong password; raises RefusedError as for one."""
        async with attempt(self._users.throttle, who, address) as verdict:
            verdict.outcome = Outcome.WRONG

    async def _used(self, token: Token, address: str) -> None:
        if token.last_used_at is not None and now_ms() - token.last_used_at < USED_MS and token.last_address == address:
            return
        change = update(Token).where(Token.id == token.id).values(last_used_at=now_ms(), last_address=address)
        try:
            async with self._main.session() as session:
                await session.execute(change)
                await session.commit()
        except SQLAlchemyError as error:  # a note for the list: nobody is kept out for it
            log.warning("the use of an app password could not be noted: %s", error)


def _salt(who: str) -> bytes:
    """The same for all app passwords of a name, and for a name that nobody has; the secrets are random enough."""
    return vault.installed().digest(f"scram {who}")[: scram.SALT_BYTES]


def hashed(secret: str) -> str:
    """What is stored of a secret. It is long and random, so one round of a fast hash keeps it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


async def drop_all(live: Live, user_id: int, credential: str, reason: str) -> None:
    """End the connections that came in, or are coming in, with something that does not count any more."""
    live.disavow(user_id, credential)
    for client in live.clients(user_id):
        if client.credential == credential:
            await live.drop_client(user_id, client.id, reason)


async def _for_client(session: AsyncSession, who: str, client: str) -> tuple[Token, User] | None:
    query = (
        select(Token, User)
        .join(User, User.id == Token.user_id)
        .where(User.name == who, User.enabled, Token.revoked_at.is_(None), Token.name.in_({client, ""}))
        .order_by(Token.name.desc(), Token.id.desc())
        .limit(1)
    )
    row = (await session.execute(query)).first()
    return None if row is None else (row[0], row[1])


def _admitted(token: Token, user: User) -> Admitted:
    return Admitted(user, _credential(token), token.name)


def _credential(token: Token) -> str:
    return f"token {token.id}"
