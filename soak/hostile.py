"""A hostile network and hostile clients of one user, who speak fluent nonsense, beside a user who notices none of it.

No error in the log, memory that does not grow, a loop that is never late, and for the other user no message that is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bouncer import tasks
from soak.figures import Latencies, Machine, faults, looked, middle, tokens
from soak.running import bouncer, told
from tests.cli.clikit import Cli
from tests.support.house import Attached
from tests.support.ircd import free_port
from tests.support.network import ScriptedNetwork
from tests.support.warm import ROOT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

CONFIG = """
[[listen]]
uri = "irc+insecure://127.0.0.1:{irc}"
[web]
listen = ""
[flood]
burst = 0
[timeouts]
backoff_min_s = 0.2
backoff_max_s = 1
reply_s = 2
commit_live_ms = 5000
"""
BEAT_S = 0.05
GROWTH_MIB, LAG_MS, LATE_MS = 20, 100, 250
QUIET_SHARE = 0.1
"""Of the time, before the nonsense begins: what everything is measured against."""


@dataclass
class Report:
    """What came of a run."""

    seconds: float
    done: dict[str, int] = field(default_factory=dict)
    quiet: Latencies = field(default_factory=Latencies)
    hostile: Latencies = field(default_factory=Latencies)
    lags_ms: list[tuple[float, float, float]] = field(default_factory=list)
    """How late the bouncer's loop was in each half second, and an idle one beside it; what it computed in one go."""
    collector_ms: float = 0.0
    growth_mib: float = 0.0
    tasks: tuple[float, float] = (0.0, 0.0)
    fds: tuple[float, float] = (0.0, 0.0)
    faults: list[str] = field(default_factory=list)
    stacks: list[str] = field(default_factory=list)
    """Where the bouncer's loop was when it was late."""

    @property
    def late(self) -> list[float]:
        """What it computed in one go, where that is over the bound: no other load of the machine is in there."""
        return [busy for _, _, busy in self.lags_ms if busy >= LAG_MS]

    def __str__(self) -> str:
        did = ", ".join(f"{value:,} {name}" for name, value in sorted(self.done.items()))
        lags, idle, busy = (Latencies([one[place] / 1000 for one in self.lags_ms]) for place in range(3))
        return "\n".join(
            (
                f"{self.seconds:.0f} s: {did}",
                self.quiet.line("the other user's messages, before"),
                self.hostile.line("the other user's messages, meanwhile"),
                lags.line("the loop was late, worst of each half second"),
                idle.line("an idle loop beside it was late"),
                f"{busy.line('the loop computed in one go')}, {len(self.late)} times {LAG_MS} ms or more",
                f"the garbage collector computed {self.collector_ms:.0f} ms at most",
                f"memory grew by {self.growth_mib:.1f} MiB, tasks {self.tasks[0]:.0f} to {self.tasks[1]:.0f}",
                f"descriptors {self.fds[0]:.0f} to {self.fds[1]:.0f}",
                f"{len(self.faults)} errors in the log{''.join(chr(10) + one for one in self.faults[:20])}",
            )
        )


def options(parser: argparse.ArgumentParser) -> None:
    """What may be said on the command line."""
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, default=None, metavar="FILE", help="keep the bouncer's log there")


def run(args: argparse.Namespace) -> int:
    """Print the figures; 1 where one is over its bound."""
    report = asyncio.run(trial(args.seconds, args.seed, args.log))
    print(report)
    if report.late:
        print("the loop was late here:", *sorted(report.stacks, key=lambda one: -int(one.split()[0]))[:10], sep="\n")
    wrong = bool(report.faults) or bool(report.late) or report.growth_mib >= GROWTH_MIB
    return 1 if wrong or max(report.hostile.values) * 1000 >= LATE_MS else 0


