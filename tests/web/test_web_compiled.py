"""Templates are compiled once and not at every start, and never those of another source."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import jinja2
import pytest

from web import compiled
from web.compiled import Compiled

if TYPE_CHECKING:
    from pathlib import Path


class Counting(jinja2.Environment):
    """Counts what is compiled."""

    compiles = 0

    def compile(self, *arguments: object, **options: object) -> object:  # type: ignore[override]  # all of its overloads
        self.compiles += 1
        return super().compile(*arguments, **options)  # type: ignore[call-overload]  # handed on


@pytest.fixture(autouse=True)
def _bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def start(folder: Path, **pages: str) -> tuple[int, dict[str, str]]:
    """A start with these templates: how many were compiled, and what they say."""
    kept = Compiled(folder / "__pycache__" / "kept.templates")
    env = Counting(loader=jinja2.DictLoader(pages), bytecode_cache=kept, autoescape=True)
    said = {name: env.get_template(name).render(word="<") for name in pages}
    kept.keep()
    return env.compiles, said


def test_a_second_start_compiles_only_what_has_changed(tmp_path: Path) -> None:
    assert start(tmp_path, a="a {{ word }}", b="b") == (2, {"a": "a &lt;", "b": "b"})
    assert start(tmp_path, a="a {{ word }}", b="b") == (0, {"a": "a &lt;", "b": "b"})
    assert start(tmp_path, a="a {{ word }}", b="new") == (1, {"a": "a &lt;", "b": "new"})
    assert start(tmp_path, b="new") == (0, {"b": "new"})
    assert start(tmp_path, a="a {{ word }}", b="new")[0] == 1  # what had gone was not kept
    (kept,) = (tmp_path / "__pycache__").iterdir()
    assert not stat.S_IMODE(kept.stat().st_mode) & 0o022


@pytest.mark.parametrize("keep", [0, 31, 40, -1])
def test_a_file_that_was_cut_off_counts_as_none(tmp_path: Path, keep: int) -> None:
    start(tmp_path, a="a", b="b")
    (kept,) = (tmp_path / "__pycache__").iterdir()
    kept.write_bytes(kept.read_bytes()[:keep])
    assert start(tmp_path, a="a", b="b") == (2, {"a": "a", "b": "b"})
    assert start(tmp_path, a="a", b="b")[0] == 0


def test_another_panel_or_jinja_compiles_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path, a="a")
    monkeypatch.setattr(compiled, "version", lambda name: f"{name} 99")
    assert start(tmp_path, a="a")[0] == 1
    (tmp_path / "present.py").write_text("def iso(): ...")
    monkeypatch.setattr(compiled, "HERE", tmp_path)
    assert start(tmp_path, a="a")[0] == 1


def test_nothing_is_written_where_it_may_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__pycache__").write_text("no folder")
    assert start(tmp_path, a="a") == (1, {"a": "a"})
    (tmp_path / "__pycache__").unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert start(tmp_path, a="a") == (1, {"a": "a"})
    assert list(tmp_path.iterdir()) == []
