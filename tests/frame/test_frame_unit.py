"""The systemd unit, as systemd itself reads it."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "bouncer.service"
ANALYZE = "/usr/bin/systemd-analyze"

# What the daemon is made of, at work where no page of memory may become executable (what MemoryDenyWriteExecute asks
# the kernel for since systemd 254): the loop, Argon2, OpenSSL, SQLAlchemy's greenlets over SQLite, templates.
AT_WORK = """
import asyncio, ctypes, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0):
    print("no PR_SET_MDWE in this kernel")
    sys.exit(77)
import aiohttp.web, alembic.command, jinja2, sqlalchemy, uvloop
from sqlalchemy.ext.asyncio import create_async_engine
from bouncer import passwords, tls

async def main():
    guard = passwords.Passwords()
    assert await guard.verify(await guard.hash("x"), "x")
    guard.close()
    tls.self_signed(["localhost"])
    assert jinja2.Template("{{ 1 + 1 }}").render() == "2"
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        assert (await connection.execute(sqlalchemy.text("select 1"))).scalar() == 1
    await engine.dispose()

uvloop.run(main())
"""


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep case
    parser.read(UNIT)
    return parser


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/bouncer/bin/bouncer run", "/bin/true"))
    done = subprocess.run([ANALYZE, "verify", copy], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_hardened() -> None:
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = re.search(r"Overall exposure level for bouncer.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) <= 2.5


def test_the_unit_says_what_the_program_does() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert service["ExecStart"].endswith("/bouncer run")
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["StateDirectory"] == "bouncer"
    assert service["LimitCORE"] == "0"
    assert int(service["WatchdogSec"]) >= 10
    assert int(service["TimeoutStopSec"]) >= 10


def test_no_python_part_needs_memory_that_is_written_and_executed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_WORK],
        cwd=UNIT.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert (done.returncode, done.stderr) == (0, "")