async def trial(seconds: float, seed: int, log: Path | None = None, speed: float = 1.0) -> Report:
    """A run of that length, in a folder of its own; `log` is where what the bouncer says is kept."""
    with tempfile.TemporaryDirectory(prefix="bouncer-soak-") as name:
        try:
            async with ScriptedNetwork() as calm:
                return await _trial(Path(name), calm, seconds, seed, speed)
        finally:
            if log is not None:
                shutil.copyfile(Path(name) / "log", log)


async def _trial(folder: Path, calm: ScriptedNetwork, seconds: float, seed: int, speed: float) -> Report:
    irc, mallory = free_port(), free_port()
    cli = Cli.make(folder, CONFIG.format(irc=irc))
    token = await asyncio.to_thread(_prepared, cli, calm.port, mallory)
    report, machine, group = Report(seconds), Machine(), tasks.Group()
    group.spawn(machine.watch(), name="machine")
    with bouncer(cli) as process:
        peer = await calm.accept(30)
        await peer.welcome()
        await peer.expect("JOIN", "#calm")
        await peer.let_in("#calm", "bob")
        client = await Attached.connect(irc, "alice/net@calm", password="correct horse")
        await client.until(" 366 ")
        await client.barrier()

        async def talk(latencies: Latencies, until: float) -> None:
            number = 0
            while (began := time.monotonic()) < until:
                number += 1
                await peer.send(f":bob!b@h PRIVMSG #calm :word {number}.")
                await client.until(f"word {number}.")
                latencies.values.append(time.monotonic() - began)
                await asyncio.sleep(BEAT_S)

        await talk(report.quiet, time.monotonic() + seconds * QUIET_SHARE)
        with _mallory(mallory, irc, f"mallory:{token}", seed, speed) as hostile:
            await talk(report.hostile, time.monotonic() + seconds * (1 - QUIET_SHARE))
            assert hostile.poll() is None, "mallory has given up"
            said, _ = await asyncio.to_thread(hostile.communicate, "", 30)
            report.done = json.loads(said)
        assert process.poll() is None, "the bouncer has ended"
        await client.close()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0, "the bouncer does not end in order"
    await group.cancel()
    _look(report, machine, folder)
    return report


def _look(report: Report, machine: Machine, folder: Path) -> None:
    every = looked(folder / "figures")
    figures = every[int(len(every) * QUIET_SHARE) : -2]
    report.lags_ms = [
        (one["lag_ms"], machine.between(one["at"] - 0.5, one["at"]) * 1000, one["busy_ms"]) for one in figures
    ]
    report.collector_ms = max(one["gc_ms"] for one in figures)
    report.growth_mib = (middle(figures, "kib", 0.85, 1.0) - middle(figures, "kib", 0.1, 0.25)) / 1024
    report.tasks = (middle(figures, "tasks", 0.1, 0.25), middle(figures, "tasks", 0.85, 1.0))
    report.fds = (middle(figures, "fds", 0.1, 0.25), middle(figures, "fds", 0.85, 1.0))
    report.stacks = (folder / "figures.late").read_text(encoding="utf-8").splitlines()
    report.faults = faults((folder / "log").read_text(encoding="utf-8", errors="replace"))


def _prepared(cli: Cli, calm: int, mallory: int) -> str:
    """One user, alice, on the calm network, mallory on mallory's; an app password of mallory's."""
    words = ["user add alice --password-stdin", "correct horse", "user add mallory --password-stdin", "correct horse"]
    words.append(f"server add alice net 127.0.0.1 --port {calm} --no-tls --nick alice --join '#calm'")
    words.append(f"server add mallory net 127.0.0.1 --port {mallory} --no-tls --nick me --join '#room'")
    words += [f"server add mallory net{n} 127.0.0.1 --port {mallory} --no-tls --nick me{n}" for n in (2, 3)]
    told(cli, words)
    return tokens(cli.ok("token", "create", "mallory").out)[0]


@contextlib.contextmanager
def _mallory(listen: int, bouncer: int, login: str, seed: int, speed: float) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "soak.mallory", "--listen", str(listen), "--bouncer", str(bouncer), "--login", login]
    words += ["--seed", str(seed), "--speed", str(speed)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)
