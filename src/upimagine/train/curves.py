"""Curves as inline SVG: lines only, so that the words around them keep their size on any screen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from upimagine.train.journal import Line

_WIDTH, _HEIGHT = 600.0, 200.0  # of the drawing; the page stretches it
_MOST_POINTS = 400
_NEXT_TO = 0.04  # of the height, kept free above and below


@dataclass(frozen=True)
class Chart:
    """Some of the plotted numbers in one picture."""

    title: str
    names: tuple[str, ...]
    logarithmic: bool = False


def charts_of(lines: Sequence[Line]) -> list[Chart]:
    """Every plotted number of the log in some chart; those that are read together are drawn together."""
    names = list(dict.fromkeys(name for line in lines for name, value in line.items() if _is_number(name, value)))
    groups = {
        "Losses": [name for name in names if name.endswith("/loss")],
        "Scores of real and made pictures": [n for n in names if n in ("discriminator/real", "discriminator/fake")],
        "Gradients": [name for name in names if name.endswith("/gradient_norm")],
        "Sameness of pairs (MS-SSIM)": [n for n in names if n.startswith("samples/") and n.endswith("similarity")],
    }
    charts = [Chart(title, tuple(group), title == "Gradients") for title, group in groups.items() if group]
    drawn = {name for chart in charts for name in chart.names}
    return charts + [Chart(_words(name), (name,)) for name in names if name not in drawn]


def draw(chart: Chart, lines: Sequence[Line]) -> str:
    """A <figure> with the curves, their extremes, and what they are now."""
    series = {name: _thinned(_points(name, lines)) for name in chart.names}
    logarithmic = chart.logarithmic and all(value > 0 for points in series.values() for _, value in points)
    every = [value for points in series.values() for _, value in points]
    low, high = min(every), max(every)
    first = min(points[0][0] for points in series.values())
    last = max(points[-1][0] for points in series.values())
    up: Callable[[float], float] = math.log10 if logarithmic else float
    paths = "".join(
        f'<polyline class="c{index}" points="{_path([(x, up(y)) for x, y in p], (first, last, up(low), up(high)))}"/>'
        for index, p in enumerate(series.values())
    )
    keys = "".join(
        f'<li><span class="key c{index}"></span>{escape(_words(name))} <b>{points[-1][1]:.4g}</b></li>'
        for index, (name, points) in enumerate(series.items())
    )
    says = "; ".join(f"{_words(name)} from {p[0][1]:.4g} to {p[-1][1]:.4g}" for name, p in series.items())
    kind = " (logarithmic)" if logarithmic else ""
    return (
        f"<figure><figcaption>{escape(chart.title)}{kind}</figcaption><ul class='keys'>{keys}</ul>"
        f'<div class="plot"><div class="ys"><span>{high:.4g}</span><span>{low:.4g}</span></div>'
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(f"{chart.title}, {first:g} to {last:g} kimg: {says}")}">{paths}</svg></div>'
        f'<div class="xs"><span>{first:g}</span><span>{last:g} kimg</span></div></figure>'
    )


def _is_number(name: str, value: object) -> bool:
    return name != "kimg" and isinstance(value, (int, float))


def _words(name: str) -> str:
    return name.replace("/", ": ").replace("_", " ")


def _points(name: str, lines: Sequence[Line]) -> list[tuple[float, float]]:
    return [(float(line["kimg"]), float(line[name])) for line in lines if isinstance(line.get(name), (int, float))]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most so many points as can be seen: means of neighbours, the last one as it is."""
    each = -(-len(points) // _MOST_POINTS)
    if each <= 1:
        return points
    means = []
    for start in range(0, len(points) - 1, each):
        some = points[start : min(start + each, len(points) - 1)]
        means.append((some[-1][0], sum(value for _, value in some) / len(some)))
    return [*means, points[-1]]


def _path(points: Sequence[tuple[float, float]], box: tuple[float, float, float, float]) -> str:
    """Points of a polyline; `box` is what is least and most, across and up. A single point becomes a level line."""
    left, right, low, high = box
    if len(points) == 1:
        points = [(left, points[0][1]), (left + 1, points[0][1])]
        right = left + 1
    free, tall = _HEIGHT * _NEXT_TO, _HEIGHT * (1 - 2 * _NEXT_TO)
    return " ".join(
        f"{_WIDTH * (x - left) / max(right - left, 1e-9):.1f},"
        f"{free + tall * (0.5 if high == low else (high - y) / (high - low)):.1f}"
        for x, y in points
    )
