"""What `make run` and `make test` ask of the system, with other programs in the place of apt's."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / script, *arguments],
        env=os.environ | {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_who_may_not_install_is_told_the_one_line_to_run(tmp_path: Path) -> None:
    program(tmp_path / "bin", "dpkg-query", '[ "$3" = there ] && echo install ok installed')
    program(tmp_path / "bin", "id", "echo 1000")
    program(tmp_path / "bin", "apt-get", f"touch {tmp_path}/called")
    done = run(tmp_path, "system-packages", "there", "gone", "lost")
    assert done.returncode == 1
    assert "    sudo apt-get install --no-install-recommends gone lost\n" in done.stderr
    assert not (tmp_path / "called").exists()


def test_packages_that_are_there_are_not_asked_for(tmp_path: Path) -> None:
    program(tmp_path / "bin", "dpkg-query", "echo install ok installed")
    program(tmp_path / "bin", "apt-get", f"touch {tmp_path}/called")
    done = run(tmp_path, "system-packages", "irssi", "tmux")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "called").exists()


def test_every_locked_version_is_one_that_the_project_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "scripts" / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    locked = {canonicalize_name(name): version for name, version in pairs}
    wanted = map(Requirement, project["dependencies"] + project["optional-dependencies"]["dev"])
    for each in wanted:
        version = locked[canonicalize_name(each.name)]
        assert each.specifier.contains(version), f"{each} but {version} is locked"
