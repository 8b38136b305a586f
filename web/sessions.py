"""Owns web sessions: rows of the main database found by the hash of a random token; the token is only in the cookie."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp_session import AbstractStorage, Session, SessionData
from sqlalchemy import delete, insert, select, update

from bouncer.clock import now_ms
from bouncer.models.main import Session as SessionRow
from bouncer.models.main import User

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from bouncer.database import MainDatabase

LIFETIME_S = 30 * 24 * 3600
"""A session ends this long after its sign-in, whatever its use."""

MAX_SESSIONS = 100
"""Of one user: each sign-in makes one, and who signs in by a program does so without end."""

TOUCH_MS = 60_000
"""`last_used_at` is written at most once in this many ms."""

TOKEN_CHARS = 43
"""Length of `secrets.token_urlsafe(32)`; anything else is not looked up."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who makes this request, read with the session in one query."""

    id: int
    name: str
    admin: bool
    password_temporary: bool
    session_id: int
    confirmed_at: int = 0
    """When this browser last gave the password, ms UTC."""


SIGNED_IN = web.RequestKey("signed_in", SignedIn)
ADDRESS = web.RequestKey("address", str)


def token_hash(token: str) -> str:
    """What the database knows of a token: its SHA-256, 64 hex digits. 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


class SessionRows(AbstractStorage):
    """aiohttp-session over the `sessions` table; a session without `user_id` is never stored and gets no cookie."""

    def __init__(self, main: MainDatabase, *, secure: bool) -> None:
        super().__init__(
            cookie_name="__Host-bouncer" if secure else "bouncer",
            max_age=LIFETIME_S,
            secure=secure,
            httponly=True,
            samesite="Strict",
        )
        self._main = main

    async def load_session(self, request: web.Request) -> Session:
        """The session of the request's cookie, or a new empty one; sets `request[SIGNED_IN]`."""
        token = self.load_cookie(request)
        if token is None or len(token) != TOKEN_CHARS:
            return await self.new_session()
        now = now_ms()
        query = (
            select(SessionRow.id, SessionRow.data, SessionRow.created_at, SessionRow.last_used_at)
            .add_columns(User.id, User.name, User.admin, User.password_temporary)
            .join(User, User.id == SessionRow.user_id)
            .where(SessionRow.token_hash == token_hash(token), SessionRow.expires_at > now, User.enabled)
        )
        async with self._main.session() as db:
            found = (await db.execute(query)).one_or_none()
            if found is None:
                return await self.new_session()
            session_id, data, created, used, user_id, name, admin, temporary = found
            if now - used >= TOUCH_MS:
                await db.execute(update(SessionRow).where(SessionRow.id == session_id).values(last_used_at=now))
                await db.commit()
        values = json.loads(data)
        request[SIGNED_IN] = SignedIn(user_id, name, admin, temporary, session_id, values.get("confirmed_at", 0))
        stored: SessionData = {"created": created // 1000, "session": {**values, "user_id": user_id}}
        return Session(token, data=stored, new=False, max_age=self.max_age)

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        """Write the session: ended when empty, with a fresh token (and the old row gone) when new."""
        old = self.load_cookie(request)
        async with self._main.session() as db:
            if old is not None and (session.empty or session.new):
                await db.execute(delete(SessionRow).where(SessionRow.token_hash == token_hash(old)))
            if session.empty:
                self.save_cookie(response, "")
            elif session.new:
                await db.execute(delete(SessionRow).where(SessionRow.expires_at <= now_ms()))
                token = secrets.token_urlsafe(32)
                await db.execute(delete(SessionRow).where(_surplus(session["user_id"])))
                await db.execute(insert(SessionRow).values(token_hash=token_hash(token), **_fresh(request, session)))
                self.save_cookie(response, token, max_age=LIFETIME_S)
            else:
                same = SessionRow.token_hash == token_hash(str(session.identity))
                await db.execute(update(SessionRow).where(same).values(data=_data(session)))
            await db.commit()

    def save_cookie(self, response: web.StreamResponse, cookie_data: str, *, max_age: int | None = None) -> None:
        """Put the token into the cookie; none takes the cookie away, with its flags: browsers obey no other."""
        if cookie_data:
            super().save_cookie(response, cookie_data, max_age=max_age)
            return
        name, secure = self.cookie_name, bool(self.cookie_params["secure"])
        response.del_cookie(name, path="/", secure=secure, httponly=True, samesite="Strict")

    async def alive(self, session_id: int) -> bool:
        """Whether the session still lets its user in; for streams, which outlive the check at their start."""
        query = (
            select(SessionRow.id)
            .join(User, User.id == SessionRow.user_id)
            .where(SessionRow.id == session_id, SessionRow.expires_at > now_ms(), User.enabled)
        )
        async with self._main.session() as db:
            return (await db.execute(query)).first() is not None


def _data(session: Session) -> str:
    return json.dumps({key: value for key, value in session.items() if key != "user_id"})


def _fresh(request: web.Request, session: Session) -> dict[str, object]:
    now = now_ms()
    return {
        "user_id": session["user_id"],
        "data": _data(session),
        "created_at": now,
        "last_used_at": now,
        "expires_at": now + LIFETIME_S * 1000,
        "address": request.get(ADDRESS, ""),
        "agent": request.headers.get("User-Agent", "")[:200],
    }


def _surplus(user_id: int) -> ColumnElement[bool]:
    """With one more there would be too many: those used the longest ago end."""
    mine = select(SessionRow.id).where(SessionRow.user_id == user_id)
    kept = mine.order_by(SessionRow.last_used_at.desc(), SessionRow.id.desc()).limit(MAX_SESSIONS - 1)
    return (SessionRow.user_id == user_id) & SessionRow.id.not_in(kept)
