"""Owns the small pictures: figures become inline SVG with classes only, told in words to who does not see it; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bouncer.service.figures import Span

HEIGHT = 64
"""Of a picture, in its own units; how large it is on the page is the stylesheet's."""
WIDTH = 600

SVG = Markup(
    '<svg class="chart {kind}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
    'aria-label="{words}">'
    "{content}</svg>"
)
BAR = '<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"><title>{words}</title></rect>'
STATES = {"up": "connected", "down": "not connected", "unknown": "not known"}
DEPTH = {"up": 1.0, "down": 0.45, "unknown": 0.12}
"""States differ in height too, not by colour alone."""


class Chart(NamedTuple):
    """A picture with the words for its two ends and the largest value."""

    svg: Markup
    begin: str
    end: str
    most: str


class Share(NamedTuple):
    """One line of a list with bars: `part` of the whole, 0 to 1, as a picture of its own."""

    name: str
    words: str
    bar: Markup


def by_day(figures: Sequence[tuple[int, int]] | None) -> Chart | None:
    """A bar for each day, (midnight in ms UTC, number); None for what is not counted yet."""
    return None if figures is None else _bars(figures, "%-d %b", "messages a day")


def by_hour(figures: Sequence[tuple[int, int]] | None) -> Chart | None:
    """A bar for each hour, (its begin in ms UTC, number)."""
    return None if figures is None else _bars(figures, "%H:%M", "messages an hour")


def _bars(figures: Sequence[tuple[int, int]], form: str, what: str) -> Chart:
    highest = max((number for _, number in figures), default=0)
    step = WIDTH / max(len(figures), 1)
    bars = []
    for place, (time, number) in enumerate(figures):
        height = max(2.0, number / highest * HEIGHT) if number else 0.0
        words = f"{_when(time, form)}: {number:,}"
        bars.append(_bar("bar", place * step, step * 0.78, height, words))
    total = sum(number for _, number in figures)
    words = f"{what}: {total:,} in all, at most {highest:,}"
    begin, end = (_when(figures[0][0], form), _when(figures[-1][0], form)) if figures else ("", "")
    return Chart(_svg("bars", words, bars), begin, end, f"{highest:,}")


def timeline(spans: Sequence[Span], form: str = "%-d %b, %H:%M") -> Chart:
    """When a server was connected; `begin` and `end` are those of the stretches."""
    begin, end = spans[0].begin, spans[-1].end
    scale = WIDTH / max(end - begin, 1)
    bars, up = [], 0
    for span in spans:
        height = HEIGHT * DEPTH[span.state]
        words = f"{STATES[span.state]} from {_when(span.begin, form)} to {_when(span.end, form)} UTC"
        width = max(1.0, (span.end - span.begin) * scale)
        bars.append(_bar(span.state, (span.begin - begin) * scale, width, height, words))
        up += span.end - span.begin if span.state == "up" else 0
    known = sum(span.end - span.begin for span in spans if span.state != "unknown")
    share = f"connected {up / known:.1%} of the time that is known" if known else "nothing is known yet"
    return Chart(_svg("timeline", share, bars), _when(begin, form), _when(end, form), share)


def lags(measured: Sequence[tuple[int, int]]) -> Chart | None:
    """The lag as last measured, (time in ms UTC, ms); None for fewer than two."""
    if len(measured) < 2:
        return None
    highest = max(lag for _, lag in measured)
    begin, end = measured[0][0], measured[-1][0]
    scale = WIDTH / max(end - begin, 1)
    points = " ".join(
        f"{(time - begin) * scale:.1f},{HEIGHT - 2 - lag / max(highest, 1) * (HEIGHT - 6):.1f}"
        for time, lag in measured
    )
    line = Markup('<polyline class="line" points="{}"/>').format(points)
    words = f"lag: {measured[-1][1]} ms now, at most {highest} ms"
    return Chart(_svg("lag", words, [line]), _when(begin, "%H:%M"), _when(end, "%H:%M"), f"{highest} ms")


def part(value: float, whole: float, words: str) -> Markup:
    """A bar that is filled as far as `value` is of `whole`; over it is full, and says so by its class."""
    share = min(1.0, value / whole) if whole else 0.0
    kind = "bar over" if whole and value > whole else "bar"
    filled = _bar(kind, 0, max(share * WIDTH, 3 if value else 0), HEIGHT, words)
    return _svg("part", words, [filled])


def _bar(kind: str, x: float, width: float, height: float, words: str) -> Markup:
    """A bar that stands on the ground; a picture may have hundreds, so only `words` is looked at for markup."""
    text = BAR.format(kind=kind, x=x, y=HEIGHT - height, width=width, height=height, words=escape(words))
    return Markup(text)  # noqa: S704 - `kind` is a constant of ours, the rest are numbers and escaped words


def _svg(kind: str, words: str, content: Sequence[Markup]) -> Markup:
    return SVG.format(kind=kind, width=WIDTH, height=HEIGHT, words=words, content=Markup().join(content))


def _when(ms: int, form: str) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime(form)
