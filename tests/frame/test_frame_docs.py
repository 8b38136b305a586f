"""What the documents say of the configuration is what the program does."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from bouncer import config
from bouncer.irc.caps import CLIENT_CAPS
from tests.transparency.sessions import SESSIONS

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


def test_every_test_that_shows_a_promise_of_security_is_there() -> None:
    text = (DOCS / "security.md").read_text(encoding="utf-8")
    sources = {path.name: path.read_text(encoding="utf-8") for path in DOCS.parent.glob("tests/*/test_*.py")}
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", text.partition("## How it is shown")[2], re.MULTILINE)[1:]
    assert len(rows) > 15
    for promise, cell in rows:
        assert (named := re.findall(r"`(test_\w+)`", cell)), promise
        assert not [name for name in named if not any(f"def {name}(" in one for one in sources.values())], promise
    named = re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)`", text)
    assert named
    assert not set(named) - set(sources)


def test_every_test_and_session_that_the_table_of_the_protocol_names_is_there() -> None:
    text = (DOCS / "irc.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in DOCS.parent.glob("tests/*/test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 50
    assert not [name for name in named if f"def {name}(" not in tests]
    assert set(re.findall(r"session ([a-z-]+)", text)) == set(SESSIONS)


def test_the_table_of_the_protocol_has_every_capability_that_is_offered() -> None:
    text = (DOCS / "irc.md").read_text(encoding="utf-8")
    table = text.partition("## Capabilities")[2].partition("## Commands")[0]
    known = {"draft/no-implicit-names", "soju.im/no-implicit-names", "soju.im/bouncer-networks-notify"}
    assert not [cap.name for cap in CLIENT_CAPS if f"`{cap.name}`" not in table and cap.name not in known]
