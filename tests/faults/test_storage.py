"""Storage that fails one user: the others' does not, the user is told, and what waited is written by itself.

The users of the installation are each the victim of one test, but for `healthy`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from soak.storage import small_disk
from soak.witness import DEADLINE_S
from soak.world import World, without_privileges
from tests.faults.panel import Person

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from soak.witness import Witness

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILS, WORKS = "Storage fails", "Storage works again"
READ_ONLY = "attempt to write a readonly database"
LIVE_MS = 400
ROWS = 1_000
"""Messages that may wait."""
USERS = ("healthy", "locked", "full", "moved", "replaced", "damaged", "flooded", "forbidden")
ACKNOWLEDGED = (
    "SELECT 1 FROM delivery_receipts WHERE client = 'desk' AND message_id >= "
    "(SELECT id FROM messages WHERE content = 'second')"
)
KEPT = "SELECT count(*) FROM messages WHERE content = ?"


class Hurt(World):
    """A world whose bouncer runs."""

    process_: subprocess.Popen[str]

    async def says(self, user: str, text: str) -> None:
        """Somebody says that to the user's channel."""
        peer = self.talks[user].peer
        assert peer is not None
        await peer.send(f":bob!b@host PRIVMSG #den :{text}")

    def kept(self, user: str, text: str) -> int:
        """How often that is in the user's file."""
        return int(self.rows(user, KEPT, text)[0][0])

    def rows(self, user: str, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """What SQLite reads in the user's file while it is being written."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path(user)}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, params).fetchall()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hurt]:
    """Everybody is on their channel; nobody talks but the tests."""
    folder = tmp_path_factory.mktemp("storage")
    limits = f"[limits]\njournal_rows = {ROWS}"
    async with Hurt.made(folder, USERS, live_ms=LIVE_MS, panel=True, more=limits) as made:
        with made.process(*without_privileges()) as process:
            made.process_ = process
            await made.listening(process)
            await made.connected()
            yield made
            await made.stopped(process)
            await made.ended()


async def client(world: Hurt, user: str, name: str = "desk") -> Witness:
    """Attached and shown all it had missed."""
    made = await world.attach(user, name)
    await made.until(lambda one: one.caught_up)
    return made


async def heard(made: Witness, text: str) -> None:
    await made.until(lambda one: any(said.text == text for said in one.shown))


async def told(made: Witness, words: str) -> None:
    await made.until(lambda one: any(words in notice for notice in one.notices))


async def stored(world: Hurt, user: str, text: str) -> None:
    """Wait until it is in the file."""
    async with asyncio.timeout(DEADLINE_S):
        while not world.kept(user, text):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.05)


async def others_go_on(world: Hurt, text: str) -> None:
    """Somebody else's words are shown and stored, and so is their panel."""
    other = await client(world, "healthy", f"during-{text}")
    await world.says("healthy", f"meanwhile {text}")
    await heard(other, f"meanwhile {text}")
    assert world.kept("healthy", f"meanwhile {text}") == 1
    assert not other.notices
    async with Person(world.panel, "healthy") as person:
        assert (await person.page("/servers")).status == 200


async def the_panel_says(world: Hurt, user: str, words: str) -> None:
    async with Person(world.panel, user) as person:
        page = await person.page("/servers")
        assert words in page.text, page


async def suffers(world: Hurt, user: str, reason: str) -> Witness:
    """While the fault lasts: shown live, told why, in the panel too, also to who comes now; the others go on."""
    watcher = next(one for one, _ in world.clients if one.ledger.user == user)
    await world.says(user, "first")
    await heard(watcher, "first")
    await told(watcher, f"{FAILS} ({reason}")
    await others_go_on(world, user)
    late = await world.attach(user, "late")
    await told(late, f"{FAILS} ({reason}")
    await late.until(lambda one: one.caught_up)
    await world.says(user, "second")
    await heard(watcher, "second")
    await heard(late, "second")
    return watcher


async def recovers(world: Hurt, user: str, watcher: Witness) -> None:
    """Without anybody's help, all that waited is in the file, once."""
    await told(watcher, WORKS)
    assert [world.kept(user, text) for text in ("first", "second")] == [1, 1]
    async with Person(world.panel, user) as person:
        page = await person.page("/servers")
        assert page.status == 200
        assert FAILS not in page.text


async def test_a_file_that_another_process_keeps_locked(world: Hurt) -> None:
    watcher = await client(world, "locked")
    with contextlib.closing(sqlite3.connect(world.path("locked"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await suffers(world, "locked", "database is locked")
        await the_panel_says(world, "locked", FAILS)
        other.execute("ROLLBACK")
    await recovers(world, "locked", watcher)
    async with asyncio.timeout(DEADLINE_S):
        while not world.rows("locked", ACKNOWLEDGED):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.05)
    again = await client(world, "locked")
    assert not again.shown, "it has acknowledged what it was shown before that was stored"


async def test_a_full_disk(world: Hurt) -> None:
    """The log of one file may grow no more: the others' are shorter."""
    watcher = await client(world, "full")
    log = world.path("full").with_name(f"{world.path('full').name}-wal")
    for number in range(30):
        await world.says("full", f"{number} " + "x" * 400)
        await heard(watcher, f"{number} " + "x" * 400)
    room = log.stat().st_size
    limits = resource.prlimit(world.process_.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        await suffers(world, "full", "disk I/O error")
        await the_panel_says(world, "full", FAILS)
    finally:
        resource.prlimit(world.process_.pid, resource.RLIMIT_FSIZE, limits)
    await recovers(world, "full", watcher)


async def test_a_file_that_is_moved_away_and_back(world: Hurt) -> None:
    watcher = await client(world, "moved")
    path = world.path("moved")
    path.rename(path.with_name("aside"))
    await suffers(world, "moved", "tenant 4 does not exist")
    async with Person(world.panel, "moved") as person:
        page = await person.page("/servers")
        assert (page.status, "does not exist" in page.text) == (503, True), page
        assert (await person.page("/account")).status == 200
    path.with_name("aside").rename(path)
    await recovers(world, "moved", watcher)


async def test_another_file_is_put_in_its_place(world: Hurt) -> None:
    watcher = await client(world, "replaced")
    path = world.path("replaced")
    backup = world.cli.folder / "backup"
    await asyncio.to_thread(world.cli.ok, "tenant", "backup", "replaced", str(backup))
    await world.says("replaced", "before")
    await heard(watcher, "before")
    path.rename(path.with_name("old"))
    backup.rename(path)
    await world.says("replaced", "first")
    await world.says("replaced", "second")
    await heard(watcher, "second")
    await recovers(world, "replaced", watcher)
    assert world.kept("replaced", "before") == 0
    with contextlib.closing(sqlite3.connect(path.with_name("old"))) as old:
        assert old.execute(KEPT, ("before",)).fetchone() == (1,)


async def test_a_file_put_in_its_place_that_may_only_be_read(world: Hurt) -> None:
    """As whoever copies a backup by hand may leave it; whoever then finds the mistake need not think of its log."""
    watcher = await client(world, "forbidden")
    path = world.path("forbidden")
    backup = world.cli.folder / "backup"
    await asyncio.to_thread(world.cli.ok, "tenant", "backup", "forbidden", str(backup))
    backup.chmod(0o400)
    backup.rename(path)
    await suffers(world, "forbidden", READ_ONLY)
    async with Person(world.panel, "forbidden") as person:
        refused = await person.post("/servers/1", nickname="other")
        assert (refused.status, READ_ONLY in refused.text) == (503, True), refused
    path.chmod(0o600)
    await recovers(world, "forbidden", watcher)


async def test_a_disk_that_may_only_be_read_for_a_while(tmp_path: Path) -> None:
    """It is so when the bouncer starts, after a crash that has left a log."""
    with small_disk(tmp_path / "storage" / "tenants") as disk:
        async with Hurt.made(tmp_path, ("healthy", "forbidden"), live_ms=LIVE_MS) as world:
            with world.process() as process:
                await world.listening(process)
                await world.connected()
                watcher = await client(world, "forbidden")
                await world.says("forbidden", "before")
                await heard(watcher, "before")
            await world.ended()
            remounted(disk, "ro")
            with world.process() as process:
                await world.listening(process)
                await world.connected()
                watcher = await client(world, "forbidden")
                assert "before" in [said.text for said in watcher.shown]
                await world.says("forbidden", "first")
                await heard(watcher, "first")
                await told(watcher, f"{FAILS} ({READ_ONLY}")
                remounted(disk, "rw")
                await told(watcher, WORKS)
                await world.stopped(process)
                await world.ended()
            assert [world.kept("forbidden", text) for text in ("before", "first")] == [1, 1]


def remounted(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


async def test_a_damaged_page_and_a_backup_put_back(world: Hurt) -> None:
    """A page in the middle: the live conversation goes on, and what was said is in the file that is put back."""
    await client(world, "damaged")
    path = world.path("damaged")
    backup = world.cli.folder / "backup"
    await asyncio.to_thread(world.cli.ok, "tenant", "backup", "damaged", str(backup))
    damage(path)
    await suffers(world, "damaged", "database disk image is malformed")
    await asyncio.to_thread(world.cli.ok, "tenant", "restore", "damaged", str(backup), "--yes")
    await stored(world, "damaged", "second")
    assert [world.kept("damaged", text) for text in ("first", "second")] == [1, 1]
    back = await client(world, "damaged", "back")
    await heard(back, "second")
    assert not back.notices


async def test_what_cannot_be_kept_is_counted_and_shown(world: Hurt) -> None:
    """More comes than may wait for a file that is locked: it is shown, and the user learns how much of it is lost."""
    watcher = await client(world, "flooded")
    peer = world.talks["flooded"].peer
    assert peer is not None
    texts = [f"flood {number}" for number in range(ROWS + 300)]
    with contextlib.closing(sqlite3.connect(world.path("flooded"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for start in range(0, len(texts), 50):
            await peer.send(*(f":bob!b@host PRIVMSG #den :{text}" for text in texts[start : start + 50]))
            await peer.barrier()  # one read, one batch
        await heard(watcher, texts[-1])
        await told(watcher, "messages could not be kept (")
        await others_go_on(world, "flooded")
        other.execute("ROLLBACK")
    await told(watcher, WORKS)
    lost = sum(not world.kept("flooded", text) for text in texts)
    assert 300 <= lost < len(texts)
    assert [said.text for said in watcher.shown if said.text.startswith("flood ")] == texts
    assert f"Storage: {lost} messages could not be kept" in watcher.notices[-2]
    await the_panel_says(world, "flooded", f"{lost} messages could not be kept")
    async with Person(world.panel, "flooded") as person:
        log = (await person.page("/servers/1")).text
        assert f"{lost} messages could not be kept" in log
    status = await asyncio.to_thread(world.cli.ok, "bouncer", "status")
    assert f"{lost}" in status.out


async def test_the_main_database_kept_locked(world: Hurt) -> None:
    """Who is signed in goes on, who has a client attaches it; signing in in a browser has to wait, and says why."""
    watcher = await client(world, "healthy", "watcher")
    async with Person(world.panel, "healthy") as person:
        with contextlib.closing(sqlite3.connect(world.cli.storage / "main.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            new = await client(world, "healthy", "new")
            await world.says("healthy", "while main is locked")
            await heard(watcher, "while main is locked")
            await heard(new, "while main is locked")
            assert world.kept("healthy", "while main is locked") == 1
            assert (await person.page("/servers")).status == 200
            refused = await Person.sign_in(world.panel, "full")
            assert (refused.status, "database is locked" in refused.text) == (503, True), refused
            other.execute("ROLLBACK")
        assert (await Person.sign_in(world.panel, "full")).status == 303


def damage(path: Path) -> None:
    """The pages of the messages and of their indices are noise; nothing of them is in the log any more."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'messages' AND rootpage > 0")
        pages = [page for (page,) in roots]
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(os.urandom(size))
