"""Each door is given text that means something to somebody: what is stored is what is shown, or it is refused."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from bouncer import control, tenant
from bouncer.control import ControlServer
from bouncer.errors import BouncerError, InvalidError, NotFoundError
from bouncer.irc.lines import LineBuffer
from bouncer.irc.message import Message
from bouncer.models.tenant import Message as StoredMessage
from bouncer.service.bouncerserv import ROOM, BouncerServ
from bouncer.service.commands import Output, Request, run
from bouncer.service.fields import Join, new_server, server_fields
from bouncer.service.parser import command_line, parse
from tests.cli.clikit import Cli
from tests.support.nasty import LINE_ENDS, irc_texts, is_text, texts
from tests.web.panelkit import message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bouncer.models.main import User
    from bouncer.models.tenant import Server
    from bouncer.service import Service

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""The examples of one test share its databases: that is what they are for."""

BASE = {"name": "net", "address": "irc.example.org", "enabled": False}
FREE = ("realname", "away_message", "quit_message", "password")
"""Fields that take any text of one line as it is."""
FIELDS = (
    *FREE, "nickname", "username", "alternatives", "auth_account", "auth_password", "connect_commands",
    "regain_command", "channels", "encoding", "fallbacks", "address", "name", "tls_fingerprint",
)  # fmt: skip


def one_line(value: object) -> bool:
    return not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in str(value))


@settings(max_examples=150)
@given(st.sampled_from(FIELDS), texts)
def test_a_field_is_stored_as_it_was_typed_or_refused_beside_its_name(field: str, text: str) -> None:
    raw = {**BASE, field: text}
    if field == "auth_account":
        raw |= {"auth_method": "sasl-plain", "auth_password": "x"}
    elif field == "auth_password":
        raw |= {"auth_method": "sasl-plain", "auth_account": "x"}
    try:
        found = server_fields(raw, new_server("bob"))
    except InvalidError as error:
        refused = error.fields
    else:
        refused = {}
    if refused:
        assert field in refused
        assert all(words and one_line(words) for words in refused.values())
        return
    stored = getattr(found, field)
    if field in FREE:
        assert stored == (text if field == "password" and text else text.strip(" \t")) or not text
    values = stored if isinstance(stored, tuple) else str(stored or "").split("\n")
    for value in values:
        written = f"{value.name} {value.key or ''}" if isinstance(value, Join) else value
        assert one_line(written)
        assert Message.parse(f"X {written}".encode()).raw.count(b"\n") == 0


@settings(max_examples=25, suppress_health_check=SHARED)
@given(text=texts)
async def test_words_of_a_search_are_words(service: Service, bob: User, text: str) -> None:
    with suppress(BouncerError):
        assert (await service.histories.search(bob.id, text)).messages == []


@settings(max_examples=10, suppress_health_check=SHARED)
@given(text=texts)
async def test_names_tokens_fingerprints_and_addresses_are_found_or_refused(
    service: Service, bob: User, text: str
) -> None:
    if not (text and all(char in "ab1-_" for char in text) and text[0] not in "-_"):
        with pytest.raises(InvalidError):
            await service.users.add(text, password="x")
    assert not await service.invites.valid(text)
    for number in (text, f"20260101T000000Z{text or '/'}", f"../{text}"):
        with pytest.raises(NotFoundError):
            await service.backups.check(number)
    with pytest.raises(InvalidError):
        await service.certificates.enrol(bob.id, text or "x", "name")
    try:
        row, _ = await service.tokens.create(bob.id, text)
    except BouncerError:
        return
    assert [token.name for token in await service.tokens.list(bob.id)] == [text]
    assert not set(text) & set(" /@:\r\n\0")
    await service.tokens.revoke(bob.id, row.id)


@pytest.fixture
def serv(service: Service) -> BouncerServ:
    return BouncerServ(service)


# -- BouncerServ -----------------------------------------------------------------------------------------------------


