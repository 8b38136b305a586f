"""The configuration file: what is taken, what is refused, and in which words."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer import config
from bouncer.endpoints import parse_http, parse_listen
from bouncer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


def write(folder: Path, text: str) -> Path:
    file = folder / "bouncer.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, text: str) -> str:
    file = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    words = str(caught.value)
    assert words.startswith(f"{file}: ")
    assert "\n" not in words
    return words.removeprefix(f"{file}: ")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOUNCER_CONFIG", raising=False)
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "etc" / "bouncer.toml")
    monkeypatch.chdir(tmp_path)


def test_without_a_file_the_defaults_hold_and_only_this_machine_can_connect(tmp_path: Path) -> None:
    found = config.load()
    assert found.file is None
    assert found.storage.path == tmp_path / "storage"
    assert found.main_url == f"sqlite+aiosqlite:///{tmp_path}/storage/main.sqlite3"
    assert [(each.scheme, each.host, each.port) for each in found.listen] == [("irc+insecure", "127.0.0.1", 6667)]
    assert found.web.listen == parse_http("http://127.0.0.1:8080")
    assert found.metrics.listen is None
    assert all(each.loopback for each in (*found.listen, found.web.listen) if each)
    assert (found.flood.burst, found.flood.interval_ms) == (10, 2000)
    assert dataclasses.astuple(found.timeouts) == (30, 20, 60, 10, 1, 600, 60, 3, 500, 30)
    assert (found.outbound.private, found.limits.servers_per_user) == ("auto", 50)


def test_a_file_that_says_every_default_is_the_same_as_no_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [storage]
        path = "storage"
        [main]
        url = ""
        [[listen]]
        uri = "irc+insecure://127.0.0.1:6667"
        [tls]
        cert = ""
        key = ""
        [web]
        listen = "http://127.0.0.1:8080"
        public_url = ""
        trusted_proxies = []
        [metrics]
        listen = ""
        [log]
        level = "info"
        format = "text"
        [history]
        retention = ""
        [flood]
        burst = 10
        interval_ms = 2000
        [timeouts]
        register_s = 30
        connect_s = 20
        ping_s = 60
        reply_s = 10
        backoff_min_s = 1
        backoff_max_s = 600
        healthy_s = 60
        away_s = 3
        commit_live_ms = 500
        panel_s = 30
        [outbound]
        private = "auto"
        allow = []
        deny = []
        """,
    )
    assert config.differences(config.load(file), config.load()) == []
    assert dataclasses.replace(config.load(file), file=None) == dataclasses.replace(config.load(), file=None)


def test_history_can_have_a_longest_time_and_a_limit(tmp_path: Path) -> None:
    found = config.load(write(tmp_path, '[history]\nretention = "365d"\n[limits]\ndisk_mb_per_user = 500'))
    assert found.history.retention == 365 * 86_400_000
    assert found.limits.disk_mb_per_user == 500


def test_the_file_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    write(tmp_path / "etc", "[flood]\nburst = 3")
    assert config.load().flood.burst == 3
    write(tmp_path, "[flood]\nburst = 2")
    assert config.load().flood.burst == 2
    (tmp_path / "env").mkdir()
    monkeypatch.setenv("BOUNCER_CONFIG", str(write(tmp_path / "env", "[flood]\nburst = 1")))
    assert config.load().flood.burst == 1
    assert config.load(tmp_path / "bouncer.toml").flood.burst == 2


@contextlib.contextmanager
def unprivileged(closed: Path) -> Iterator[None]:
    """Nobody may look into `closed`, not even root: the tests may run as either."""
    user = os.geteuid()
    closed.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        closed.chmod(0o700)


def test_a_folder_one_may_not_look_into_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setattr(config, "SYSTEM_FILE", Path("/nowhere/bouncer.toml"))
    monkeypatch.chdir(here)
    with unprivileged(here):
        assert config.load().file is None


