"""Draws two series over one quantity as a small SVG, one panel beside the other; no library."""

from __future__ import annotations

from typing import NamedTuple

WIDE, HIGH, LEFT, TOP, GAP = 250, 150, 60, 30, 90
COLOURS = ("#1f5fa8", "#a8431f")


class Series(NamedTuple):
    """What is shown, and its value for each place on the axis below."""

    name: str
    values: dict[int, float]


def plot(below: str, *series: Series) -> str:
    """The text of an SVG; each panel begins at 0."""
    wide = LEFT + len(series) * (WIDE + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{TOP + HIGH + 50}" role="img">',
        f"<title>{' and '.join(one.name for one in series)} against {below}</title>",
        "<style>text { font: 11px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, one in enumerate(series):
        parts += _panel(below, one, LEFT + number * (WIDE + GAP), COLOURS[number])
    return "\n".join([*parts, "</svg>\n"])


def _panel(below: str, one: Series, left: int, colour: str) -> list[str]:
    top_value, most = max(one.values.values()) * 1.1, max(one.values)
    bottom = TOP + HIGH

    def place(count: int, value: float) -> tuple[float, float]:
        return round(left + WIDE * count / most, 1), round(bottom - HIGH * value / top_value, 1)

    line = f'fill="none" stroke="{colour}" stroke-width="2"'
    points = [place(count, value) for count, value in one.values.items()]
    parts = [
        f'<text x="{left}" y="{TOP - 12}" fill="{colour}">{one.name}</text>',
        f'<path d="M{left} {TOP}V{bottom}H{left + WIDE}" fill="none" stroke="#888"/>',
        f'<polyline points="{" ".join(f"{x},{y}" for x, y in points)}" {line}/>',
        f'<text x="{left + WIDE / 2}" y="{bottom + 34}" text-anchor="middle">{below}</text>',
        f'<text x="{left - 6}" y="{bottom}" text-anchor="end">0</text>',
    ]
    for (x, y), (count, value) in zip(points, one.values.items(), strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
        parts.append(f'<text x="{x}" y="{y - 8}" text-anchor="middle">{value:,.0f}</text>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{count}</text>')
    return parts
