"""Puts the panel together and listens: middlewares in order, templates, static files; owns no data."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp_jinja2
import aiohttp_session
import jinja2
from aiohttp import web

from bouncer.errors import ConfigError
from web import irctext, middlewares, present
from web.assets import ASSETS, Assets
from web.compiled import Compiled
from web.context import CONFIG, SERVICE, SESSIONS, TURN
from web.following import SHARED, Shared
from web.routes import ROUTES
from web.sending import SENT, Sent
from web.serving import Bounds, HttpListener, at_work
from web.sessions import SessionRows
from web.streams import STREAMS, Streams
from web.turns import DOOR, PAGES, Turns
from web.websocket import SOCKETS, Sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bouncer.config import Config
    from bouncer.service import Service

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
FILTERS: Mapping[str, Callable[..., str]] = {
    "iso": present.iso,
    "utc": present.utc,
    "clock": present.clock,
    "date": present.date,
    "bytes": present.size,
    "sentence": present.sentence,
    "nick_class": present.nick_class,
    "plain": irctext.plain,
    "irc": irctext.html,
}


def make_app(config: Config, service: Service) -> web.Application:
    """The panel as an application, which its caller runs; reads its files now, so call it before serving."""
    sessions = SessionRows(service.main, secure=config.web.public_url.startswith("https://"))
    app = web.Application(
        client_max_size=config.limits.panel_body_bytes,
        middlewares=[
            at_work,
            middlewares.errors,
            middlewares.deadline,
            middlewares.same_origin,
            middlewares.client_address,
            aiohttp_session.session_middleware(sessions),
            middlewares.signed_in,
            middlewares.in_turn,
            middlewares.in_tenant,
            middlewares.written_out,
        ],
    )
    app[CONFIG], app[SERVICE], app[SESSIONS], app[STREAMS] = config, service, sessions, Streams()
    app[TURN] = asyncio.Lock()
    app[PAGES], app[DOOR] = Turns(), Turns()
    app[SOCKETS], app[SENT], app[SHARED] = Sockets(), Sent(), Shared()
    app[ASSETS] = Assets.read(HERE / "static")
    _templates(app)
    app.add_routes(ROUTES)
    app.on_response_prepare.append(middlewares.security_headers)
    app.on_startup.append(_begin)
    app.on_cleanup.append(_end)
    app.on_shutdown.append(app[STREAMS].close)
    app.on_shutdown.append(app[SOCKETS].close)
    return app


async def _begin(app: web.Application) -> None:
    await asyncio.to_thread(app[SERVICE].downloads.clear)


async def _end(app: web.Application) -> None:
    await app[SERVICE].figures.close()
    await app[SERVICE].histories.close()
    await app[SERVICE].downloads.close()
    await app[SERVICE].backups.close()


def _templates(app: web.Application) -> None:
    compiled = Compiled()
    env = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        bytecode_cache=compiled,
        filters=FILTERS,
    )
    env.globals.update(
        {"static": app[ASSETS].address, "flash": "", "section": "", "running": True, "notices": 0, "storage": ""}
    )
    for name in env.list_templates():
        env.get_template(name)  # compiled now: no request reads a file, and a broken one stops the start
    compiled.keep()


async def start_panel(config: Config, service: Service) -> HttpListener:
    """Listen where `[web]` says; raises ConfigError when that is off or not possible."""
    if config.web.listen is None:
        raise ConfigError("web.listen: the panel is off")
    limits = config.limits
    bounds = Bounds(
        limits.panel_connections_per_address,
        limits.panel_connections,
        config.timeouts.panel_s,
        config.web.trusted_proxies,
    )
    panel = await HttpListener.open("web.listen", config.web.listen, make_app(config, service), bounds)
    log.info("the panel listens on %s", panel.address)
    return panel
