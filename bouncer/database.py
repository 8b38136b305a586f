"""Owns the main database's engine and the migrations of both databases; the only importer of Alembic.

Alembic keeps its state in process globals: whatever runs it here holds one lock and is synchronous, so that it can be
called from any thread (never from the event loop's). It is imported when there is something to migrate: a start that
finds everything migrated does without its 11 MB and 0.2 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, delete, engine_from_config, event, inspect, make_url, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from bouncer import tasks
from bouncer.errors import MainStorageError, TenantBusyError, TenantDoesNotExistError, TenantSchemaError
from bouncer.models.guard import HomeSession, admit_statement
from bouncer.models.main import MainBase, User

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from sqlalchemy import Connection, Engine, MetaData

log = logging.getLogger(__name__)

MAIN_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # a deleted user's bytes are overwritten, not only unlinked
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_size_limit=1048576",
)
POOL_SIZE = 3  # aiosqlite: a thread each
CHECKPOINT_ATTEMPTS = 3  # each waits for readers up to busy_timeout
CHECKPOINT_AGAIN_S = 60.0
BUSY_MS = 5000

_alembic = threading.RLock()


class MainSession(HomeSession):
    """A session that refuses tenants' rows and queries."""

    home = MainBase.metadata


class MainAsyncSession(AsyncSession):
    """What `MainDatabase.session` yields."""

    sync_session_class = MainSession


class MainDatabase:
    """The database of the installation. `url` is SQLAlchemy's with an asyncio driver (`sqlite+aiosqlite:///…`).

    `synchronous` is SQLite's `normal` or `full`: whether a commit waits until it would survive a power cut.
    """

    def __init__(self, url: str, *, synchronous: str = "normal") -> None:
        self._url = make_url(url)
        self._pragmas: tuple[str, ...] = (*MAIN_PRAGMAS, f"PRAGMA synchronous={synchronous}")
        self._cutting = tasks.Group()
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self.engine = self._engine()

    def _engine(self, **options: Any) -> AsyncEngine:
        sized = options or {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": 10}
        # What an error says is for logs and for people: never the values of the statement that failed.
        engine = create_async_engine(self._url, hide_parameters=True, **sized)
        if self._sqlite:
            event.listen(engine.sync_engine, "connect", self._set_pragmas)
        event.listen(engine.sync_engine, "before_cursor_execute", _guard_main)
        return engine

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[MainAsyncSession]:
        """A unit of work; what is not committed when the block ends is rolled back."""
        async with MainAsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    async def migrate(self) -> None:
        """Bring the database to this program's schema, making it if it is not there.

        Raises MainStorageError when it is newer than this program, damaged, locked or out of reach.
        """
        name = self._url.render_as_string(hide_password=True) if not self._sqlite else self._url.database
        try:
            await asyncio.to_thread(self._migrate)
        except DBAPIError as error:
            if (reason := storage_failure(error)) is None:
                raise
            raise MainStorageError(f"{name}: {reason}") from error
        except OSError as error:
            raise MainStorageError(f"{name}: {error.strerror}") from error
        except MainStorageError as error:
            raise MainStorageError(f"{name}: {error}") from error

    def _migrate(self) -> None:
        if self._sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(self._url.database).touch(mode=0o600)
        with _alembic:
            asyncio.run(self._upgrade())

    async def _upgrade(self) -> None:
        engine = self._engine(poolclass=pool.NullPool)
        try:
            if self._sqlite:
                _own_transactions(engine.sync_engine)
            async with engine.begin() as connection:
                await connection.run_sync(_run_main)
        finally:
            await engine.dispose()

    async def purge_user(self, user_id: int) -> bool:
        """Delete the user's row and all that hangs on it, then (SQLite) overwrite the log that still has the bytes.

        True when nothing is left on disk; False when a reader kept the write-ahead log in use: that is tried again
        until it is done or the database is closed.
        """
        async with self.session() as session, session.begin():
            await session.execute(delete(User).where(User.id == user_id))
        if not self._sqlite:
            return True
        for _ in range(CHECKPOINT_ATTEMPTS):
            if await self._cut_log():
                return True
        log.warning("the main database's write-ahead log is in use: bytes of user %s may be in it", user_id)
        self._cutting.spawn(self._cut_later(user_id), name=f"main-log-{user_id}")
        return False

    async def _cut_log(self) -> bool:
        async with self.engine.connect() as connection:
            busy, _, _ = (await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))).one()
            return not busy

    async def _cut_later(self, user_id: int) -> None:
        done = False
        while not done:
            await asyncio.sleep(CHECKPOINT_AGAIN_S)
            with contextlib.suppress(DBAPIError):  # a disk that fails is no reason to stop trying
                done = await self._cut_log()
        log.info("the main database's write-ahead log has nothing of user %s any more", user_id)

    async def close(self) -> None:
        """Close every connection; the database cannot be used afterwards."""
        await self._cutting.cancel()
        await self.engine.dispose()

    def _set_pragmas(self, connection: Any, record: object) -> None:
        del record
        cursor = connection.cursor()
        for pragma in self._pragmas:
            cursor.execute(pragma)
        cursor.close()


