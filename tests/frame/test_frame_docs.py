"""What the documents say of the configuration is what the program does."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from bouncer import config

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.findall(r"```toml\n(.*?)```", (DOCS / "operating.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_list_of_all_keys_is_complete_and_its_defaults_are_the_real_ones(tmp_path: Path) -> None:
    (block,) = (each for each in BLOCKS if each.startswith("# all defaults"))
    file = tmp_path / "bouncer.toml"
    file.write_text(block)
    assert config.differences(config.load(file), dataclasses.replace(config.Config(), file=file)) == ["storage.path"]
    written = tomllib.loads(block)
    for table in dataclasses.fields(config.Config):
        if table.name not in {"listen", "file"}:
            names = {each.name for each in dataclasses.fields(getattr(config.Config(), table.name))}
            assert set(written[table.name]) == names, table.name


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_accepted(block: str, tmp_path: Path) -> None:
    file = tmp_path / "bouncer.toml"
    file.write_text(block)
    assert config.load(file).file == file


def test_every_limit_is_explained_with_its_default() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\w+) \| ", (DOCS / "limits.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [(name, int(value)) for name, value, _ in rows] == list(dataclasses.asdict(config.Limits()).items())
