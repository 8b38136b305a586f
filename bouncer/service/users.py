"""Owns what can be done with users: their rows in the main database, their passwords, and that each has a file."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from bouncer.clock import now_ms
from bouncer.errors import ConflictError, InvalidError, NotFoundError, TenantDoesNotExistError
from bouncer.irc.message import as_text
from bouncer.models.main import Session, User
from bouncer.passwords import Passwords, one_time_password
from bouncer.service import checks
from bouncer.service.attempts import attempt
from bouncer.service.fields import one, refuse, user_fields
from bouncer.service.tokens import drop_all
from bouncer.throttle import Outcome, Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncSession

    from bouncer.database import MainDatabase
    from bouncer.service.audit import Audit
    from bouncer.service.live import Live
    from bouncer.tenant import Tenants

log = logging.getLogger(__name__)

SEEN_MS = 60_000
"""`last_seen_at` is written at most once in this many ms."""
MAX_LIMIT = 1_000_000


class Unset:
    """The type of UNSET: this argument was not given, None being a value."""


UNSET = Unset()


class Users:
    """All functions are async and give detached `User` rows. Names are matched exactly; they have no capitals."""

    def __init__(self, main: MainDatabase, tenants: Tenants, live: Live, first_password: Path, audit: Audit) -> None:
        self._main = main
        self._audit = audit
        self._first_password = first_password
        self._tenants = tenants
        self._live = live
        self.on_delete: list[Callable[[int], Awaitable[None]]] = []
        """What else keeps something of a user outside the databases."""
        self.passwords = Passwords()
        self.throttle = Throttle()

    async def list(self) -> Sequence[User]:
        """Everybody, by name."""
        async with self._main.session() as session:
            return list(await session.scalars(select(User).order_by(User.name)))

    async def get(self, who: int | str) -> User:
        """The user of this id or name; raises NotFoundError."""
        async with self._main.session() as session:
            return await _get(session, who)

    async def add(
        self, name: str, *, password: str, email: str | None = None, admin: bool = False, temporary: bool = False
    ) -> User:
        """A new user with a file of their own, live at once. Raises InvalidError, ConflictError.

        `temporary` marks a password that has to be changed at the first sign-in in the panel.
        """
        fields = user_fields(name, email)
        hashed = await self.passwords.hash(one("password", checks.password, password))
        user = User(
            name=fields.name,
            email=fields.email,
            password_hash=hashed,
            password_temporary=temporary,
            admin=admin,
            enabled=True,
            created_at=now_ms(),
        )
        async with self._main.session() as session:
            await _unique(session, fields.name, fields.email)
            session.add(user)
            try:
                await session.commit()
            except IntegrityError as error:
                raise ConflictError("this name or e-mail address is taken") from error
        try:
            await self._tenants.create(user.id)
        except BaseException:
            await asyncio.shield(self._forget_row(user.id))
            raise
        await self._live.nudge(user.id)
        await self._audit.note("user added", user.id, user.name, "as admin" if admin else "")
        return user

    async def first_admin(self, name: str = "admin") -> tuple[User, str] | None:
        """An admin with a one-time password (second) when there is nobody at all, else None."""
        async with self._main.session() as session:
            if await session.scalar(select(func.count()).select_from(User)):
                return None
        password = one_time_password()
        return await self.add(name, password=password, admin=True, temporary=True), password

    async def repair(self) -> None:
        """Give a file to who has none: a process that died between row and file left them like that.

        Only for those who never signed in: nobody's lost file is replaced by an empty one.
        """
        for user in await self.list():
            if user.last_seen_at is None and not await self._tenants.exists(user.id):
                log.warning("user %s had no file: made", user.name)
                await self._tenants.create(user.id)

    async def set_password(
        self,
        user_id: int,
        password: str,
        *,
        temporary: bool = False,
        keep_session: int | None = None,
        keep_clients: bool = False,
    ) -> None:
        """A new password; ends all web sessions of the user but `keep_session` (a row's id).

        IRC clients that came in with the old one are disconnected, unless `keep_clients`.
        """
        hashed = await self.passwords.hash(one("password", checks.password, password))
        async with self._main.session() as session:
            user = await _get(session, user_id)
            user.password_hash, user.password_temporary = hashed, temporary
            ended = delete(Session).where(Session.user_id == user_id)
            await session.execute(ended if keep_session is None else ended.where(Session.id != keep_session))
            await session.commit()
        await asyncio.to_thread(_forget_first_password, self._first_password, user.name)
        await self._audit.note("password set", user_id, user.name, "for one time" if temporary else "")
        if not keep_clients:
            await drop_all(self._live, user_id, "password", "the password was changed")

    async def set_email(self, user_id: int, email: str | None) -> None:
        """The address one may sign in with in the panel, None for none; raises InvalidError, ConflictError."""
        async with self._main.session() as session:
            user = await _get(session, user_id)
            clean = user_fields(user.name, email).email
            if clean is not None and clean != user.email:
                await _unique(session, None, clean)
            user.email = clean
            try:
                await session.commit()
            except IntegrityError as error:
                raise ConflictError("this e-mail address is taken") from error

    async def set_enabled(self, user_id: int, enabled: bool) -> None:
        """Let a user in, or end all connections and web sessions of theirs and keep them out; keeps their data."""
        async with self._main.session() as session:
            user = await _get(session, user_id)
            if not enabled:
                await _not_the_last_admin(session, user)
                await session.execute(delete(Session).where(Session.user_id == user_id))
            user.enabled = enabled
            await session.commit()
        await self._audit.note("user enabled" if enabled else "user disabled", user_id, user.name)
        if not enabled:
            await self._live.forget(user_id, "account disabled")
        await self._live.nudge(user_id)

    async def set_admin(self, user_id: int, admin: bool) -> None:
        """Make a user an admin, or no longer; raises RefusedError for the last one."""
        async with self._main.session() as session:
            user = await _get(session, user_id)
            if not admin:
                await _not_the_last_admin(session, user)
            user.admin = admin
            await session.commit()
        await self._audit.note("made an admin" if admin else "no longer an admin", user_id, user.name)

    async def delete(self, user_id: int) -> None:
        """Remove a user and every byte of theirs; raises RefusedError for the last admin.

        Can be done again when it was interrupted: the row goes last.
        """
        async with self._main.session() as session:
            user = await _get(session, user_id)
            await _not_the_last_admin(session, user)
            user.enabled = False
            await session.execute(delete(Session).where(Session.user_id == user_id))
            await session.commit()
        await self._live.forget(user_id, "account deleted")
        for forget in self.on_delete:
            await forget(user_id)
        try:
            await self._tenants.destroy(user_id)
        except TenantDoesNotExistError:
            log.warning("user %s had no file", user.name)
        await self._audit.note("user deleted", user_id)
        await self._audit.forget(user_id)  # before the purge, which overwrites the name there too
        await self._main.purge_user(user_id)
        await self._live.nudge(user_id)

    async def set_limits(
        self, user_id: int, *, max_servers: int | Unset | None = UNSET, max_disk_mb: int | Unset | None = UNSET
    ) -> User:
        """Bound a user's servers (rows) and disk (MB); None is the installation's default, UNSET leaves it."""
        given = {"max_servers": max_servers, "max_disk_mb": max_disk_mb}
        values = {name: value for name, value in given.items() if not isinstance(value, Unset)}
        wrong = {
            name: f"a whole number from 0 to {MAX_LIMIT}"
            for name, value in values.items()
            if value is not None and not 0 <= value <= MAX_LIMIT
        }
        if wrong:
            raise InvalidError(wrong)
        async with self._main.session() as session:
            user = await _get(session, user_id)
            for name, value in values.items():
                setattr(user, name, value)
            await session.commit()
        limits = f"servers {user.max_servers}, disk {user.max_disk_mb} MB".replace("None MB", "default")
        await self._audit.note("limits set", user_id, user.name, limits.replace("None", "default"))
        await self._live.nudge(user_id)
        return user

    async def authenticate(self, who: str, password: str, *, address: str) -> User | None:
        """The enabled user of this name or e-mail address, if that is the password; else None, after the same work.

        `address` is the peer's IP address, "" for a unix socket. Raises RefusedError while too many attempts failed.
        """
        who = as_text(who)  # what is no text is nobody's name
        async with attempt(self.throttle, who, address) as verdict:
            self.passwords.room()  # before the database is asked: a flood is turned away for nothing
            async with self._main.session() as session:
                matches = User.name == who if "@" not in who else User.email == who.lower()
                user: User | None = await session.scalar(select(User).where(matches))
            right = await self.passwords.verify(user.password_hash if user else None, password)
            verdict.outcome = Outcome.RIGHT if right and user and user.enabled else Outcome.WRONG
        if user is None or verdict.outcome is not Outcome.RIGHT:
            return None
        await self._seen(user, password)
        return user

    async def _seen(self, user: User, password: str) -> None:
        values: dict[str, object] = {}
        if user.last_seen_at is None or now_ms() - user.last_seen_at >= SEEN_MS:
            values["last_seen_at"] = now_ms()
        if self.passwords.needs_rehash(user.password_hash):
            values["password_hash"] = await self.passwords.hash(password)
        if values:
            async with self._main.session() as session:
                same = (User.id == user.id, User.password_hash == user.password_hash)
                await session.execute(update(User).where(*same).values(values))
                await session.commit()

    async def _forget_row(self, user_id: int) -> None:
        async with self._main.session() as session:
            await session.execute(delete(User).where(User.id == user_id))
            await session.commit()

    def close(self) -> None:
        """End the hashing threads."""
        self.passwords.close()


def _forget_first_password(file: Path, name: str) -> None:
    """Remove what the first start wrote for this user: the password in it is not theirs any more."""
    try:
        if file.read_text(encoding="utf-8").partition(" ")[0] == name:
            file.unlink()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        log.warning("%s holds a password that does not count any more, remove it: %s", file, error)


async def _get(session: AsyncSession, who: int | str) -> User:
    user: User | None = await session.scalar(
        select(User).where(User.id == who if isinstance(who, int) else User.name == who)
    )
    if user is None:
        raise NotFoundError("there is no such user" if isinstance(who, int) else f"there is no user {who!r}")
    return user


async def _unique(session: AsyncSession, name: str | None, email: str | None) -> None:
    taken = await session.scalar(
        select(User).where(or_(User.name == (name or ""), User.email == email if email else User.name == (name or "")))
    )
    if taken is not None:
        same_name = name is not None and taken.name == name
        raise ConflictError(f"there is a user {name} already" if same_name else "this e-mail address is taken")


async def _not_the_last_admin(session: AsyncSession, user: User) -> None:
    if user.admin and user.enabled:
        admins = select(func.count()).select_from(User).where(User.admin, User.enabled)
        refuse((await session.scalar(admins) or 0) < 2, f"{user.name} is the only admin: make another one first")
