"""`bouncer run` that writes down how it is, twice a second: `python -m soak.inside FIGURES run --config FILE`.

A line of JSON each: seconds, tasks, descriptors, resident KiB, and of the time since: the latest that the loop was, the
most that its thread, and that the garbage collector has computed in one go, however busy the machine was (ms). Where
the loop was when it computed for long is written to FIGURES.late, as stacks.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from bouncer import looplag, tasks
from bouncer.cli.main import main

LOOK_S = 0.5
LAG_S = 0.02
LATE_S, DEPTH = 0.06, 12


class Lag(looplag.LoopLag):
    """Looks at the loop fifty times a second."""

    worst_s = busy_s = 0.0
    computed_s = -1.0
    """CPU time of the thread when the loop last turned."""

    def start(self) -> None:
        """Begin; call inside the loop."""
        due = asyncio.get_running_loop().time() + LAG_S
        self._timer = asyncio.get_running_loop().call_at(due, self._fired, due)

    def _fired(self, due: float) -> None:
        computed_s = time.thread_time()
        if Lag.computed_s >= 0:
            Lag.busy_s = max(Lag.busy_s, computed_s - Lag.computed_s)
        Lag.computed_s = computed_s
        Lag.worst_s = max(Lag.worst_s, asyncio.get_running_loop().time() - due)
        super()._fired(due)


def _stacks(path: Path) -> None:
    """The loop runs in the main thread."""
    thread = threading.main_thread().ident or 0
    clock = time.pthread_getcpuclockid(thread)
    with path.open("a", encoding="utf-8") as file:
        while True:
            time.sleep(LAG_S)
            busy = time.clock_gettime(clock) - Lag.computed_s
            if Lag.computed_s >= 0 and busy > LATE_S:
                stack = traceback.extract_stack(sys._current_frames()[thread])[-DEPTH:]  # noqa: SLF001
                where = " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in reversed(stack))
                file.write(f"{busy * 1000:.0f} ms {where}\n")
                file.flush()


class Collector:
    """What the garbage collector has computed in one go, at most, since it was last asked (ms)."""

    worst_ms = 0.0
    began = 0.0

    @classmethod
    def heard(cls, phase: str, _info: object) -> None:
        """A callback of the collector."""
        if phase == "start":
            cls.began = time.thread_time()
        else:
            cls.worst_ms = max(cls.worst_ms, (time.thread_time() - cls.began) * 1000)


def _look(path: Path) -> None:
    with path.open("a", encoding="ascii") as file:
        while True:
            time.sleep(LOOK_S)
            worst, Lag.worst_s = Lag.worst_s, 0.0
            busy, Lag.busy_s = Lag.busy_s, 0.0
            collected, Collector.worst_ms = Collector.worst_ms, 0.0
            resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4
            found = {"at": time.monotonic(), "tasks": len(tasks._running), "fds": len(os.listdir("/proc/self/fd"))}  # noqa: SLF001, PTH208
            file.write(
                json.dumps(
                    {
                        **found,
                        "kib": resident,
                        "lag_ms": round(worst * 1000, 1),
                        "busy_ms": round(busy * 1000, 1),
                        "gc_ms": round(collected, 1),
                    }
                )
                + "\n"
            )
            file.flush()


if __name__ == "__main__":
    looplag.LoopLag = Lag  # type: ignore[misc]  # before the supervisor is imported, which makes one
    gc.callbacks.append(Collector.heard)
    figures = Path(sys.argv.pop(1))
    threading.Thread(target=_look, args=(figures,), daemon=True).start()
    threading.Thread(target=_stacks, args=(figures.with_name(f"{figures.name}.late"),), daemon=True).start()
    sys.exit(main(sys.argv[1:]))
