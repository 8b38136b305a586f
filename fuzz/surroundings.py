"""Targets around the protocol core: text in pages, forms, the configuration file, addresses to listen on."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from bouncer import config
from bouncer.endpoints import parse_http, parse_listen
from bouncer.errors import ConfigError, UsageError
from bouncer.irc.casemap import RFC1459
from bouncer.irc.highlight import mentions, strip_formatting
from bouncer.irc.message import as_text
from bouncer.service.argparser import HelpRequest, parse
from bouncer.service.parser import irc_commands
from web.context import fields_of
from web.irctext import html, plain

PARSERS = [irc_commands(admin=admin) for admin in (False, True)]
ALLOWED = {"span": {"class"}, "a": {"href", "rel", "target"}}


class _Page(HTMLParser):
    """What a browser makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= ALLOWED[tag], (tag, attrs)
        values = dict(attrs)
        if tag == "a":
            assert urlsplit(values["href"] or "").scheme.lower() in {"http", "https"} or "[" in (values["href"] or "")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def text(data: bytes) -> None:
    """Formatting codes, links and markup: what a page shows is the plain text, in tags of ours only."""
    said = as_text(data.decode("utf-8", "surrogateescape"))
    page = _Page()
    with contextlib.suppress(ValueError):  # of urlsplit, for an address that is none
        page.feed(str(html(said)))
        page.close()
        assert page.open == []
        assert page.text == plain(said)
    strip_formatting(said)
    nick, _, words = said.partition(" ")
    mentions(words, nick, RFC1459)


def form(data: bytes) -> None:
    """The body of a form."""
    try:
        found = fields_of(data)
    except web.HTTPBadRequest:
        return
    assert all(isinstance(value, str) for value in found.values())


def configuration(data: bytes) -> None:
    """The configuration file: what cannot be used is a sentence."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:  # noqa: S108
        file.write(data)
        file.flush()
        try:
            config.load(Path(file.name))
        except ConfigError as error:
            assert str(error)  # noqa: PT017 - the sentence is what is looked at


def address(data: bytes) -> None:
    """Where to listen."""
    uri = data.decode("utf-8", "surrogateescape")
    for read in (parse_listen, parse_http):
        try:
            endpoint = read(uri)
        except ConfigError:
            continue
        assert endpoint.path or 0 <= endpoint.port <= 65535


def command(data: bytes) -> None:
    """What is said to BouncerServ."""
    try:
        words = shlex.split(as_text(data.decode("utf-8", "surrogateescape")))
    except ValueError:
        return
    for parser in PARSERS:
        try:
            parse(parser, words)
        except (UsageError, HelpRequest):
            continue
