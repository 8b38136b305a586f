"""A configuration and a storage folder for commands that run as processes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.cli.clikit import Cli

if TYPE_CHECKING:
    from pathlib import Path

# Listeners on ports of the system's choice; the storage is beside the file.
CONFIG = """
[[listen]]
uri = "irc+insecure://127.0.0.1:0"
[web]
listen = "http://127.0.0.1:0"
[timeouts]
backoff_min_s = 0.1
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Nobody there yet."""
    return Cli.make(tmp_path, CONFIG)


@pytest.fixture(scope="session")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage folder with alice, an admin, and bob, who each have a network; made once, to be copied."""
    cli = Cli.make(tmp_path_factory.mktemp("peopled"), CONFIG)
    cli.ok("user", "add", "alice", "--admin", "--password-stdin", stdin="wonderland\n")
    cli.ok("user", "add", "bob", "--password-stdin", stdin="builder\n")
    cli.ok("server", "add", "alice", "Wonder", "wonder.example", "--join", "#rabbit", "--disabled")
    cli.ok("server", "add", "bob", "Site", "site.example", "--join", "#crane,#b key", "--disabled")
    return cli.storage


@pytest.fixture
def people(cli: Cli, peopled: Path) -> Cli:
    """Two people with a network each; see `peopled`."""
    shutil.copytree(peopled, cli.storage)
    return cli
