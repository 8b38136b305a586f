"""`bouncer shell`: one process, many commands, each answered with a last line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bouncer.cli.lock import StorageLock
from tests.cli.clikit import Shell

if TYPE_CHECKING:
    from tests.cli.clikit import Cli


def test_each_command_is_answered_at_once_with_ok_or_err(cli: Cli) -> None:
    shell = Shell(cli)
    assert shell.do("user add alice --admin --password-stdin", "wonderland") == ("user alice added", "OK")
    assert shell.do("server add alice 'Net' irc.example.org --realname 'Alice L' --disabled") == (
        "server Net added",
        "OK",
    )
    out, last = shell.do("server list alice --json")
    assert (json.loads(out)[0]["name"], last) == ("Net", "OK")
    assert shell.do("server connect alice nope") == ("", "ERR there is no server 'nope'")
    assert shell.do("frobnicate")[1].startswith("ERR 'frobnicate' is unknown")
    assert shell.do("user add 'x")[1].startswith("ERR ")
    assert shell.do("shell")[1].startswith("ERR ")
    assert shell.do("run")[1].startswith("ERR ")
    assert shell.do("user delete alice")[1].startswith("ERR ")
    assert shell.do("", "# a comment", "config check")[1] == "OK"
    assert shell.close() == 0


def test_secrets_are_the_lines_after_their_command_in_order(cli: Cli) -> None:
    shell = Shell(cli)
    shell.do("user add bob --password-stdin", "builder")
    for number, flag in enumerate(("--secrets-stdin", "")):
        add = f"server add bob n{number} irc.example.org --disabled --sasl-plain b --password {flag}"
        assert shell.do(add, "server list", "user list") == (f"server n{number} added", "OK")
    assert shell.do("user list --json")[1] == "OK"
    assert shell.close() == 0


def test_between_commands_others_may_use_the_files(cli: Cli) -> None:
    shell = Shell(cli)
    shell.do("user add bob")
    cli.ok("user", "add", "carol")
    lock = StorageLock(cli.storage, "daemon")
    assert lock.try_acquire()
    lock.release()
    assert [user["name"] for user in json.loads(shell.do("user list --json")[0])] == ["bob", "carol"]
    cli.ok("user", "delete", "carol", "--yes")
    assert shell.do("server list carol") == ("", "ERR there is no user 'carol'")
    assert shell.do("server list bob")[1] == "OK"
    assert shell.close() == 0
