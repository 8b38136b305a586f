"""How `bouncer run` sets up the interpreter, seen from the process itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.cli.clikit import DEADLINE_S
from tests.support.daemon import prepare

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import asyncio, gc, os, signal, sys
from bouncer import notify
from bouncer.cli.main import main

def ready(self, words):
    print(sys.getswitchinterval() < 0.001, gc.get_threshold()[0] > 700, gc.get_freeze_count() > 0, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

notify.Notifier.ready = ready
sys.exit(main(sys.argv[1:]))
"""


def test_threads_take_turns_often_and_the_collector_leaves_the_program_alone(tmp_path: Path) -> None:
    made = prepare(tmp_path)
    words = [sys.executable, "-c", PROGRAM, "run", "--config", str(made.cli.config)]
    done = subprocess.run(
        words, env=made.cli.env(), capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["True", "True", "True"], done
    assert done.returncode in (0, -signal.SIGTERM)
