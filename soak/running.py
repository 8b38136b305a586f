"""Owns the bouncer of a long trial: what it is told before it runs, and its process, which writes down how it is."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.warm import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cli.clikit import Cli

SETUP_S = 300
END_S = 30


def told(cli: Cli, words: Sequence[str]) -> str:
    """What the shell of the command line answers to these lines; AssertionError when it refuses one."""
    with cli.start("shell", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        out, _ = shell.communicate("\n".join(words) + "\n", timeout=SETUP_S)
    assert shell.returncode == 0, out[-500:]
    assert "ERR" not in out, out
    return str(out)


@contextlib.contextmanager
def bouncer(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    """It runs and writes `figures` and `log` (see `inside`) into its folder; killed at the end if it has not ended."""
    words = [sys.executable, "-m", "soak.inside", str(cli.folder / "figures"), "run", "--config", str(cli.config)]
    with (cli.folder / "log").open("ab") as log:
        process = subprocess.Popen(
            words, env=cli.env(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(END_S)