def test_a_system_file_one_may_not_see_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    write(tmp_path / "etc", "")
    with unprivileged(tmp_path / "etc"), pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        config.load()


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read: No such file"):
        config.load(tmp_path / "gone.toml")
    monkeypatch.setenv("BOUNCER_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        config.load()


def test_relative_paths_are_relative_to_the_file_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    write(
        tmp_path / "conf",
        '[storage]\npath = "data"\n[main]\nurl = "sqlite+aiosqlite:///m.db"\n[tls]\ncert = "c.pem"\nkey = "/k.pem"',
    )
    monkeypatch.chdir("/")
    found = config.load(tmp_path / "conf" / "bouncer.toml")
    assert found.storage.control_socket == tmp_path / "conf" / "data" / "control.sock"
    assert found.main_url == f"sqlite+aiosqlite:///{tmp_path}/conf/m.db"
    assert (found.tls.cert, found.tls.key) == (tmp_path / "conf" / "c.pem", Path("/k.pem"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = ", "is not TOML: "),
        (f"a = {'1' * 5000}", "is not TOML: "),
        (f"a = {'[' * 5000}", "is not TOML: "),
        ('[storage]\npath = "~nobody-here/x"', "storage.path: '~nobody-here/x' is in the home of "),
        ("[flod]", "flod: unknown table; did you mean flood?"),
        ("[zzz]", "zzz: unknown table; there are flood, history, limits, listen, log, "),
        ("[flood]\nbrust = 1", "flood.brust: unknown key; did you mean burst?"),
        ("flood = 3", "flood: must be a table: [flood]"),
        ("[flood]\nburst = -1", "flood.burst: must be a whole number of lines from 0 to 1000, not -1"),
        ("[flood]\nburst = true", "flood.burst: must be a whole number of lines from 0 to 1000, not True"),
        ("[flood]\nburst = 1.5", "flood.burst: must be a whole number of lines from 0 to 1000, not 1.5"),
        ('[timeouts]\nping_s = "60"', "timeouts.ping_s: must be a number of seconds from 1 to 3600, not '60'"),
        ("[timeouts]\nping_s = nan", "timeouts.ping_s: must be a number of seconds from 1 to 3600, not nan"),
        ("[timeouts]\nbackoff_min_s = 9\nbackoff_max_s = 8", "timeouts: backoff_min_s may not be more than"),
        ('[log]\nlevel = "loud"', "log.level: 'loud' is not one of debug, info, warning, error"),
        ("[log]\nlevel = []", "log.level: [] is not one of debug, info, warning, error"),
        ('[outbound]\nprivate = "maybe"', "outbound.private: 'maybe' is not one of auto, allow, deny"),
        ('[outbound]\nallow = ["10.0.0.1/8"]', "outbound.allow: 10.0.0.1/8 has host bits set; "),
        ('[outbound]\ndeny = "10.0.0.0/8"', "outbound.deny: must be a list of networks like "),
        ("[outbound]\ndeny = [5]", "outbound.deny: must be a text in quotes, not 5"),
        ('[history]\nretention = "forever"', "history.retention: 'forever' is not a number of days like \"365d\""),
        ('[history]\nretention = "0d"', "history.retention: '0d' is not a number of days"),
        ("[limits]\ndisk_mb_per_user = -1", "limits.disk_mb_per_user: must be a whole number of megabytes"),
        ('[storage]\npath = ""', "storage.path: must be a path"),
        ('[storage]\npath = "a?b"', "storage.path: must be a path, without a question mark"),
        ('[storage]\npath = "a\\u0000b"', "storage.path: may not contain control characters"),
        ('[main]\nurl = "postgresql+asyncpg://db/x"', "main.url: 'postgresql+asyncpg://db/x' is not sqlite+aiosqlite:"),
        ('[main]\nurl = "sqlite+aiosqlite:///:memory:"', "main.url: 'sqlite+aiosqlite:///:memory:' is not"),
        ('[tls]\ncert = "c.pem"', "tls: cert and key belong together"),
        ("listen = []", "listen: must be one or more tables: [[listen]]"),
        ('[listen]\nuri = "x"', "listen: must be one or more tables: [[listen]]"),
        ("[[listen]]", "listen: each [[listen]] needs a uri: irc+insecure://HOST:PORT, "),
        ('[[listen]]\nurl = "x"', "listen.url: unknown key; did you mean uri?"),
        ('[[listen]]\nuri = "irc://0.0.0.0"', "listen.uri: 'irc://0.0.0.0': say ircs:// for TLS, or irc+insecure://"),
        ('[[listen]]\nuri = "ircs://0.0.0.0"', "listen: an ircs:// listener needs cert and key in [tls]; "),
        ('[[listen]]\nuri = "unix:///a"\n[web]\nlisten = "unix:///a"', "web.listen: 'unix:///a' is listened on twice"),
        ('[web]\nlisten = "https://127.0.0.1"', "web.listen: 'https://127.0.0.1': TLS is the work of a reverse proxy"),
        ('[metrics]\nlisten = "9090"', "metrics.listen: '9090' is not http://HOST:PORT"),
        ('[web]\npublic_url = "irc.example.org"', "web.public_url: 'irc.example.org' is not like https://"),
        ('[web]\npublic_url = "https://e.org/irc"', "web.public_url: 'https://e.org/irc': the panel has a host of its"),
        ('[web]\ntrusted_proxies = ["localhost"]', "web.trusted_proxies: 'localhost' does not appear to be"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(tmp_path: Path, text: str, words: str) -> None:
    assert refusal(tmp_path, text).startswith(words)


def test_a_file_that_is_not_utf8_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "bouncer.toml").write_bytes(b'[storage]\npath = "\xff"')
    with pytest.raises(ConfigError, match="is not TOML: 'utf-8' codec"):
        config.load()


def test_networks_and_the_public_address_come_parsed(tmp_path: Path) -> None:
    found = config.load(
        write(
            tmp_path,
            '[web]\ntrusted_proxies = ["127.0.0.1", "2001:db8::/32"]\npublic_url = "https://IRC.example.org:8443/"',
        )
    )
    assert found.web.trusted_proxies == (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("2001:db8::/32"))
    assert found.web.public_url == "https://irc.example.org:8443"


def test_the_panel_can_be_turned_off(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, '[web]\nlisten = ""')).web.listen is None


@pytest.mark.parametrize(
    ("uri", "scheme", "host", "port", "loopback"),
    [
        ("irc+insecure://127.0.0.1:6667", "irc+insecure", "127.0.0.1", 6667, True),
        ("irc+insecure://127.8.8.8", "irc+insecure", "127.8.8.8", 6667, True),
        ("irc+insecure://localhost:0", "irc+insecure", "localhost", 0, True),
        ("irc+insecure://192.0.2.1:6667", "irc+insecure", "192.0.2.1", 6667, False),
        ("ircs://[::]", "ircs", "::", 6697, False),
        ("ircs://[::1]:7000/", "ircs", "::1", 7000, True),
        ("IRCS://IRC.Example.org", "ircs", "irc.example.org", 6697, False),
    ],
)
def test_a_listener_says_where_and_how(uri: str, scheme: str, host: str, port: int, loopback: bool) -> None:
    found = parse_listen(uri)
    assert (found.scheme, found.host, found.port, found.loopback) == (scheme, host, port, loopback)
    assert found.tls == (scheme == "ircs")


def test_a_listener_behind_a_proxy_says_so_and_who_that_is(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [[listen]]
        uri = "irc+insecure://127.0.0.1:6667?proxy=1"
        [[listen]]
        uri = "unix:///run/bouncer.sock?proxy=1"
        trusted_proxies = ["192.0.2.0/24"]
        """,
    )
    first, second = config.load(file).listen
    assert (first.proxy, first.loopback, first.port) == (True, False, 6667), (
        "who comes through it is not of this machine"
    )
    assert [str(network) for network in first.trusted] == ["127.0.0.0/8", "::1/128"]
    assert (second.proxy, second.path, [str(one) for one in second.trusted]) == (
        True,
        Path("/run/bouncer.sock"),
        ["192.0.2.0/24"],
    )


def test_trusted_proxies_without_a_proxy_is_a_mistake(tmp_path: Path) -> None:
    file = write(tmp_path, '[[listen]]\nuri = "irc+insecure://127.0.0.1:1"\ntrusted_proxies = []')
    with pytest.raises(ConfigError, match=r"has no \?proxy=1"):
        config.load(file)


def test_a_unix_socket_is_a_listener_too() -> None:
    assert parse_listen("unix:///run/bouncer/irc%20.sock").path == Path("/run/bouncer/irc .sock")
    assert parse_listen("unix:///run/x").loopback


@pytest.mark.parametrize(
    "uri",
    [
        "", "6667", "127.0.0.1:6667", "http://127.0.0.1", "irc+insecure://", "irc+insecure://:6667", "ircs://[::1",
        "ircs://h:x", "ircs://h:65536", "ircs://h:-1", "ircs://u@h", "ircs://h/path", "ircs://h#f", "ircs://h?x=1",
        "ircs://a b", "ircs://-a", "unix://run/x", "unix:///", "unix:///run/", "unix:///" + "x" * 108,
        "irc+insecure://127.0.0.1:6667?proxy=2",
        "ircs://0.0.0.0:6697?proxy=1&more=1",
    ],
)  # fmt: skip
def test_a_listener_that_is_not_understood_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError):
        parse_listen(uri)


@given(st.text())
def test_no_text_does_worse_than_a_refusal(text: str) -> None:
    for parse in (parse_listen, parse_http):
        with contextlib.suppress(ConfigError):
            parse(text)


def test_a_reload_can_name_what_changed() -> None:
    old = config.Config()
    new = dataclasses.replace(
        old,
        listen=(parse_listen("unix:///run/x"),),
        web=config.Web(listen=None),
        log=config.Log(level="debug"),
    )
    assert config.differences(old, new) == ["listen", "web.listen", "log.level"]