def _guard_main(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    del connection, cursor, statement, parameters, many
    admit_statement(context, MainBase.metadata)


# -- migrations ---------------------------------------------------------------------------------------------------


def _folder(name: str) -> Path:
    """The migration folder: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    return next(folder for folder in (package / name, package.parent / name) if (folder / "env.py").exists())


@functools.cache
def _revisions(name: str) -> tuple[str, ...]:
    """The revisions of a migration folder, oldest first: there is one line of them, and its files are named by it."""
    return tuple(sorted(path.name.partition("_")[0] for path in _folder(name).glob("versions/[0-9]*_*.py")))


def _run(name: str, connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see the module

    config = _config(name)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config(name: str) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see the module

    config = Config()
    config.set_main_option("script_location", str(_folder(name)).replace("%", "%%"))
    return config


def _run_main(connection: Connection) -> None:
    known = _revisions("migrations")
    begun = inspect(connection).has_table("alembic_version")
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() if begun else ()
    if newer := set(found) - set(known):
        raise MainStorageError(f"schema {', '.join(newer)} is not known here: written by a newer version")
    if list(found) != [known[-1]]:
        _run("migrations", connection)


def _own_transactions(engine: Engine) -> None:
    """Make each transaction on an SQLite engine a real one from its first statement, so that a migration is atomic."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        del record
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def run_migrations(context: EnvironmentContext, metadata: MetaData) -> None:
    """The body of both `env.py`: on the connection handed over, or (a developer's `alembic`) on the URL configured."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _run_on(context, connection, metadata)
        return
    options = context.config.get_section(context.config.config_ini_section) or {}
    engine = engine_from_config(options, poolclass=pool.NullPool)
    _own_transactions(engine)
    with engine.begin() as own:
        _run_on(context, own, metadata)


def _run_on(context: EnvironmentContext, connection: Connection, metadata: MetaData) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=_is_ours,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    del parents
    return not (kind == "table" and name is not None and name.startswith("messages_fts"))  # made by the search index


def tenant_head() -> str:
    """The schema version (an Alembic revision) that tenant files of this program have."""
    return _revisions("tenant_migrations")[-1]


_STORAGE_CODES = frozenset(
    {
        sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB,
    }
)  # fmt: skip


def storage_code(error: BaseException) -> int | None:
    """The primary result code with which SQLite says what a file or its disk does not do; None for any other error."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlite_errorcode", -1) & 0xFF
    return code if isinstance(cause, sqlite3.Error) and code in _STORAGE_CODES else None


def storage_failure(error: BaseException) -> str | None:
    """In words, what a file or its disk does not do; None for an error that tells of something else.

    Words of SQLite's or ours, never a statement or a value.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    ours = isinstance(cause, TenantDoesNotExistError | TenantBusyError | TenantSchemaError)
    return str(cause) if ours or storage_code(error) is not None else None


def tenant_version(connection: sqlite3.Connection) -> str:
    """The schema version of an open file, one this program knows.

    Raises TenantSchemaError for a file that a newer program wrote, or that is no tenant file.
    """
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise  # locked: says nothing about the schema
        raise TenantSchemaError("not a tenant file") from error
    except sqlite3.DatabaseError as error:
        raise TenantSchemaError(f"not a tenant file: {error}") from error
    if row is None or row[0] not in _revisions("tenant_migrations"):
        raise TenantSchemaError(f"schema {row[0] if row else 'unknown'} is not known here: written by a newer version")
    return str(row[0])


@functools.cache
def tenant_template() -> bytes:
    """An empty tenant file of the newest schema, in WAL mode; made once per process (10 to 30 ms)."""
    with _alembic, tempfile.TemporaryDirectory(prefix="tenant-template-") as folder:
        path = Path(folder, "template.sqlite3")
        path.touch()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # what is deleted can be given back bit by bit
            connection.execute("PRAGMA journal_mode=WAL")
        _upgrade_tenant(path, BUSY_MS)
        return path.read_bytes()


def migrate_tenant_file(path: Path, *, busy_ms: int = BUSY_MS) -> bool:
    """Bring a tenant file to `tenant_head()`, all or nothing; False when it was there already.

    Raises TenantDoesNotExistError, TenantSchemaError (newer, or no tenant file) or sqlite3.Error.
    """
    with _alembic:
        try:
            connection = open_tenant(path, "ro", busy_ms=busy_ms)
        except sqlite3.OperationalError as error:
            raise TenantDoesNotExistError(f"{path.name}: {error}") from error
        with contextlib.closing(connection):
            if tenant_version(connection) == tenant_head():
                return False
        _upgrade_tenant(path, busy_ms)
        return True


def _upgrade_tenant(path: Path, busy_ms: int) -> None:
    opened = functools.partial(open_tenant, path, "rw", busy_ms=busy_ms)
    engine = create_engine("sqlite://", creator=opened, poolclass=pool.NullPool, hide_parameters=True)
    _own_transactions(engine)
    try:
        with engine.begin() as connection:
            _run("tenant_migrations", connection)
        with contextlib.suppress(sqlite3.Error), contextlib.closing(opened()) as bare:
            # What stood there before leaves the log and the pages it was in; a reader may keep it, until the next one.
            bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):  # callers handle the database's own words
            raise error.orig from error
        raise


def open_tenant(path: Path, mode: str, *, busy_ms: int = BUSY_MS, **options: Any) -> sqlite3.Connection:
    """A bare connection to a file that must exist; `mode` is SQLite's `ro` or `rw`. Raises sqlite3.OperationalError."""
    connection: sqlite3.Connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=busy_ms / 1000, check_same_thread=False, **options
    )
    return connection