@settings(max_examples=20, suppress_health_check=SHARED)
@given(option=st.sampled_from(["--realname", "--away-message", "--quit-message"]), text=irc_texts, quoted=st.booleans())
async def test_bouncerserv_stores_what_it_is_told_or_says_why_not(
    service: Service, serv: BouncerServ, bob: User, option: str, text: str, *, quoted: bool
) -> None:
    server = await _net(service, bob)
    before = getattr(server, option[2:].replace("-", "_"))
    told = shlex.quote(text) if quoted else text
    answer = await serv.handle(bob.id, f"server update net {option}={told}", server=None)
    assert answer
    assert all(
        len(line.encode("utf-8", "surrogateescape")) <= ROOM and not set(line) & set("\r\n\0") for line in answer
    )
    after = getattr(await service.servers.by_name(bob.id, "net"), option[2:].replace("-", "_"))
    if answer == ["server net updated"] and quoted:
        assert after == text.strip(" \t") or (not text and option == "--realname")
    elif answer != ["server net updated"]:
        assert after == before
    assert len(await service.servers.list(bob.id)) == 1


@settings(max_examples=20, suppress_health_check=SHARED)
@given(text=irc_texts)
async def test_bouncerserv_answers_anything_in_lines(serv: BouncerServ, bob: User, text: str) -> None:
    answer = await serv.handle(bob.id, text, server=None)
    assert answer
    assert not any(set(line) & set("\r\n\0") for line in answer)
    assert "bouncer's log" not in "".join(answer)


async def _net(service: Service, user: User) -> Server:
    try:
        return await service.servers.by_name(user.id, "net")
    except NotFoundError:
        return await service.servers.add(user.id, BASE)


# -- command line and control socket -----------------------------------------------------------------------------------

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("user", "add", "TEXT", "--password-stdin"), ("user", "passwd", "TEXT", "--password-stdin"),
    ("user", "limits", "bob", "--servers", "TEXT"), ("user", "invite", "TEXT"), ("user", "delete", "TEXT", "--yes"),
    ("server", "add", "bob", "TEXT", "irc.example.org", "--disabled"), ("server", "add", "bob", "x", "TEXT"),
    ("server", "update", "bob", "net", "--realname=TEXT"), ("server", "update", "bob", "TEXT", "--nick", "x"),
    ("server", "update", "bob", "net", "--connect-command=TEXT"), ("server", "update", "bob", "net", "--join=TEXT"),
    ("server", "list", "TEXT", "--json"), ("server", "delete", "bob", "TEXT", "--yes"),
    ("channel", "list", "bob", "net"), ("channel", "join", "bob", "net", "TEXT"),
    ("channel", "join", "bob", "net", "#a", "TEXT"), ("channel", "update", "bob", "net", "#a", "--key=TEXT"),
    ("client", "forget", "bob", "TEXT"), ("client", "timestamps", "bob", "TEXT", "on"),
    ("token", "create", "bob", "TEXT"),
    ("token", "revoke", "bob", "TEXT"), ("certfp", "enrol", "bob", "TEXT"), ("certfp", "revoke", "bob", "TEXT"),
    ("sasl", "set", "bob", "net", "external", "TEXT"), ("history", "search", "bob", "TEXT"),
    ("history", "search", "bob", "x", "--server", "net", "--in=TEXT"), ("history", "search", "bob", "x", "--from=TEXT"),
    ("history", "clear", "bob", "net", "TEXT", "--yes"), ("notify", "read", "bob", "TEXT"),
    ("away", "message", "bob", "net", "TEXT"), ("tenant", "check", "TEXT"), ("tenant", "export", "TEXT", "out"),
    ("tenant", "restore", "bob", "/nonexistent/TEXT", "--yes"), ("bouncer", "broadcast", "TEXT"), ("TEXT", "TEXT"),
    ("config", "check"),
)  # fmt: skip


