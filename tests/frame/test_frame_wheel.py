"""The wheel, installed in an empty environment and used from another folder: nothing of the checkout helps it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SECRET = "k7mfp-wheel-test"
READY_S = 30


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bouncer(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that holds the wheel and what it depends on, nothing else."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    locked = ROOT / "scripts" / "constraints.txt"
    into: list[str | Path] = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]  # ours: none is made
    command = [*into, "install", "--quiet", "--no-compile", "--constraint", locked, wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "bouncer"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose name is short enough for the paths of unix sockets."""
    with tempfile.TemporaryDirectory(prefix="b") as folder:
        (Path(folder) / "bouncer.toml").write_text(
            f'[[listen]]\nuri = "unix://{folder}/irc"\n[web]\nlisten = "unix://{folder}/web"\n'
        )
        yield Path(folder)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BOUNCER", "VIRTUAL"))}
    return kept | more


def call(bouncer: Path, place: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [bouncer, *arguments],
        cwd=place,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(bouncer: Path, place: Path) -> Iterator[socket.socket]:
    """`bouncer run`, ready by its own word; yields the service manager's end of the notify socket."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager, (place / "log").open("w+b") as log:
        manager.bind(str(place / "notify"))
        manager.settimeout(READY_S)
        process = subprocess.Popen(
            [bouncer, "run"],
            cwd=place,
            env=environment(NOTIFY_SOCKET=str(place / "notify")),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            wait_for(manager, b"READY=1", place)
            yield manager
            process.send_signal(signal.SIGTERM)
            assert process.wait(READY_S) == 0, (place / "log").read_text()
            wait_for(manager, b"STOPPING=1", place)
        finally:
            process.kill()
            process.wait()


def wait_for(manager: socket.socket, state: bytes, place: Path) -> None:
    try:
        while state not in manager.recv(4096):
            pass
    except TimeoutError:
        pytest.fail(f"{state.decode()} never came:\n{(place / 'log').read_text()}")


def talk(path: Path, text: str, until: bytes) -> bytes:
    """Everything a server says on a unix socket until some bytes come."""
    with closing(socket.socket(socket.AF_UNIX)) as peer:
        peer.settimeout(10)
        peer.connect(str(path))
        peer.sendall(text.encode())
        answer = b""
        while until not in answer:
            part = peer.recv(65536)
            assert part, answer
            answer += part
        return answer


def test_the_wheel_holds_all_that_is_no_python_too(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for top, target in (
        ("migrations", "bouncer/migrations"),
        ("tenant_migrations", "bouncer/tenant_migrations"),
        ("web/templates", "web/templates"),
        ("web/static", "web/static"),
    ):
        files = [path for path in (ROOT / top).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert files
        for path in files:
            assert f"{target}/{path.relative_to(ROOT / top)}" in names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"bouncer", "web", next(top for top in tops if top.endswith(".dist-info"))}


def test_the_wheel_runs_from_another_folder_in_an_empty_environment(bouncer: Path, place: Path) -> None:
    assert "run" in call(bouncer, place, "--help")
    with running(bouncer, place):
        call(bouncer, place, "user", "add", "anna", "--password-stdin", stdin=f"{SECRET}\n")
        answer = talk(place / "irc", f"PASS anna:{SECRET}\r\nNICK anna\r\nUSER anna 0 * :Anna\r\n", b" 001 anna ")
        assert answer.startswith(b":")
        page = talk(place / "web", "GET /session/new HTTP/1.0\r\nHost: localhost\r\n\r\n", b"</html>")
        assert page.startswith(b"HTTP/1.0 200 ")
        style = next((ROOT / "web" / "static").glob("*.css")).name
        assert talk(place / "web", f"GET /static/{style} HTTP/1.0\r\nHost: localhost\r\n\r\n", b"}").startswith(
            b"HTTP/1.0 200 "
        )
    files = sorted((place / "storage" / "tenants").glob("*.sqlite3"))
    assert len(files) == 2  # the first admin's and anna's
    for file in (place / "storage" / "main.sqlite3", *files):
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
            assert connection.execute("select count(*) from alembic_version").fetchone() == (1,)
    assert "anna" in call(bouncer, place, "user", "list")


def test_the_checkout_is_not_what_the_environment_imports(bouncer: Path) -> None:
    python = bouncer.with_name("python")
    where = subprocess.run(
        [python, "-c", "import bouncer, web; print(bouncer.__file__, web.__file__)"],
        cwd="/",
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.split()
    assert all(Path(each).is_relative_to(bouncer.parents[1]) for each in where)
    assert shutil.which("bouncer", path=str(bouncer.parent)) == str(bouncer)
