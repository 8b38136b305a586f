"""Owns /metrics and /healthz on their listener, which knows no people: no session, no cookie, no page."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.core import CounterMetricFamily

from bouncer.errors import ConfigError
from bouncer.metrics import Metrics, counter, gauge, labelled
from web.serving import Bounds, Connections, HttpListener, at_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from bouncer.config import Config

METRICS = web.AppKey("metrics", Metrics)
BOUNDS = Bounds(each=20, total=20, idle_s=10.0)


async def metrics(request: web.Request) -> web.Response:
    """All figures, for Prometheus."""
    body = await request.app[METRICS].text()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"})


async def health(request: web.Request) -> web.Response:
    """200 while all is well, else 503; either way what was looked at."""
    checks = await request.app[METRICS].health()
    well = all(found == "ok" for found in checks.values())
    answer = {"status": "ok" if well else "failing", "checks": checks}
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return web.json_response(answer, status=status, headers={"Cache-Control": "no-store"})


def web_figures(panel: HttpListener | None) -> Iterator[Metric]:
    """What the panel adds to the figures; of one that is off, zeros."""
    house = panel.connections if panel is not None else Connections(BOUNDS)
    yield gauge("panel_connections", "Connections to the panel", len(house.open))
    busy = sum(bool(one.at_work) for one in house.open.values())
    yield gauge("panel_connections_at_work", "Those with a request or a stream at work", busy)
    words = "Requests the panel has answered, by class of status; since its listener was opened"
    answers = {f"{digit}xx": house.answers[f"{digit}xx"] for digit in range(1, 6)}
    yield labelled(CounterMetricFamily, "panel_answers_total", words, "status", answers)
    yield counter("panel_connections_refused_total", "Connections that were not let in", house.refused)
    yield counter("panel_connections_displaced_total", "Those that rested and gave way to a new one", house.displaced)


async def start_monitoring(config: Config, figures: Metrics) -> HttpListener:
    """Listen where `[metrics]` says; raises ConfigError when that is off or not possible."""
    if config.metrics.listen is None:
        raise ConfigError("metrics.listen: it is off")
    app = web.Application(client_max_size=1, middlewares=[at_work])
    app[METRICS] = figures
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", health)])
    return await HttpListener.open("metrics.listen", config.metrics.listen, app, BOUNDS)
