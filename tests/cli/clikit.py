"""Running the command line as people and scripts do: a process of its own, with a configuration file."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.warm import ROOT, STRICT, Warm

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 30.0
WARM = Warm()


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Cli:
    """`bouncer` with one configuration file; `environ` is added to what every process gets."""

    folder: Path
    config: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, text: str) -> Cli:
        config = folder / "bouncer.toml"
        config.write_text(text, encoding="utf-8")
        return cls(folder, config)

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, *STRICT, "-m", "bouncer", *words, "--config", str(self.config)]

    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), **self.environ}

    def __call__(self, *words: str, stdin: str = "") -> Done:
        """The command as a process that need not import the program; as any other where that is not to be had."""
        if not self.environ:
            done = WARM.run([*words, "--config", str(self.config)], stdin, self.env(), self.folder, DEADLINE_S)
            if done is not None:
                return Done(*done)
        return self.fresh(*words, stdin=stdin)

    def fresh(self, *words: str, stdin: str = "") -> Done:
        """The command as a shell starts it."""
        done = subprocess.run(
            self.argv(*words),
            input=stdin.encode(),
            capture_output=True,
            env=self.env(),
            cwd=self.folder,
            timeout=DEADLINE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str, stdin: str = "") -> Done:
        """The same, for commands that have to work."""
        done = self(*words, stdin=stdin)
        assert (done.code, done.err) == (0, ""), done
        return done

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """A process that is talked to while it runs."""
        return subprocess.Popen(self.argv(*words), text=True, env=self.env(), cwd=self.folder, **options)

    def typed(self, *words: str, answers: str) -> tuple[int, str]:
        """The command on a terminal, `answers` typed at its questions: (exit code, all that was on the screen)."""
        master, slave = pty.openpty()
        with subprocess.Popen(
            self.argv(*words),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self.env(),
            cwd=self.folder,
            start_new_session=True,
        ) as process:
            os.close(slave)
            screen = b""
            for answer in answers.splitlines(keepends=True):
                screen += _until(master, (b": ", b"] "))
                os.write(master, answer.encode())
            screen += _until(master, ())
            code = process.wait(DEADLINE_S)
        os.close(master)
        return code, screen.decode()


def _until(master: int, ends: tuple[bytes, ...]) -> bytes:
    """What is written until one of `ends`, or until everybody has closed the terminal."""
    seen = b""
    deadline = time.monotonic() + DEADLINE_S
    while not (ends and seen.endswith(ends)):
        assert time.monotonic() < deadline, seen
        try:
            data = os.read(master, 4096)
        except OSError:
            return seen
        if not data:
            return seen
        seen += data
    return seen


class Shell:
    """A running `bouncer shell`: `do` gives a command's output and its last line."""

    def __init__(self, cli: Cli) -> None:
        self._process = cli.start("shell", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, *lines: str) -> tuple[str, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n".join(lines) + "\n")
        self._process.stdin.flush()
        out: list[str] = []
        while (line := self._process.stdout.readline().rstrip("\n")) != "OK" and not line.startswith("ERR "):
            assert self._process.poll() is None or line
            out.append(line)
        return "\n".join(out), line

    def close(self) -> int:
        with closing(self._process.stdin), closing(self._process.stdout):  # type: ignore[type-var]  # both are pipes
            assert self._process.stdin is not None
            self._process.stdin.close()
            return self._process.wait(DEADLINE_S)


WORDS = {"alice": ("wonder", "rabbit"), "bob": ("site", "crane")}
"""Each one's network and channel in the `people` fixture."""


def walk_as_both(shell: Shell) -> None:
    """Each command that names a user, as alice and as bob: the other's words are in no answer."""
    for user, other in (("alice", "bob"), ("bob", "alice")):
        own, foreign = WORDS[user][0], WORDS[other][0]
        for command in (
            f"server list {user}", f"server list {user} --json", f"server connect {user} {own}",
            f"server disconnect {user} {own}", f"server update {user} {own} --nick x",
            f"channel list {user} {own}", f"channel join {user} {own} #x", f"channel part {user} {own} #x",
            f"channel update {user} {own} #x --detached --relay-detached none",
            f"client list {user}", f"client list {user} --json", f"client timestamps {user} phone on",
            f"client forget {user} phone", f"token create {user} phone", f"token list {user}",
            f"token list {user} --json", f"token revoke {user} phone", f"certfp generate {user} {own}",
            f"certfp show {user} {own}", f"certfp remove {user} {own}", f"certfp list {user}",
            f"certfp enrol {user} {hashlib.sha256(user.encode()).hexdigest()}",
            f"certfp revoke {user} {hashlib.sha256(user.encode()).hexdigest()}",
            f"sasl status {user}", f"sasl status {user} --server {own}", f"sasl set {user} {own} external",
            f"sasl off {user} {own}", f"history search {user} {WORDS[other][1]}", f"history sizes {user}",
            f"history retention {user}", f"history keep {user} 30d --server {own} --in #x --yes",
            f"history clear {user} {own} #x --yes", f"history clear {user} --everything --until 2020-01-01 --yes",
            f"history compact {user}", f"history work {user}", f"history work {user} --json",
            f"notify list {user} --all", f"notify read {user} all", f"notify rules {user} --word x",
            f"browser list {user}",
            f"browser end {user} all", f"server log {user} {own}", f"server clone {user} {own} copy --disabled",
            f"server delete {user} copy --yes", f"channel update {user} {own} #x --notify all",
            f"away show {user}", f"away message {user} {own} back soon",
            f"away auto {user} {own} off", f"tenant check {user}",
            f"tenant migrate {user}", f"tenant export {user} out --format jsonl",
            f"tenant export {user} out --format text", f"tenant backup {user} out", f"tenant restore {user} out --yes",
        ):  # fmt: skip
            out, last = shell.do(command)
            assert last == "OK", (command, last)
            assert not any(word in out.lower() for word in WORDS[other]), command
        for command in (
            f"server connect {user} {foreign}", f"server delete {user} {foreign} --yes",
            f"server update {user} {foreign} --nick x", f"channel list {user} {foreign}",
            f"channel join {user} {foreign} #x", f"channel update {user} {foreign} #x --detached",
            f"certfp generate {user} {foreign}", f"certfp show {user} {foreign}", f"certfp remove {user} {foreign}",
            f"sasl status {user} --server {foreign}", f"sasl set {user} {foreign} external",
            f"sasl off {user} {foreign}", f"history search {user} x --server {foreign}",
            f"history clear {user} {foreign} #x --yes", f"history clear {user} {foreign} --everything --yes",
            f"history keep {user} 3 --server {foreign} --yes", f"away message {user} {foreign} x",
            f"server log {user} {foreign}", f"server clone {user} {foreign} copy", f"server test {user} {foreign}",
            f"server certificate {user} {foreign}",
            f"away auto {user} {foreign} on", f"away show {user} --server {foreign}",
        ):  # fmt: skip
            assert shell.do(command) == ("", f"ERR there is no server '{foreign}'")
    assert shell.close() == 0
