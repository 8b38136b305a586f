"""Every command on the files of a stopped bouncer: what it does, says, and exits with."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.clikit import Shell, walk_as_both

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.clikit import Cli

KEYS = [
    "user", "name", "address", "port", "tls", "nickname", "enabled", "state", "error", "attempt", "next_attempt_s",
    "connected_since", "channels",
]  # fmt: skip


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def tenant_file(cli: Cli, user: str) -> Path:
    ((number,),) = rows(cli.storage / "main.sqlite3", f"SELECT id FROM users WHERE name = '{user}'")  # noqa: S608 - a test's own name
    return cli.storage / "tenants" / f"{number}.sqlite3"


def test_users_are_added_listed_disabled_enabled_limited_and_deleted(people: Cli) -> None:
    users = people.ok("user", "list", "--json").json
    assert [(user["name"], user["admin"], user["enabled"]) for user in users] == [
        ("alice", True, True), ("bob", False, True),
    ]  # fmt: skip
    people.ok("user", "disable", "bob")
    assert people.ok("user", "list").out.splitlines()[2].split()[:3] == ["bob", "no", "no"]
    people.ok("user", "enable", "bob")
    assert people.ok("user", "limits", "bob", "--servers", "1").out == "bob: servers 1, disk default MB\n"
    assert people("server", "add", "bob", "more", "irc.example.org").code == 1
    people.ok("user", "limits", "bob", "--servers", "none", "--disk", "5")
    people.ok("server", "add", "bob", "more", "irc.example.org", "--disabled")
    file = tenant_file(people, "bob")
    people.ok("user", "delete", "bob", "--yes")
    assert not file.exists()
    assert [user["name"] for user in people.ok("user", "list", "--json").json] == ["alice"]


def test_a_password_comes_from_stdin_or_is_made_and_shown_once(cli: Cli) -> None:
    done = cli.ok("user", "add", "bob")
    assert done.out.splitlines()[0] == "user bob added"
    assert len(done.out.splitlines()[1].removeprefix("one-time password: ")) == 23
    main = cli.storage / "main.sqlite3"
    ((first, temporary),) = rows(main, "SELECT password_hash, password_temporary FROM users")
    assert temporary
    assert cli.ok("user", "passwd", "bob", "--password-stdin", stdin="new one\n").out == "password of bob changed\n"
    ((second, temporary),) = rows(main, "SELECT password_hash, password_temporary FROM users")
    assert first != second
    assert not temporary


def test_a_server_is_added_with_everything_and_its_secrets_come_from_stdin_in_order(cli: Cli) -> None:
    cli.ok("user", "add", "bob")
    words = (
        "--port 7000 --no-tls-verify --nick Bobby --username b --realname Builder --sasl-plain acct --password "
        f"--secrets-stdin --disabled --tls-fingerprint {'AB:' * 31}AB"
    ).split()
    cli.ok("server", "add", "bob", "Net", "irc.example.org", *words, "--join", "#a,#b key", stdin="first\nsecond\n")
    sql = (
        "SELECT name, address, port, tls, tls_verify, tls_fingerprint, nickname, username, realname, auth_method, "
        "auth_account, enabled, trusted FROM servers"
    )
    assert rows(tenant_file(cli, "bob"), sql) == [
        ("Net", "irc.example.org", 7000, 1, 0, "ab" * 32, "Bobby", "b", "Builder", "sasl-plain", "acct", 0, 1)
    ]
    from bouncer.vault import Vault  # noqa: PLC0415 - to look at what the process stored

    vault = Vault(cli.storage / "secret.key")
    ((password, account),) = rows(tenant_file(cli, "bob"), "SELECT password, auth_password FROM servers")
    assert (vault.decrypt(str(password)), vault.decrypt(str(account))) == ("first", "second")
    channels = rows(tenant_file(cli, "bob"), "SELECT name, key, auto_join FROM channels ORDER BY name")
    assert channels[0] == ("#a", None, 1)
    assert vault.decrypt(str(channels[1][1])) == "key"


def test_server_list_has_the_same_keys_for_scripts_always(people: Cli) -> None:
    everybody = people.ok("server", "list", "--json").json
    assert [list(server) for server in everybody] == [KEYS, KEYS]
    assert everybody[1] == {
        "user": "bob", "name": "Site", "address": "site.example", "port": 6697, "tls": True, "nickname": "bob",
        "enabled": False, "state": "disabled", "error": "", "attempt": 0, "next_attempt_s": None,
        "connected_since": None, "channels": ["#b", "#crane"],
    }  # fmt: skip
    people.ok("server", "connect", "bob", "SITE")
    (server,) = people.ok("server", "list", "bob", "--json").json
    assert (server["enabled"], server["state"]) == (True, "disconnected")
    people.ok("server", "disconnect", "bob", "site")
    assert people.ok("server", "list", "bob", "--json").json[0]["state"] == "disabled"


def test_an_update_changes_what_is_said_and_nothing_else(people: Cli) -> None:
    people.ok("server", "update", "bob", "site", "--no-tls", "--port", "6667", "--nick", "b2", "--rename", "Place")
    (server,) = people.ok("server", "list", "bob", "--json").json
    assert (server["name"], server["tls"], server["port"], server["nickname"]) == ("Place", False, 6667, "b2")
    assert server["channels"] == ["#b", "#crane"]
    people.ok("server", "update", "bob", "place", "--tls", "--nickserv", "bob", "--secrets-stdin", stdin="pw\n")
    people.ok("server", "update", "bob", "place", "--no-auth", "--join", "#c")
    assert people.ok("server", "list", "bob", "--json").json[0]["channels"] == ["#c"]
    assert "SHA-256: " in people.ok("server", "update", "bob", "place", "--sasl-external").out
    people.ok("server", "delete", "bob", "place", "--yes")
    assert people.ok("server", "list", "bob", "--json").json == []


def test_channels_are_joined_and_parted_for_the_next_start(people: Cli) -> None:
    people.ok("channel", "join", "bob", "site", "#new", "key")
    people.ok("channel", "part", "bob", "site", "#crane")
    channels = {row["name"]: row["auto_join"] for row in people.ok("channel", "list", "bob", "site", "--json").json}
    assert channels == {"#b": True, "#crane": False, "#new": True}


def test_files_are_backed_up_restored_checked_migrated_and_exported(people: Cli) -> None:
    people.ok("tenant", "backup", "bob", "bob.backup")
    backup = people.folder / "bob.backup"
    assert rows(backup, "PRAGMA integrity_check") == [("ok",)]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    people.ok("server", "delete", "bob", "site", "--yes")
    people.ok("tenant", "restore", "bob", "bob.backup", "--yes")
    assert people.ok("server", "list", "bob", "--json").json[0]["name"] == "Site"
    assert people.ok("tenant", "check", "--all").out == "alice: ok\nbob: ok\n"
    assert people.ok("tenant", "check", "bob").out == "bob: ok\n"
    assert people.ok("tenant", "migrate", "--all").out == "alice: ok\nbob: ok\n"
    for form in ("jsonl", "text", "sqlite"):
        people.ok("tenant", "export", "bob", f"bob.{form}", "--format", form)
        assert (people.folder / f"bob.{form}").exists()


def test_a_bad_file_does_not_stop_the_others_and_is_named(people: Cli) -> None:
    file = tenant_file(people, "alice")
    file.write_bytes(b"not a database" * 1000)
    for verb in ("migrate", "check"):
        done = people("tenant", verb, "--all")
        assert done.code == 1
        assert done.out.splitlines()[1] == "bob: ok"
        assert done.err.startswith("bouncer: 1 of 2 failed: alice (")
        assert len(done.err.splitlines()) == 1


def test_a_progress_bar_is_drawn_on_a_terminal(people: Cli) -> None:
    code, screen = people.typed("tenant", "migrate", "--all", answers="")
    assert code == 0
    assert f"[{'#' * 30}] 2/2" in screen


def test_secrets_get_a_new_key(people: Cli) -> None:
    before = (people.storage / "secret.key").read_text(encoding="ascii")
    people.ok("secrets", "rotate")
    after = (people.storage / "secret.key").read_text(encoding="ascii")
    assert after != before
    people.ok("server", "list")


def test_the_configuration_is_checked_by_name(people: Cli) -> None:
    assert people.ok("config", "check").out == f"{people.config}: ok\n"
    people.config.write_text("[flod]\n", encoding="utf-8")
    done = people("config", "check")
    assert done.code == 2
    assert "flod" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_certificate_is_made_also_when_a_listener_waits_for_it(cli: Cli) -> None:
    cli.config.write_text('[[listen]]\nuri = "ircs://127.0.0.1:0"\n', encoding="utf-8")
    assert cli("config", "check").code == 2
    out = cli.ok("tls", "self-signed", "--host", "irc.example.org").out
    cli.config.write_text("\n".join(out.splitlines()[3:]), encoding="utf-8")
    cli.ok("config", "check")
    assert stat.S_IMODE((cli.storage / "tls" / "key.pem").stat().st_mode) == 0o600
    assert cli("tls", "self-signed").code == 2, "what is there is not overwritten"


def test_config_may_stand_anywhere_on_the_line(people: Cli) -> None:
    other = people.folder / "elsewhere"
    other.mkdir()
    (other / "b.toml").write_text("", encoding="utf-8")
    for words in (
        ("--config", str(other / "b.toml"), "user", "list", "--json"),
        ("user", f"--config={other / 'b.toml'}", "list", "--json"),
    ):
        # argv() puts the fixture's file last, and the last one counts: so it is left out here.
        argv = people.argv(*words)[:-2]
        done = subprocess.run(argv, env=people.env(), cwd=people.folder, capture_output=True, check=True)
        assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, ""), (2, "frobnicate"), (2, "user"), (2, "user frobnicate"), (2, "user add"), (2, "user list extra"),
        (2, "server add bob x"), (2, "server update bob site"), (2, "tenant migrate"), (2, "tenant migrate bob --all"),
        (2, "tenant export bob f --format pdf"), (2, "user add carol --pass"), (2, "--config"),
        (2, "user add carol --password-stdin"), (2, "server add bob n irc.example.org --nickserv b"),
        (2, "user delete bob"), (2, "server delete bob site"), (2, "tenant restore bob bouncer.toml"),
        (2, "server add bob n irc.example.org --nickserv a --sasl-external"),
        (1, "user add bob"), (1, "user add Bob"), (1, "user passwd carol"), (1, "user delete alice --yes"),
        (1, "user disable alice"), (1, "user limits bob --servers many"), (1, "server add carol n irc.example.org"),
        (1, "server add bob SITE irc.example.org"), (1, "server add bob n irc.example.org --port 0"),
        (1, "server add bob a/b irc.example.org"), (1, "server connect bob wonder"), (1, "server list carol"),
        (1, "channel join bob site nothing"), (1, "channel part bob site #nothing"), (1, "tenant check carol"),
        (1, "tenant backup bob no/such/folder/file"), (1, "tenant restore bob bouncer.toml --yes"),
        (1, "tenant restore bob nothing --yes"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(people: Cli, code: int, words: str) -> None:
    done = people(*words.split())
    if words == "--config":
        assert done.code == 2
        return
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("bouncer: ")
    assert len(done.err.splitlines()) == 1
    assert "internal error" not in done.err


def test_help_is_no_error(people: Cli) -> None:
    for words in (["--help"], ["server", "--help"], ["server", "add", "-h"]):
        assert people.ok(*words).out.startswith("usage: bouncer")


def test_commands_are_the_same_when_a_shell_starts_them(people: Cli) -> None:
    for words in (
        "--help",
        "user list",
        "server list bob --json",
        "tenant check --all",
        "server list carol",
        "nonsense",
    ):
        assert people.fresh(*words.split()) == people(*words.split()), words
    assert people.fresh("user", "add", "carol", "--password-stdin", stdin="pw\n").out == "user carol added\n"
    assert people.fresh("config", "check").out == f"{people.config}: ok\n"
    for words in ("secrets rotate", "tls self-signed", "user delete carol --yes"):
        done = people.fresh(*words.split())
        assert (done.code, done.err) == (0, ""), done


def test_what_one_user_has_never_shows_to_another(people: Cli) -> None:
    walk_as_both(Shell(people))
    assert len(people.ok("server", "list", "--json").json) == 2


def test_on_a_terminal_it_asks_and_does_not_echo(people: Cli) -> None:
    code, screen = people.typed("user", "passwd", "bob", answers="sesame\nsesame\n")
    assert (code, "sesame" in screen) == (0, False)
    code, screen = people.typed("user", "passwd", "bob", answers="sesame\nother\n")
    assert (code, "different" in screen) == (2, True)
    words = ("server", "add", "bob", "n", "irc.example.org", "--password", "--sasl-plain", "b", "--disabled")
    code, screen = people.typed(*words, answers="one\ntwo\n")
    assert (code, "Server password: " in screen, "Account password: " in screen) == (0, True, True)
    code, screen = people.typed("user", "delete", "bob", answers="n\n")
    assert (code, "nothing was changed" in screen) == (1, True)
    code, screen = people.typed("user", "delete", "bob", answers="y\n")
    assert (code, "user bob deleted" in screen) == (0, True)


def test_folders_and_files_are_for_their_owner_only(people: Cli) -> None:
    for path in (people.storage, *people.storage.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