class Lines:
    """An `Output` that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: int, total: int, what: str) -> None:
        self.lines.append(f"{done}/{total} {what}")


@settings(max_examples=60, suppress_health_check=SHARED)
@given(command=st.sampled_from(COMMANDS), text=texts, secret=texts)
async def test_words_of_the_command_line_do_what_they_say_or_are_refused_in_one_line(
    service: Service, alice: User, bob: User, command: tuple[str, ...], text: str, secret: str
) -> None:
    del alice
    await _net(service, bob)
    before = {user.name for user in await service.users.list()}
    words = [word.replace("TEXT", text) for word in command]
    output, refused = Lines(), ""
    try:
        args = parse(command_line(), words)
        secrets = {"password": secret} if getattr(args, "password_stdin", False) else {}
        if (args.noun, getattr(args, "verb", "")) != ("config", "check"):
            await run(Request(service, args, output, secrets))
    except (BouncerError, OSError) as error:
        refused = control.in_words(error)
    assert one_line(refused)
    assert "internal error" not in refused
    for line in output.lines:
        assert one_line(line.replace("\n", "") if "--json" in words else line), (words, line)
    after = {user.name for user in await service.users.list()}
    assert after - before <= {text}
    assert len(before - after) <= (command[:2] == ("user", "delete"))


@pytest.fixture(scope="module")
def shell_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shell")


def test_a_line_of_the_shell_is_one_command_whatever_is_in_it(shell_folder: Path) -> None:
    cli = Cli.make(shell_folder, "")
    lines = ["user add bob --password-stdin\npw", "server add bob net irc.example.org --disabled"]
    for end in (*LINE_ENDS, "\0", "\ud800"):
        if "\n" not in end:
            lines.append(f"away message bob net 'gone{end}user add evil --admin'")
            lines.append(f"user passwd bob --password-stdin\npw{end}user add evil")
    lines += ['away message bob net "it\'s {0} %s $HOME"', "away show bob", "user list"]
    told = "\n".join(lines).encode("utf-8", "surrogatepass")
    done = subprocess.run(
        cli.argv("shell"),
        input=told + b"\n",
        capture_output=True,
        env=cli.env(),
        cwd=shell_folder,
        timeout=60,
        check=True,
    )
    out = done.stdout.decode().split("\n")
    answers = [line for line in out if line == "OK" or line.startswith("ERR ")]
    assert len(answers) == len(lines)
    assert len([line for line in answers if line != "OK"]) == len(lines) - 5, out
    assert "net: away while no client is attached, with “it's {0} %s $HOME”" in out
    assert not [line for line in out if line.startswith("evil ")]
    assert done.stderr == b""


@settings(max_examples=25, suppress_health_check=SHARED)
@given(words=st.lists(texts, max_size=4), secret=texts)
async def test_the_control_socket_hands_on_what_it_was_given_and_answers_once(
    tmp_path: Path, words: list[str], secret: str
) -> None:
    got: list[tuple[list[str], dict[str, str]]] = []

    async def handler(told: Sequence[str], secrets: Mapping[str, str], output: Output) -> None:
        got.append((list(told), dict(secrets)))
        for word in told:
            output.line(word)

    server = ControlServer(tmp_path / "s", handler)
    await server.start()
    try:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(json.dumps({"words": words, "secrets": {"password": secret}}).encode() + b"\n")
        answers = [json.loads(line) async for line in reader]
        writer.close()
    finally:
        await server.close()
    assert got == [(words, {"password": secret})]
    assert "\n".join(answer["line"] for answer in answers[:-1]) == "\n".join(words)
    assert answers[-1] == {"exit": 0, "error": ""}


@given(st.binary(max_size=200))
def test_what_is_cut_into_lines_holds_no_line_end(data: bytes) -> None:
    assert not any(b"\n" in line for line in LineBuffer(4096).feed(data))


@settings(max_examples=20, suppress_health_check=SHARED)
@given(text=texts)
async def test_an_export_has_one_line_for_one_message(service: Service, bob: User, tmp_path: Path, text: str) -> None:
    server = await _net(service, bob)
    text = text if is_text(text) else "plain"
    async with tenant.switch(bob.id), tenant.session() as session:
        await session.execute(delete(StoredMessage))
        session.add_all([message(server.id, text), message(server.id, "the end")])
        await session.commit()
    for form in ("text", "jsonl"):
        await service.tenants.export(bob.id, tmp_path / form, form)
    lines = (tmp_path / "text").read_text("utf-8").splitlines()
    begun = [line for line in lines if not line.startswith("    ")]
    assert len(begun) == 3, lines
    assert begun[0].startswith("=== net")
    assert begun[-1].endswith("<grace> the end")
    rows = (tmp_path / "jsonl").read_bytes().split(b"\n")
    assert [json.loads(row)["text"] for row in rows[:-1]] == [text, "the end"]
