"""Imports go one way, some libraries have one door, and no file grows beyond what one reads in a sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_LINES = 450

# From the bottom up: a module may import its own row and those below it.
ROWS: tuple[frozenset[str], ...] = tuple(
    frozenset(row.split())
    for row in (
        "errors clock endpoints config tasks vault passwords throttle tls notify logs events sasl scram tls_peer",
        "histogram gate proxy",
        "irc",
        "models",
        "database",
        "tenant",
        (
            "journal_sql journal_log journal_queue journal_stats journal_turns journal "
            "history replay browse reactions counts pruning"
        ),
        "transport listeners upstream downstream looplag",
        "network commands service control",
        "live_user entrance health",
        "supervisor",
        "metrics",
        "web",
        "cli __main__",
    )
)
ONLY_IN = {
    "pydle": {"bouncer/upstream"},
    "alembic": {"bouncer/database.py", "migrations", "tenant_migrations", "soak/kill.py"},
}
SOURCES = sorted(
    path
    for top in ("bouncer", "web", "benchmarks", "fuzz", "soak", "migrations", "tenant_migrations")
    for path in (ROOT / top).rglob("*.py")
)
OURS = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in {"bouncer", "web"}]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> list[tuple[str, int]]:
    """Full names of the modules a file imports, with line numbers; relative imports are not allowed (TID252)."""
    found = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name(path)}:{node.lineno} imports relatively"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def part(module: str) -> str | None:
    """Which part of ours a module belongs to: `bouncer.irc.lines` is `irc`; None for what is not ours."""
    top, _, rest = module.partition(".")
    if top == "web":
        return "web"
    return rest.partition(".")[0] if top == "bouncer" and rest else None


def part_of(path: Path) -> str | None:
    return part(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


def row(of: str) -> int:
    return next(number for number, names in enumerate(ROWS) if of in names)


@pytest.mark.parametrize("path", OURS, ids=name)
def test_imports_point_down_only(path: Path) -> None:
    own = part_of(path)
    if own is None:  # bouncer/__init__.py is imported by all of them
        assert imported(path) == []
        return
    allowed = [each for names in ROWS[: row(own) + 1] for each in names]
    if own == "irc":
        allowed = ["errors", "irc"]
    for module, line in imported(path):
        other = part(module)
        assert other is None or other in allowed, f"{name(path)}:{line}: {own} may not import {module}"


@pytest.mark.parametrize("path", [path for path in OURS if part_of(path) == "irc"], ids=name)
def test_the_protocol_core_knows_no_socket_and_no_loop(path: Path) -> None:
    banned = {"asyncio", "socket", "ssl", "threading", "sqlite3", "sqlalchemy", "aiohttp", "pydle", "os", "pathlib"}
    assert not banned & {module.partition(".")[0] for module, _ in imported(path)}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_pydle_and_alembic_have_one_door_each(path: Path) -> None:
    for module, line in imported(path):
        doors = ONLY_IN.get(module.partition(".")[0])
        if doors is not None:
            own = path.relative_to(ROOT)
            assert any(own.is_relative_to(door) for door in doors), f"{name(path)}:{line} imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_file_is_too_long_and_each_says_what_it_owns(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_LINES
    assert ast.get_docstring(ast.parse(text)), f"{name(path)} has no docstring"
