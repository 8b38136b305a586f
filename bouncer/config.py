"""Owns the configuration: reads TOML into frozen dataclasses and refuses, by name, whatever it does not understand.

It opens nothing but the one file it was pointed to; certificates, sockets and databases belong to others.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from bouncer.endpoints import LISTEN_FORMS, Endpoint, parse_http, parse_listen
from bouncer.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")

SYSTEM_FILE = Path("/etc/bouncer/bouncer.toml")


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a value stands, for error messages and for relative paths."""

    file: Path | None
    base: Path
    key: str = ""

    def at(self, name: str) -> _Where:
        return replace(self, key=f"{self.key}.{name}" if self.key else name)

    def fail(self, why: str) -> NoReturn:
        raise ConfigError(": ".join(part for part in (str(self.file or ""), self.key, why) if part))


Reader = Callable[[object, _Where], Any]


def _key(default: object, read: Reader) -> Any:
    """A key with its default and the function that checks and converts what the file says."""
    return field(default=default, metadata={"read": read})


def _text(value: object, where: _Where) -> str:
    if not isinstance(value, str):
        where.fail(f"must be a text in quotes, not {value!r}")
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in value):
        where.fail("may not contain control characters")
    return value


def _choice(*allowed: str) -> Reader:
    def read(value: object, where: _Where) -> str:
        if value not in allowed:
            where.fail(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return read


def _whole(low: int, high: int, unit: str) -> Reader:
    def read(value: object, where: _Where) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            where.fail(f"must be a whole number of {unit} from {low} to {high}, not {value!r}")
        return value

    return read


def _seconds(low: float, high: float) -> Reader:
    def read(value: object, where: _Where) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            where.fail(f"must be a number of seconds from {low:g} to {high:g}, not {value!r}")
        return float(value)

    return read


def _path(value: object, where: _Where) -> Path:
    text = _text(value, where)
    if not text or "?" in text:  # a "?" would end the path inside a database URL
        where.fail("must be a path, without a question mark")
    try:
        return where.base / Path(text).expanduser()
    except RuntimeError:  # ~somebody, who is nobody here
        where.fail(f"{text!r} is in the home of a user who is not known here")


def _optional_path(value: object, where: _Where) -> Path | None:
    return None if value == "" else _path(value, where)


def _networks(value: object, where: _Where) -> tuple[Network, ...]:
    if not isinstance(value, list):
        where.fail(f'must be a list of networks like ["192.0.2.0/24", "2001:db8::/32"], not {value!r}')
    found = []
    for item in value:
        try:
            found.append(ipaddress.ip_network(_text(item, where)))
        except ValueError as error:
            where.fail(f"{error}; networks are written like 192.0.2.0/24 or 2001:db8::/32")
    return tuple(found)


def _retention(value: object, where: _Where) -> int | None:
    text = _text(value, where)
    if not text:
        return None
    if not (match := re.fullmatch(r"([1-9][0-9]{0,4})d", text)):
        where.fail(f'{text!r} is not a number of days like "365d", nor "" to keep everything')
    return int(match[1]) * 86_400_000


def _main_url(value: object, where: _Where) -> str:
    prefix = "sqlite+aiosqlite:///"
    text = _text(value, where)
    if not text:
        return ""
    name = text.removeprefix(prefix)
    if name == text or not name or name.startswith(":") or "?" in name:
        where.fail(f'{text!r} is not {prefix}PATH, nor "" for main.sqlite3 in the storage folder')
    return prefix + str(where.base / name)


def _public_url(value: object, where: _Where) -> str:
    text = _text(value, where)
    if not text:
        return ""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        where.fail(f"{text!r}: {error}")
    if url.scheme not in {"http", "https"} or not url.hostname or port == 0 or "@" in url.netloc:
        where.fail(f"{text!r} is not like https://irc.example.org")
    if url.path not in {"", "/"} or url.query or url.fragment:
        where.fail(f"{text!r}: the panel has a host of its own, so nothing may follow the host and port")
    return f"{url.scheme}://{url.netloc.lower()}"


def _listen_uri(value: object, where: _Where) -> Endpoint:
    try:
        return parse_listen(_text(value, where))
    except ConfigError as error:
        where.fail(str(error))


def _http_uri(value: object, where: _Where) -> Endpoint | None:
    text = _text(value, where)
    try:
        return parse_http(text) if text else None
    except ConfigError as error:
        where.fail(str(error))


@dataclass(frozen=True, slots=True)
class Storage:
    """`[storage]`: the folder that holds everything, and where things are in it."""

    path: Path = _key(Path("storage"), _path)
    synchronous: str = _key("normal", _choice("normal", "full"))

    @property
    def tenants(self) -> Path:
        """The folder of the users' files."""
        return self.path / "tenants"

    @property
    def secret_key(self) -> Path:
        """The key of the secrets at rest, unless systemd hands one over."""
        return self.path / "secret.key"

    @property
    def control_socket(self) -> Path:
        """Where commands reach the running daemon."""
        return self.path / "control.sock"

    @property
    def first_password(self) -> Path:
        """Where the first admin's password goes when there is no terminal."""
        return self.path / "first-password"


@dataclass(frozen=True, slots=True)
class Main:
    """`[main]`: the installation's own database; an empty URL means SQLite in the storage folder."""

    url: str = _key("", _main_url)


@dataclass(frozen=True, slots=True)
class Tls:
    """`[tls]`: PEM files of the ircs listeners, both or neither."""

    cert: Path | None = _key(None, _optional_path)
    key: Path | None = _key(None, _optional_path)


@dataclass(frozen=True, slots=True)
class Web:
    """`[web]`: the panel; `listen` None means off. `public_url` has no slash at its end."""

    listen: Endpoint | None = _key(parse_http("http://127.0.0.1:8080"), _http_uri)
    public_url: str = _key("", _public_url)
    trusted_proxies: tuple[Network, ...] = _key((), _networks)


@dataclass(frozen=True, slots=True)
class Metrics:
    """`[metrics]`: /metrics and /healthz on a listener of their own; None means off."""

    listen: Endpoint | None = _key(None, _http_uri)


@dataclass(frozen=True, slots=True)
class Log:
    """`[log]`."""

    level: str = _key("info", _choice("debug", "info", "warning", "error"))
    format: str = _key("text", _choice("text", "json"))


@dataclass(frozen=True, slots=True)
class History:
    """`[history]`: how long messages are kept at most, in ms; None is no bound, and users decide for themselves."""

    retention: int | None = _key(None, _retention)


@dataclass(frozen=True, slots=True)
class Flood:
    """`[flood]`: lines sent to a network: `burst` at once, then one each `interval_ms`; burst 0 is no limit."""

    burst: int = _key(10, _whole(0, 1000, "lines"))
    interval_ms: int = _key(2000, _whole(0, 60_000, "milliseconds"))


@dataclass(frozen=True, slots=True)
class Timeouts:
    """`[timeouts]`: seconds, or ms where the name says so."""

    register_s: float = _key(30.0, _seconds(1, 600))
    connect_s: float = _key(20.0, _seconds(1, 600))
    ping_s: float = _key(60.0, _seconds(1, 3600))
    reply_s: float = _key(10.0, _seconds(1, 600))
    backoff_min_s: float = _key(1.0, _seconds(0.05, 3600))
    backoff_max_s: float = _key(600.0, _seconds(0.05, 86_400))
    healthy_s: float = _key(60.0, _seconds(0, 86_400))
    away_s: float = _key(3.0, _seconds(0, 86_400))
    commit_live_ms: int = _key(500, _whole(1, 60_000, "milliseconds"))
    panel_s: float = _key(30.0, _seconds(1, 600))


@dataclass(frozen=True, slots=True)
class Outbound:
    """`[outbound]`: which addresses users' servers may have; `private` is auto, allow or deny."""

    private: str = _key("auto", _choice("auto", "allow", "deny"))
    allow: tuple[Network, ...] = _key((), _networks)
    deny: tuple[Network, ...] = _key((), _networks)


@dataclass(frozen=True, slots=True)
class Limits:
    """`[limits]`: the bounds that someone may want to move; docs/limits.md explains each."""

    clients_per_user: int = _key(50, _whole(1, 10_000, "clients"))
    servers_per_user: int = _key(50, _whole(0, 10_000, "servers"))
    registering_per_address: int = _key(20, _whole(1, 100_000, "connections"))
    registering_total: int = _key(500, _whole(1, 100_000, "connections"))
    client_line_bytes: int = _key(16_384, _whole(4_608, 1_048_576, "bytes"))  # 512 + 4,096 of tags is what IRCv3 asks
    client_sendq_bytes: int = _key(8_388_608, _whole(524_288, 1_073_741_824, "bytes"))  # two portions of playback
    disk_mb_per_user: int = _key(0, _whole(0, 1_000_000_000, "megabytes"))
    journal_rows: int = _key(100_000, _whole(1_000, 10_000_000, "rows"))
    panel_connections_per_address: int = _key(100, _whole(1, 100_000, "connections"))
    panel_connections: int = _key(1_000, _whole(1, 100_000, "connections"))
    panel_body_bytes: int = _key(1_048_576, _whole(16_384, 1_073_741_824, "bytes"))


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be configured; `Config()` is the defaults. `file` is where it came from, if from a file."""

    storage: Storage = Storage()
    main: Main = Main()
    listen: tuple[Endpoint, ...] = (parse_listen("irc+insecure://127.0.0.1:6667"),)
    tls: Tls = Tls()
    web: Web = Web()
    metrics: Metrics = Metrics()
    log: Log = Log()
    history: History = History()
    flood: Flood = Flood()
    timeouts: Timeouts = Timeouts()
    outbound: Outbound = Outbound()
    limits: Limits = Limits()
    file: Path | None = None

    @property
    def main_url(self) -> str:
        """The SQLAlchemy URL of the main database."""
        return self.main.url or f"sqlite+aiosqlite:///{self.storage.path / 'main.sqlite3'}"


_TABLES: dict[str, type[Any]] = {
    "storage": Storage, "main": Main, "tls": Tls, "web": Web, "metrics": Metrics, "log": Log, "history": History,
    "flood": Flood, "timeouts": Timeouts, "outbound": Outbound, "limits": Limits,
}  # fmt: skip


def load(path: Path | None = None, *, without_certificate: bool = False) -> Config:
    """The configuration from `path`, else from where one is looked for, else the defaults; raises ConfigError.

    `without_certificate` is for the command that makes one: an ircs:// listener may lack it.

    Looked for: $BOUNCER_CONFIG (which must exist), ./bouncer.toml, /etc/bouncer/bouncer.toml. Relative paths are
    relative to the file, without one to the working directory. Reads a file: not for the event loop's thread.
    """
    file = path or _find()
    if file is None:
        return _complete(Config(), _Where(None, Path.cwd()))
    file = file.absolute()
    where = _Where(file, file.parent)
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        where.fail(f"cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:  # also digits without end, and brackets in brackets
        where.fail(f"is not TOML: {error}")
    _known(raw, [*_TABLES, "listen"], where, "table")
    tables = {name: _table(_TABLES[name], value, where.at(name)) for name, value in raw.items() if name != "listen"}
    if "listen" in raw:
        tables["listen"] = _listeners(raw["listen"], where.at("listen"))
    return _complete(Config(file=file, **tables), where, without_certificate=without_certificate)


def differences(old: Config, new: Config) -> list[str]:
    """The names of the keys that differ, like `web.listen`: what a reload has to apply or to say it cannot."""
    names = ["listen"] if old.listen != new.listen else []
    for table, kind in _TABLES.items():
        before, after = getattr(old, table), getattr(new, table)
        names += [f"{table}.{f.name}" for f in fields(kind) if getattr(before, f.name) != getattr(after, f.name)]
    return names


def _find() -> Path | None:
    if named := os.environ.get("BOUNCER_CONFIG"):
        return Path(named)
    # Standing in a folder one may not look into is no mistake; a system file one may not see is: the defaults would be
    # another installation.
    if os.path.exists("bouncer.toml"):  # noqa: PTH110  # unlike Path.exists it says False when it cannot know
        return Path("bouncer.toml")
    try:
        SYSTEM_FILE.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # reading it says what is wrong
    return SYSTEM_FILE


def _known(raw: dict[str, object], allowed: list[str], where: _Where, what: str = "key") -> None:
    for name in raw:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(allowed))}"
            where.at(name).fail(f"unknown {what}; {hint}")


def _table(kind: type[T], raw: object, where: _Where) -> T:
    if not isinstance(raw, dict):
        where.fail(f"must be a table: [{where.key}]")
    readers = {f.name: f.metadata["read"] for f in fields(kind)}  # type: ignore[arg-type]  # each is a dataclass
    _known(raw, list(readers), where)
    return kind(**{name: readers[name](value, where.at(name)) for name, value in raw.items()})


def _listeners(raw: object, where: _Where) -> tuple[Endpoint, ...]:
    if not isinstance(raw, list) or not raw or not all(isinstance(item, dict) for item in raw):
        where.fail("must be one or more tables: [[listen]]")
    found: list[Endpoint] = []
    for item in raw:
        _known(item, ["uri", "trusted_proxies"], where)
        if "uri" not in item:
            where.fail(f"each [[listen]] needs a uri: {LISTEN_FORMS}")
        endpoint = _listen_uri(item["uri"], where.at("uri"))
        if "trusted_proxies" in item:
            trusted = where.at("trusted_proxies")
            if not endpoint.proxy:
                trusted.fail(f"{endpoint.uri!r} has no ?proxy=1, so nobody is asked where a connection comes from")
            endpoint = replace(endpoint, trusted=_networks(item["trusted_proxies"], trusted))
        found.append(endpoint)
    return tuple(found)


def _complete(config: Config, where: _Where, *, without_certificate: bool = False) -> Config:
    """Check what needs more than one key, and make the storage path absolute."""
    if (config.tls.cert is None) != (config.tls.key is None):
        where.at("tls").fail("cert and key belong together: set both, or neither")
    if not without_certificate and config.tls.cert is None and any(listener.tls for listener in config.listen):
        where.at("listen").fail("an ircs:// listener needs cert and key in [tls]; bouncer tls self-signed makes a pair")
    taken: set[object] = set()
    http = [(f"{name}.listen", end) for name, end in (("web", config.web.listen), ("metrics", config.metrics.listen))]
    for name, endpoint in [*(("listen", end) for end in config.listen), *http]:
        place = endpoint and (endpoint.path or (endpoint.port and (endpoint.host, endpoint.port)))
        if place and place in taken:
            where.at(name).fail(f"{endpoint.uri!r} is listened on twice" if endpoint else "")
        taken.add(place)
    if config.timeouts.backoff_min_s > config.timeouts.backoff_max_s:
        where.at("timeouts").fail("backoff_min_s may not be more than backoff_max_s")
    return replace(config, storage=replace(config.storage, path=where.base / config.storage.path))
