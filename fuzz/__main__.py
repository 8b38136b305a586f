"""`make fuzz`: every target under atheris for its share of the time; a crash is an input to add to the corpus.

python -m fuzz [NAME ...] [--minutes N] [--jobs N] [--keep FOLDER]

Two jobs side by side by default, 30 minutes each. What a run finds interesting is kept in FOLDER, if one is named, and
is where the next one begins. Exit 1 when a target crashed.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fuzz.targets import TARGETS

HERE = Path(__file__).parent
LONGEST_INPUT = 20_000
"""Bytes: a line of a network may have 16,384."""
SLOWEST_S = 10
MEMORY_MB = 2_048
GRACE_S = 60
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_COVERED = re.compile(r"cov: (\d+)")
_FAULT = re.compile(r"=== Uncaught Python exception: ===\n(.*?)(?:\n\n|\n==|\nINFO|\Z)", re.DOTALL)
_INPUT = re.compile(r"Test unit written to (\S+)")


class Run(NamedTuple):
    """What came of one target: inputs tried, edges covered, and the crashing input with what was said of it."""

    name: str
    tried: int
    covered: int
    crash: str

    def line(self) -> str:
        """For the table."""
        return f"{self.name:<16} {self.tried:>12,} inputs {self.covered:>6} edges   {self.crash or 'no crash'}"


def _one(name: str, seconds: int, keep: Path, crashes: Path) -> Run:
    kept = keep / name
    kept.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "fuzz.worker", name, str(kept), str(HERE / "corpus" / name)]
    words += [f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={SLOWEST_S}"]
    words += ["-print_final_stats=1", f"-dict={HERE / 'irc.dict'}", f"-artifact_prefix={crashes}/{name}-"]
    words += [f"-rss_limit_mb={MEMORY_MB}"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            words, cwd=HERE.parent, capture_output=True, text=True, errors="replace", timeout=seconds + GRACE_S,
            check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        tried, covered = _EXECUTED.findall(said), _COVERED.findall(said)
        crash = "" if done.returncode == 0 else _crash(said)
        return Run(name, int(tried[-1]) if tried else 0, int(covered[-1]) if covered else 0, crash)
    return Run(name, 0, 0, "HANGS: libFuzzer did not come back")


def _crash(said: str) -> str:
    """The input, and what Python said of it; where it said nothing, the last words of libFuzzer."""
    fault, where = _FAULT.search(said), _INPUT.search(said)
    return f"CRASH {where[1] if where else ''}\n{fault[1] if fault else said[-2000:]}"


def main() -> int:
    """Run what was asked for, print a line for each target as it ends, and the sum."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(TARGETS)}; all of them if none")
    parser.add_argument("--minutes", type=float, default=30.0, help="of each job, for all targets together")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=None, metavar="FOLDER")
    args = parser.parse_args()
    if unknown := set(args.names) - set(TARGETS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    names = args.names or list(TARGETS)
    each_s = args.minutes * 60 * args.jobs / sum(TARGETS[name].share for name in names)
    with tempfile.TemporaryDirectory(prefix="bouncer-fuzz-") as folder:
        crashes = (args.keep or Path.cwd()).absolute()
        keep = (args.keep or Path(folder)).absolute()
        with ThreadPoolExecutor(args.jobs) as pool:
            waiting = [
                pool.submit(_one, name, max(1, round(each_s * TARGETS[name].share)), keep, crashes) for name in names
            ]
            runs = []
            for one in waiting:
                runs.append(one.result())
                print(runs[-1].line(), flush=True)
    crashed = [run.name for run in runs if run.crash]
    print(f"{sum(run.tried for run in runs):,} inputs, {len(crashed)} targets crashed {' '.join(crashed)}")
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
