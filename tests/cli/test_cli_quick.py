"""A command starts quickly: what takes long to import is imported by those that need it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.warm import ROOT

HEAVY = {"sqlalchemy", "alembic", "cryptography", "aiohttp", "jinja2", "pydle", "uvloop", "argon2", "prometheus_client"}
FINISH = "; import json, sys; print(json.dumps([*sys.modules]))"


@pytest.mark.parametrize(
    "words",
    [
        "import bouncer.__main__",
        "from bouncer.service.parser import command_line; command_line()",
        "import bouncer.control, bouncer.cli.shell",  # how a command is told to a bouncer that runs
    ],
)
def test_what_only_reads_or_passes_on_a_command_imports_nothing_heavy(words: str) -> None:
    done = subprocess.run([sys.executable, "-c", words + FINISH], capture_output=True, cwd=ROOT, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "bouncer" in loaded
    assert not loaded & HEAVY
